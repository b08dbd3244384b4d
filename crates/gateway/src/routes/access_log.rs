//! The access log: an id for each request, a log line for each response, and the metrics of
//! requests.
//!
//! A log line has owner (segment and, if it is configured, subject), method, route, status, time
//! and sizes. It contains no path, query or header, since those may contain secrets.

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
use upload_types::saturating;

/// The header with the id of a request, in the request and in the response.
const REQUEST_ID_HEADER: &str = "x-request-id";
const MAX_REQUEST_ID_BYTES: usize = 64;
/// The label of unknown methods and routes.
const OTHER: &str = "other";

/// The id of a request: that of its header if it is valid, otherwise a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    fn from_headers(headers: &HeaderMap) -> Self {
        let is_valid = |id: &&str| {
            (1..=MAX_REQUEST_ID_BYTES).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        let id = headers
            .get(REQUEST_ID_HEADER)
            .and_then(|id| id.to_str().ok())
            .filter(is_valid);
        Self(id.map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The owner of a request, for its log line.
#[derive(Debug, Clone)]
pub struct LoggedOwner {
    segment: String,
    subject: Option<String>,
}

impl LoggedOwner {
    pub fn new(owner: &Owner, log_subject: bool) -> Self {
        Self {
            segment: owner.0.clone(),
            subject: log_subject.then(|| owner.subject().to_owned()),
        }
    }
}

/// Gives the request an id, and logs and counts its response.
pub async fn log_access(mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId::from_headers(request.headers());
    let (method, route) = (
        method_label(request.method()),
        route_label(request.extensions().get::<MatchedPath>()),
    );
    let received = content_length(request.headers());
    // The most severe level, so that no level of a log filter disables the span.
    let span = tracing::error_span!("request", %id);
    request.extensions_mut().insert(id.clone());
    // The embedded store names the same id in its responses.
    let header = HeaderValue::from_str(&id.0);
    if let Ok(header) = &header {
        request
            .headers_mut()
            .insert(REQUEST_ID_HEADER, header.clone());
    }
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, elapsed) = (response.status().as_u16(), began.elapsed());
    metrics().record_response(method, &route, status, elapsed);
    let ms = saturating::to_u64(elapsed.as_millis());
    let sent = content_length(response.headers()).or_else(|| response.body().size_hint().exact());
    let logged = response.extensions().get::<LoggedOwner>();
    let owner = logged.map(|logged| logged.segment.as_str());
    let subject = logged.and_then(|logged| logged.subject.as_deref());
    span.in_scope(
        || tracing::info!(target: "upload::access", method, route, status, ms, owner, subject, received, sent),
    );
    if let Ok(header) = header {
        response.headers_mut().insert(REQUEST_ID_HEADER, header);
    }
    response
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The template of the matched route. All paths without a template have one label.
fn route_label(matched: Option<&MatchedPath>) -> String {
    // Templates with wildcards are internal to the router, and match any path.
    let template = matched
        .map(MatchedPath::as_str)
        .filter(|template| !template.contains("{*"));
    template.unwrap_or(OTHER).to_owned()
}

/// The label of a method; unknown methods have one label.
fn method_label(method: &Method) -> &'static str {
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
        headers.insert(REQUEST_ID_HEADER, HeaderValue::from_bytes(text).unwrap());
        RequestId::from_headers(&headers).0
    }

    #[test]
    fn valid_request_id_is_kept_and_any_other_replaced() {
        let longest = "a".repeat(MAX_REQUEST_ID_BYTES);
        for valid in ["a", "build-17_b", &longest] {
            assert_eq!(id(valid.as_bytes()), valid);
        }
        let too_long = "a".repeat(MAX_REQUEST_ID_BYTES + 1);
        for invalid in ["", "a b", "a\tb", "a=b", "{id}", "\u{e9}", &too_long] {
            let new = id(invalid.as_bytes());
            assert!(new != invalid && new.len() == 32, "{invalid:?}");
        }
        assert_ne!(
            RequestId::from_headers(&HeaderMap::new()),
            RequestId::from_headers(&HeaderMap::new())
        );
    }

    #[test]
    fn unknown_methods_have_one_label() {
        assert_eq!(method_label(&Method::DELETE), "DELETE");
        assert_eq!(method_label(&Method::from_bytes(b"BREW").unwrap()), OTHER);
    }
}
