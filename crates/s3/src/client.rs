//! Sends requests to the store and turns its answers into results: the one place that knows statuses and error codes.
//!
//! Border: what a request asks for is `mod`; who signs it is `sign`. The gateway's only HTTP client is built here.

use std::time::{Duration, Instant};

use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use tracing::debug;
use upload_net::client::no_response;
use upload_net::{HttpClient, Response, Unreachable};
use url::Url;

use super::Fault;
use super::observe::{CallOutcome, Observer};
use super::sign::Signer;
use super::xml::{self, ErrorAnswer, Unreadable};
use upload_types::error::Result;
use upload_types::names::Sha256;

/// How long a control call may take.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// How long `CompleteMultipartUpload` may take: a store may copy the whole object before it answers.
pub(super) const PATIENCE_TO_COMPLETE: Duration = Duration::from_mins(15);
/// The largest answer that is read, in bytes: a page of 1000 parts is about 300 KiB.
const MAX_ANSWER: usize = 2 << 20;

impl From<Unreachable> for Fault {
    fn from(error: Unreachable) -> Self {
        match error {
            Unreachable::Tls(_) => Self::Refused(error.to_string()),
            Unreachable::Network(why) => Self::Unavailable(why),
        }
    }
}

/// Sends a signed request and reads the whole response.
///
/// # Errors
/// [`Fault::Unavailable`] where no whole response came.
pub(super) async fn send(
    http: &HttpClient,
    mut request: http::Request<Vec<u8>>,
    timeout: Duration,
) -> Result<Response, Fault> {
    if request.method() == Method::PUT || request.method() == Method::POST {
        // hyper writes no length for an empty body, and stores require one.
        let length = request.body().len().into();
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    let request = reqwest::Request::try_from(request).map_err(no_response)?;
    Ok(http.execute(request, timeout, MAX_ANSWER).await?)
}

/// Reads the error code of a failed response.
pub(super) fn error_of(response: &Response) -> ErrorAnswer {
    if response.status.is_success() {
        ErrorAnswer::default()
    } else {
        xml::read_error(&response.body)
    }
}

/// One control call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// As the Amazon S3 API reference has it.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Vec<u8>,
    pub(super) patience: Duration,
}

impl Call {
    pub(super) fn new(operation: &'static str, method: Method, url: String) -> Self {
        Self {
            operation,
            method,
            url,
            headers: Vec::new(),
            body: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// With a header more.
    ///
    /// # Errors
    /// [`Fault::Refused`] for a value that cannot be one.
    pub(super) fn header(mut self, name: &str, value: &str) -> Result<Self, Fault> {
        self.headers.push(header(name, value)?);
        Ok(self)
    }
}

/// # Errors
/// [`Fault::Refused`] for what cannot stand in a header.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let wrong = || {
        Fault::Refused(format!(
            "what was to stand in {name} cannot be sent as a header"
        ))
    };
    Ok((
        name.parse().map_err(|_| wrong())?,
        value.parse().map_err(|_| wrong())?,
    ))
}

/// Control calls with a signature in the header `Authorization`.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) http: HttpClient,
    pub(super) signer: Signer,
    pub(super) observer: Observer,
}

impl Client {
    /// Signs and sends; gives the answer whatever its status.
    ///
    /// # Errors
    /// [`Fault`] when nothing could be signed, or no answer came.
    pub(super) async fn ask(&self, call: Call) -> Result<Response, Fault> {
        let began = Instant::now();
        let operation = call.operation;
        let mut request = http::Request::builder().method(call.method).uri(&call.url);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let (mut parts, body) = request
            .header("x-amz-content-sha256", Sha256::of(&call.body).to_string())
            .body(call.body)
            .map_err(|_| Fault::Refused(format!("{operation}: not a request")))?
            .into_parts();
        self.signer.authorize(&mut parts).await?;
        let request = http::Request::from_parts(parts, body);
        let answer = send(&self.http, request, call.patience).await;
        let took = began.elapsed();
        let outcome = answer.as_ref().map_or(CallOutcome::Lost, |answer| {
            CallOutcome::of_status(answer.status.as_u16())
        });
        (self.observer)(operation, outcome, took);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let path = Url::parse(&call.url)
            .map(|url| url.path().to_owned())
            .unwrap_or_default();
        match answer {
            Ok(answer) => {
                let code = error_of(&answer).code;
                debug!(
                    operation,
                    path,
                    status = answer.status.as_u16(),
                    code = clean(&code),
                    ms,
                    "store"
                );
                if code == "ExpiredToken" {
                    self.signer.forget_credential().await;
                }
                Ok(answer)
            }
            Err(fault) => {
                debug!(operation, path, %fault, ms, "store");
                Err(match fault {
                    Fault::Unavailable(why) => Fault::Unavailable(format!("{operation}: {why}")),
                    fault => fault,
                })
            }
        }
    }

