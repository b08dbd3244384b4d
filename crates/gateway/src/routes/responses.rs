//! Responses that several routes share.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::problem::{Refusal, problem_response};
use upload_types::wire::{BatchBody, BatchOutcome, Code, PROTOCOL_HEADER, PROTOCOL_VERSION};

/// A successful response, alone or in a batch.
pub struct ApiResponse<T> {
    pub status: StatusCode,
    /// Seconds.
    pub retry_after: Option<u64>,
    pub body: T,
}

impl<T: Serialize> IntoResponse for ApiResponse<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl<T> From<ApiResponse<T>> for BatchOutcome<T> {
    fn from(response: ApiResponse<T>) -> Self {
        Self {
            status: response.status.as_u16(),
            retry_after: response.retry_after,
            body: BatchBody::Response(response.body),
        }
    }
}

/// Adds the headers of a gateway's response. The response must not be cached, since it may contain
/// presigned URLs.
pub async fn add_gateway_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static(PROTOCOL_HEADER),
        HeaderValue::from(PROTOCOL_VERSION),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub fn no_such_path() -> Refusal {
    Refusal::with_detail(Code::NotFound, "there is no such path")
}

/// The fallback of a gateway without an embedded store.
pub async fn not_found() -> Response {
    add_gateway_headers(no_such_path().into_response()).await
}

pub async fn method_not_allowed() -> Response {
    let refusal = Refusal::with_detail(
        Code::InvalidRequest,
        "this path does not support this method",
    );
    problem_response(StatusCode::METHOD_NOT_ALLOWED, &refusal)
}
