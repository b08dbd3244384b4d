//! Recover: verifies an object whose upload has expired in the ledger.
//!
//! The object in the store decides, not the ledger. A ledger that was restored from a backup, or a
//! clock that is ahead, makes an upload expire although its object was verified earlier. Such an
//! object is never deleted: its upload becomes verified again.
//!
//! Not here: the removal of all other leftovers (`abort`).

use super::completion_outcome::{ExpiredObject, expired_object};
use super::completion_source::CompletionSource;
use super::shared_state::Service;
use crate::ledger::Upload;
use crate::problem::{Refusal, ledger_failed};
use upload_s3::Head;
use upload_types::Checksum;
use upload_types::wire::{Proof, UploadState};

impl Service {
    /// Decides about the object that an expired upload has at its key. If it matches, records the
    /// upload as verified, from one of the states `from`.
    ///
    /// # Errors
    /// `unavailable`: the decision must be repeated.
    pub(super) async fn recover(
        &self,
        upload: &Upload,
        object: &Head,
        from: &'static [UploadState],
    ) -> Result<ExpiredObject, Refusal> {
        let rows = self.ledger.parts(&upload.id, 0, upload.max_parts()).await;
        let rows = rows.map_err(ledger_failed)?;
        // The ETags of parts are not needed any more.
        let source = upload
            .kind
            .declares_parts()
            .then(|| CompletionSource::from_rows(upload, rows, Some(&object.etag)))
            .flatten();
        let checksum: Option<&Checksum> = source.as_ref().and_then(CompletionSource::checksum);
        // Without a proof, only the store's checksum shows which bytes the object has.
        let checksum =
            checksum.filter(|_| object.checksum.is_some() || self.store.proof() != Proof::None);
        let size = upload.plan.size();
        let unsigned = self.unsigned_headers(upload, object);
        let decision = expired_object(object, upload.kind, size, checksum, &unsigned);
        match (decision, &source) {
            (ExpiredObject::Verified, Some(source)) => {
                let receipt = self.receipt(upload, source, object);
                let hooks_due_at = self.new_hooks_due_at();
                let recorded = self
                    .ledger
                    .mark_recovered(&receipt, from, hooks_due_at)
                    .await;
                if recorded.map_err(ledger_failed)? {
                    tracing::warn!(
                        id = %upload.id, key = %upload.key,
                        "upload has expired in the ledger, but its object is complete: the upload is verified"
                    );
                    self.on_verified(upload, receipt).await;
                }
            }
            (ExpiredObject::Unknown, _) => tracing::error!(
                id = %upload.id, key = %upload.key,
                "object of an expired upload is kept: the ledger lacks the checksums of its parts, \
                 or the object has other headers"
            ),
            _ => {}
        }
        Ok(decision)
    }
}
