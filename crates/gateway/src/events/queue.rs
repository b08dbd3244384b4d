//! Events from a queue of Amazon SQS.
//!
//! Not here: the protocol of SQS (`upload_s3`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use tracing::Instrument as _;

use super::source::EventSource;
use super::{handler, message};
use crate::service::Service;
use upload_s3::{Fault, Message, Queue, Store};
use upload_types::backoff::Backoff;
use upload_types::error::{Error, Kind};

/// If the queue has no dead-letter queue, an invalid message is deleted at this delivery.
const MAX_INVALID_DELIVERIES: u32 = 5;
const RECEIVE_BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));

/// The disposition of a received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The message is deleted from the queue.
    Delete,
    /// The message stays in the queue. SQS delivers it again, and finally moves it to the
    /// dead-letter queue if there is one.
    Redeliver,
}

/// A queue of events.
pub struct EventQueue {
    queue: Queue,
    has_dead_letter_queue: bool,
}

/// Opens the configured queue, if any, and checks it, so that a wrong URL prevents the start.
///
/// # Errors
/// [`Kind::Config`] for a queue that rejects the request. A queue that does not respond is not
/// an error, since it may respond later.
pub async fn open_queue(
    source: Option<&EventSource>,
    store: &Store,
) -> Result<Option<EventQueue>, Error> {
    let Some(EventSource::Sqs(url)) = source else {
        return Ok(None);
    };
    let queue = store.queue(url)?;
    let has_dead_letter_queue = match queue.has_dead_letters().await {
        Ok(has_dead_letter_queue) => has_dead_letter_queue,
        Err(Fault::Unavailable(reason) | Fault::NoCredentials(reason)) => {
            tracing::warn!(reason, "could not read the attributes of the event queue");
            true
        }
        Err(Fault::Rejected(rejection)) => {
            let text = format!("could not use the queue of --events: {}", rejection.text);
            return Err(Error::new(rejection.kind, text).with_hint(rejection.hint));
        }
        Err(fault) => {
            return Err(Error::new(
                Kind::Config,
                format!("could not use the queue of --events: {fault}"),
            )
            .with_hint(
                "check its URL, and that the credentials have the permissions ReceiveMessage, \
                 DeleteMessage and GetQueueAttributes",
            ));
        }
    };
    if !has_dead_letter_queue {
        tracing::warn!(
            max_deliveries = MAX_INVALID_DELIVERIES,
            "event queue has no dead-letter queue; invalid messages are deleted"
        );
    }
    Ok(Some(EventQueue {
        queue,
        has_dead_letter_queue,
    }))
}

impl EventQueue {
    /// Receives and processes messages forever. The messages of one batch are processed
    /// concurrently.
    pub async fn consume(self, service: Arc<Service>) {
        let mut failures = 0;
        loop {
            match self.queue.receive().await {
                Ok(messages) => {
                    failures = 0;
                    self.process(&service, &messages).await;
                }
                Err(fault) => {
                    failures += 1;
                    let delay = RECEIVE_BACKOFF.delay(failures);
                    tracing::warn!(%fault, retry_in = ?delay, "could not receive from the event queue");
                    sleep(delay).await;
                }
            }
        }
    }

    async fn process(&self, service: &Arc<Service>, messages: &[Message]) {
        let dispositions = messages.iter().map(|message| {
            let span = tracing::info_span!("message", id = message.id);
            let (body, deliveries) = (&message.body, message.deliveries);
            process_message(service, body, deliveries, self.has_dead_letter_queue).instrument(span)
        });
        let dispositions = join_all(dispositions).await;
        let done: Vec<&Message> = messages
            .iter()
            .zip(dispositions)
            .filter(|(_, disposition)| *disposition == Disposition::Delete)
            .map(|(message, _)| message)
            .collect();
        if let Err(fault) = self.queue.delete(&done).await {
            // The messages are delivered again, which does no harm.
            tracing::warn!(%fault, "could not delete processed messages from the event queue");
        }
    }
}

pub async fn process_message(
    service: &Arc<Service>,
    body: &str,
    deliveries: u32,
    has_dead_letter_queue: bool,
) -> Disposition {
    let Ok(objects) = message::created_objects(body.as_bytes()) else {
        tracing::warn!(
            deliveries,
            "message in the event queue is not an event of a store"
        );
        return invalid_message_disposition(deliveries, has_dead_letter_queue);
    };
    match handler::handle(service, &objects).await {
        Ok(()) => Disposition::Delete,
        Err(_) => Disposition::Redeliver,
    }
}

/// An invalid message must reach the dead-letter queue. Without one, it must not be delivered
/// forever.
fn invalid_message_disposition(deliveries: u32, has_dead_letter_queue: bool) -> Disposition {
    if has_dead_letter_queue || deliveries < MAX_INVALID_DELIVERIES {
        Disposition::Redeliver
    } else {
        Disposition::Delete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_message_is_deleted_only_without_a_dead_letter_queue() {
        assert_eq!(
            invalid_message_disposition(1, false),
            Disposition::Redeliver
        );
        assert_eq!(
            invalid_message_disposition(MAX_INVALID_DELIVERIES, false),
            Disposition::Delete
        );
        assert_eq!(
            invalid_message_disposition(u32::MAX, true),
            Disposition::Redeliver
        );
    }
}
