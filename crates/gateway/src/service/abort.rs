//! Abort: ends an upload in the ledger, then removes it from the store.
//!
//! Only the multipart uploads at the upload's key and the object that carries its token are
//! removed. The object of an expired upload is removed only if it does not match (`recover`).

use super::completion_outcome::ExpiredObject;
use super::lifecycle::{is_complete, is_gone};
use super::shared_state::Service;
use super::url_ttl::LateWrites;
use crate::auth::Owner;
use crate::ledger::{Ending, TransitionOutcome, Upload};
use crate::metrics::metrics;
use crate::problem::{Refusal, ledger_failed, report_ledger_error, store_failed};
use upload_s3::{DeleteCondition, Fault};
use upload_types::UploadId;
use upload_types::crash;
use upload_types::wire::{Code, UploadState};

/// What to do with the multipart upload that the ledger names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedMultipart {
    Keep,
    Abort,
}

/// The effect of an abort on a ready upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    Keep,
    /// Removes it, if the operator permits this.
    Remove,
}

/// The states in which an upload has an object, or may have one.
pub(super) const REMOVABLE: &[UploadState] = &[
    UploadState::Verified,
    UploadState::Ready,
    UploadState::Rejected,
    UploadState::Expired,
];

/// Checks that a client may remove an upload in the state `verified` or `ready`. A client that
/// names its epoch gives up its own transfer, and never a finished one.
fn check_removable(
    state: UploadState,
    epoch: Option<u64>,
    finished: Finished,
    client_delete: bool,
) -> Result<(), Refusal> {
    let refuse = |detail: &str| Err(Refusal::with_detail(Code::NotAbortable, detail));
    match (state, epoch, finished) {
        // The hooks have not accepted it yet.
        (UploadState::Verified, None, _) => Ok(()),
        (_, Some(_), _) | (_, None, Finished::Keep) => Err(Refusal::new(Code::NotAbortable)),
        (_, None, Finished::Remove) if client_delete => Ok(()),
        (_, None, Finished::Remove) => {
            refuse("the upload is finished, and this gateway does not let clients delete objects")
        }
    }
}

impl Service {
    /// Aborts an upload and removes it from the store. With an epoch, aborts only if the caller
    /// still holds the lease. Without one, aborts regardless of the holder (a manual abort), also
    /// if hooks have not accepted the object yet. A URL that was signed earlier may still create
    /// the object of a single PUT until it expires.
    ///
    /// # Errors
    /// `lease_lost` for an earlier epoch, `not_abortable` once the upload is completing or
    /// complete (see [`Finished`]), `busy` while it is being begun, `key_in_use` for a complete
    /// upload while another one is unfinished at its chosen key, `rate_limited`, `not_found`,
    /// `store_unavailable` (repeat the request).
    pub async fn abort(
        &self,
        owner: &Owner,
        id: &str,
        epoch: Option<u64>,
        finished: Finished,
    ) -> Result<(), Refusal> {
        self.take_permits(owner, 1)?;
        self.abort_permitted(owner, id, epoch, finished).await
    }

    /// Like [`Service::abort`], without a permit of the owner's rate.
    async fn abort_permitted(
        &self,
        owner: &Owner,
        id: &str,
        epoch: Option<u64>,
        finished: Finished,
    ) -> Result<(), Refusal> {
        let upload = self.find_row(owner, id).await?;
        let _guard = self.lock_key(&upload.owner, &upload.idempotency_key)?;
        match upload.state {
            UploadState::Rejected
                if finished == Finished::Remove && upload.keeps_rejected_object() =>
            {
                let detail = "the upload was rejected, and its object is kept for the operator";
                return Err(Refusal::with_detail(Code::NotAbortable, detail));
            }
            UploadState::Aborted | UploadState::Expired | UploadState::Rejected => return Ok(()),
            // The epoch is checked before the state, since the new holder may have changed the
            // state.
            _ if epoch.is_some_and(|epoch| epoch != upload.lease.epoch) => {
                return Err(Refusal::new(Code::LeaseLost));
            }
            UploadState::Aborting => {}
            UploadState::Completing => return Err(Refusal::new(Code::NotAbortable)),
            UploadState::Verified | UploadState::Ready => {
                check_removable(upload.state, epoch, finished, self.config().client_delete)?;
                return self.remove(&upload).await;
            }
            UploadState::Pending | UploadState::Uploading => {
                let until = self.renewed().lease_until;
                let outcome = self.ledger.start_aborting(&upload.id, epoch, until).await;
                match outcome.map_err(ledger_failed)? {
                    TransitionOutcome::Done => {}
                    TransitionOutcome::LeaseLost => return Err(Refusal::new(Code::LeaseLost)),
                    TransitionOutcome::WrongState(_) | TransitionOutcome::PartMismatch(_) => {
                        return Err(Refusal::retry_after(Code::Busy, 1));
                    }
                }
            }
        }
        crash::point("gateway.abort.marked");
        // The multipart upload may have been created since the first read.
        let upload = self.find_row(owner, id).await?;
        self.finish_abort(&upload, upload.state_after_abort())
            .await?;
        if is_complete(self.find_row(owner, id).await?.state) {
            return Err(Refusal::new(Code::NotAbortable));
        }
        Ok(())
    }

