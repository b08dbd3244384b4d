//! The audit log: one line for each upload that is ready or has ended, at the default log level.
//!
//! A line has no secret. Texts that clients choose are quoted and escaped, so that a line is one
//! line.

use std::sync::Arc;

use super::shared_state::Service;
use crate::ledger::{Rejection, Upload};
use upload_types::sync::lock;
use upload_types::wire::{Receipt, UploadState};

const MAX_CACHED_SUBJECTS: usize = 10_000;

impl Service {
    /// Logs an upload that is ready.
    pub(super) async fn audit_ready(&self, upload: &Upload, receipt: &Receipt) {
        self.audit(UploadState::Ready, upload, Some(receipt), None)
            .await;
    }

    /// Logs an upload that has ended in this state.
    pub(super) async fn audit_ended(&self, upload: &Upload, state: UploadState) {
        self.audit(state, upload, upload.receipt.as_ref(), None)
            .await;
    }

    /// Logs an upload that a hook has rejected.
    pub(super) async fn audit_rejected(&self, upload: &Upload, rejection: &Rejection) {
        let receipt = upload.receipt.as_ref();
        self.audit(UploadState::Rejected, upload, receipt, Some(rejection))
            .await;
    }

    async fn audit(
        &self,
        state: UploadState,
        upload: &Upload,
        receipt: Option<&Receipt>,
        rejection: Option<&Rejection>,
    ) {
        let subject = if self.config().log_subjects {
            self.subject_of(&upload.owner).await
        } else {
            None
        };
        let key = self.store.key_in_bucket(&upload.key);
        let event = event(state, receipt.is_some());
        tracing::info!(
            target: "upload_audit",
            event,
            id = %upload.id,
            owner = upload.owner,
            subject = subject.as_deref(),
            key = key.as_str(),
            size = receipt.map_or(upload.plan.size(), |receipt| receipt.size),
            proof = receipt.map(|receipt| receipt.proof.name()),
            name = upload.name,
            hook = rejection.map(|rejection| rejection.hook.as_str()),
            reason = rejection.map(|rejection| rejection.reason.as_str()),
            disposal = rejection.map(|rejection| rejection.disposal.name()),
            "upload {event}",
        );
    }

    /// The subject of the owner with this segment. Returns `None` while the ledger does not
    /// respond.
    pub(super) async fn subject_of(&self, segment: &str) -> Option<Arc<str>> {
        let cached = lock(&self.subjects).get(segment).cloned();
        if cached.is_some() {
            return cached;
        }
        let subject: Arc<str> = self.ledger.subject(segment).await.ok()??.into();
        let mut subjects = lock(&self.subjects);
        if subjects.len() >= MAX_CACHED_SUBJECTS {
            subjects.clear();
        }
        subjects.insert(segment.to_owned(), Arc::clone(&subject));
        Some(subject)
    }
}

/// The name of the event. An upload that had its receipt and is aborted is a deleted one.
fn event(state: UploadState, has_receipt: bool) -> &'static str {
    match state {
        UploadState::Aborted if has_receipt => "deleted",
        state => state.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_upload_that_is_removed_is_deleted() {
        assert_eq!(event(UploadState::Aborted, true), "deleted");
        assert_eq!(event(UploadState::Aborted, false), "aborted");
        assert_eq!(event(UploadState::Ready, true), "ready");
    }
}
