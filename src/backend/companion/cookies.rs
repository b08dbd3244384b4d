//! Cookies of one backend, kept while this process lives: without its own, Companion begins a session for each call.
//!
//! Border: names and values of the one host that is asked; they are written nowhere and go nowhere else. Pure.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};

/// No backend needs more.
const MOST: usize = 20;
const LONGEST: usize = 4096;

#[derive(Default)]
pub struct Cookies(BTreeMap<String, String>);

/// A session is as good as a token.
impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("REDACTED")
    }
}

impl Cookies {
    /// What an answer sets or takes back.
    pub fn take(&mut self, headers: &HeaderMap) {
        for cookie in headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
        {
            let mut parts = cookie.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            let over = |part: &str| {
                let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
                attribute.trim().eq_ignore_ascii_case("max-age")
                    && value.trim().parse::<i64>().is_ok_and(|age| age <= 0)
            };
            // Some take a cookie back by a date alone, and all of them empty it.
            if value.is_empty() || parts.any(over) {
                self.0.remove(name);
            } else if !name.is_empty()
                && cookie.len() <= LONGEST
                && (self.0.len() < MOST || self.0.contains_key(name))
            {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// What a call brings along.
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

    fn taken(cookies: &mut Cookies, lines: &[&str]) -> Option<String> {
        let headers = lines
            .iter()
            .map(|line| (SET_COOKIE, line.parse().unwrap()))
            .collect();
        cookies.take(&headers);
        cookies
            .header()
            .map(|header| header.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_is_set_is_brought_back_until_it_is_taken_back() {
        let mut cookies = Cookies::default();
        assert_eq!(taken(&mut cookies, &[]), None);
        let session = "connect.sid=s%3Aabc.d%2F; Path=/; HttpOnly";
        assert_eq!(
            taken(&mut cookies, &[session, "lb=1"]).as_deref(),
            Some("connect.sid=s%3Aabc.d%2F; lb=1")
        );
        assert_eq!(
            taken(&mut cookies, &["lb=2; Max-Age=60", "none", "=x"]).unwrap(),
            "connect.sid=s%3Aabc.d%2F; lb=2"
        );
        assert_eq!(
            taken(&mut cookies, &["lb=2; max-age=0"]).unwrap(),
            "connect.sid=s%3Aabc.d%2F"
        );
        assert!(!format!("{cookies:?}").contains("abc"));
        let cleared = "connect.sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(taken(&mut cookies, &[cleared]), None);
    }

    #[test]
    fn there_are_never_more_than_reason() {
        let mut cookies = Cookies::default();
        for number in 0..100 {
            taken(
                &mut cookies,
                &[&format!("c{number}={}", "x".repeat(number * 100))],
            );
        }
        assert!(cookies.0.len() <= MOST && cookies.0.values().all(|value| value.len() <= LONGEST));
    }
}
