//! Pages of other origins (the CORS protocol of the Fetch standard): those that were named may use the gateway and its embedded store,
//! all others nothing.
//!
//! Border: headers alone; who asks is `auth`. A bucket elsewhere has rules of its own.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use url::Url;

use crate::gateway::problem::Refusal;
use crate::wire::Code;

const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";
/// What an answer has that pages want to read.
const EXPOSED: &str = "ETag, Location, X-Request-Id, Retry-After";
/// How long a browser may remember what it was told, in seconds.
const MAX_AGE: &str = "600";

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
        Self { allowed, own: own.origin().ascii_serialization() }
    }

    fn allows(&self, asked: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == asked)
    }

    /// Whether a request may come in, as far as a browser says where it comes from.
    ///
    /// # Errors
    /// `forbidden` for a page that is neither the gateway's own nor of an origin that is allowed.
    pub fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
        let refused = || Refusal::saying(Code::Forbidden, "pages of this origin are not let in (--allow-origin)");
        match text("origin") {
            Some(asked) => {
                let here = text("host").is_some_and(|host| asked.split_once("://").is_some_and(|(_, at)| at == host));
                if here || asked == self.own || self.allows(asked) { Ok(()) } else { Err(refused()) }
            }
            // A picture or a link on another's page says no origin.
            None if matches!(text("sec-fetch-site"), Some("cross-site" | "same-site")) => Err(refused()),
            None => Ok(()),
        }
    }
}

/// Tells browsers which pages may read an answer, and answers what they ask beforehand.
pub async fn cors(State(origins): State<Arc<Origins>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let asked =
        headers.get(header::ORIGIN).filter(|asked| asked.to_str().is_ok_and(|asked| origins.allows(asked))).cloned();
    let preflight = request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let wished = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = match (&asked, preflight) {
        (Some(_), true) => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(asked) = asked else { return response };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, asked);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        if let Some(wished) = wished {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wished);
        }
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_one_and_nothing_more() {
        for good in ["https://app.example.com", "http://127.0.0.1:3000", "http://[::1]:80/", "HTTPS://app.example.com"]
        {
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
        let origins = Origins::new(&["https://app.example".to_owned()], &"https://gw.example/base".parse().unwrap());
        let comes = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            origins.admit(&headers).is_ok()
        };
        assert!(
            comes(&[]) && comes(&[("origin", "https://app.example")]) && comes(&[("origin", "https://gw.example")])
        );
        assert!(comes(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")]));
        assert!(comes(&[("sec-fetch-site", "same-origin")]) && comes(&[("sec-fetch-site", "none")]));
        assert!(comes(&[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")]));
        assert!(
            !comes(&[("origin", "https://evil.example")]) && !comes(&[("origin", "null")]) && !comes(&[("origin", "")])
        );
        assert!(
            !comes(&[("origin", "https://app.example.evil.example")]) && !comes(&[("origin", "http://app.example")])
        );
        assert!(!comes(&[("sec-fetch-site", "cross-site")]) && !comes(&[("sec-fetch-site", "same-site")]));
    }
}
