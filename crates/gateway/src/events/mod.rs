//! The store's own word: events it sends when an object is there, by a queue (SQS) or by HTTP.
//!
//! Border: an event is a hint and nothing else. It may be forged, late, doubled or lost: all it does is that the store is asked
//! about one object (`service/confirm`), which decides. Reading messages is `record`; the queue itself is `store/queue`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::Instrument as _;

use super::problem::Refusal;
use super::service::{Confirmed, Service};
use upload_s3::{Fault, Message, Queue, Store};
use upload_types::error::{Error, Kind};

mod record;

use record::Told;

/// Where a store's events come from.
#[derive(Debug, Clone)]
pub enum Events {
    /// A queue of Amazon SQS, by its URL.
    Sqs(url::Url),
    /// `POST /v1/events/s3`, for stores that push; the secret they show.
    Webhook(upload_types::names::Token),
}

/// Deliveries after which a message that cannot be read is dropped where no other queue takes it.
const DELIVERIES: u32 = 5;
/// Messages pushed to us that wait to be looked into.
const WAITING: usize = 1024;
/// The wait after a failure of the queue: doubled each time, up to the second.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// What is to become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Dealt with, or of no use to anybody: not delivered again.
    Delete,
    /// Delivered again; at last the queue hands it to its dead-letter queue, if there is one.
    Leave,
}

/// A queue that is listened to.
pub struct Listened {
    queue: Queue,
    /// Whether what is delivered too often goes to another queue.
    dead_letters: bool,
}

/// The queue that is configured, if there is one; asked before anything is served, so that one that is none is told of at once.
///
/// # Errors
/// [`Kind::Config`] for a queue that refuses. One that does not answer for now may do so later.
pub async fn queue(events: Option<&Events>, store: &Store) -> Result<Option<Listened>, Error> {
    let Some(Events::Sqs(url)) = events else {
        return Ok(None);
    };
    let queue = store.queue(url)?;
    let dead_letters = match queue.has_dead_letters().await {
        Ok(there) => there,
        Err(Fault::Unavailable(why)) => {
            tracing::warn!(why, "could not ask for the queue's dead-letter queue");
            true
        }
        Err(fault) => {
            let needed = "check its URL, and that the credentials may ReceiveMessage, DeleteMessage and GetQueueAttributes";
            return Err(Error::new(
                Kind::Config,
                format!("the queue of --events cannot be used: {fault}"),
            )
            .with_hint(needed));
        }
    };
    if !dead_letters {
        tracing::warn!(
            "the queue of events has no dead-letter queue: what cannot be read is dropped in the end"
        );
    }
    Ok(Some(Listened {
        queue,
        dead_letters,
    }))
}

/// Takes messages out of the queue for ever, as many at a time as are looked into at once.
pub async fn consume(
    service: Arc<Service>,
    Listened {
        queue,
        dead_letters,
    }: Listened,
) {
    let mut wait = WAITS.0;
    loop {
        match queue.receive().await {
            Ok(messages) => {
                wait = WAITS.0;
                let fates = messages.iter().map(|message| {
                    let settled = settle(&service, &message.body, message.deliveries, dead_letters);
                    settled.instrument(tracing::info_span!("message", id = message.id))
                });
                let fates = join_all(fates).await;
                let done = messages
                    .iter()
                    .zip(fates)
                    .filter(|(_, fate)| *fate == Fate::Delete);
                let done: Vec<&Message> = done.map(|(message, _)| message).collect();
                if let Err(fault) = queue.delete(&done).await {
                    // They come again, and do no harm.
                    tracing::warn!(%fault, "could not delete messages");
                }
            }
            Err(fault) => {
                tracing::warn!(%fault, wait = wait.as_secs(), "the queue of events does not answer");
                sleep(wait).await;
                wait = (wait * 2).min(WAITS.1);
            }
        }
    }
}

pub(super) async fn settle(
    service: &Arc<Service>,
    body: &str,
    deliveries: u32,
    dead_letters: bool,
) -> Fate {
    let Ok(told) = record::created(body.as_bytes()) else {
        tracing::warn!(deliveries, "a message that is no event of a store");
        return unreadable(deliveries, dead_letters);
    };
    match look_into(service, &told).await {
        Ok(()) => Fate::Delete,
        Err(_) => Fate::Leave,
    }
}

/// A message that cannot be read is for the dead-letter queue; without one it must not go round for ever.
fn unreadable(deliveries: u32, dead_letters: bool) -> Fate {
    if dead_letters || deliveries < DELIVERIES {
        Fate::Leave
    } else {
        Fate::Delete
    }
}

/// Has the store asked about each object.
///
/// # Errors
/// When store or ledger fail: to be told again.
async fn look_into(service: &Arc<Service>, told: &[Told]) -> Result<(), Refusal> {
    for told in told {
        let ours = || told.keys().find_map(|key| service.ours(&told.bucket, &key));
        let Some(key) = ours() else {
            tracing::debug!(
                bucket = told.bucket,
                "an event for something that is not ours"
            );
            continue;
        };
        match service.confirm(&key).await? {
            Confirmed::Decided => tracing::info!(%key, "the store's event was looked into"),
            Confirmed::Nothing => {}
            Confirmed::Unknown => {
                tracing::warn!(%key, "an event for an object that this ledger does not know");
                service.note_stranger(&key, Timestamp::now()).await?;
            }
        }
    }
    Ok(())
}

/// Takes what stores push, and has it looked into behind their back: some hold up the very call they tell of until they are
/// answered.
#[derive(Debug, Clone)]
pub struct Inbox(mpsc::Sender<Vec<Told>>);

impl Inbox {
    /// Looks into what comes, one message after the other, until the inbox and its clones are gone.
    pub fn open(service: Arc<Service>) -> Self {
        let (push, mut pushed) = mpsc::channel::<Vec<Told>>(WAITING);
        tokio::spawn(async move {
            while let Some(told) = pushed.recv().await {
                // What failed is logged; the sweep finds it too.
                let _ = look_into(&service, &told).await;
            }
        });
        Self(push)
    }

    /// # Errors
    /// `invalid_request` for what is no event of a store, `unavailable` when more waits than can be kept.
    pub fn take(&self, message: &[u8]) -> Result<(), Refusal> {
        let told = record::created(message).map_err(|_| {
            Refusal::saying(
                upload_types::wire::Code::InvalidRequest,
                "this is no event of a store",
            )
        })?;
        self.0
            .try_send(told)
            .map_err(|_| Refusal::later(upload_types::wire::Code::Unavailable, 5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_neither_goes_round_for_ever_nor_past_the_dead_letter_queue() {
        assert_eq!(unreadable(1, false), Fate::Leave);
        assert_eq!(unreadable(DELIVERIES, false), Fate::Delete);
        assert_eq!(unreadable(u32::MAX, true), Fate::Leave);
    }
}
