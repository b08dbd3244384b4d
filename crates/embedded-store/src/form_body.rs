//! Splits the body of a form: s3s checks its fields, the signature and the policy; the file goes
//! from the client to the disk afterwards.
//!
//! s3s reads the file of a form into memory before it checks the policy. So it gets the fields with
//! an empty file, and [`Store::post_object`](crate::store::Store) receives the file itself.
//!
//! Not here: the meaning of the fields.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, header};
use s3s::post_policy::PostPolicy;
use s3s::{S3Error, S3Result, StdError, s3_error};
use tokio::time::timeout;

use upload_types::sync::lock;

/// How long the fields of a form may take to arrive.
const FIELDS_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_FIELDS_BYTES: usize = 64 << 10;
/// The fields are parsed each time so many bytes have arrived, and at the end of the body.
const PARSE_INTERVAL_BYTES: usize = 1 << 10;
/// The largest smallest size of a file that a policy may require.
const MAX_MIN_FILE_BYTES: u64 = 64 << 10;

/// The file of a form, in the extensions of its request.
#[derive(Clone)]
pub struct FormFile(Arc<Mutex<Option<BoxStream<'static, Result<Bytes, StdError>>>>>);

impl FormFile {
    /// The bytes of the file. `None` if they were taken before.
    pub fn take(&self) -> Option<impl Stream<Item = Result<Bytes, StdError>> + Unpin + use<>> {
        lock(&self.0).take()
    }
}

/// The sizes that the policy permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SizeRange {
    min: u64,
    max: u64,
}

/// Receives the fields of a form. Returns its request with an empty file, and with the [`FormFile`]
/// in its extensions.
///
/// # Errors
/// `MalformedPOSTRequest` for a body that is not a form with one file at its end;
/// `RequestTimeout`; `MaxPostPreDataLengthExceededError`; `InvalidPolicyDocument`.
pub async fn split_form(
    mut parts: Parts,
    body: Body,
    max_file_bytes: u64,
) -> S3Result<Request<Body>> {
    let boundary = boundary(&parts.headers)
        .ok_or_else(|| s3_error!(MalformedPOSTRequest, "The form has no boundary"))?;
    let mut body = body.into_data_stream();
    let mut received = BytesMut::new();
    let fields = receive_fields(&mut body, &mut received, &boundary);
    let fields = timeout(FIELDS_TIMEOUT, fields).await.map_err(|_| {
        let seconds = FIELDS_TIMEOUT.as_secs();
        s3_error!(
            RequestTimeout,
            "The fields did not arrive within {seconds} s"
        )
    })??;
    let size = size_range(&fields, max_file_bytes)?;
    let mut head = received.split_to(fields.length);
    head.extend(std::iter::repeat_n(
        0_u8,
        usize::try_from(size.min).unwrap_or(0),
    ));
    head.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let file = file_stream(received, body, format!("\r\n--{boundary}"), size);
    parts
        .extensions
        .insert(FormFile(Arc::new(Mutex::new(Some(file)))));
    let length = HeaderValue::from(head.len());
    parts.headers.insert(header::CONTENT_LENGTH, length);
    Ok(Request::from_parts(parts, Body::from(head.freeze())))
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let parameters = content_type.split(';').skip(1);
    let mut named = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_boundary = name.trim().eq_ignore_ascii_case("boundary");
        is_boundary.then(|| value.trim().trim_matches('"').to_owned())
    });
    named
        .next()
        .filter(|boundary| !boundary.is_empty() && boundary.len() <= 70)
}

/// The part of a body before the bytes of its file.
#[derive(Debug, PartialEq, Eq)]
struct Fields {
    /// In bytes, with the head of the file.
    length: usize,
    /// The values of the fields with the name `policy`.
    policies: Vec<String>,
}

async fn receive_fields(
    body: &mut BodyDataStream,
    received: &mut BytesMut,
    boundary: &str,
) -> S3Result<Fields> {
    let mut parse_at = PARSE_INTERVAL_BYTES;
    loop {
        let is_end = match body.next().await {
            Some(Ok(bytes)) => {
                received.extend_from_slice(&bytes);
                false
            }
            Some(Err(_)) => return Err(s3_error!(IncompleteBody)),
            None => true,
        };
        if received.len() < parse_at && !is_end {
            continue;
        }
        parse_at = received.len() + PARSE_INTERVAL_BYTES;
        let length = received.len().min(MAX_FIELDS_BYTES);
        if let Some(fields) = parse_fields(&received[..length], boundary)? {
            return Ok(fields);
        }
        if received.len() >= MAX_FIELDS_BYTES {
            return Err(s3_error!(
                MaxPostPreDataLengthExceededError,
                "The fields of a form have {MAX_FIELDS_BYTES} bytes at most"
            ));
        }
        if is_end {
            return Err(s3_error!(MalformedPOSTRequest, "The form has no file"));
        }
    }
}

