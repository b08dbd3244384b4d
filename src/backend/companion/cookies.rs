//! The cookies of one Companion, kept in memory until this process ends, and never on disk. Without
//! them, Companion would begin a session for each request. Pure.
//!
//! reqwest's `cookie::Jar` cannot replace this file: reqwest ignores it for requests that carry a
//! cookie of the user (`--header "cookie: …"`), so each of them would begin a session. The jar also
//! limits neither number nor size of cookies, shows them in its `Debug`, and drops cookies with a
//! `Path` or `Secure` that fits only the public address of a proxy.
//!
//! Not here: the origin. Only requests to the Companion carry the cookies (`client`).

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};

const MAX_COOKIES: usize = 20;
/// The longest `Set-Cookie` that is accepted.
const MAX_COOKIE_BYTES: usize = 4096;

/// Values by name.
#[derive(Default)]
pub struct Cookies(BTreeMap<String, String>);

/// The cookie of a session is as secret as a token.
impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("REDACTED")
    }
}

impl Cookies {
    /// Adds and removes cookies, as a response demands.
    pub fn update(&mut self, headers: &HeaderMap) {
        for cookie in headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
        {
            let mut fields = cookie.split(';').map(str::trim);
            let Some((name, value)) = fields.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            let is_removal = |field: &str| {
                let (attribute, value) = field.split_once('=').unwrap_or((field, ""));
                attribute.trim().eq_ignore_ascii_case("max-age")
                    && value.trim().parse::<i64>().is_ok_and(|age| age <= 0)
            };
            // A server that removes a cookie by `Expires` alone also sends an empty value.
            if value.is_empty() || fields.any(is_removal) {
                self.0.remove(name);
            } else if !name.is_empty()
                && cookie.len() <= MAX_COOKIE_BYTES
                && (self.0.len() < MAX_COOKIES || self.0.contains_key(name))
            {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The value of `Cookie` in a request. Returns `None` without cookies.
    pub fn header(&self) -> Option<HeaderValue> {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut header = HeaderValue::from_str(&pairs.join("; "))
            .ok()
            .filter(|header| !header.is_empty())?;
        header.set_sensitive(true);
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of `Cookie` after a response with these `Set-Cookie` lines.
    fn update(cookies: &mut Cookies, lines: &[&str]) -> Option<String> {
        let headers = lines
            .iter()
            .map(|line| (SET_COOKIE, line.parse().unwrap()))
            .collect();
        cookies.update(&headers);
        cookies
            .header()
            .map(|header| header.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookie_is_sent_until_it_is_removed() {
        let mut cookies = Cookies::default();
        assert_eq!(update(&mut cookies, &[]), None);
        let session = "connect.sid=s%3Aabc.d%2F; Path=/; HttpOnly";
        assert_eq!(
            update(&mut cookies, &[session, "lb=1"]).as_deref(),
            Some("connect.sid=s%3Aabc.d%2F; lb=1")
        );
        assert_eq!(
            update(&mut cookies, &["lb=2; Max-Age=60", "none", "=x"]).unwrap(),
            "connect.sid=s%3Aabc.d%2F; lb=2"
        );
        assert_eq!(
            update(&mut cookies, &["lb=2; max-age=0"]).unwrap(),
            "connect.sid=s%3Aabc.d%2F"
        );
        assert!(!format!("{cookies:?}").contains("abc"));
        let removed = "connect.sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(update(&mut cookies, &[removed]), None);
    }

    #[test]
    fn number_and_size_are_limited() {
        let mut cookies = Cookies::default();
        for number in 0..100 {
            let cookie = format!("c{number}={}", "x".repeat(number * 100));
            update(&mut cookies, &[&cookie]);
        }
        assert!(cookies.0.len() <= MAX_COOKIES);
        assert!(
            cookies
                .0
                .values()
                .all(|value| value.len() <= MAX_COOKIE_BYTES)
        );
    }
}
