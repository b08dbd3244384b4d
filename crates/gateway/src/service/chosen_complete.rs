//! The complete of a multipart upload at a key that its client has chosen: on condition that no
//! object is there, or the one that the upload replaces.
//!
//! Not here: the decision (`completion_outcome`).

use super::complete::StoreOutcome;
use super::completion::CompleteResult;
use super::completion_outcome::{
    CompletionOutcome, ForeignObject, ObjectCheck, outcome_at_chosen_key,
};
use super::lifecycle::is_gone;
use super::new_upload::without_mtime;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::ledger::{ChosenKey, TransitionOutcome, Upload};
use crate::problem::{Refusal, ledger_failed};
use upload_s3::{Fault, Head, NewObject, WriteCondition};
use upload_types::ETag;
use upload_types::wire::{Code, CompleteRequest, UploadState};

impl Upload {
    /// The condition under which its object takes its key.
    pub(super) fn condition(&self) -> WriteCondition<'_> {
        let chosen = self.chosen.as_ref();
        WriteCondition::replacing(chosen.and_then(|chosen| chosen.replaces.as_ref()))
    }
}

impl Service {
    /// Completes a multipart upload at a chosen key, and checks the object. If the store does not
    /// enforce the condition, the object at the key is compared directly before.
    pub(super) async fn complete_at_chosen_key(
        &self,
        upload: &Upload,
        multipart: &str,
        request: &CompleteRequest,
        chosen: &ChosenKey,
    ) -> StoreOutcome {
        let checksum = Some(&request.checksum);
        let replaces = chosen.replaces.as_ref();
        let mut condition = upload.condition();
        if !self.store.enforces(condition) {
            let (check, object) = self.check_object(upload, checksum).await;
            match (check, foreign(object.as_ref(), replaces)) {
                (ObjectCheck::Matches, _) => return (CompletionOutcome::Verified, object),
                (ObjectCheck::Damaged, _) => return (CompletionOutcome::Damaged, object),
                (ObjectCheck::Unknown, _) => return (CompletionOutcome::Undecided, None),
                (ObjectCheck::Foreign, ForeignObject::Other) => {
                    return (CompletionOutcome::Exists, object);
                }
                (ObjectCheck::Foreign, ForeignObject::Replaced) => {}
                (ObjectCheck::Absent, _) => condition = WriteCondition::Absent,
            }
        }
        let mut response = self
            .request_complete(upload, multipart, request, condition)
            .await;
        let (mut check, mut object) = self.check_object(upload, checksum).await;
        let is_refused = matches!(response, Err(Fault::PreconditionFailed | Fault::Refused(_)));
        if is_refused && check == ObjectCheck::Absent && condition != WriteCondition::Absent {
            // The object that the upload was to replace was deleted in the meantime.
            response = self
                .request_complete(upload, multipart, request, WriteCondition::Absent)
                .await;
            (check, object) = self.check_object(upload, checksum).await;
        }
        if let Err(fault) = &response {
            tracing::warn!(id = %upload.id, ?fault, "complete failed in the store");
        }
        let foreign = foreign(object.as_ref(), replaces);
        let outcome = outcome_at_chosen_key(response.as_ref().copied(), check, foreign);
        (outcome, object)
    }

    /// Ends a completing upload because another object has come to its chosen key.
    pub(super) async fn on_exists(&self, upload: &Upload, object: Option<Head>) -> CompleteResult {
        tracing::info!(
            id = %upload.id, key = %upload.key,
            "another object is at the chosen key: the upload is aborted"
        );
        let from = &[UploadState::Completing];
        if !self.end(upload, from, UploadState::Aborted).await? {
            let outcome = TransitionOutcome::WrongState(UploadState::Aborted);
            return self.result_of_other_call(upload, outcome).await;
        }
        if let Some(multipart) = &upload.store_upload
            && let Err(fault) = self.store.abort(&upload.key, multipart).await
        {
            // The cleanup repeats it.
            tracing::warn!(key = %upload.key, ?fault, "could not abort a multipart upload");
        }
        let Some(object) = object else {
            return Err(Refusal::new(Code::Exists));
        };
        let owner = Owner::new(upload.owner.clone());
        let creator = match &object.token {
            Some(token) => {
                let creator = self.ledger.upload_of_object(&upload.key, token).await;
                creator.map_err(ledger_failed)?
            }
            None => None,
        };
        if creator
            .as_ref()
            .is_some_and(|creator| is_gone(creator.state))
        {
            // The next begin removes it.
            let detail = "a late request of an ended upload has created an object at this key";
            return Err(Refusal::with_detail(Code::Gone, detail));
        }
        let metadata = without_mtime(&upload.metadata);
        let wanted = NewObject {
            name: "",
            metadata: &metadata,
            ..upload.new_object()
        };
        let existing = self
            .describe_existing(&owner, &upload.key, &object, (&wanted, creator.as_ref()))
            .await?;
        Err(Refusal::exists(existing))
    }
}

/// Whether an object that does not belong to the upload is the one that the upload replaces.
fn foreign(object: Option<&Head>, replaces: Option<&ETag>) -> ForeignObject {
    let etag = object.map(|object| &object.etag);
    if etag.is_some() && etag == replaces {
        ForeignObject::Replaced
    } else {
        ForeignObject::Other
    }
}
