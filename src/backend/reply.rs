//! An HTTP/1 answer as its bytes come in. Pure.
//!
//! Border: framing only, by RFC 9112; what an answer means is `answer`'s.

use httparse::{EMPTY_HEADER, Status};
use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};

use super::http::Answer;

/// No store sends as many headers.
const HEADERS: usize = 100;
/// Nor as long ones.
const HEAD_MAX: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    TooLarge(usize),
    Nonsense,
}

#[derive(Debug)]
pub struct Reply {
    bytes: Vec<u8>,
    /// Most bytes of body.
    max: usize,
    head: Option<Head>,
}

#[derive(Debug)]
struct Head {
    status: u16,
    headers: HeaderMap,
    framing: Framing,
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    /// To the end of the connection.
    Close,
}

impl Reply {
    pub fn new(max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            max,
            head: None,
        }
    }

    /// Whether nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.head.is_none() && self.bytes.is_empty()
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether its head is there, or the whole of it.
    pub fn is_there(&mut self, whole: bool) -> Result<bool, Unreadable> {
        while self.head.is_none() {
            let Some((head, len)) = parse(&self.bytes)? else {
                return if self.bytes.len() > HEAD_MAX {
                    Err(Unreadable::TooLarge(HEAD_MAX))
                } else {
                    Ok(false)
                };
            };
            self.bytes.drain(..len);
            // 1xx: the answer is still to come.
            self.head = Some(head).filter(|head| head.status >= 200);
        }
        Ok(!whole || self.body()?.is_some())
    }

    /// Whether the end of the connection is the end of the answer.
    pub fn ends(&self) -> bool {
        self.head
            .as_ref()
            .is_some_and(|head| head.framing == Framing::Close)
    }

    /// The answer, and whether the connection may be used again.
    pub fn take(&mut self) -> Result<(Answer, bool), Unreadable> {
        let closed = self.ends();
        let body = self.body()?;
        let Some(Head {
            status,
            headers,
            keep,
            ..
        }) = self.head.take()
        else {
            return Err(Unreadable::Nonsense);
        };
        let (body, used) = match body {
            Some(body) => body,
            None if closed => (std::mem::take(&mut self.bytes), 0),
            None => return Err(Unreadable::Nonsense),
        };
        let keep = keep && !closed && used == self.bytes.len();
        Ok((
            Answer {
                status,
                headers,
                body,
            },
            keep,
        ))
    }

    /// The body, once it is whole, and how many bytes it took.
    fn body(&self) -> Result<Option<(Vec<u8>, usize)>, Unreadable> {
        let framing = self
            .head
            .as_ref()
            .map_or(Framing::Close, |head| head.framing);
        let most = match framing {
            Framing::Length(len) => len,
            Framing::Chunked | Framing::Close => self.bytes.len(),
        };
        // Of chunks, their sizes count too.
        if most > self.max {
            return Err(Unreadable::TooLarge(self.max));
        }
        match framing {
            Framing::Length(len) => Ok(self.bytes.get(..len).map(|body| (body.to_vec(), len))),
            Framing::Chunked => chunks(&self.bytes),
            Framing::Close => Ok(None),
        }
    }
}

/// Digits and nothing else, as RFC 9110 has it.
fn number(length: &HeaderValue) -> Option<usize> {
    length
        .to_str()
        .ok()
        .filter(|length| length.bytes().all(|digit| digit.is_ascii_digit()))?
        .parse()
        .ok()
}

fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Unreadable> {
    let nonsense = || Unreadable::Nonsense;
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let Status::Complete(len) = parsed.parse(bytes).map_err(|_| nonsense())? else {
        return Ok(None);
    };
    let status = parsed.code.unwrap_or_default();
    let mut headers = HeaderMap::new();
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| nonsense())?;
        headers.append(
            name,
            HeaderValue::from_bytes(header.value).map_err(|_| nonsense())?,
        );
    }
    let says = |name: &HeaderName, word: &str| {
        let values = headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    let length = headers.get(CONTENT_LENGTH);
    let framing = if matches!(status, 100..=199 | 204 | 304) {
        Framing::Length(0)
    } else if headers.contains_key(TRANSFER_ENCODING) {
        if !says(&TRANSFER_ENCODING, "chunked") {
            return Err(nonsense());
        }
        Framing::Chunked
    } else if let Some(length) = length {
        if headers
            .get_all(CONTENT_LENGTH)
            .iter()
            .any(|other| other != length)
        {
            return Err(nonsense());
        }
        Framing::Length(number(length).ok_or_else(nonsense)?)
    } else {
        Framing::Close
    };
    let keep = parsed.version == Some(1) && !says(&CONNECTION, "close");
    Ok(Some((
        Head {
            status,
            headers,
            framing,
            keep,
        },
        len,
    )))
}

