//! The disposal of an object that a hook has rejected: it is deleted, moved to the quarantine, or
//! kept.
//!
//! The state of the upload changes first. From then on, the process that holds the cleanup of the
//! row disposes of the object, and repeats this until it succeeds. A presigned URL of a single PUT
//! may create the object again, so the disposal is repeated when the URL has expired.

use jiff::Timestamp;
use tokio::time::sleep;

use super::abort::NamedMultipart;
use super::new_upload::object_key;
use super::shared_state::Service;
use super::url_ttl::{LateWrites, NextCheck, next_check};
use crate::hooks::{Disposal, Hook, Hooks, OnReject, Reason};
use crate::ledger::{LedgerError, PendingHooks, Rejection, Remainder, Upload};
use crate::metrics::metrics;
use crate::problem::{report_ledger_error, report_store_fault};
use upload_s3::Fault;
use upload_types::Key;
use upload_types::crash;
use upload_types::wire::UploadState;

/// A rejection. This process holds the cleanup of its upload until `until`.
pub struct HeldRejection {
    pub rejection: Rejection,
    pub until: Timestamp,
    /// Until this time the object may appear again; `None` if the row of the upload has it.
    pub late_writes_until: Option<Timestamp>,
}

/// The key of a rejected object below the quarantine. Several uploads may have the same chosen key,
/// and each rejected object is kept.
fn key_in_quarantine(upload: &Upload) -> Key {
    let made = upload
        .chosen
        .as_ref()
        .and_then(|_| object_key(&upload.owner, upload.id.as_str(), &upload.name).ok());
    made.unwrap_or_else(|| upload.key.clone())
}

impl Service {
    /// Rejects an upload on behalf of a hook. Returns `None` if another gateway has taken the hooks
    /// of the upload.
    pub(super) async fn reject(
        &self,
        pending: &PendingHooks,
        hooks: &Hooks,
        hook: &Hook,
        reason: Reason,
    ) -> Result<Option<HeldRejection>, LedgerError> {
        let PendingHooks { upload, epoch, .. } = pending;
        let now = self.now();
        let disposal = match hooks.on_reject() {
            OnReject::Delete => Disposal::Delete,
            OnReject::Keep => Disposal::Keep,
            OnReject::Quarantine(prefix) => {
                Disposal::Quarantine(format!("{prefix}/{}", key_in_quarantine(upload)))
            }
        };
        let rejection = Rejection {
            hook: hook.name.clone(),
            reason,
            disposal,
            until: LateWrites::of(upload, self.config().url_ttl, now)
                .and_then(|writes| writes.possible_until),
        };
        let until = self.config().lease_terms.renewed(now).lease_until;
        let is_rejected = self
            .ledger
            .mark_rejected(&upload.id, *epoch, &rejection, (now, until))
            .await?;
        if !is_rejected {
            return Ok(None);
        }
        crash::point("gateway.hooks.rejected");
        metrics().record_final_state(UploadState::Rejected);
        self.audit_rejected(upload, &rejection).await;
        let late_writes_until = rejection.until;
        Ok(Some(HeldRejection {
            rejection,
            until,
            late_writes_until,
        }))
    }

    /// Disposes of a rejected object while this process holds the cleanup of the row. Returns false
    /// after a failure. A sweep then repeats the disposal.
    pub(super) async fn dispose(&self, upload: &Upload, mut held: HeldRejection) -> bool {
        let mut dispose = std::pin::pin!(self.dispose_object(upload, &held.rejection));
        let disposed = loop {
            tokio::select! {
                disposed = &mut dispose => break disposed,
                // A copy may take the store longer than the lease.
                () = sleep(self.config().lease_terms.lease_ttl / 3) => {
                    let next = self.renewed().lease_until;
                    match self.ledger.reschedule_cleanup(&upload.id, held.until, next).await {
                        Ok(true) => held.until = next,
                        Ok(false) => return false,
                        Err(error) => report_ledger_error(&error),
                    }
                }
            }
        };
        if let Err(fault) = disposed {
            report_store_fault("dispose of a rejected object", &fault);
            return false;
        }
        crash::point("gateway.hooks.disposed");
        // The row was read before the rejection, if this process has decided it.
        let may_land_until = match held.rejection.disposal {
            Disposal::Keep => None,
            _ => upload.may_land_until.or(held.late_writes_until),
        };
        let remainder = Remainder::Nothing;
        self.schedule_next_check(upload, held.until, may_land_until, remainder)
            .await
    }

    /// Schedules the next check of an ended upload that the caller has taken until `until`. Returns
    /// false after a failure.
    pub(super) async fn schedule_next_check(
        &self,
        upload: &Upload,
        until: Timestamp,
        may_land_until: Option<Timestamp>,
        remainder: Remainder,
    ) -> bool {
        let (id, ledger) = (&upload.id, &self.ledger);
        let scheduled = match next_check(may_land_until, self.now()) {
            NextCheck::WhenWritesEnd(at) => ledger.reschedule_cleanup(id, until, at).await,
            NextCheck::AfterWrites(at) => ledger.record_end_of_writes(id, until, at).await,
            NextCheck::Never => ledger.finish_cleanup(id, until, remainder).await,
        };
        match scheduled {
            Ok(_) => true,
            Err(error) => {
                report_ledger_error(&error);
                false
            }
        }
    }

    async fn dispose_object(&self, upload: &Upload, rejection: &Rejection) -> Result<(), Fault> {
        if !upload.is_single() {
            self.remove_multiparts(upload, NamedMultipart::Abort)
                .await?;
        }
        let object = self.find_own_object(upload).await?;
        if object.is_none() || rejection.disposal == Disposal::Keep {
            return Ok(());
        }
        if let Disposal::Quarantine(to) = &rejection.disposal {
            let to = to
                .parse()
                .map_err(|_| Fault::Refused("the key in the quarantine is not valid".into()))?;
            self.store
                .copy(&upload.key, &to, &upload.new_object(), upload.plan.size())
                .await?;
            crash::point("gateway.hooks.copied");
        }
        self.delete_object(upload).await
    }
}
