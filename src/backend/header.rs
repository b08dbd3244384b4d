//! Headers that the user adds to each request to a backend, for example for an authenticating
//! proxy in front of it. Their values are secret: no text shows them, and no store receives them.

use std::fmt;
use std::str::FromStr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use upload_types::Invalid;

/// Headers that the connection or the backend module writes.
const RESERVED: &[&str] = &[
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
            .map_err(|_| Invalid("the name of a header is letters, digits and dashes"))?;
        if RESERVED.contains(&name.as_str()) {
            return Err(Invalid("this header must not be set by hand"));
        }
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| Invalid("the value of a header is one line of visible characters"))?;
        value.set_sensitive(true);
        Ok(Self(name, value))
    }
}

/// Shows the name only.
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

/// Adds the user's headers to those of a request. A header that the request already has is kept,
/// except for cookies, which are joined.
pub fn add_user_headers(headers: &mut HeaderMap, user_headers: &[Header]) {
    for Header(name, value) in user_headers {
        match headers.get_mut(name) {
            Some(present) if name == "cookie" => {
                let joined = [value.as_bytes(), b"; ", present.as_bytes()].concat();
                if let Ok(mut joined) = HeaderValue::from_bytes(&joined) {
                    joined.set_sensitive(true);
                    *present = joined;
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
    fn header_is_checked_and_its_value_never_shown() {
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
    fn user_header_yields_to_present_one_and_cookies_are_joined() {
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
        let user_headers: Vec<Header> = ["authorization: Basic x", "cookie: login=2", "x-key: 3"]
            .map(|text| text.parse().unwrap())
            .into();
        add_user_headers(&mut headers, &user_headers);
        assert_eq!(headers["authorization"], "Bearer ours");
        assert_eq!(headers["cookie"], "login=2; sid=1");
        assert_eq!(headers["x-key"], "3");
    }
}
