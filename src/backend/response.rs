//! A response that was read whole, and the errors that both kinds of backends have in common.
//! Pure.
//!
//! Not here: the meaning of a response; `gateway`, `companion` and `store` each have a `response`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;
use upload_net::{PROXY_LOGIN_HINT, Unreachable};

use upload_types::error::{Error, Kind, Result};
use upload_types::wire::PROTOCOL_HEADER;

/// The longest text of another server that an error contains.
const MAX_EXCERPT_CHARS: usize = 200;
pub const VERSIONS_HINT: &str = "use versions of upload and of the backend that match";
pub const CREDENTIALS_HINT: &str = "renew the storage credentials of the backend (for s3://, your AWS credentials), or ask its \
     operator to check them and what they permit; then run the command again";
pub const NETWORK_LOGIN_HINT: &str =
    "check the address of the backend, and log in to the network if it requires a login";

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header. Returns `None` if it is absent or not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The delay that the server demands: `Retry-After` in seconds or as a date, or the header of
    /// some services of AWS in milliseconds. A date is compared with the `Date` of the response, so
    /// the local clock does not matter.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Some(millis) = self
            .header("x-amz-retry-after")
            .and_then(|value| value.trim().parse().ok())
        {
            return Some(Duration::from_millis(millis));
        }
        let value = self.header(RETRY_AFTER.as_str())?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let now = self.date()?;
        let delay = parse_date(value)?.duration_since(now);
        Some(Duration::try_from(delay).unwrap_or_default())
    }

    /// The time of the server's clock.
    pub fn date(&self) -> Option<Timestamp> {
        parse_date(self.header(DATE.as_str())?)
    }

    pub fn is_success(&self) -> bool {
        (200..=299).contains(&self.status)
    }

    /// Returns true if the response claims, by its protocol header, to be from a gateway.
    pub fn is_from_gateway(&self) -> bool {
        self.headers.contains_key(PROTOCOL_HEADER)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns true if the body is XML, as the errors of S3 are.
    pub fn is_xml(&self) -> bool {
        let type_is_xml = |value: &str| value.to_ascii_lowercase().ends_with("/xml");
        self.header(CONTENT_TYPE.as_str())
            .is_some_and(|value| type_is_xml(value.split(';').next().unwrap_or_default().trim()))
    }

    /// Returns true for an HTML page, which no gateway, Companion or store sends.
    pub fn is_html(&self) -> bool {
        let has_html_type = self
            .header(CONTENT_TYPE.as_str())
            .is_some_and(|value| value.to_ascii_lowercase().contains("html"));
        let text = self.text();
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let start: String = text.chars().take(14).collect();
        let start = start.to_ascii_lowercase();
        has_html_type || start.starts_with("<!doctype html") || start.starts_with("<html")
    }

    /// Parses the body of a backend's response.
    ///
    /// # Errors
    /// [`Kind::ProtocolError`] if it is not JSON of the expected shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|error| unreadable_response().with_source(position(&error)))
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let parser = rfc2822::DateTimeParser::new();
    parser.parse_timestamp(text.trim()).ok()
}

/// The position of an error in JSON, without the JSON itself, which may hold a presigned URL.
fn position(error: &serde_json::Error) -> String {
    let category = format!("{:?}", error.classify()).to_lowercase();
    let (line, column) = (error.line(), error.column());
    format!("{category} error at line {line}, column {column}")
}

/// The part of another server's text that an error may show.
pub fn excerpt(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_EXCERPT_CHARS)
        .collect()
}

/// The error of a backend that violates the protocol.
pub fn protocol_error(what: &str) -> Error {
    Error::new(Kind::ProtocolError, what).with_hint(VERSIONS_HINT)
}

pub fn unreadable_response() -> Error {
    protocol_error("could not understand the response of the backend")
}

pub fn wrong_parts_signed() -> Error {
    protocol_error("the backend signed other parts than requested")
}

pub fn expired_urls_signed() -> Error {
    protocol_error("the backend signed URLs that have expired already")
}

pub fn damaged_idempotency_key() -> Error {
    Error::new(Kind::Other, "the journal holds a damaged idempotency key")
        .with_hint("put the file again with another journal: --journal FILE")
}

/// The error of a backend that is overloaded or temporarily unavailable.
pub fn backend_unavailable(status: u16, retry_after: Option<Duration>) -> Error {
    let kind = if status == 429 || retry_after.is_some() {
        Kind::Throttled(retry_after)
    } else {
        Kind::Temporary
    };
    let what = format!("the backend is temporarily unavailable (HTTP {status})");
    Error::new(kind, what)
}

pub fn backend_redirects(detail: &str) -> Error {
    let what = format!("the backend redirects ({detail}), and redirects are not followed");
    Error::new(Kind::UnexpectedServer, what).with_hint(
        "log in to the network if it requires a login, or configure the address of the redirect \
         as the backend if you trust it",
    )
}

/// The error of a request through a proxy that requires credentials.
pub fn proxy_login_required(proxy: Option<String>) -> Error {
    let what = Unreachable::ProxyLogin(proxy).to_string();
    Error::new(Kind::Unauthorized, what).with_hint(PROXY_LOGIN_HINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    #[test]
    fn retry_after_is_read_in_every_form() {
        let retry_after = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| {
                let value = HeaderValue::from_static(value);
                (HeaderName::from_static(name), value)
            });
            let response = Response {
                status: 503,
                headers: headers.collect(),
                body: Vec::new(),
            };
            response.retry_after()
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let now = ("date", "Sat, 21 Nov 2026 10:00:00 GMT");
        let later = ("retry-after", "Sat, 21 Nov 2026 10:00:07 GMT");
        let earlier = ("retry-after", "Sat, 21 Nov 2026 09:00:00 GMT");
        assert_eq!(retry_after(&[("retry-after", "2")]), seconds(2));
        assert_eq!(retry_after(&[("retry-after", "99999")]), seconds(99_999));
        assert_eq!(
            retry_after(&[("x-amz-retry-after", "1500")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(retry_after(&[later, now]), seconds(7));
        assert_eq!(retry_after(&[earlier, now]), seconds(0));
        assert_eq!(retry_after(&[later]), None);
        for garbage in ["-1", "soon", "", "1e9", "99999999999999999999999"] {
            let value = ("retry-after", garbage);
            assert_eq!(retry_after(&[value, now]), None, "{garbage:?}");
        }
    }
}
