//! What becomes of an object that a hook has rejected: it goes, or moves to the quarantine, or stays where nobody reads it.
//!
//! Border: the row is rejected first; from then on whoever looks after it does this, again and again until it is done. Of a single PUT
//! the URL may live on and bring the object back, so that it is looked for once more.

use jiff::Timestamp;
use tokio::time::sleep;

use super::{Service, object};
use crate::hooks::{Fate, Hook, OnReject, Reason};
use crate::ledger::{LedgerResult, PendingHooks, Rejection, Upload};
use crate::metrics::metrics;
use crate::problem::{Refusal, store_failed};
use upload_s3::Fault;
use upload_types::crash;
use upload_types::wire::UploadState;

impl Service {
    /// Rejects an upload for who holds its hooks; what is to become of its object, and until when that is held. None for who was
    /// overtaken.
    pub(super) async fn reject(
        &self,
        hooked: &PendingHooks,
        hook: &Hook,
        reason: Reason,
    ) -> LedgerResult<Option<(Rejection, Timestamp)>> {
        let PendingHooks { upload, epoch, .. } = hooked;
        let now = Timestamp::now();
        let fate = match &self.rules.hooks.on_reject {
            OnReject::Delete => Fate::Delete,
            OnReject::Keep => Fate::Keep,
            OnReject::Quarantine(prefix) => Fate::Quarantine(format!("{prefix}/{}", upload.key)),
        };
        let last = now
            .checked_add(self.life_of(upload))
            .unwrap_or(Timestamp::MAX);
        let rejection = Rejection {
            hook: hook.name.clone(),
            reason,
            fate,
            until: last,
        };
        let held = self.rules.terms.renewed(now).lease_until;
        if !self
            .ledger
            .mark_rejected(&upload.id, *epoch, &rejection, held)
            .await?
        {
            return Ok(None);
        }
        crash::point("gateway.hooks.rejected");
        metrics().ended(UploadState::Rejected);
        let Rejection {
            hook, reason, fate, ..
        } = &rejection;
        tracing::warn!(id = %upload.id, key = %upload.key, hook, reason = reason.as_str(), ?fate, "rejected");
        Ok(Some((rejection, held)))
    }

    /// Does with the object what was decided, for who holds that `until` the time given; whether that was done. What fails is
    /// logged, and done by a sweep.
    pub(super) async fn see_to(
        &self,
        upload: &Upload,
        rejection: &Rejection,
        mut until: Timestamp,
    ) -> bool {
        let mut done = std::pin::pin!(self.dispose(upload, rejection));
        let disposed = loop {
            tokio::select! {
                disposed = &mut done => break disposed,
                // A copy may take the store long.
                () = sleep(self.rules.terms.lease / 3) => {
                    let next = self.rules.terms.renewed(Timestamp::now()).lease_until;
                    match self.ledger.reschedule_cleanup(&upload.id, until, Some(next)).await {
                        Ok(true) => until = next,
                        Ok(false) => return false,
                        Err(error) => drop(Refusal::from(error)),
                    }
                }
            }
        };
        if let Err(fault) = disposed {
            let _ = store_failed("see to a rejected object", &fault);
            return false;
        }
        crash::point("gateway.hooks.disposed");
        // As long as the URL of a single PUT lives, the object may come back.
        let again = upload.is_single()
            && rejection.fate != Fate::Keep
            && Timestamp::now() < rejection.until;
        let next = again.then_some(rejection.until);
        self.ledger
            .reschedule_cleanup(&upload.id, until, next)
            .await
            .map_err(Refusal::from)
            .is_ok()
    }

    async fn dispose(&self, upload: &Upload, rejection: &Rejection) -> Result<(), Fault> {
        if !upload.is_single() {
            self.drop_parts(upload, true).await?;
        }
        let ours = self
            .store
            .head(&upload.key)
            .await?
            .filter(|head| head.token.as_ref() == Some(&upload.token));
        if ours.is_none() || rejection.fate == Fate::Keep {
            return Ok(());
        }
        if let Fate::Quarantine(to) = &rejection.fate {
            let to = to
                .parse()
                .map_err(|_| Fault::Refused("the quarantine's key is none".into()))?;
            self.store
                .copy(&upload.key, &to, &object(upload), upload.plan.size())
                .await?;
            crash::point("gateway.hooks.copied");
        }
        self.store.delete(&upload.key).await
    }
}
