//! HTTP/1.1 messages: a head, and the framing of the body (RFC 9112). Heads are kept byte for byte,
//! so that signatures stay valid.

use std::io::{self, BufRead, Read};

const MAX_HEAD_BYTES: usize = 64 << 10;

/// Request line or status line, and headers.
#[derive(Clone)]
pub struct Head {
    raw: Vec<u8>,
    text: String,
}

impl Head {
    /// Returns `None` at the end of the connection.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut raw = Vec::new();
        loop {
            let len = from
                .by_ref()
                .take(MAX_HEAD_BYTES as u64)
                .read_until(b'\n', &mut raw)?;
            match len {
                0 if raw.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                1 | 2 if raw.ends_with(b"\r\n\r\n") || raw.ends_with(b"\n\n") => break,
                _ if raw.len() > MAX_HEAD_BYTES => return Err(io::ErrorKind::InvalidData.into()),
                _ => {}
            }
        }
        let text = String::from_utf8_lossy(&raw).into_owned();
        Ok(Some(Self { raw, text }))
    }

    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    fn word(&self, nth: usize) -> &str {
        self.text
            .lines()
            .next()
            .and_then(|line| line.split(' ').nth(nth))
            .unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// Path of a request, without its query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The request target in origin form. A client sends an absolute URL to a proxy.
    fn target(&self) -> &str {
        let target = self.word(1);
        target.split_once("://").map_or(target, |(_, rest)| {
            &rest[rest.find('/').unwrap_or(rest.len())..]
        })
    }

    /// The request as an origin server receives it: only the target may differ.
    pub fn origin_form(&self) -> Vec<u8> {
        let (method, target) = (self.method(), self.target());
        match self.raw.iter().position(|byte| *byte == b'\n') {
            Some(end) if self.word(1) != target => [
                format!("{method} {target} HTTP/1.1\r\n").as_bytes(),
                &self.raw[end + 1..],
            ]
            .concat(),
            _ => self.raw.clone(),
        }
    }

    /// Replaces a header, or removes it if `value` is `None`.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let has_name = |line: &str| {
            line.split_once(':')
                .is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
        };
        let mut lines: Vec<&str> = self
            .text
            .lines()
            .filter(|line| !line.is_empty() && !has_name(line))
            .collect();
        let added = value.map(|value| format!("{name}: {value}"));
        lines.extend(added.as_deref());
        self.text = lines.join("\r\n") + "\r\n\r\n";
        self.raw = self.text.clone().into_bytes();
    }

    /// Whether the first line or a header contains a text.
    pub fn contains(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// The part number in the query of a request.
    pub fn part(&self) -> Option<u64> {
        self.query()
            .split('&')
            .find_map(|pair| pair.strip_prefix("partNumber=")?.parse().ok())
    }

    pub fn query(&self) -> &str {
        self.word(1).split_once('?').map_or("", |(_, query)| query)
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.text
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim()))
    }

    /// The framing of a request's body.
    pub fn request_body(&self) -> Body {
        self.body().unwrap_or(Body::Length(0))
    }

    /// The framing of the body of a response to a `method` request.
    pub fn response_body(&self, method: &str) -> Body {
        match self.status() {
            100..=199 | 204 | 304 => Body::Length(0),
            _ if method == "HEAD" => Body::Length(0),
            _ => self.body().unwrap_or(Body::UntilClose),
        }
    }

    fn body(&self) -> Option<Body> {
        if self
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return Some(Body::Chunked);
        }
        self.header("content-length")
            .and_then(|length| length.parse().ok())
            .map(Body::Length)
    }
}

/// The framing of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Body {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Body {
    /// Reads the body and passes each block, framing included, to `sink`. An early end is an error.
    pub fn copy(
        self,
        from: &mut impl BufRead,
        mut sink: impl FnMut(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Self::Length(len) => copy_exactly(from, len, &mut sink),
            Self::Chunked => loop {
                let mut line = Vec::new();
                from.by_ref().take(1024).read_until(b'\n', &mut line)?;
                let size = str::from_utf8(&line)
                    .ok()
                    .and_then(|line| line.trim().split(';').next());
                let size = size.and_then(|size| u64::from_str_radix(size, 16).ok());
                let size = size.ok_or(io::ErrorKind::InvalidData)?;
                sink(&mut line)?;
                copy_exactly(from, size + 2, &mut sink)?;
                if size == 0 {
                    return Ok(());
                }
            },
            Self::UntilClose => {
                let mut block = vec![0; 64 << 10];
                loop {
                    match from.read(&mut block)? {
                        0 => return Ok(()),
                        len => sink(&mut block[..len])?,
                    }
                }
            }
        }
    }
}

fn copy_exactly(
    from: &mut impl Read,
    len: u64,
    sink: &mut impl FnMut(&mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut block = vec![0; 64 << 10];
    let mut left = len;
    while left > 0 {
        let most = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match from.read(&mut block[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => {
                sink(&mut block[..len])?;
                left -= len as u64;
            }
        }
    }
    Ok(())
}
