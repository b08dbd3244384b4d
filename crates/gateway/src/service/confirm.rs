//! Confirm: the reaction to an event of the store that names a key.
//!
//! The gateway checks the object at the key. If the ledger has the SHA-256 of all parts, and the
//! object matches, the gateway completes the upload, even without its client. All other uploads are
//! left to their client and to the sweep.

use std::sync::Arc;

use jiff::Timestamp;

use super::completion::{CompleteResult, Completion};
use super::completion_outcome::ObjectCheck;
use super::completion_source::CompletionSource;
use super::lifecycle::{is_complete, is_gone};
use super::shared_state::Service;
use crate::ledger::{LedgerPart, Upload, UploadKind};
use crate::problem::{Refusal, ledger_failed};
use crate::validation;
use upload_types::Key;
use upload_types::wire::{Code, UploadState};

/// Seconds until the store may repeat an event.
const RETRY_SECONDS: u64 = 2;

/// The result of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The upload is ready, verified or rejected now.
    Decided,
    /// The upload was decided earlier, or cannot be completed yet.
    NothingToDo,
    /// No upload has this key.
    UnknownKey,
}

impl Service {
    /// The key of the gateway that an event names. Returns `None` for another bucket or prefix.
    #[must_use]
    pub fn own_key(&self, bucket: &str, key: &str) -> Option<Key> {
        self.store.key_of(bucket, key)
    }

    /// Checks the object at `key` and completes its upload if the object matches. Idempotent.
    ///
    /// # Errors
    /// `store_unavailable` and `unavailable`: the event must be repeated.
    pub async fn confirm(self: &Arc<Self>, key: &Key) -> Result<Confirmation, Refusal> {
        let upload = self
            .ledger
            .upload_by_key(key)
            .await
            .map_err(ledger_failed)?;
        let Some(upload) = upload else {
            return Ok(Confirmation::UnknownKey);
        };
        if is_gone(upload.state) {
            // The object arrived after the end of the upload: the next sweep removes it.
            self.ledger
                .schedule_cleanup(&upload.id, self.now())
                .await
                .map_err(ledger_failed)?;
            return Ok(Confirmation::NothingToDo);
        }
        if is_complete(upload.state) {
            return Ok(Confirmation::NothingToDo);
        }
        if upload.kind == UploadKind::FormPost && upload.state != UploadState::Completing {
            return match self.complete_posted_form(&upload).await? {
                Some(result) => confirmation(Some(result)),
                None => Ok(Confirmation::NothingToDo),
            };
        }
        let rows = self.ledger.parts(&upload.id, 0, upload.max_parts()).await;
        let rows = rows.map_err(ledger_failed)?;
        // The parts of a stream are known once it is completing.
        let is_planned =
            upload.kind == UploadKind::Streamed && upload.state == UploadState::Completing;
        let source = if upload.kind.has_plan() || is_planned {
            self.declared_source(&upload, rows).await?
        } else if upload.state == UploadState::Completing {
            CompletionSource::from_rows(&upload, rows, None)
        } else {
            // The parts are unknown until the client requests the complete.
            None
        };
        let Some(source) = source else {
            return Ok(Confirmation::NothingToDo);
        };
        let mut completion = self.join_or_spawn(upload, source);
        confirmation(completion.result().await)
    }

    /// The source for the completion of a declared upload. Returns `None` if the SHA-256 or the
    /// ETag of a part is unknown, or if there is no object of the upload.
    async fn declared_source(
        &self,
        upload: &Upload,
        rows: Vec<LedgerPart>,
    ) -> Result<Option<CompletionSource>, Refusal> {
        // A part without a row is not pinned.
        if u32::try_from(rows.len()) != Ok(upload.plan.count()) {
            return Ok(None);
        }
        let part_sha256: Option<Vec<_>> = rows.iter().map(|row| row.sha256.as_ref()).collect();
        let checksum = part_sha256
            .and_then(|part_sha256| validation::object_checksum(upload.is_single(), part_sha256));
        let Some(checksum) = checksum else {
            return Ok(None);
        };
        let (check, object) = self.check_object(upload, Some(&checksum)).await;
        match check {
            ObjectCheck::Matches | ObjectCheck::Damaged => {}
            ObjectCheck::Unknown => {
                return Err(Refusal::retry_after(Code::StoreUnavailable, RETRY_SECONDS));
            }
            ObjectCheck::Absent | ObjectCheck::Foreign => return Ok(None),
        }
        // The part of a single PUT is the object itself.
        let object = object.filter(|_| upload.is_single());
        let etag = object.as_ref().map(|object| &object.etag);
        Ok(CompletionSource::from_rows(upload, rows, etag))
    }

    /// Records that an event named a key that no upload has.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn record_unknown_key(&self, key: &Key, now: Timestamp) -> Result<(), Refusal> {
        let recorded = self.ledger.record_unknown_key(key, now).await;
        recorded.map_err(ledger_failed)
    }
}

/// Converts the result of a completion that an event has caused.
fn confirmation(result: Option<CompleteResult>) -> Result<Confirmation, Refusal> {
    match result {
        Some(Ok(Completion::Receipt(_))) => Ok(Confirmation::Decided),
        Some(Err(refusal)) if refusal.code == Code::Gone => Ok(Confirmation::Decided),
        // A client has claimed the upload in the meantime, and will complete it.
        Some(Err(refusal)) if refusal.code == Code::LeaseLost => Ok(Confirmation::NothingToDo),
        Some(Err(refusal)) => Err(refusal),
        Some(Ok(Completion::Pending(_))) | None => {
            Err(Refusal::retry_after(Code::Unavailable, RETRY_SECONDS))
        }
    }
}
