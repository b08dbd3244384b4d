//! The reaction to events: the service checks each object in the store.

use std::sync::Arc;

use jiff::Timestamp;

use super::message::CreatedObject;
use crate::problem::Refusal;
use crate::service::{Confirmation, Service};
use upload_types::Key;

/// Checks each object. Objects outside the gateway's bucket or prefix are ignored.
///
/// # Errors
/// The refusal for a failed store or ledger; the event must be delivered again.
pub async fn handle(service: &Arc<Service>, objects: &[CreatedObject]) -> Result<(), Refusal> {
    for object in objects {
        // A key that a client has chosen may have any character: each reading is looked up.
        let mut keys: Vec<Key> = object
            .key_candidates()
            .filter_map(|key| service.own_key(object.bucket(), &key))
            .collect();
        keys.dedup();
        let Some(first) = keys.first() else {
            tracing::debug!(
                bucket = object.bucket(),
                "event ignored: the object is in another bucket or prefix"
            );
            continue;
        };
        let mut is_known = false;
        for key in &keys {
            match service.confirm(key).await? {
                Confirmation::Decided => {
                    is_known = true;
                    tracing::info!(%key, "event has decided an upload");
                }
                Confirmation::NothingToDo => is_known = true,
                Confirmation::UnknownKey => {}
            }
        }
        if !is_known {
            tracing::warn!(key = %first, "event names a key that no upload has");
            service.record_unknown_key(first, Timestamp::now()).await?;
        }
    }
    Ok(())
}