    /// Signs and sends; an answer that is no success is a fault.
    pub(super) async fn call(&self, call: Call) -> Result<Response, Fault> {
        let operation = call.operation;
        check(operation, self.ask(call).await?)
    }

    /// Signs, sends and reads the XML answer whose root element begins so.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        call: Call,
        root: &str,
    ) -> Result<T, Fault> {
        let operation = call.operation;
        read(operation, self.ask(call).await?, root)
    }
}

/// What a successful answer whose root element begins with `root` says; an error in its place is that error.
///
/// # Errors
/// See [`fault`]; [`Fault::Unavailable`] also for an answer that is empty, cut off or something else.
pub(super) fn read<T: DeserializeOwned>(
    operation: &str,
    answer: Response,
    root: &str,
) -> Result<T, Fault> {
    let answer = check(operation, answer)?;
    xml::read(root, &answer.body).map_err(|unreadable| match unreadable {
        Unreadable::Error(error) => fault(operation, answer.status, &error),
        Unreadable::Nonsense => Fault::Unavailable(format!(
            "{operation}: {} without a readable answer",
            answer.status.as_u16()
        )),
    })
}

/// An answer that is a success, or the fault that it is.
///
/// # Errors
/// See [`fault`].
pub(super) fn check(operation: &str, answer: Response) -> Result<Response, Fault> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let mut error = error_of(&answer);
    if error.request_id.is_empty() {
        answer
            .header("x-amz-request-id")
            .unwrap_or_default()
            .clone_into(&mut error.request_id);
    }
    Err(fault(operation, answer.status, &error))
}

/// What a failed answer means: by its code where S3 defines one, else by its status.
fn fault(operation: &str, status: StatusCode, error: &ErrorAnswer) -> Fault {
    let mut text = format!("{operation}: {}", status.as_u16());
    if !error.code.is_empty() {
        text = format!("{text} {}", clean(&error.code));
    }
    if !error.request_id.is_empty() {
        text = format!("{text} (request {})", clean(&error.request_id));
    }
    match (error.code.as_str(), status.as_u16()) {
        ("NoSuchUpload", _) => Fault::NoSuchUpload,
        ("InvalidPart" | "InvalidPartOrder" | "EntityTooSmall", _) => Fault::InvalidPart(text),
        ("PreconditionFailed", _) | (_, 412) => Fault::Precondition,
        // Failures that pass, some of them with a status that says otherwise.
        (
            "SlowDown"
            | "RequestTimeout"
            | "InternalError"
            | "ServiceUnavailable"
            | "OperationAborted"
            | "ConditionalRequestConflict"
            | "ExpiredToken",
            _,
        )
        | (_, 307 | 408 | 429) => Fault::Unavailable(text),
        // Says so even where the status, 200, does not.
        ("AccessDenied" | "NotImplemented", _) | (_, 300..=499 | 501) => Fault::Refused(text),
        _ => Fault::Unavailable(text),
    }
}

/// What another machine says, fit for a log: letters, digits and a few marks, 64 at most.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.+/=".contains(*c))
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, code: &str) -> Fault {
        let error = ErrorAnswer {
            code: code.into(),
            request_id: "r-1".into(),
        };
        fault(
            "CompleteMultipartUpload",
            StatusCode::from_u16(status).unwrap(),
            &error,
        )
    }

    #[test]
    fn a_fault_is_told_by_code_then_status() {
        assert!(matches!(of(404, "NoSuchUpload"), Fault::NoSuchUpload));
        assert!(matches!(of(404, "NoSuchKey"), Fault::Refused(_)));
        assert!(matches!(of(400, "EntityTooSmall"), Fault::InvalidPart(_)));
        assert!(matches!(of(412, ""), Fault::Precondition));
        assert!(matches!(of(200, "PreconditionFailed"), Fault::Precondition));
        assert!(matches!(of(200, "InternalError"), Fault::Unavailable(_)));
        assert!(matches!(of(200, "AccessDenied"), Fault::Refused(_)));
        assert!(matches!(of(409, "OperationAborted"), Fault::Unavailable(_)));
        assert!(matches!(of(400, "RequestTimeout"), Fault::Unavailable(_)));
        assert!(matches!(of(501, ""), Fault::Refused(_)));
        assert!(matches!(of(301, "PermanentRedirect"), Fault::Refused(_)));
        assert!(matches!(of(503, ""), Fault::Unavailable(_)));
    }

    #[test]
    fn a_fault_tells_code_and_request_and_nothing_else() {
        let Fault::Refused(text) = of(403, "Signature\x1b[2J\nDoesNotMatch") else {
            panic!()
        };
        assert_eq!(
            text,
            "CompleteMultipartUpload: 403 Signature2JDoesNotMatch (request r-1)"
        );
    }
}
