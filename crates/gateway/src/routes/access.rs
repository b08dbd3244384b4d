//! Each request by its name: an id in every line of the log and in the answer, one line when it is answered, and the counts.
//!
//! Border: says who asked what and how it was answered, never with which words: no path, no query, no header.

use std::fmt;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::Body as _;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::auth::Owner;
use crate::metrics::metrics;

/// The header that names a request, and its answer.
const HEADER: &str = "x-request-id";
const ID_MAX: usize = 64;
/// What leads to the embedded store, or nowhere.
const OTHER: &str = "other";

/// What one request is called: the word of who asked, if it is one, else one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    fn of(headers: &HeaderMap) -> Self {
        let sane = |id: &&str| {
            (1..=ID_MAX).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        let theirs = headers
            .get(HEADER)
            .and_then(|id| id.to_str().ok())
            .filter(sane);
        Self(theirs.map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the request, has it answered, and tells of it.
pub async fn access(mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    let (method, route) = (
        name(request.method()),
        route(request.extensions().get::<MatchedPath>()),
    );
    let received = length(request.headers());
    // Of the highest level, so that it is there for whatever is told within.
    let span = tracing::error_span!("request", %id);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    metrics().answered(method, &route, status, took);
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let sent = length(response.headers()).or_else(|| response.body().size_hint().exact());
    let owner = response
        .extensions()
        .get::<Owner>()
        .map(|owner| owner.0.as_str());
    span.in_scope(|| tracing::info!(target: "upload::access", method, route, status, ms, owner, received, sent));
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, id);
    }
    response
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The template a path was found by; what no template was found for is all one.
fn route(matched: Option<&MatchedPath>) -> String {
    // The router's own names for "whatever comes behind" are no templates.
    let template = matched
        .map(MatchedPath::as_str)
        .filter(|template| !template.contains("{*"));
    template.unwrap_or(OTHER).to_owned()
}

/// Methods are few, whatever somebody writes there.
fn name(method: &Method) -> &'static str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ];
    let names = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    known
        .iter()
        .zip(names)
        .find_map(|(known, name)| (known == method).then_some(name))
        .unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(text).unwrap());
        RequestId::of(&headers).0
    }

    #[test]
    fn a_sane_id_is_taken_and_any_other_replaced() {
        let longest = "a".repeat(ID_MAX);
        for sane in ["a", "build-17_b", &longest] {
            assert_eq!(id(sane.as_bytes()), sane);
        }
        let long = "a".repeat(ID_MAX + 1);
        for odd in ["", "a b", "a\tb", "a=b", "{id}", "\u{e9}", &long] {
            let made = id(odd.as_bytes());
            assert!(made != odd && made.len() == 32, "{odd:?}");
        }
        assert_ne!(
            RequestId::of(&HeaderMap::new()),
            RequestId::of(&HeaderMap::new())
        );
    }

    #[test]
    fn methods_are_few() {
        assert_eq!(name(&Method::DELETE), "DELETE");
        assert_eq!(name(&Method::from_bytes(b"BREW").unwrap()), OTHER);
    }
}