/// Parses the fields of a form up to the head of its file. Returns `None` if they are incomplete.
fn parse_fields(text: &[u8], boundary: &str) -> S3Result<Option<Fields>> {
    let malformed = || s3_error!(MalformedPOSTRequest);
    let (opening, delimiter) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}\r\n"));
    let Some(begin) = text.get(..opening.len()) else {
        return Ok(None);
    };
    if begin != opening.as_bytes() {
        return Err(malformed());
    }
    let (mut position, mut policies) = (opening.len(), Vec::new());
    loop {
        let rest = &text[position..];
        let Some(end_of_head) = find(rest, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&rest[..end_of_head]).map_err(|_| malformed())?;
        let name = field_name(head).ok_or_else(malformed)?;
        let value = position + end_of_head + 4;
        if name.eq_ignore_ascii_case("file") {
            let length = value;
            return Ok(Some(Fields { length, policies }));
        }
        let Some(end) = find(&text[value..], delimiter.as_bytes()) else {
            return Ok(None);
        };
        if name.eq_ignore_ascii_case("policy") {
            policies.push(String::from_utf8_lossy(&text[value..value + end]).into_owned());
        }
        position = value + end + delimiter.len();
    }
}

/// The name in `Content-Disposition: form-data; name="…"`.
fn field_name(head: &str) -> Option<&str> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) =
        lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let (_, name) = value.split_once("name=\"")?;
    Some(name.split_once('"')?.0)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted.first()?;
    let mut begin = 0;
    loop {
        begin += text.get(begin..)?.iter().position(|byte| byte == first)?;
        if text.get(begin..)?.starts_with(wanted) {
            return Some(begin);
        }
        begin += 1;
    }
}

/// The sizes that the policy permits. s3s rejects a form without a policy.
fn size_range(fields: &Fields, max_file_bytes: u64) -> S3Result<SizeRange> {
    let whole = SizeRange {
        min: 0,
        max: max_file_bytes,
    };
    let policy = match fields.policies.as_slice() {
        [] => return Ok(whole),
        [policy] => policy,
        _ => {
            return Err(s3_error!(
                InvalidPolicyDocument,
                "The field policy is repeated"
            ));
        }
    };
    let policy = PostPolicy::from_base64(policy)
        .map_err(|_| s3_error!(InvalidPolicyDocument, "The policy is malformed"))?;
    let Some((min, max)) = policy.content_length_range() else {
        return Ok(whole);
    };
    if min > MAX_MIN_FILE_BYTES {
        return Err(s3_error!(
            NotImplemented,
            "A policy may require {MAX_MIN_FILE_BYTES} bytes at most"
        ));
    }
    Ok(SizeRange {
        min,
        max: max.min(max_file_bytes),
    })
}

/// The bytes before the delimiter, which must end the form. Yields an error for a file whose size
/// the policy does not permit, and for a form that goes on.
fn file_stream(
    received: BytesMut,
    body: BodyDataStream,
    delimiter: String,
    size: SizeRange,
) -> BoxStream<'static, Result<Bytes, StdError>> {
    let state = FileState {
        received,
        body,
        delimiter: delimiter.into_bytes(),
        size,
        sent: 0,
        is_over: false,
    };
    stream::unfold(state, |mut state| async move {
        if state.is_over {
            return None;
        }
        let next = state.next().await.transpose()?;
        state.is_over = next.is_err();
        Some((next.map_err(|error| Box::new(error) as StdError), state))
    })
    .boxed()
}

struct FileState {
    /// Bytes that were received, and belong to the file unless the delimiter begins in them.
    received: BytesMut,
    body: BodyDataStream,
    delimiter: Vec<u8>,
    size: SizeRange,
    sent: u64,
    is_over: bool,
}

