//! One HTTP exchange: waits for the response and reads it whole, within the limits of `timeouts`.
//!
//! Not here: the meaning of a response.

use std::time::Duration;

use reqwest::RequestBuilder;

use super::response::{Response, proxy_login_required};
use super::timeouts::{Timeouts, within, within_counted};
use upload_net::PROXY_LOGIN_REASON;
use upload_types::error::{Error, Kind, Result};

/// Sends a request and waits at most `timeout` for the head of the response. `what` completes
/// "could not …".
///
/// # Errors
/// [`Kind::Temporary`] if no response arrived, [`Kind::Incompatible`] if the certificate is not
/// trusted.
pub async fn send(
    request: RequestBuilder,
    timeout: Duration,
    what: &str,
) -> Result<reqwest::Response> {
    let response = within(timeout, request.send()).await?;
    response.map_err(|error| request_error(what, error))
}

/// Reads a response with a body of at most `max_bytes`.
///
/// # Errors
/// [`Kind::Temporary`] if the connection breaks or stalls, or if the body arrives too slowly,
/// [`Kind::Incompatible`] if it is longer.
pub async fn read_response(
    mut response: reqwest::Response,
    max_bytes: usize,
    timeouts: Timeouts,
) -> Result<Response> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // Only a proxy responds so: the caller knows which one.
    if status == 407 {
        return Err(proxy_login_required(None));
    }
    let (mut body, mut waited) = (Vec::new(), Duration::ZERO);
    loop {
        let left = timeouts
            .whole_response(body.len() as u64)
            .saturating_sub(waited);
        if left.is_zero() {
            let what = "the response arrived too slowly";
            return Err(Error::new(Kind::Temporary, what));
        }
        let limit = timeouts.receive().min(left);
        let chunk = within_counted(limit, &mut waited, response.chunk()).await?;
        let chunk = chunk.map_err(|error| request_error("read a response", error))?;
        let Some(chunk) = chunk else { break };
        if body.len() + chunk.len() > max_bytes {
            let what = format!("the response has more than {max_bytes} bytes");
            return Err(Error::new(Kind::Incompatible, what).with_hint(
                "check whether another server, such as a proxy, responds instead of the backend \
                 or of its store",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response {
        status,
        headers,
        body,
    })
}

/// The error of a request without a response. `what` completes "could not …".
pub fn request_error(what: &str, error: reqwest::Error) -> Error {
    // The library's text would name the URL, which may be presigned.
    let error = error.without_url();
    let mut causes = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<Error>() {
            // An error of our own: the source could not be read, or the name of the store resolves
            // to an address that is not permitted.
            return error.duplicate();
        }
        causes.push(cause.to_string());
        next = cause.source();
    }
    let mentions = |text: &str| causes.iter().any(|cause| cause.contains(text));
    if mentions(PROXY_LOGIN_REASON) {
        return proxy_login_required(None);
    }
    let what = format!("could not {what}");
    if mentions("certificate") {
        // A repetition would fail as well.
        return Error::new(Kind::Incompatible, what)
            .with_source(error)
            .with_hint(
                "if a company proxy or a private authority has issued the certificate, trust the \
                 authority: --ca-cert FILE",
            );
    }
    Error::new(Kind::Temporary, what).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of the library names the URL. Neither our error nor its causes may name it.
    #[tokio::test]
    async fn error_and_causes_do_not_name_the_url() {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let error = client
            .get("http://127.0.0.1:1/part?X-Amz-Signature=canary")
            .send()
            .await
            .unwrap_err();
        let library_text = error.to_string();
        assert!(library_text.contains("canary"), "{library_text}");
        let error = request_error("send a part", error);
        assert_eq!(error.kind(), Kind::Temporary);
        let mut next: Option<&dyn std::error::Error> = Some(&error);
        while let Some(cause) = next {
            let texts = format!("{cause} {cause:?}");
            assert!(!texts.contains("canary"), "{texts}");
            next = cause.source();
        }
    }
}
