//! The route to which stores push their events.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::gateway::Gateway;
use super::responses::no_such_path;
use crate::problem::Refusal;

/// The largest message.
const MAX_EVENT_BYTES: usize = 256 << 10;

/// Accepts a message. Without a configured secret, this path does not exist. Nothing is received
/// from a caller without the secret.
pub async fn push_events(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let receiver = gateway.event_receiver().ok_or_else(no_such_path)?;
    receiver.secret.check(request.headers())?;
    let body = request.into_body();
    let message = gateway.receive_event(body, MAX_EVENT_BYTES).await?;
    receiver.inbox.push(&message)?;
    Ok(StatusCode::OK)
}
