//! Pages of other origins (the CORS protocol of the Fetch standard): those that were named may use the gateway and its embedded store,
//! all others nothing.
//!
//! Border: headers alone; who asks is `auth`. A bucket elsewhere has rules of its own.

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
/// What an answer has that pages want to read.
const EXPOSED: [HeaderName; 4] = [
    header::ETAG,
    header::LOCATION,
    HeaderName::from_static("x-request-id"),
    header::RETRY_AFTER,
];
/// How long a browser may remember what it was told.
const MAX_AGE: Duration = Duration::from_mins(10);

/// The origins whose pages may come in.
pub struct Origins {
    allowed: Vec<String>,
    /// Where the gateway says that it is.
    own: String,
}

/// `scheme://host[:port]` as browsers write it; nothing else is an origin.
#[must_use]
pub fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let origin = url.origin().ascii_serialization();
    let one = origin != "null" && !text.contains('*');
    (one && origin.eq_ignore_ascii_case(text.trim_end_matches('/'))).then_some(origin)
}

impl Origins {
    pub fn new(allowed: &[String], own: &Url) -> Self {
        let allowed = allowed.iter().filter_map(|text| origin(text)).collect();
        Self {
            allowed,
            own: own.origin().ascii_serialization(),
        }
    }

    fn allows(&self, asked: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == asked)
    }

    /// Tells browsers which pages may read an answer, and answers what they ask beforehand.
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
            .expose_headers(EXPOSED)
            .max_age(MAX_AGE)
    }

    /// Whether a request may come in, as far as a browser says where it comes from.
    ///
    /// # Errors
    /// `forbidden` for a page that is neither the gateway's own nor of an origin that is allowed.
    pub fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name| {
            headers
                .get(name)
                .map(|value: &HeaderValue| value.to_str().unwrap_or_default())
        };
        let refused = || {
            Refusal::saying(
                Code::Forbidden,
                "pages of this origin are not let in (--allow-origin)",
            )
        };
        match text("origin") {
            Some(asked) => {
                let here = text("host")
                    .is_some_and(|host| asked.split_once("://").is_some_and(|(_, at)| at == host));
                if here || asked == self.own || self.allows(asked) {
                    Ok(())
                } else {
                    Err(refused())
                }
            }
            // A picture or a link on another's page says no origin.
            None if matches!(text("sec-fetch-site"), Some("cross-site" | "same-site")) => {
                Err(refused())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_one_and_nothing_more() {
        for good in [
            "https://app.example.com",
            "http://127.0.0.1:3000",
            "http://[::1]:80/",
            "HTTPS://app.example.com",
        ] {
            let written = origin(good);
            assert!(written.is_some() || good.ends_with(":80/"), "{good}");
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
        ] {
            assert!(origin(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_pages_that_were_named_come_in() {
        let origins = Origins::new(
            &["https://app.example".to_owned()],
            &"https://gw.example/base".parse().unwrap(),
        );
        let comes = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            origins.admit(&headers).is_ok()
        };
        assert!(
            comes(&[])
                && comes(&[("origin", "https://app.example")])
                && comes(&[("origin", "https://gw.example")])
        );
        assert!(comes(&[
            ("origin", "http://127.0.0.1:8080"),
            ("host", "127.0.0.1:8080")
        ]));
        assert!(
            comes(&[("sec-fetch-site", "same-origin")]) && comes(&[("sec-fetch-site", "none")])
        );
        assert!(comes(&[
            ("origin", "https://app.example"),
            ("sec-fetch-site", "cross-site")
        ]));
        assert!(
            !comes(&[("origin", "https://evil.example")])
                && !comes(&[("origin", "null")])
                && !comes(&[("origin", "")])
        );
        assert!(
            !comes(&[("origin", "https://app.example.evil.example")])
                && !comes(&[("origin", "http://app.example")])
        );
        assert!(
            !comes(&[("sec-fetch-site", "cross-site")])
                && !comes(&[("sec-fetch-site", "same-site")])
        );
    }
}