    /// Removes an upload with its object: one that is ready or waits for hooks, or a rejected or
    /// expired one whose object was kept.
    ///
    /// # Errors
    /// `busy` if its state has changed, `key_in_use` while another upload is unfinished at its
    /// chosen key, `store_unavailable` (repeat the request).
    async fn remove(&self, upload: &Upload) -> Result<(), Refusal> {
        // First, since the ledger forgets the key of the quarantine.
        if let Some(key) = upload.quarantine_key() {
            self.store
                .delete_versions(&key, |object| upload.owns(object), DeleteCondition::None)
                .await
                .map_err(|fault| removal_failed(&fault))?;
        }
        let until = self.renewed().lease_until;
        let started = self.ledger.start_removing(&upload.id, REMOVABLE, until);
        if !started.await.map_err(ledger_failed)? {
            let in_use = self.ledger.is_key_in_use(&upload.key, &upload.id).await;
            let code = if in_use.map_err(ledger_failed)? {
                Code::KeyInUse
            } else {
                Code::Busy
            };
            return Err(Refusal::retry_after(code, 1));
        }
        let upload = Upload {
            state: UploadState::Aborting,
            ..upload.clone()
        };
        self.finish_abort(&upload, UploadState::Aborted).await
    }

    /// Removes an upload of any owner in any state, on behalf of the operator.
    ///
    /// # Errors
    /// `not_found`; `not_abortable` while the upload is being completed; `busy`, `key_in_use`,
    /// `store_unavailable`, `unavailable`: repeat the call.
    pub async fn remove_for_operator(&self, id: &UploadId) -> Result<(), Refusal> {
        let owner = self.ledger.owner_of(id).await.map_err(ledger_failed)?;
        let owner = Owner::new(owner.ok_or_else(|| Refusal::new(Code::NotFound))?);
        let upload = self.find_row(&owner, id.as_str()).await?;
        if REMOVABLE.contains(&upload.state) {
            let _guard = self.lock_key(&upload.owner, &upload.idempotency_key)?;
            return self.remove(&upload).await;
        }
        self.abort_permitted(&owner, id.as_str(), None, Finished::Remove)
            .await
    }

    /// Removes an aborting upload from the store and ends it in the state `to`. An expired upload
    /// with an object that matches becomes verified instead.
    pub(super) async fn finish_abort(
        &self,
        upload: &Upload,
        to: UploadState,
    ) -> Result<(), Refusal> {
        if to == UploadState::Expired {
            let removed = self.remove_expired(upload, &[UploadState::Aborting]);
            if removed.await? == ExpiredObject::Verified {
                return Ok(());
            }
        } else {
            self.remove_leftovers(upload)
                .await
                .map_err(|fault| removal_failed(&fault))?;
        }
        crash::point("gateway.abort.removed");
        if self.end(upload, &[UploadState::Aborting], to).await? {
            crash::point("gateway.abort.ended");
        }
        Ok(())
    }

