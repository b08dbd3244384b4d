//! A hook that is a request: POST, signed, to the place the operator has named.
//!
//! Border: from a URL to a verdict. No redirect is followed and no proxy is taken; a private address is as good as any, since
//! whoever runs the gateway has named it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::Deserialize;
use sha2::Sha256;
use std::fmt::Write as _;
use url::Url;

use super::{Reason, SAID_MAX, Verdict};
use upload_net::Roots;
use upload_types::error::{Error, Kind, Result, error_chain};
use upload_types::names::Token;

/// Seconds since 1970, part of what is signed: an old request is told from a new one.
const TIMESTAMP: &str = "upload-hook-timestamp";
const SIGNATURE: &str = "upload-hook-signature";
/// The same in each attempt.
const ID: &str = "upload-hook-id";

/// What may be answered.
#[derive(Default, Deserialize)]
struct Said {
    verdict: Option<String>,
    reason: Option<String>,
}

/// # Errors
/// What is wrong with the URL.
pub fn check(url: &Url) -> Result<(), &'static str> {
    match url.scheme() {
        "https" | "http" if !url.has_host() => Err("its URL names no host"),
        "https" | "http" if !url.username().is_empty() || url.password().is_some() => {
            Err("its URL holds a user or a password; requests are signed instead")
        }
        "https" | "http" => Ok(()),
        _ => Err("its URL is not http or https"),
    }
}

/// Sends what is signed with its secret.
#[derive(Debug, Clone)]
pub struct Sender {
    client: reqwest::Client,
    secret: Token,
}

impl Sender {
    /// # Errors
    /// [`Kind::Config`] when the library cannot be set up.
    pub fn new(secret: Token) -> Result<Self> {
        let builder = || {
            upload_net::builder()
                .http1_only()
                .no_proxy()
                // A request comes now and then: a connection that was kept would mostly be dead.
                .pool_max_idle_per_host(0)
        };
        let client = Roots::default().build(builder);
        let client = client.map_err(|error| {
            Error::new(Kind::Config, "could not set up webhooks").with_source(error)
        })?;
        Ok(Self { client, secret })
    }

    /// Asks; what is no answer is to be asked again.
    pub async fn ask(&self, url: &Url, delivery: &str, body: Vec<u8>) -> Verdict {
        let timestamp = Timestamp::now().as_second();
        let Some(signature) = signature(&self.secret, timestamp, &body) else {
            return Verdict::Later("it could not be signed".to_owned());
        };
        let request = self
            .client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json");
        let request = request
            .header(TIMESTAMP, timestamp)
            .header(SIGNATURE, signature)
            .header(ID, delivery);
        let mut response = match request.body(body).send().await {
            Ok(response) => response,
            Err(error) => return lost(error),
        };
        let status = response.status();
        let mut said = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if said.len() + chunk.len() <= SAID_MAX => {
                    said.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    return Verdict::Later(format!("{status} with more than {SAID_MAX} bytes"));
                }
                Ok(None) => break,
                Err(error) => return lost(error),
            }
        }
        verdict(status.as_u16(), &said)
    }
}

/// Its URL may be a secret.
fn lost(error: reqwest::Error) -> Verdict {
    Verdict::Later(error_chain(&error.without_url()))
}

/// `v1=` and, in hex, HMAC-SHA256 over the timestamp, a dot and the body.
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

/// What an answer says: success accepts, unless it says otherwise. A page for people is no answer of a hook.
fn verdict(status: u16, said: &[u8]) -> Verdict {
    if !(200..=299).contains(&status) {
        return Verdict::Later(format!("it answered with {status}"));
    }
    if said.trim_ascii_start().first() == Some(&b'<') {
        return Verdict::Later(format!("it answered with {status} and a page"));
    }
    let Said { verdict, reason } = serde_json::from_slice(said).unwrap_or_default();
    match verdict.as_deref() {
        None | Some("accept") => Verdict::Accept,
        Some("reject") => Verdict::Reject(Reason::of(reason.as_deref())),
        Some(_) => Verdict::Later("its verdict is neither accept nor reject".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '1700000000.{"v":1}' | openssl dgst -sha256 -hmac 0123456789abcdef`
    #[test]
    fn a_signature_is_over_time_and_body() {
        let sign = |secret: &str, time, body: &[u8]| {
            signature(&Token::new(secret.into()), time, body).unwrap()
        };
        let signed = sign("0123456789abcdef", 1_700_000_000, b"{\"v\":1}");
        assert_eq!(
            signed,
            "v1=7d7078b5a4f592e863b78a87e2c8fece8a1bddfd672427275c08b77d67dea7ef"
        );
        assert_ne!(
            signed,
            sign("0123456789abcdef", 1_700_000_001, b"{\"v\":1}")
        );
        assert_ne!(
            signed,
            sign("0123456789abcdeg", 1_700_000_000, b"{\"v\":1}")
        );
        assert_ne!(
            signed,
            sign("0123456789abcdef", 1_700_000_000, b"{\"v\":2}")
        );
    }

    #[test]
    fn success_accepts_unless_it_says_otherwise() {
        for said in [
            "",
            "ok",
            "{}",
            "null",
            r#"{"verdict":"accept","reason":"fine"}"#,
            r#"{"more":[1]}"#,
        ] {
            assert_eq!(verdict(200, said.as_bytes()), Verdict::Accept, "{said}");
            assert!(
                matches!(verdict(500, said.as_bytes()), Verdict::Later(_)),
                "{said}"
            );
            assert!(
                matches!(verdict(302, said.as_bytes()), Verdict::Later(_)),
                "{said}"
            );
        }
        let rejects = br#"{"verdict":"reject","reason":"Eicar"}"#;
        assert_eq!(
            verdict(201, rejects),
            Verdict::Reject(Reason::of(Some("Eicar")))
        );
        assert_eq!(
            verdict(200, br#"{"verdict":"reject"}"#),
            Verdict::Reject(Reason::of(None))
        );
        assert!(matches!(verdict(403, rejects), Verdict::Later(_)));
        for unsure in [r#"{"verdict":"later"}"#, " <html>log in</html>"] {
            assert!(
                matches!(verdict(200, unsure.as_bytes()), Verdict::Later(_)),
                "{unsure}"
            );
        }
    }
}