/// The body of a chunked answer once all of it is there, trailers included, and how many bytes it took.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Unreadable> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Status::Complete((line, size)) =
            httparse::parse_chunk_size(rest).map_err(|_| Unreadable::Nonsense)?
        else {
            return Ok(None);
        };
        at += line;
        if size == 0 {
            let mut trailers = [EMPTY_HEADER; HEADERS];
            let rest = bytes.get(at..).unwrap_or_default();
            let parsed =
                httparse::parse_headers(rest, &mut trailers).map_err(|_| Unreadable::Nonsense)?;
            return Ok(match parsed {
                Status::Complete((len, _)) => Some((body, at + len)),
                Status::Partial => None,
            });
        }
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| at.checked_add(size))
            .ok_or(Unreadable::Nonsense)?;
        let Some(chunk) = bytes.get(at..end) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => at = end + 2,
            Some(_) => return Err(Unreadable::Nonsense),
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an answer comes to that arrives byte by byte; None where its end is still to come.
    fn read(text: &str) -> Option<Result<(u16, String, bool), Unreadable>> {
        let mut reply = Reply::new(1000);
        for byte in text.bytes() {
            match reply.is_there(true) {
                Ok(_) => reply.push(&[byte]),
                Err(error) => return Some(Err(error)),
            }
        }
        match reply.is_there(true) {
            Ok(false) if !reply.ends() => None,
            Ok(_) => Some(reply.take().map(|(answer, keep)| {
                (answer.status, String::from_utf8(answer.body).unwrap(), keep)
            })),
            Err(error) => Some(Err(error)),
        }
    }

    #[track_caller]
    fn gives(text: &str, status: u16, body: &str, keep: bool) {
        assert_eq!(
            read(text),
            Some(Ok((status, body.into(), keep))),
            "{text:?}"
        );
        if !text.contains("HTTP/1.0") {
            let cut = &text[..text.len() - 1];
            assert_ne!(read(cut), Some(Ok((status, body.into(), keep))), "{cut:?}");
        }
    }

    #[test]
    fn an_answer_ends_where_it_says() {
        gives(
            "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 3\r\n\r\nabc",
            200,
            "abc",
            true,
        );
        gives(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
            "",
            true,
        );
        gives("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true);
        gives(
            "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\na",
            200,
            "a",
            false,
        );
        gives("HTTP/1.1 200 OK\r\n\r\nall of it", 200, "all of it", false);
        gives(
            "HTTP/1.0 403 Forbidden\r\nContent-Length: 1\r\n\r\na",
            403,
            "a",
            false,
        );
        gives(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
            200,
            "a",
            true,
        );
        let chunked = "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n";
        gives(
            &format!("{chunked}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: r\r\n\r\n"),
            400,
            "abcde",
            true,
        );
        assert_eq!(read(&format!("{chunked}3\r\nabc\r\n")), None);
    }

    #[test]
    fn what_is_too_large_or_no_answer_is_not_read() {
        for (text, why) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".to_owned(),
                Unreadable::TooLarge(1000),
            ),
            (
                format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(1001)),
                Unreadable::TooLarge(1000),
            ),
            (
                format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                    "1\r\na\r\n".repeat(200)
                ),
                Unreadable::TooLarge(1000),
            ),
            (
                format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(HEAD_MAX)),
                Unreadable::TooLarge(HEAD_MAX),
            ),
            ("SSH-2.0-OpenSSH\r\n".into(), Unreadable::Nonsense),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".into(),
                Unreadable::Nonsense,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n".into(),
                Unreadable::Nonsense,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into(),
                Unreadable::Nonsense,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".into(),
                Unreadable::Nonsense,
            ),
        ] {
            assert_eq!(
                read(&text),
                Some(Err(why)),
                "{}",
                &text[..text.len().min(60)]
            );
        }
    }
}
