//! A hook that is an HTTP request: a signed POST to the URL that the operator configured.
//!
//! Redirects are not followed and no proxy is used. Private addresses are allowed, since the
//! operator chose the URL.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::Deserialize;
use sha2::Sha256;
use url::Url;

use super::verdict::{Reason, Verdict};
use upload_net::Network;
use upload_types::Token;
use upload_types::error::{Error, Kind, Result, error_chain};

/// Seconds since the Unix epoch. The signature covers them, so that receivers can reject old
/// requests.
const TIMESTAMP_HEADER: &str = "upload-hook-timestamp";
const SIGNATURE_HEADER: &str = "upload-hook-signature";
/// Its value is the same in each attempt.
const DELIVERY_ID_HEADER: &str = "upload-hook-id";
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// The JSON body that a webhook may respond with.
#[derive(Default, Deserialize)]
struct ResponseBody {
    verdict: Option<String>,
    reason: Option<String>,
}

/// Checks the URL of a webhook.
///
/// # Errors
/// The reason that it cannot be used.
pub fn check(url: &Url) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "https" | "http") {
        return Err("its URL is not http or https");
    }
    if !url.has_host() {
        return Err("its URL names no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its URL contains a user or a password; requests are signed instead");
    }
    Ok(())
}

/// Sends requests that are signed with a secret.
#[derive(Debug, Clone)]
pub struct WebhookClient {
    http: reqwest::Client,
    secret: Token,
}

impl WebhookClient {
    /// # Errors
    /// [`Kind::Config`] if the HTTP library cannot be set up.
    pub fn new(secret: Token, network: &Network) -> Result<Self> {
        let builder = || {
            upload_net::builder()
                .http1_only()
                // Requests are rare: the server would have closed an idle connection before the
                // next request.
                .pool_max_idle_per_host(0)
        };
        let http = network.unproxied_client(builder).map_err(|error| {
            Error::new(Kind::Config, "could not set up webhooks").with_source(error)
        })?;
        Ok(Self { http, secret })
    }

    /// Sends the document. The verdict for a failed request is [`Verdict::Retry`].
    pub async fn call(&self, url: &Url, delivery_id: &str, body: Vec<u8>) -> Verdict {
        let timestamp = Timestamp::now().as_second();
        let Some(signature) = signature(&self.secret, timestamp, &body) else {
            return Verdict::Retry("it could not be signed".to_owned());
        };
        let request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, signature)
            .header(DELIVERY_ID_HEADER, delivery_id)
            .body(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return request_failed(error),
        };
        let status = response.status();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_RESPONSE_BYTES => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    return Verdict::Retry(format!(
                        "its response {status} has more than {MAX_RESPONSE_BYTES} bytes"
                    ));
                }
                Ok(None) => break,
                Err(error) => return request_failed(error),
            }
        }
        verdict(status.as_u16(), &body)
    }
}

/// The URL is omitted, since it may be a secret.
fn request_failed(error: reqwest::Error) -> Verdict {
    Verdict::Retry(error_chain(&error.without_url()))
}

/// `v1=` and, in hexadecimal, the HMAC-SHA256 of the timestamp, a dot and the body.
fn signature(secret: &Token, timestamp: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    let mut text = "v1=".to_owned();
    for byte in mac.finalize().into_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// The verdict of a response. A successful status accepts, unless the body has another verdict or
/// is an HTML page.
fn verdict(status: u16, body: &[u8]) -> Verdict {
    if !(200..=299).contains(&status) {
        return Verdict::Retry(format!("its response has status {status}"));
    }
    if body.trim_ascii_start().first() == Some(&b'<') {
        return Verdict::Retry(format!("its response {status} is an HTML page"));
    }
    let ResponseBody { verdict, reason } = serde_json::from_slice(body).unwrap_or_default();
    match verdict.as_deref() {
        None | Some("accept") => Verdict::Accept,
        Some("reject") => Verdict::Reject(Reason::new(reason.as_deref())),
        Some(_) => Verdict::Retry("its verdict is neither accept nor reject".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected signature was computed with
    /// `printf '1700000000.{"v":1}' | openssl dgst -sha256 -hmac 0123456789abcdef`.
    #[test]
    fn signature_covers_timestamp_and_body() {
        let sign = |secret: &str, time, body: &[u8]| {
            signature(&Token::new(secret.into()), time, body).unwrap()
        };
        let signed = sign("0123456789abcdef", 1_700_000_000, b"{\"v\":1}");
        assert_eq!(
            signed,
            "v1=7d7078b5a4f592e863b78a87e2c8fece8a1bddfd672427275c08b77d67dea7ef"
        );
        for other in [
            sign("0123456789abcdef", 1_700_000_001, b"{\"v\":1}"),
            sign("0123456789abcdeg", 1_700_000_000, b"{\"v\":1}"),
            sign("0123456789abcdef", 1_700_000_000, b"{\"v\":2}"),
        ] {
            assert_ne!(signed, other);
        }
    }

    #[test]
    fn success_accepts_unless_the_body_has_another_verdict() {
        for body in [
            "",
            "ok",
            "{}",
            "null",
            r#"{"verdict":"accept","reason":"fine"}"#,
            r#"{"more":[1]}"#,
        ] {
            assert_eq!(verdict(200, body.as_bytes()), Verdict::Accept, "{body}");
            for status in [500, 302] {
                let verdict = verdict(status, body.as_bytes());
                assert!(matches!(verdict, Verdict::Retry(_)), "{status} {body}");
            }
        }
        let rejects = br#"{"verdict":"reject","reason":"Eicar"}"#;
        assert_eq!(
            verdict(201, rejects),
            Verdict::Reject(Reason::new(Some("Eicar")))
        );
        assert_eq!(
            verdict(200, br#"{"verdict":"reject"}"#),
            Verdict::Reject(Reason::new(None))
        );
        assert!(matches!(verdict(403, rejects), Verdict::Retry(_)));
        for undecided in [r#"{"verdict":"later"}"#, " <html>log in</html>"] {
            let verdict = verdict(200, undecided.as_bytes());
            assert!(matches!(verdict, Verdict::Retry(_)), "{undecided}");
        }
    }
}
