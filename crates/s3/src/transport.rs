//! Sends one request and reads the complete response; headers and time-outs that all requests
//! share.
//!
//! Not here: signatures ([`crate::signing`]), and the meaning of a response ([`crate::response`]).

use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method};

use upload_net::{HttpClient, PROXY_LOGIN_HINT, Response, Unreachable, no_response};

use crate::fault::Fault;

/// The time-out of a control call.
pub(crate) const CONTROL_CALL_TIMEOUT: Duration = Duration::from_mins(1);
/// The time-out of `CompleteMultipartUpload` and of copies: a store may copy the whole object
/// before it responds.
pub(crate) const COMPLETE_TIMEOUT: Duration = Duration::from_mins(15);
/// The largest response that is read. A page of 1000 parts has about 300 KiB.
const MAX_RESPONSE_BYTES: usize = 2 << 20;

impl From<Unreachable> for Fault {
    fn from(error: Unreachable) -> Self {
        match error {
            Unreachable::Tls(_) => Self::Refused(error.to_string()),
            Unreachable::ProxyLogin(_) => Self::proxy_login(error.to_string(), PROXY_LOGIN_HINT),
            Unreachable::Certificate(reason) => Self::Untrusted(reason),
            Unreachable::Network(reason) => Self::Unavailable(reason),
        }
    }
}

/// Sends a request and reads the complete response.
///
/// # Errors
/// The [`Fault`] for [`Unreachable`] if no complete response arrived.
pub(crate) async fn send(
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
    Ok(http.execute(request, timeout, MAX_RESPONSE_BYTES).await?)
}

/// Parses a header.
///
/// # Errors
/// [`Fault::Refused`] for a name or a value that cannot be sent.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let invalid = || Fault::Refused(format!("could not send the header {name}: it is not valid"));
    Ok((
        name.parse().map_err(|_| invalid())?,
        value.parse().map_err(|_| invalid())?,
    ))
}
