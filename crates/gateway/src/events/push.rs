//! Events that stores push over HTTP.
//!
//! Not here: authentication of the store (`routes`).

use std::sync::Arc;

use tokio::sync::mpsc;

use super::handler;
use super::message::{self, CreatedObject};
use crate::problem::Refusal;
use crate::service::Service;
use upload_types::wire::Code;

/// The maximum number of accepted messages that are not handled yet.
const MAX_PENDING_MESSAGES: usize = 1024;
const FULL_RETRY_SECONDS: u64 = 5;

/// Accepts messages and handles them in the background, because some stores delay their response to
/// a client until the gateway has responded to the event of that client's request.
#[derive(Debug, Clone)]
pub struct PushInbox(mpsc::Sender<Vec<CreatedObject>>);

impl PushInbox {
    /// Starts the task that handles messages, one after the other. It ends with the last clone of
    /// the inbox.
    pub fn start(service: Arc<Service>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Vec<CreatedObject>>(MAX_PENDING_MESSAGES);
        tokio::spawn(async move {
            while let Some(objects) = receiver.recv().await {
                // Failures are logged; the sweep finds the uploads of lost events.
                let _ = handler::handle(&service, &objects).await;
            }
        });
        Self(sender)
    }

    /// Accepts a message.
    ///
    /// # Errors
    /// `invalid_request` for an invalid message, `unavailable` if too many messages are pending.
    pub fn push(&self, message: &[u8]) -> Result<(), Refusal> {
        let objects = message::created_objects(message).map_err(|_| {
            Refusal::with_detail(Code::InvalidRequest, "the body is not an event of a store")
        })?;
        self.0
            .try_send(objects)
            .map_err(|_| Refusal::retry_after(Code::Unavailable, FULL_RETRY_SECONDS))
    }
}
