//! An extractor for JSON bodies with limits on size, time and nesting.
//!
//! Not here: the meaning of the value, and the size limit, which is the `DefaultBodyLimit` of the
//! route.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::Refusal;
use upload_types::wire::Code;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Levels of nested lists and objects. The messages of the API have at most six.
const MAX_NESTING_DEPTH: usize = 32;

/// A JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = match timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
            Ok(Ok(body)) => body,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(Refusal::with_detail(
                    Code::TooLarge,
                    "the body is too large",
                ));
            }
            Ok(Err(_)) => {
                return Err(Refusal::with_detail(
                    Code::InvalidRequest,
                    "the body is incomplete",
                ));
            }
            Err(_) => {
                return Err(Refusal::with_detail(
                    Code::InvalidRequest,
                    "the body took too long to arrive",
                ));
            }
        };
        if nesting_depth(&body) > MAX_NESTING_DEPTH {
            return Err(Refusal::with_detail(
                Code::InvalidRequest,
                format!("the JSON has more than {MAX_NESTING_DEPTH} levels"),
            ));
        }
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| invalid_json(&error))
    }
}

/// The refusal for JSON that does not parse. The error of serde names fields and positions, and
/// quotes only the request.
pub fn invalid_json(error: &serde_json::Error) -> Refusal {
    Refusal::with_detail(Code::InvalidRequest, error.to_string())
}

/// The nesting depth of lists and objects. For invalid JSON, at least the depth that a parser would
/// reach.
fn nesting_depth(json: &[u8]) -> usize {
    let (mut depth, mut max_depth, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                max_depth = max_depth.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    max_depth
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::Value;

    use super::*;

    async fn read(body: Body) -> Result<Value, Refusal> {
        JsonBody::from_request(Request::new(body), &())
            .await
            .map(|JsonBody(value)| value)
    }

    #[test]
    fn depth_counts_lists_and_objects_outside_strings() {
        for (json, levels) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[{}],"b":[]}"#, 3),
            (r#"["[[\"[[",{}]"#, 2),
            ("]]][", 1),
        ] {
            assert_eq!(nesting_depth(json.as_bytes()), levels, "{json}");
        }
    }

    #[tokio::test]
    async fn deeply_nested_json_is_rejected() {
        let nested = |levels: usize| Body::from("[".repeat(levels) + &"]".repeat(levels));
        assert!(read(nested(MAX_NESTING_DEPTH)).await.is_ok());
        for levels in [MAX_NESTING_DEPTH + 1, 500_000] {
            assert_eq!(
                read(nested(levels)).await.unwrap_err().code,
                Code::InvalidRequest
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_does_not_arrive_times_out() {
        let began = tokio::time::Instant::now();
        let stalled =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(stalled).await.unwrap_err().code, Code::InvalidRequest);
        assert_eq!(began.elapsed().as_secs(), BODY_TIMEOUT.as_secs());
    }
}
