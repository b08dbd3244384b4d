//! The source of the events of the store, as it is configured.
//!
//! Not here: reading a queue (`queue`), and events that are pushed (`push`).

use upload_types::Token;
use url::Url;

/// The source of the store's events.
#[derive(Debug, Clone)]
pub enum EventSource {
    /// A queue of Amazon SQS, by its URL.
    Sqs(Url),
    /// Stores push to `POST /v1/events/s3`, with this secret.
    Webhook(Token),
}
