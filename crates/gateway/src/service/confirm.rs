//! Confirm: what the store's own event is worth. It names a key; the object there is looked at, and decides.
//!
//! Border: an upload that has all its parts' fingerprints and whose object is there and right is completed, whether its client
//! lives or not. Whatever else the event may have been about is left to the client and to the sweep.

use std::sync::Arc;

use jiff::Timestamp;

use super::asked::Asked;
use super::complete::Outcome;
use super::verdict::Seen;
use super::{Completion, Service, is_over};
use crate::ledger::UploadKind;
use crate::problem::Refusal;
use crate::rules;
use upload_types::names::Key;
use upload_types::wire::{Code, UploadState};

/// What an event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// The upload was decided.
    Decided,
    /// There was nothing to decide: it was decided before, or is not complete.
    Nothing,
    /// The ledger has no such key.
    Unknown,
}

impl Service {
    /// The key of ours that a store's event is about.
    #[must_use]
    pub fn ours(&self, bucket: &str, key: &str) -> Option<Key> {
        self.store.key_of(bucket, key)
    }

    /// Looks at the object at `key`, and completes its upload if that is what was to be there. Asked any number of times, in
    /// any order, it comes to the same.
    ///
    /// # Errors
    /// `store_unavailable`, `unavailable`: ask again.
    pub async fn confirm(self: &Arc<Self>, key: &Key) -> Result<Confirmed, Refusal> {
        let Some(upload) = self.ledger.upload_by_key(key).await? else {
            return Ok(Confirmed::Unknown);
        };
        if is_over(upload.state) {
            // Something has landed late: it is taken away, by the sweep.
            self.ledger
                .schedule_cleanup(&upload.id, Timestamp::now())
                .await?;
            return Ok(Confirmed::Nothing);
        }
        if matches!(upload.state, UploadState::Verified | UploadState::Ready) {
            return Ok(Confirmed::Nothing);
        }
        if upload.kind == UploadKind::FormPost && upload.state != UploadState::Completing {
            return match self.posted(&upload).await? {
                Some(outcome) => decided(Some(outcome)),
                None => Ok(Confirmed::Nothing),
            };
        }
        let rows = self.ledger.parts(&upload.id, 0, upload.parts_max()).await?;
        if upload.kind != UploadKind::Declared {
            // Nobody but a gateway completes it, and the parts are in the ledger then.
            let Some(asked) = Asked::of_rows(&upload, rows, None)
                .filter(|_| upload.state == UploadState::Completing)
            else {
                return Ok(Confirmed::Nothing);
            };
            let mut outcome = self.join_or_spawn(upload, asked);
            return decided(
                outcome
                    .wait_for(Option::is_some)
                    .await
                    .ok()
                    .and_then(|outcome| outcome.clone()),
            );
        }
        let fingerprints: Option<Vec<_>> = rows.iter().map(|row| row.sha256.as_ref()).collect();
        let checksum = fingerprints.and_then(|all| rules::checksum(&upload.plan, all));
        let Some(checksum) = checksum else {
            return Ok(Confirmed::Nothing);
        };
        let (seen, head) = self.look(&upload, Some(&checksum)).await;
        match seen {
            Seen::Ours | Seen::Damaged => {}
            Seen::Unknown => return Err(Refusal::later(Code::StoreUnavailable, 2)),
            Seen::Absent | Seen::Foreign => return Ok(Confirmed::Nothing),
        }
        // A single PUT's part is the object itself.
        let whole = head
            .filter(|_| upload.plan.is_single())
            .map(|head| head.etag);
        let Some(asked) = Asked::of_rows(&upload, rows, whole.as_ref()) else {
            return Ok(Confirmed::Nothing);
        };
        let mut outcome = self.join_or_spawn(upload, asked);
        decided(
            outcome
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|outcome| outcome.clone()),
        )
    }

    /// Writes down that an event named a key the ledger does not know.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn note_stranger(&self, key: &Key, now: Timestamp) -> Result<(), Refusal> {
        Ok(self.ledger.record_unknown_key(key, now).await?)
    }
}

/// What the outcome of a complete is to an event.
fn decided(outcome: Option<Outcome>) -> Result<Confirmed, Refusal> {
    match outcome {
        Some(Ok(Completion::Receipt(_))) => Ok(Confirmed::Decided),
        Some(Err(refusal)) if refusal.code == Code::Gone => Ok(Confirmed::Decided),
        // Taken over at this very moment: who did so decides.
        Some(Err(refusal)) if refusal.code == Code::LeaseLost => Ok(Confirmed::Nothing),
        Some(Err(refusal)) => Err(refusal),
        _ => Err(Refusal::later(Code::Unavailable, 2)),
    }
}
