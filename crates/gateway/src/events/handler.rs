//! The reaction to events: the service checks each object in the store.

use std::sync::Arc;

use jiff::Timestamp;

use super::message::CreatedObject;
use crate::problem::Refusal;
use crate::service::{Confirmation, Service};

/// Checks each object. Objects outside the gateway's bucket or prefix are ignored.
///
/// # Errors
/// The refusal for a failed store or ledger; the event must be delivered again.
pub async fn handle(service: &Arc<Service>, objects: &[CreatedObject]) -> Result<(), Refusal> {
    for object in objects {
        let key = object
            .key_candidates()
            .find_map(|key| service.own_key(object.bucket(), &key));
        let Some(key) = key else {
            tracing::debug!(
                bucket = object.bucket(),
                "event ignored: the object is in another bucket or prefix"
            );
            continue;
        };
        match service.confirm(&key).await? {
            Confirmation::Decided => tracing::info!(%key, "event has decided an upload"),
            Confirmation::NothingToDo => {}
            Confirmation::UnknownKey => {
                tracing::warn!(%key, "event names a key that no upload has");
                service.record_unknown_key(&key, Timestamp::now()).await?;
            }
        }
    }
    Ok(())
}
