//! Requests to the services that give credentials: STS, SSO, and those of a machine or container.

use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp as JiffTimestamp;
use reqsign_aws_v4::Credential;
use reqsign_core::time::Timestamp;
use serde::Deserialize;
use tokio::time::sleep;

use upload_net::{HttpClient, Response};

use crate::fault::Fault;
use crate::transport;

/// The time-out of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The most requests of one call.
const MAX_ATTEMPTS: u32 = 3;
/// The pause before the second request; before the third, twice as long.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The maximum length of a text of a service in an error.
const MAX_TEXT_CHARS: usize = 300;

/// Sends a request; repeats it if no response arrives, or one that announces a temporary failure.
///
/// # Errors
/// [`Fault::NoCredentials`] with the name of the service; [`Fault::Untrusted`].
pub(super) async fn send(
    http: &HttpClient,
    service: &str,
    request: &http::Request<Vec<u8>>,
) -> Result<Response, Fault> {
    let mut failure = String::new();
    for attempt in 0..MAX_ATTEMPTS {
        if attempt > 0 {
            sleep(RETRY_PAUSE * attempt).await;
        }
        match transport::send(http, request.clone(), REQUEST_TIMEOUT).await {
            Ok(response) if is_temporary(response.status) => {
                failure = format!("HTTP {}", response.status.as_u16());
            }
            Ok(response) => return Ok(response),
            Err(Fault::Unavailable(reason)) => failure = reason,
            Err(Fault::Untrusted(reason)) => {
                return Err(Fault::Untrusted(format!("{service}: {reason}")));
            }
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::NoCredentials(format!(
        "could not get AWS credentials from {service}: {failure}"
    )))
}

pub(super) fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Builds a request.
///
/// # Errors
/// A configuration error for a URL that is not valid.
pub(super) fn request(
    method: Method,
    service: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<http::Request<Vec<u8>>, Fault> {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).map_err(|_| {
        Fault::config(
            format!("could not use the address of {service}: it is not a URL"),
            "correct the endpoint in the AWS configuration",
        )
    })
}

/// The text of a program or service as one line without control characters.
pub(super) fn one_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let printable = line.chars().filter(|c| !c.is_control());
    printable.take(MAX_TEXT_CHARS).collect()
}

/// Reads a time in the format of RFC 3339.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let time: JiffTimestamp = text.parse().ok()?;
    Timestamp::from_second(time.as_second()).ok()
}

/// Keys as services of a container, of a machine and of `credential_process` write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JsonKeys {
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "Token")]
    session_token: Option<String>,
    expiration: Option<String>,
}

impl JsonKeys {
    /// Parses a document. Returns `None` if it is not one, or if a key or the time is not valid.
    pub(super) fn parse(body: &[u8]) -> Option<Credential> {
        let keys: Self = serde_json::from_slice(body).ok()?;
        let expires_in = match &keys.expiration {
            Some(text) => Some(timestamp(text)?),
            None => None,
        };
        if keys.access_key_id.is_empty() || keys.secret_access_key.is_empty() {
            return None;
        }
        Some(Credential {
            access_key_id: keys.access_key_id,
            secret_access_key: keys.secret_access_key,
            session_token: keys.session_token.filter(|token| !token.is_empty()),
            expires_in,
        })
    }
}
