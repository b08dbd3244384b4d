//! Splits the body of a form: s3s checks its fields, the signature and the policy; the file goes
//! from the client to the disk afterwards.
//!
//! s3s reads the file of a form into memory before it checks the policy. So it gets the fields with
//! an empty file, and [`Store::post_object`](crate::store::Store) receives the file itself.
//!
//! Not here: the fields, in [`crate::form_fields`].

use std::fmt;
use std::sync::{Arc, Mutex};

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use http::request::Parts;
use http::{HeaderValue, Request, header};
use s3s::post_policy::PostPolicy;
use s3s::{S3Error, S3Result, StdError, s3_error};

use crate::form_fields::{FormHead, find};
use upload_types::sync::lock;

/// The largest smallest size of a file that a policy may require.
const MAX_MIN_FILE_BYTES: u64 = 64 << 10;

/// The bytes of a file as they arrive.
type FileBytes = BoxStream<'static, Result<Bytes, StdError>>;

/// The file of a form, in the extensions of its request.
#[derive(Clone)]
pub struct FormFile(Arc<Mutex<Option<FileBytes>>>);

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

/// Returns the request of a form with an empty file, and with the [`FormFile`] in its extensions.
///
/// # Errors
/// `InvalidPolicyDocument`; `NotImplemented` for a policy that requires a large file.
pub fn split_form(
    mut parts: Parts,
    form: FormHead,
    max_file_bytes: u64,
) -> S3Result<Request<Body>> {
    let size = size_range(form.field("policy"), max_file_bytes)?;
    let FormHead {
        boundary,
        mut received,
        file_start,
        rest,
        ..
    } = form;
    let mut head = received.split_to(file_start);
    head.extend(std::iter::repeat_n(
        0_u8,
        usize::try_from(size.min).unwrap_or(0),
    ));
    head.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let file = file_stream(received, rest, format!("\r\n--{boundary}"), size);
    let file = FormFile(Arc::new(Mutex::new(Some(file))));
    parts.extensions.insert(file);
    let length = HeaderValue::from(head.len());
    parts.headers.insert(header::CONTENT_LENGTH, length);
    Ok(Request::from_parts(parts, Body::from(head.freeze())))
}

/// The sizes that the policy permits. s3s rejects a form without a policy.
fn size_range(policy: Option<&str>, max_file_bytes: u64) -> S3Result<SizeRange> {
    let whole = SizeRange {
        min: 0,
        max: max_file_bytes,
    };
    let Some(policy) = policy else {
        return Ok(whole);
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
    use crate::form_fields::read;

    const MAX_FIELDS_BYTES: usize = 1 << 10;
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
        let form = read(&parts.headers, body, MAX_FIELDS_BYTES)
            .await
            .map_err(code)?;
        let request = split_form(parts, form, max).map_err(code)?;
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
        assert_eq!(error(&large).await, "MalformedPOSTRequest");
    }

    #[tokio::test]
    async fn policy_limits_the_size() {
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
        for (file, expected) in [("a", "EntityTooSmall"), ("abcde", "EntityTooLarge")] {
            let error = split(&form(&policy(2, 4), file), 9, 100).await;
            assert_eq!(error.unwrap_err(), expected);
        }
    }
}