    /// Ends an upload that is in one of the states `from`, and schedules a cleanup for the time
    /// when all its URLs have expired. Until then and a while longer, bytes may still arrive in the
    /// store. Returns false if the upload is in another state.
    pub(super) async fn end(
        &self,
        upload: &Upload,
        from: &'static [UploadState],
        to: UploadState,
    ) -> Result<bool, Refusal> {
        let now = self.now();
        let late_writes = LateWrites::of(upload, self.config().url_ttl, now);
        let ending = Ending {
            now,
            cleanup_at: late_writes.map(|writes| writes.urls_end),
            may_land_until: late_writes.and_then(|writes| writes.possible_until),
        };
        let has_ended = self
            .ledger
            .end(&upload.id, from, to, ending)
            .await
            .map_err(ledger_failed)?;
        if has_ended {
            metrics().record_final_state(to);
            self.audit_ended(upload, to).await;
        }
        Ok(has_ended)
    }

    /// Removes the leftovers of an expired upload from the store, and returns the decision about
    /// its object. An object that may be complete is kept. If it matches, the upload is verified
    /// now, unless another call has moved it from the states `from`.
    pub(super) async fn remove_expired(
        &self,
        upload: &Upload,
        from: &'static [UploadState],
    ) -> Result<ExpiredObject, Refusal> {
        let object = self
            .find_own_object(upload)
            .await
            .map_err(|fault| removal_failed(&fault))?;
        let decision = match &object {
            Some(object) => self.recover(upload, object, from).await?,
            None => ExpiredObject::Leftover,
        };
        if decision == ExpiredObject::Verified {
            return Ok(decision);
        }
        if !upload.is_single() {
            self.remove_multiparts(upload, NamedMultipart::Abort)
                .await
                .map_err(|fault| removal_failed(&fault))?;
        }
        if object.is_some() && decision == ExpiredObject::Leftover {
            self.delete_object(upload)
                .await
                .map_err(|fault| removal_failed(&fault))?;
        }
        Ok(decision)
    }

    /// Removes the leftovers of an upload from the store. If the upload is gone, these are its
    /// object and all its multipart uploads; otherwise, the multipart uploads that the ledger does
    /// not name.
    pub(super) async fn remove_leftovers(&self, upload: &Upload) -> Result<(), Fault> {
        let is_gone = is_gone(upload.state);
        if !upload.is_single() {
            let named = if is_gone {
                NamedMultipart::Abort
            } else {
                NamedMultipart::Keep
            };
            self.remove_multiparts(upload, named).await?;
        }
        // The object of a single PUT, or of a complete that took effect late.
        if is_gone {
            self.delete_object(upload).await?;
        }
        Ok(())
    }

    /// Deletes the object that carries the token of the upload, if there is one, with its versions.
    /// At a chosen key, another upload could replace it in between: it is not deleted while another
    /// one is unfinished there.
    pub(super) async fn delete_object(&self, upload: &Upload) -> Result<(), Fault> {
        let mut condition = DeleteCondition::None;
        if upload.chosen.is_some() {
            if self.find_own_object(upload).await?.is_none() {
                return Ok(());
            }
            let in_use = self.ledger.is_key_in_use(&upload.key, &upload.id).await;
            if in_use.inspect_err(report_ledger_error).unwrap_or(true) {
                let reason =
                    "the object is not deleted while another upload is unfinished at its key";
                return Err(Fault::Unavailable(reason.into()));
            }
            condition = DeleteCondition::Unchanged;
        }
        let deletion = self
            .store
            .delete_versions(&upload.key, |object| upload.owns(object), condition)
            .await?;
        tracing::debug!(id = %upload.id, ?deletion, "object of an ended upload deleted");
        Ok(())
    }

    /// Aborts the multipart uploads at the upload's key. There may be several if the response to a
    /// create was lost. At a chosen key only the one that the ledger names: others belong to other
    /// uploads or to other programs.
    pub(super) async fn remove_multiparts(
        &self,
        upload: &Upload,
        named: NamedMultipart,
    ) -> Result<(), Fault> {
        let mut multiparts = if upload.chosen.is_some() {
            Vec::new()
        } else {
            self.store.find(&upload.key).await?
        };
        let named_id = upload.store_upload.as_ref();
        multiparts.retain(|multipart| Some(multipart) != named_id);
        // The list of the store may lack the multipart upload that the ledger names.
        if named == NamedMultipart::Abort {
            multiparts.extend(named_id.cloned());
        }
        for multipart in multiparts {
            match self.store.abort(&upload.key, &multipart).await {
                Ok(()) | Err(Fault::NoSuchUpload) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

pub(super) fn removal_failed(fault: &Fault) -> Refusal {
    store_failed("remove an upload", fault)
}
