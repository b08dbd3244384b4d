//! The headers and elements of every response: the id of the request, and what s3s leaves out.

use axum::body::Body;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Version, header};
use uuid::Uuid;

/// The header with the id that the gateway gives a request.
const GATEWAY_REQUEST_ID: &str = "x-request-id";
const REQUEST_ID: &str = "x-amz-request-id";
/// The largest error that gets the id of its request.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// What the response to a request depends on.
pub struct RequestFacts {
    id: HeaderValue,
    is_head: bool,
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
        let is_empty = headers
            .get(header::CONTENT_LENGTH)
            .is_none_or(|length| length == "0");
        Self {
            id: headers
                .get(GATEWAY_REQUEST_ID)
                .cloned()
                .unwrap_or_else(new_id),
            is_head: request.method == Method::HEAD,
            closes_connection: request.version < Version::HTTP_2
                && headers.contains_key(header::EXPECT)
                && is_empty,
        }
    }

    /// Completes a response.
    pub async fn apply(&self, response: Response<Body>) -> Response<Body> {
        let mut response =
            if response.status().is_client_error() || response.status().is_server_error() {
                self.with_id_in_body(response).await
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
    async fn with_id_in_body(&self, response: Response<Body>) -> Response<Body> {
        const END: &str = "</Error>";
        let (mut parts, body) = response.into_parts();
        let Ok(bytes) = axum::body::to_bytes(body, MAX_ERROR_BYTES).await else {
            return Response::from_parts(parts, Body::empty());
        };
        let text = String::from_utf8_lossy(&bytes);
        let Some(start) = text.strip_suffix(END) else {
            return Response::from_parts(parts, Body::from(bytes));
        };
        let id = self.id.to_str().unwrap_or_default();
        let text = format!("{start}<RequestId>{id}</RequestId>{END}");
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(text))
    }
}
