//! Control calls: requests that are signed in the header `Authorization`, logged, and observed.
//!
//! Not here: the operations, in [`crate::multipart`], [`crate::objects`] and [`crate::copy`]; the
//! meaning of their responses, in [`crate::response`].

use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};
use reqsign_aws_v4::Credential;
use serde::de::DeserializeOwned;
use tracing::debug;
use url::Url;

use upload_net::{HttpClient, Response};
use upload_types::Sha256;
use upload_types::saturating;

use crate::clock::ClockOffset;
use crate::fault::Fault;
use crate::observer::{CallOutcome, Observer};
use crate::response::{self, CredentialRejection};
use crate::signing::Signer;
use crate::transport::{self, CONTROL_CALL_TIMEOUT, header};

/// The shortest time between two searches for a newer credential.
const REJECTION_PAUSE: Duration = Duration::from_millis(500);
/// The same after a response that may have another cause.
const LIKELY_REJECTION_PAUSE: Duration = Duration::from_mins(1);

/// One control call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The name in the Amazon S3 API reference.
    operation: &'static str,
    method: Method,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
    timeout: Duration,
}

impl Call {
    pub(crate) fn new(operation: &'static str, method: Method, url: String) -> Self {
        Self {
            operation,
            method,
            url,
            headers: Vec::new(),
            body: Vec::new(),
            timeout: CONTROL_CALL_TIMEOUT,
        }
    }

    /// # Errors
    /// [`Fault::Refused`] for a header that is not valid.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Result<Self, Fault> {
        self.headers.push(header(name, value)?);
        Ok(self)
    }

    /// # Errors
    /// As [`Self::header`].
    pub(crate) fn headers(
        self,
        headers: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    ) -> Result<Self, Fault> {
        headers.into_iter().try_fold(self, |call, (name, value)| {
            call.header(name.as_ref(), value.as_ref())
        })
    }

    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

/// Makes control calls.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: HttpClient,
    signer: Signer,
    observer: Observer,
    clock: ClockOffset,
}

impl Client {
    pub(crate) fn new(http: HttpClient, signer: Signer, observer: Observer) -> Self {
        Self {
            http,
            signer,
            observer,
            clock: ClockOffset::new(),
        }
    }

    /// A client of another service; see [`Signer::for_service`].
    pub(crate) fn for_service(&self, service: &str, region: Option<&str>) -> Self {
        Self {
            signer: self.signer.for_service(service, region),
            ..self.clone()
        }
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// The time of the store minus the local time; see [`ClockOffset::get`].
    pub(crate) fn clock_offset(&self) -> SignedDuration {
        self.clock.get()
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Signs and sends a call. Returns the response, with any status. If the store rejects the
    /// credential and there is a newer one, sends the call again with that.
    ///
    /// # Errors
    /// [`Fault`] if the call could not be signed, or no response arrived.
    pub(crate) async fn send(&self, call: Call) -> Result<Response, Fault> {
        let (response, credential) = self.send_once(call.clone()).await?;
        let pause = match response::rejects_credential(&call.method, &response) {
            CredentialRejection::None => return Ok(response),
            CredentialRejection::Likely => LIKELY_REJECTION_PAUSE,
            CredentialRejection::Certain => REJECTION_PAUSE,
        };
        if self.signer.renew(&credential, pause).await? {
            return Ok(self.send_once(call).await?.0);
        }
        Ok(response)
    }

    /// Signs and sends a call once. Returns the response and the credential.
    async fn send_once(&self, call: Call) -> Result<(Response, Credential), Fault> {
        let (started, sent) = (Instant::now(), Timestamp::now());
        let operation = call.operation;
        let mut request = http::Request::builder().method(call.method).uri(&call.url);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let (mut parts, body) = request
            .header("x-amz-content-sha256", Sha256::of(&call.body).to_string())
            .body(call.body)
            .map_err(|_| Fault::Refused(format!("{operation}: the request is not valid")))?
            .into_parts();
        let credential = self.signer.authorize(&mut parts).await?;
        let request = http::Request::from_parts(parts, body);
        let result = transport::send(&self.http, request, call.timeout).await;
        let duration = started.elapsed();
        let outcome = result.as_ref().map_or(CallOutcome::Lost, |response| {
            CallOutcome::of_status(response.status.as_u16())
        });
        (self.observer)(operation, outcome, duration);
        let ms = saturating::to_u64(duration.as_millis());
        let path = Url::parse(&call.url)
            .map(|url| url.path().to_owned())
            .unwrap_or_default();
        match result {
            Ok(response) => {
                self.clock
                    .measure(&response.headers, sent, Timestamp::now());
                debug!(
                    operation,
                    path,
                    status = response.status.as_u16(),
                    code = response::sanitized(&response::error_code(&response)),
                    ms,
                    "store call"
                );
                Ok((response, credential))
            }
            Err(fault) => {
                debug!(operation, path, %fault, ms, "store call");
                Err(match fault {
                    Fault::Unavailable(reason) => {
                        Fault::Unavailable(format!("{operation}: {reason}"))
                    }
                    fault => fault,
                })
            }
        }
    }

    /// Like [`Self::send`], but returns the [`Fault`] of a response that is not a success.
    pub(crate) async fn send_checked(&self, call: Call) -> Result<Response, Fault> {
        let operation = call.operation;
        response::check(operation, self.send(call).await?)
    }

    /// Like [`Self::send_checked`], and parses the document. Its root element must begin with
    /// `root`.
    pub(crate) async fn send_and_parse<T: DeserializeOwned>(
        &self,
        call: Call,
        root: &str,
    ) -> Result<T, Fault> {
        let operation = call.operation;
        response::parse(operation, self.send(call).await?, root)
    }
}
