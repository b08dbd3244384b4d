//! The source of the store's events, as the operator configures it.

use upload_types::names::Token;
use url::Url;

#[derive(Debug, Clone)]
pub enum EventSource {
    /// A queue of Amazon SQS, by its URL.
    Sqs(Url),
    /// Stores push to `POST /v1/events/s3`, with this secret.
    Webhook(Token),
}
