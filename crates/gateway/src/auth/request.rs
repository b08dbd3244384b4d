//! Reads the headers that authentication needs.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, header};

use upload_net::AddressClass;

/// The value of `Authorization`. Returns `None` if there are several of these headers: a proxy may
/// have checked another one.
pub(super) fn authorization(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

/// The bearer token in [`authorization`].
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = authorization(headers)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns true if the request has a JSON body, or a method that does not need one. A page of
/// another site cannot send JSON without a preflight request.
#[must_use]
pub fn has_json_body(method: &Method, headers: &HeaderMap) -> bool {
    let is_json = || {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let media_type = value.split(';').next()?.trim();
        Some(media_type.eq_ignore_ascii_case("application/json"))
    };
    method != Method::POST || is_json().unwrap_or(false)
}

/// Returns true if the request names this machine's loopback address as its host. In a DNS
/// rebinding attack, the host is another name.
pub(super) fn host_is_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let header = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(host) = uri.authority().map(Authority::as_str).or(header) else {
        return false;
    };
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    AddressClass::of_name(authority.host()).is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_loopback(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        host_is_loopback(&Uri::from_static("/v1"), &headers)
    }

    #[test]
    fn bearer_token_is_that_of_the_only_authorization() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer_token(&headers), None);
        headers.append(header::AUTHORIZATION, "bearer one".parse().unwrap());
        assert_eq!(bearer_token(&headers), Some("one"));
        headers.append(header::AUTHORIZATION, "Bearer two".parse().unwrap());
        assert_eq!(bearer_token(&headers), None);
    }

    #[test]
    fn only_loopback_names_are_this_machine() {
        for good in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "localhost:1",
            "LOCALHOST",
            "[::1]:8080",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "10.0.0.1",
            "",
            "a@127.0.0.1:80@x",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
        assert!(!host_is_loopback(
            &Uri::from_static("/v1"),
            &HeaderMap::new()
        ));
    }
}
