//! Abort: the upload leaves the ledger's living first, then the store.
//!
//! Border: only what is ours is removed: the multipart upload of the row, or the object that carries its token.

use super::Service;
use crate::gateway::auth::Owner;
use crate::gateway::ledger::Upload;
use crate::gateway::problem::{Refusal, store_failed};
use crate::gateway::store::Fault;
use crate::wire::{Code, State};

impl Service {
    /// Aborts an upload; done when the store has none of it. A URL signed before may still land a plain PUT until it expires.
    ///
    /// # Errors
    /// `not_abortable` once it is completing or complete, `busy` while it is being begun, `not_found`, `store_unavailable`
    /// (ask again).
    pub async fn abort(&self, owner: &Owner, id: &str) -> Result<(), Refusal> {
        let upload = self.find(owner, id).await?;
        let _guard = self.enter(&upload.owner, &upload.idempotency_key)?;
        match upload.state {
            State::Aborted | State::Expired | State::Rejected => return Ok(()),
            State::Completing | State::Verified | State::Ready => return Err(Refusal::new(Code::NotAbortable)),
            State::Pending | State::Uploading => {
                let from = &[State::Pending, State::Uploading];
                if !self.ledger.set_state(&upload.id, from, State::Aborting).await? {
                    return Err(Refusal::later(Code::Busy, 1));
                }
            }
            State::Aborting => {}
        }
        // Read again: the multipart upload may have been created since.
        let upload = self.find(owner, id).await?;
        let done =
            if upload.plan.is_single() { self.drop_object(&upload).await } else { self.drop_parts(&upload).await };
        done.map_err(|fault| store_failed("abort", &fault))?;
        self.ledger.set_state(&upload.id, &[State::Aborting], State::Aborted).await?;
        tracing::info!(id = %upload.id, "aborted");
        Ok(())
    }

    async fn drop_object(&self, upload: &Upload) -> Result<(), Fault> {
        match self.store.head(&upload.key).await? {
            Some(head) if head.token.as_ref() == Some(&upload.token) => self.store.delete(&upload.key).await,
            _ => Ok(()),
        }
    }

    /// Our row's multipart upload and any other at our key, which a create whose answer was lost has left there; then what a
    /// complete that landed late made of them.
    async fn drop_parts(&self, upload: &Upload) -> Result<(), Fault> {
        let mut multiparts = self.store.find(&upload.key).await?;
        multiparts.extend(upload.store_upload.clone().filter(|own| !multiparts.contains(own)));
        for multipart in multiparts {
            match self.store.abort(&upload.key, &multipart).await {
                Ok(()) | Err(Fault::NoSuchUpload) => {}
                Err(fault) => return Err(fault),
            }
        }
        self.drop_object(upload).await
    }
}
