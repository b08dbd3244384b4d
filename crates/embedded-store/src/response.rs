//! The headers and elements of every response: the id of the request, and those that s3s omits.

use axum::body::Body;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Version, header};
use uuid::Uuid;

/// The header with the id that the gateway gives a request.
const GATEWAY_REQUEST_ID: &str = "x-request-id";
const REQUEST_ID: &str = "x-amz-request-id";
/// The largest XML body that is changed: a page of 1000 parts has less.
const MAX_CHANGED_BYTES: usize = 1 << 20;

/// The properties of a request on which its response depends.
pub struct RequestFacts {
    id: HeaderValue,
    is_head: bool,
    /// `GetObjectAttributes`, whose ETag has no quotes in S3.
    is_attributes: bool,
    /// The client waits for `100 Continue`, which hyper does not send for an empty body. A client
    /// that takes the response for it must not use the connection again.
    closes_connection: bool,
}

impl RequestFacts {
    pub fn new(request: &Parts) -> Self {
        let new_id = || {
            let id = Uuid::new_v4().simple().to_string();
            HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
        };
        let headers = &request.headers;
        let query = request.uri.query().unwrap_or_default();
        let is_empty = headers
            .get(header::CONTENT_LENGTH)
            .is_none_or(|length| length == "0");
        Self {
            id: headers
                .get(GATEWAY_REQUEST_ID)
                .filter(|id| is_id(id.as_bytes()))
                .cloned()
                .unwrap_or_else(new_id),
            is_head: request.method == Method::HEAD,
            is_attributes: request.method == Method::GET
                && query
                    .split('&')
                    .any(|name| name == "attributes" || name == "attributes="),
            closes_connection: request.version < Version::HTTP_2
                && headers.contains_key(header::EXPECT)
                && is_empty,
        }
    }

    /// Completes a response.
    pub async fn apply(&self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        let mut response = if status.is_client_error() || status.is_server_error() {
            change_body(response, |text| self.add_id(text)).await
        } else if self.is_attributes {
            change_body(response, |text| Some(without_quotes(text))).await
        } else {
            response
        };
        // s3s responds 200 to every HEAD.
        let has_range = response.headers().contains_key(header::CONTENT_RANGE);
        if self.is_head && has_range && response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, self.id.clone());
        // Browsers must not guess a type other than the declared one.
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if self.closes_connection {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Adds the element `RequestId` to an error.
    fn add_id(&self, text: &str) -> Option<String> {
        const END: &str = "</Error>";
        let start = text.strip_suffix(END)?;
        let id = self.id.to_str().unwrap_or_default();
        Some(format!("{start}<RequestId>{id}</RequestId>{END}"))
    }
}

/// Returns true for an id that can stand in XML. Without a gateway, a client may choose it.
fn is_id(bytes: &[u8]) -> bool {
    let is_valid = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
    !bytes.is_empty() && bytes.iter().all(is_valid)
}

/// Removes the quotes of an ETag.
fn without_quotes(text: &str) -> String {
    let mut text = text.to_owned();
    for quote in ["&quot;", "\""] {
        text = text.replace(&format!("<ETag>{quote}"), "<ETag>");
        text = text.replace(&format!("{quote}</ETag>"), "</ETag>");
    }
    text
}

/// Changes the text of an XML body, which s3s has in memory.
async fn change_body(
    response: Response<Body>,
    change: impl FnOnce(&str) -> Option<String>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MAX_CHANGED_BYTES).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let Some(text) = change(&String::from_utf8_lossy(&bytes)) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text))
}
