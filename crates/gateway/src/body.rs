//! Bodies of JSON: not too large, not too slow, not too deep.
//!
//! Border: bytes to a value; what it means is the route's.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::Refusal;
use upload_types::wire::Code;

/// How long a body may take to arrive.
const WAIT: Duration = Duration::from_secs(30);
/// Lists and objects within one another; the API's own have six.
const DEPTH: usize = 32;

/// A body of JSON, within the route's limit.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = match timeout(WAIT, Bytes::from_request(request, state)).await {
            Ok(Ok(body)) => body,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(Refusal::saying(Code::TooLarge, "the body is too large"));
            }
            Ok(Err(_)) => {
                return Err(Refusal::saying(
                    Code::InvalidRequest,
                    "the body did not arrive whole",
                ));
            }
            Err(_) => {
                return Err(Refusal::saying(
                    Code::InvalidRequest,
                    "the body took too long to arrive",
                ));
            }
        };
        if depth(&body) > DEPTH {
            return Err(Refusal::saying(
                Code::InvalidRequest,
                format!("the JSON is more than {DEPTH} levels deep"),
            ));
        }
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| unreadable(&error))
    }
}

/// What serde says names fields and positions, and quotes only what the client itself sent.
pub fn unreadable(error: &serde_json::Error) -> Refusal {
    Refusal::saying(Code::InvalidRequest, error.to_string())
}

/// How deep lists and objects stand in one another; of what is no JSON, no less than what a parser would get to.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::Value;

    use super::*;

    async fn read(body: Body) -> Result<Value, Refusal> {
        Json::from_request(Request::new(body), &())
            .await
            .map(|Json(value)| value)
    }

    #[test]
    fn depth_is_that_of_lists_and_objects_outside_of_texts() {
        for (json, levels) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[{}],"b":[]}"#, 3),
            (r#"["[[\"[[",{}]"#, 2),
            ("]]][", 1),
        ] {
            assert_eq!(depth(json.as_bytes()), levels, "{json}");
        }
    }

    #[tokio::test]
    async fn what_is_too_deep_is_not_read() {
        let nested = |levels: usize| Body::from("[".repeat(levels) + &"]".repeat(levels));
        assert!(read(nested(DEPTH)).await.is_ok());
        for levels in [DEPTH + 1, 500_000] {
            assert_eq!(
                read(nested(levels)).await.unwrap_err().code,
                Code::InvalidRequest
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let began = tokio::time::Instant::now();
        let silent =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(silent).await.unwrap_err().code, Code::InvalidRequest);
        assert_eq!(began.elapsed().as_secs(), WAIT.as_secs());
    }
}