impl FileState {
    /// The next bytes of the file. `None` at its end.
    async fn next(&mut self) -> S3Result<Option<Bytes>> {
        loop {
            if let Some(end) = find(&self.received, &self.delimiter) {
                if end > 0 {
                    return self.take(end).map(Some);
                }
                return self.finish().await;
            }
            // The delimiter may begin in the last bytes.
            let complete = self.received.len().saturating_sub(self.delimiter.len() - 1);
            if complete > 0 {
                return self.take(complete).map(Some);
            }
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> S3Result<()> {
        match self.body.next().await {
            Some(Ok(bytes)) => self.received.extend_from_slice(&bytes),
            _ => return Err(s3_error!(IncompleteBody, "The form ended early")),
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> S3Result<Bytes> {
        self.sent += length as u64;
        if self.sent > self.size.max {
            return Err(s3_error!(
                EntityTooLarge,
                "Your proposed upload exceeds the maximum allowed object size."
            ));
        }
        Ok(self.received.split_to(length).freeze())
    }

    /// Checks that the form ends with its file.
    async fn finish(&mut self) -> S3Result<Option<Bytes>> {
        let end = self.delimiter.len();
        while self.received.len() < end + 2 {
            self.receive().await?;
        }
        if &self.received[end..end + 2] != b"--" {
            return Err(s3_error!(
                MalformedPOSTRequest,
                "The file must be the last field of the form"
            ));
        }
        if self.sent < self.size.min {
            return Err(s3_error!(EntityTooSmall));
        }
        self.is_over = true;
        Ok(None)
    }
}

/// The error of S3 for an error of the file of a form.
pub fn form_error(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<S3Error> {
    let error = error.downcast_ref::<S3Error>()?;
    let message = error.message().unwrap_or_default().to_owned();
    Some(S3Error::with_message(error.code().clone(), message))
}

impl fmt::Debug for FormFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormFile")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &str = "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na\r\n\
                          --b\r\ncontent-disposition: form-data; name=\"File\"; filename=\"x\"\r\n\
                          content-type: a/b\r\n\r\n";

    /// Splits a form that arrives in chunks. Returns the body for s3s and the file.
    async fn split(text: &str, chunk: usize, max: u64) -> Result<(String, String), String> {
        let chunks: Vec<_> = text.as_bytes().chunks(chunk).map(<[u8]>::to_vec).collect();
        let body = Body::from_stream(stream::iter(
            chunks.into_iter().map(Ok::<_, std::convert::Infallible>),
        ));
        let request =
            Request::post("/embedded").header("content-type", "multipart/form-data; boundary=b");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let code = |error: S3Error| error.code().as_str().to_owned();
        let request = split_form(parts, body, max).await.map_err(code)?;
        let mut file = request
            .extensions()
            .get::<FormFile>()
            .unwrap()
            .take()
            .unwrap();
        let mut bytes = Vec::new();
        while let Some(next) = file.next().await {
            let next = next.map_err(|error| code(form_error(error.as_ref()).unwrap()))?;
            bytes.extend_from_slice(&next);
        }
        let head = axum::body::to_bytes(request.into_body(), usize::MAX)
            .await
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&head), text(&bytes)))
    }

    #[tokio::test]
    async fn fields_and_file_are_split_at_any_chunk() {
        for file in ["", "abc", "\r\n--", "\r\n--c\r\n", "\r\r\n\r\n--\r\n"] {
            let form = format!("{FIELDS}{file}\r\n--b--\r\n");
            for chunk in 1..form.len() {
                let (head, found) = split(&form, chunk, 100).await.unwrap();
                assert_eq!(head, format!("{FIELDS}\r\n--b--\r\n"));
                assert_eq!(found, file, "{chunk}");
            }
        }
    }

    #[tokio::test]
    async fn malformed_and_incomplete_forms_are_rejected() {
        let error = async |text: &str| split(text, 7, 3).await.unwrap_err();
        assert_eq!(error("no form").await, "MalformedPOSTRequest");
        assert_eq!(error("--b--\r\n\r\n\r\n").await, "MalformedPOSTRequest");
        assert_eq!(error(&FIELDS[..60]).await, "MalformedPOSTRequest");
        assert_eq!(error(&format!("{FIELDS}abc")).await, "IncompleteBody");
        assert_eq!(
            error(&format!("{FIELDS}abc\r\n--b")).await,
            "IncompleteBody"
        );
        let more = format!("{FIELDS}abc\r\n--b\r\nx");
        assert_eq!(error(&more).await, "MalformedPOSTRequest");
        assert_eq!(
            error(&format!("{FIELDS}abcd\r\n--b--")).await,
            "EntityTooLarge"
        );
        let large = "a".repeat(2 * MAX_FIELDS_BYTES);
        let large = FIELDS.replace("\r\na\r\n", &format!("\r\n{large}\r\n"));
        assert_eq!(error(&large).await, "MaxPostPreDataLengthExceededError");
    }

    #[tokio::test]
    async fn policy_is_read_once_and_limits_the_size() {
        use base64::Engine as _;
        let policy = |min: u64, max: u64| {
            let text = format!(
                "{{\"expiration\":\"2030-01-01T00:00:00.000Z\",\
                 \"conditions\":[[\"content-length-range\",{min},{max}]]}}"
            );
            let text = base64::engine::general_purpose::STANDARD.encode(text);
            format!("--b\r\nContent-Disposition: form-data; name=\"Policy\"\r\n\r\n{text}\r\n")
        };
        let form = |policies: &str, file: &str| format!("{policies}{FIELDS}{file}\r\n--b--\r\n");
        let (head, file) = split(&form(&policy(2, 4), "abc"), 9, 100).await.unwrap();
        assert!(head.ends_with("\r\n\r\n\0\0\r\n--b--\r\n"), "{head:?}");
        assert_eq!(file, "abc");
        for (file, code) in [("a", "EntityTooSmall"), ("abcde", "EntityTooLarge")] {
            let error = split(&form(&policy(2, 4), file), 9, 100).await;
            assert_eq!(error.unwrap_err(), code);
        }
        let two = policy(0, 1) + &policy(0, 100);
        let error = split(&form(&two, "abc"), 9, 100).await.unwrap_err();
        assert_eq!(error, "InvalidPolicyDocument");
    }
}
