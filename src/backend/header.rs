//! A header that a user wants on each call to a backend, for whatever stands before it and lets people in.
//!
//! Border: checked here and shown to nobody: its value is as good as a token. It never goes to a store.

use std::fmt;
use std::str::FromStr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use upload_types::names::Invalid;

/// What a connection or a dialect writes itself.
const OURS: &[&str] = &[
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[derive(Clone, PartialEq, Eq)]
pub struct Header(HeaderName, HeaderValue);

/// `NAME: VALUE`
impl FromStr for Header {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (name, value) = text
            .split_once(':')
            .ok_or(Invalid("a header is NAME: VALUE"))?;
        let name: HeaderName = name
            .trim()
            .parse()
            .map_err(|_| Invalid("a header's name is letters, digits and dashes"))?;
        if OURS.contains(&name.as_str()) {
            return Err(Invalid("this header is not to be set by hand"));
        }
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| Invalid("a header's value is one line of visible characters"))?;
        value.set_sensitive(true);
        Ok(Self(name, value))
    }
}

/// Without its value.
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: REDACTED", self.0)
    }
}

/// Adds a user's headers to a call's own, which go before them; cookies go together.
pub fn add(headers: &mut HeaderMap, more: &[Header]) {
    for Header(name, value) in more {
        match headers.get_mut(name) {
            Some(ours) if name == "cookie" => {
                let joined = [value.as_bytes(), b"; ", ours.as_bytes()].concat();
                if let Ok(mut joined) = HeaderValue::from_bytes(&joined) {
                    joined.set_sensitive(true);
                    *ours = joined;
                }
            }
            Some(_) => {}
            None => {
                headers.insert(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_checked_and_keeps_its_value_to_itself() {
        let header: Header = "X-Key : canary value ".parse().unwrap();
        assert_eq!(format!("{header} {header:?}"), "x-key x-key: REDACTED");
        for text in [
            "",
            "none",
            ": x",
            "a b: c",
            "Host: x",
            "x: a\nb",
            "content-length: 1",
        ] {
            assert!(text.parse::<Header>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ours_go_first_and_cookies_go_together() {
        let pair = |name: &'static str, value: &'static str| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let mut headers = HeaderMap::from_iter([
            pair("authorization", "Bearer ours"),
            pair("cookie", "sid=1"),
        ]);
        let more: Vec<Header> = ["authorization: Basic x", "cookie: login=2", "x-key: 3"]
            .map(|text| text.parse().unwrap())
            .into();
        add(&mut headers, &more);
        assert_eq!(
            (&headers["authorization"], &headers["cookie"]),
            (&pair("a", "Bearer ours").1, &pair("a", "login=2; sid=1").1)
        );
        assert_eq!(headers["x-key"], "3");
    }
}
