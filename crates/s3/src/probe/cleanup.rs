//! Deletes the objects of a probe, and the leftovers of interrupted probes.

use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use upload_types::Key;

use super::fixture::{OBJECT_NAMES, PROBE_PREFIX, object_key, parse_key, probe_key};
use crate::deletion::DeleteCondition;
use crate::fault::Fault;
use crate::store::Store;

/// A probe that began longer ago than this must have been interrupted.
const STALE_AFTER: Duration = Duration::from_mins(15);

/// Deletes the leftovers of probes that began more than [`STALE_AFTER`] before `now`. Returns the
/// number of aborted multipart uploads. Touches only keys that a probe uses.
///
/// # Errors
/// [`Fault`] if the store does not list, delete or abort.
pub(super) async fn delete_stale(store: &Store, now: Timestamp) -> Result<usize, Fault> {
    let before = now.checked_sub(STALE_AFTER).unwrap_or(Timestamp::MIN);
    let prefix = store.prefixed(PROBE_PREFIX);
    // One page suffices: the next start of a gateway deletes the uploads on the following pages.
    let (uploads, _) = store.list_uploads(&prefix, None).await?;
    let mut aborted = 0;
    for upload in uploads {
        let began = upload.initiated.parse::<Timestamp>();
        let of_probe = upload.key.strip_prefix(&prefix).and_then(parse_key);
        let (Ok(began), Some((id, object))) = (began, of_probe) else {
            continue;
        };
        if began >= before {
            continue;
        }
        let mut key = probe_key(id)?;
        match object {
            // The objects must be deleted first: without this upload, they are not found again.
            None => delete_objects(store, &key, &OBJECT_NAMES).await?,
            Some(name) => key = object_key(&key, name)?,
        }
        store.abort(&key, &upload.id).await?;
        aborted += 1;
    }
    Ok(aborted)
}

/// Deletes objects of one probe.
pub(super) async fn delete_objects(
    store: &Store,
    probe: &Key,
    names: &[&str],
) -> Result<(), Fault> {
    for name in names {
        let key = object_key(probe, name)?;
        // The credentials may not permit HeadObject.
        if store
            .delete_versions(&key, |_| true, DeleteCondition::None)
            .await
            .is_err()
        {
            store.delete(&key).await?;
        }
    }
    Ok(())
}

/// Logs a warning for each upload and object of one probe that still exists.
pub(super) async fn warn_of_leftovers(store: &Store, probe: &Key) -> Result<(), Fault> {
    let (uploads, _) = store.list_uploads(&store.full_key(probe), None).await?;
    for upload in uploads {
        warn!(key = %upload.key, "a multipart upload of the probe still exists");
    }
    for name in OBJECT_NAMES {
        let key = object_key(probe, name)?;
        if store.head(&key).await?.is_some() {
            warn!(%key, "an object of the probe still exists: permit DeleteObject to have it deleted");
        }
    }
    Ok(())
}
