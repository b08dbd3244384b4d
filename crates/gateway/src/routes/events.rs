//! The route to which stores push their events.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};

use super::gateway::Gateway;
use super::responses::no_such_path;
use crate::problem::Refusal;
use upload_types::wire::Code;

/// Accepts a message. Without a configured secret, this path does not exist.
pub async fn push_events(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let receiver = gateway.event_receiver().ok_or_else(no_such_path)?;
    receiver.secret.check(&headers)?;
    let body = body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Refusal::with_detail(Code::TooLarge, "an event has at most 256 KiB")
        } else {
            Refusal::with_detail(Code::InvalidRequest, "the body is incomplete")
        }
    })?;
    receiver.inbox.push(&body)?;
    Ok(StatusCode::OK)
}
