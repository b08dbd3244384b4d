//! Abort: the upload leaves the ledger's living first, then the store.
//!
//! Border: only what is ours is removed: the multipart upload of the row, or the object that carries its token.

use jiff::Timestamp;

use super::{Service, is_over};
use crate::auth::Owner;
use crate::ledger::{Transition, Upload};
use crate::metrics::metrics;
use crate::problem::{Refusal, store_failed};
use upload_s3::Fault;
use upload_types::crash;
use upload_types::wire::{Code, UploadState};

impl Service {
    /// Aborts an upload; done when the store has none of it. A URL signed before may still land a plain PUT until it expires.
    /// Who names an epoch aborts only what it still holds; who names none asks in nobody's name, as a person does.
    ///
    /// # Errors
    /// `lease_lost` for an epoch of the past, `not_abortable` once it is completing or complete, `busy` while it is being
    /// begun, `not_found`, `store_unavailable` (ask again).
    pub async fn abort(&self, owner: &Owner, id: &str, epoch: Option<u64>) -> Result<(), Refusal> {
        let upload = self.row(owner, id).await?;
        let _guard = self.enter(&upload.owner, &upload.idempotency_key)?;
        match upload.state {
            UploadState::Aborted | UploadState::Expired | UploadState::Rejected => return Ok(()),
            UploadState::Aborting => {}
            // Who lost the upload to another is to hear of that first, however far the other has come.
            _ if epoch.is_some_and(|epoch| epoch != upload.lease.epoch) => {
                return Err(Refusal::new(Code::LeaseLost));
            }
            UploadState::Completing | UploadState::Verified | UploadState::Ready => {
                return Err(Refusal::new(Code::NotAbortable));
            }
            UploadState::Pending | UploadState::Uploading => {
                let until = self.rules.terms.renewed(Timestamp::now()).lease_until;
                match self.ledger.start_aborting(&upload.id, epoch, until).await? {
                    Transition::Done => {}
                    Transition::LeaseLost => return Err(Refusal::new(Code::LeaseLost)),
                    Transition::WrongState(_) | Transition::PartMismatch(_) => {
                        return Err(Refusal::later(Code::Busy, 1));
                    }
                }
            }
        }
        crash::point("gateway.abort.marked");
        // Read again: the multipart upload may have been created since.
        self.clear(&self.row(owner, id).await?, UploadState::Aborted)
            .await
    }

    /// Takes an upload that is aborting out of the store, and ends it.
    pub(super) async fn clear(&self, upload: &Upload, to: UploadState) -> Result<(), Refusal> {
        self.drop_leftovers(upload)
            .await
            .map_err(|fault| store_failed("abort", &fault))?;
        crash::point("gateway.abort.dropped");
        if self.end(upload, &[UploadState::Aborting], to).await? {
            crash::point("gateway.abort.ended");
            tracing::info!(id = %upload.id, state = to.name(), "aborted");
        }
        Ok(())
    }

    /// Ends an upload. What was signed for it may be sent as long as its URL lives: then the sweep looks once more.
    pub(super) async fn end(
        &self,
        upload: &Upload,
        from: &'static [UploadState],
        to: UploadState,
    ) -> Result<bool, Refusal> {
        let last = self.life_of(upload);
        let look_again = Timestamp::now().checked_add(last).unwrap_or(Timestamp::MAX);
        let won = self.ledger.end(&upload.id, from, to, look_again).await?;
        if won {
            metrics().ended(to);
        }
        Ok(won)
    }

    /// Takes out of the store whatever of an upload has no use any more: all of it when it is over, spare multipart uploads
    /// when it is not.
    pub(super) async fn drop_leftovers(&self, upload: &Upload) -> Result<(), Fault> {
        let over = is_over(upload.state);
        if !upload.is_single() {
            self.drop_parts(upload, over).await?;
        }
        if over {
            self.drop_object(upload).await
        } else {
            Ok(())
        }
    }

    /// What a single PUT, or a complete that landed late, has made.
    async fn drop_object(&self, upload: &Upload) -> Result<(), Fault> {
        match self.store.head(&upload.key).await? {
            Some(head) if head.token.as_ref() == Some(&upload.token) => {
                self.store.delete(&upload.key).await
            }
            _ => Ok(()),
        }
    }

    /// Every multipart upload at our key, such as a create whose answer was lost has left there; the row's own only if it is
    /// over.
    pub(super) async fn drop_parts(&self, upload: &Upload, over: bool) -> Result<(), Fault> {
        let mut multiparts = self.store.find(&upload.key).await?;
        let own = upload.store_upload.as_ref();
        multiparts.retain(|multipart| Some(multipart) != own);
        multiparts.extend(own.filter(|_| over).cloned());
        for multipart in multiparts {
            match self.store.abort(&upload.key, &multipart).await {
                Ok(()) | Err(Fault::NoSuchUpload) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}
