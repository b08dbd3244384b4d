//! Access for pages of other origins (the CORS protocol of the Fetch standard). Pages of configured
//! origins may use the gateway and its embedded store; pages of other origins may not.
//!
//! Not here: authentication (`auth`), and the CORS rules of a bucket outside this process.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, CorsLayer};
use url::Url;

use crate::problem::Refusal;
use upload_types::wire::Code;

const METHODS: [Method; 5] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
];
/// Response headers that pages may read.
const EXPOSED_HEADERS: [HeaderName; 4] = [
    header::ETAG,
    header::LOCATION,
    HeaderName::from_static("x-request-id"),
    header::RETRY_AFTER,
];
/// How long a browser may cache the response to a preflight request.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_mins(10);

/// The origins of pages that may use the gateway.
pub struct Origins {
    allowed: Vec<String>,
    /// The origin of the gateway's public URL.
    gateway: String,
}

/// Normalizes `scheme://host[:port]` to the form that browsers send, also for the schemes of apps
/// (`capacitor://localhost`, `tauri://localhost`, `app://.`, `chrome-extension://ID`). Returns
/// `None` for other texts.
#[must_use]
pub fn parse_origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let text = text.trim_end_matches('/');
    if matches!(url.scheme(), "http" | "https" | "ws" | "wss" | "ftp") {
        let origin = url.origin().ascii_serialization();
        let is_single = !text.contains('*');
        return (is_single && origin.eq_ignore_ascii_case(text)).then_some(origin);
    }
    // The origin of another scheme is opaque in the URL standard; app frameworks send it as it is.
    let (_, authority) = text.split_once("://")?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    let is_app = !authority.is_empty() && authority.bytes().all(is_name);
    (is_app && url.scheme() != "file").then(|| text.to_ascii_lowercase())
}

impl Origins {
    pub fn new(allowed: &[String], public_url: &Url) -> Self {
        let allowed = allowed.iter().filter_map(|text| parse_origin(text));
        Self {
            allowed: allowed.collect(),
            gateway: public_url.origin().ascii_serialization(),
        }
    }

    fn allows(&self, origin: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == origin)
    }

    /// A layer that adds the CORS headers and responds to preflight requests.
    pub fn layer(&self) -> CorsLayer {
        let allowed: Vec<HeaderValue> = self
            .allowed
            .iter()
            .filter_map(|origin| origin.parse().ok())
            .collect();
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_credentials(true)
            .allow_methods(METHODS)
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED_HEADERS)
            .max_age(PREFLIGHT_MAX_AGE)
    }

    /// Checks the origin of a request, if the browser sent one.
    ///
    /// # Errors
    /// `forbidden` for a page that is neither of the gateway's own origin nor of an allowed one.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name| {
            headers
                .get(name)
                .map(|value: &HeaderValue| value.to_str().unwrap_or_default())
        };
        let refusal = || {
            Refusal::with_detail(
                Code::Forbidden,
                "pages of this origin are not allowed (--allow-origin)",
            )
        };
        match text("origin") {
            Some(origin) => {
                let is_same_host = text("host").is_some_and(|host| {
                    origin
                        .split_once("://")
                        .is_some_and(|(_, authority)| authority == host)
                });
                if is_same_host || origin == self.gateway || self.allows(origin) {
                    Ok(())
                } else {
                    Err(refusal())
                }
            }
            // Browsers send no Origin header for an image or a link on a page of another site.
            None if matches!(text("sec-fetch-site"), Some("cross-site" | "same-site")) => {
                Err(refusal())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_scheme_host_and_port() {
        for good in [
            "https://app.example.com",
            "http://127.0.0.1:3000",
            "http://[::1]:80/",
            "HTTPS://app.example.com",
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "app://.",
            "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
        ] {
            let parsed = parse_origin(good);
            assert!(parsed.is_some() || good.ends_with(":80/"), "{good}");
        }
        for bad in [
            "*",
            "null",
            "https://*.example.com/",
            "https://a.example/path",
            "https://u@a.example",
            "a.example",
            "",
            "file:///a",
            "file://a",
            "capacitor://",
            "capacitor://a/b",
            "capacitor://*",
            "capacitor://u@a",
            "data:text/html,x",
        ] {
            assert!(parse_origin(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_pages_of_allowed_origins_are_admitted() {
        let origins = Origins::new(
            &[
                "https://app.example".to_owned(),
                "capacitor://localhost".to_owned(),
            ],
            &"https://gw.example/base".parse().unwrap(),
        );
        let is_admitted = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            origins.check(&headers).is_ok()
        };
        assert!(
            is_admitted(&[])
                && is_admitted(&[("origin", "https://app.example")])
                && is_admitted(&[("origin", "https://gw.example")])
                && is_admitted(&[("origin", "capacitor://localhost")])
                && !is_admitted(&[("origin", "ionic://localhost")])
        );
        assert!(is_admitted(&[
            ("origin", "http://127.0.0.1:8080"),
            ("host", "127.0.0.1:8080")
        ]));
        assert!(
            is_admitted(&[("sec-fetch-site", "same-origin")])
                && is_admitted(&[("sec-fetch-site", "none")])
        );
        assert!(is_admitted(&[
            ("origin", "https://app.example"),
            ("sec-fetch-site", "cross-site")
        ]));
        assert!(
            !is_admitted(&[("origin", "https://evil.example")])
                && !is_admitted(&[("origin", "null")])
                && !is_admitted(&[("origin", "")])
        );
        assert!(
            !is_admitted(&[("origin", "https://app.example.evil.example")])
                && !is_admitted(&[("origin", "http://app.example")])
        );
        assert!(
            !is_admitted(&[("sec-fetch-site", "cross-site")])
                && !is_admitted(&[("sec-fetch-site", "same-site")])
        );
    }
}
