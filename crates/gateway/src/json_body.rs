//! An extractor for JSON bodies with a limit on nesting.
//!
//! Not here: the meaning of the value, and the limits on the size of a body and the time in which
//! it arrives (`request_body`).

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::problem::Refusal;
use upload_types::wire::{Code, MAX_JSON_BYTES};

/// Levels of nested lists and objects. The messages of the API have at most six.
const MAX_NESTING_DEPTH: usize = 32;
/// A larger body is parsed on a thread of its own: other requests do not wait for it.
const MAX_INLINE_PARSE_BYTES: usize = 64 << 10;
/// Large bodies that are parsed at the same time.
static LARGE_PARSES: Semaphore = Semaphore::const_new(2);

/// A JSON body. The whole body is in memory before the extractor runs.
pub struct JsonBody<T>(pub T);

impl<T, S> FromRequest<S> for JsonBody<T>
where
    T: DeserializeOwned + Send + 'static,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let body = to_bytes(request.into_body(), MAX_JSON_BYTES)
            .await
            .map_err(|_| Refusal::with_detail(Code::TooLarge, "the body is too large"))?;
        if body.len() <= MAX_INLINE_PARSE_BYTES {
            return parse(&body).map(Self);
        }
        let unavailable = |_| Refusal::new(Code::Unavailable);
        // The semaphore is never closed, and `parse` does not panic.
        let permit = LARGE_PARSES.acquire().await.map_err(unavailable)?;
        let parsed = spawn_blocking(move || {
            let parsed = parse(&body);
            drop(permit);
            parsed
        });
        let unavailable = |_| Refusal::new(Code::Unavailable);
        parsed.await.map_err(unavailable)?.map(Self)
    }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    if nesting_depth(body) > MAX_NESTING_DEPTH {
        return Err(Refusal::with_detail(
            Code::InvalidRequest,
            format!("the JSON has more than {MAX_NESTING_DEPTH} levels"),
        ));
    }
    serde_json::from_slice(body).map_err(|error| invalid_json(&error))
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
}
