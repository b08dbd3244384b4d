//! Sends requests to the store and turns its answers into results: the one place that knows statuses and error codes.
//!
//! Border: what a request asks for is `mod`; who signs it is `sign`. The gateway's only HTTP client is built here.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use tracing::debug;
use url::Url;

use super::sign::Signer;
use super::xml::{self, ErrorAnswer, Unreadable};
use super::{Fault, address};
use crate::error::{Error, Kind, Result, story};
use crate::gateway::metrics::{Outcome, metrics};
use crate::names::Fingerprint;

/// How long a control call may take.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// How long `CompleteMultipartUpload` may take: a store may copy the whole object before it answers.
pub(super) const PATIENCE_TO_COMPLETE: Duration = Duration::from_mins(15);
/// The largest answer that is read, in bytes: a page of 1000 parts is about 300 KiB.
const MAX_ANSWER: usize = 2 << 20;

/// HTTP/1.1 without redirects, past any proxy where the other end is this machine or its link.
#[derive(Debug, Clone)]
pub struct Http(Arc<Clients>);

/// Those that may speak TLS are made when they are needed: reading a system's certificate authorities takes 20 ms and more.
#[derive(Debug)]
struct Clients {
    plain: reqwest::Client,
    near: OnceLock<reqwest::Client>,
    far: OnceLock<reqwest::Client>,
}

impl Http {
    /// # Errors
    /// [`Kind::Config`] when the library cannot be set up.
    pub fn new() -> Result<Self> {
        let plain = builder(true).tls_certs_only([]).build().map_err(no_tls)?;
        Ok(Self(Arc::new(Clients {
            plain,
            near: OnceLock::new(),
            far: OnceLock::new(),
        })))
    }

    /// The client for a URL.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the TLS library cannot be set up.
    fn client(&self, url: &Url) -> Result<&reqwest::Client, Fault> {
        let near = address::is_near(url);
        let made = match near {
            true if url.scheme() == "http" => return Ok(&self.0.plain),
            true => &self.0.near,
            false => &self.0.far,
        };
        if let Some(client) = made.get() {
            return Ok(client);
        }
        let client = build(near).map_err(|error| Fault::Refused(error.to_string()))?;
        Ok(made.get_or_init(|| client))
    }

    /// What is at a URL that is no store's, up to `most` bytes of it.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] for whatever the network does, and for longer answers. Never names the URL.
    pub async fn get(&self, url: &Url, patience: Duration, most: usize) -> Result<Answer, Fault> {
        let mut request = reqwest::Request::new(Method::GET, url.clone());
        *request.timeout_mut() = Some(patience);
        self.read(request, most).await
    }

    /// Sends, and reads at most 2 MiB of the answer's body.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] for whatever the network does, and for longer answers. Never names the URL.
    pub(super) async fn send(
        &self,
        mut request: http::Request<Vec<u8>>,
        patience: Duration,
    ) -> Result<Answer, Fault> {
        if request.method() == Method::PUT || request.method() == Method::POST {
            // For an empty body hyper writes no length by itself, and stores want one.
            let length = request.body().len().into();
            request.headers_mut().insert(CONTENT_LENGTH, length);
        }
        let mut request = reqwest::Request::try_from(request).map_err(lost)?;
        *request.timeout_mut() = Some(patience);
        self.read(request, MAX_ANSWER).await
    }

    async fn read(&self, request: reqwest::Request, most: usize) -> Result<Answer, Fault> {
        let mut response = self
            .client(request.url())?
            .execute(request)
            .await
            .map_err(lost)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > most {
                return Err(Fault::Unavailable(format!(
                    "{status} with more than {most} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

/// The whole story of a request that got no answer, but for its URL.
fn lost(error: reqwest::Error) -> Fault {
    Fault::Unavailable(story(&error.without_url()))
}

fn builder(near: bool) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .http1_only()
        .redirect(Policy::none())
        .connect_timeout(Duration::from_secs(10))
        // Below what stores keep a connection for, so that none is closed as it is used again.
        .pool_idle_timeout(Duration::from_secs(4))
        .user_agent(concat!("upload/", env!("CARGO_PKG_VERSION")));
    if near { builder.no_proxy() } else { builder }
}

fn build(near: bool) -> Result<reqwest::Client> {
    with_authorities(|| builder(near)).map_err(no_tls)
}

/// A client that trusts whom this system trusts, or else whom Mozilla does.
///
/// # Errors
/// When the library cannot be set up.
pub fn with_authorities(
    builder: impl Fn() -> reqwest::ClientBuilder,
) -> reqwest::Result<reqwest::Client> {
    // A system without certificate authorities (a bare container) cannot build a client otherwise.
    builder().build().or_else(|_| {
        debug!("no certificate authorities on this system; using those of Mozilla");
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        let roots = roots.filter_map(|der| reqwest::Certificate::from_der(der).ok());
        builder().tls_certs_only(roots).build()
    })
}

fn no_tls(error: reqwest::Error) -> Error {
    Error::new(Kind::Config, "could not set up TLS").because(error)
}

/// A store's answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The error code in the body, as long as the status is one of failure.
    pub(super) fn error(&self) -> ErrorAnswer {
        if self.status.is_success() {
            ErrorAnswer::default()
        } else {
            xml::read_error(&self.body)
        }
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
    pub(super) http: Http,
    pub(super) signer: Signer,
}

impl Client {
    /// Signs and sends; gives the answer whatever its status.
    ///
    /// # Errors
    /// [`Fault`] when nothing could be signed, or no answer came.
    pub(super) async fn ask(&self, call: Call) -> Result<Answer, Fault> {
        let began = Instant::now();
        let operation = call.operation;
        let mut request = http::Request::builder().method(call.method).uri(&call.url);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let (mut parts, body) = request
            .header(
                "x-amz-content-sha256",
                Fingerprint::of(&call.body).to_string(),
            )
            .body(call.body)
            .map_err(|_| Fault::Refused(format!("{operation}: not a request")))?
            .into_parts();
        self.signer.authorize(&mut parts).await?;
        let answer = self
            .http
            .send(http::Request::from_parts(parts, body), call.patience)
            .await;
        let took = began.elapsed();
        let outcome = answer
            .as_ref()
            .map_or(Outcome::Lost, |answer| Outcome::of(answer.status.as_u16()));
        metrics().called(operation, outcome, took);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let path = Url::parse(&call.url)
            .map(|url| url.path().to_owned())
            .unwrap_or_default();
        match answer {
            Ok(answer) => {
                let code = answer.error().code;
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
    pub(super) async fn call(&self, call: Call) -> Result<Answer, Fault> {
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
    answer: Answer,
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
pub(super) fn check(operation: &str, answer: Answer) -> Result<Answer, Fault> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let mut error = answer.error();
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
