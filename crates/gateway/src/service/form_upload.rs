//! Uploads from browsers in one form, which the browser posts to the store.
//!
//! The browser does not report that it has posted the form. Sweeps poll for the object, and an
//! event of the store may name it. Until the form expires, it can be posted again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::completion::{CompleteResult, Completion};
use super::new_upload::internal_error;
use super::shared_state::Service;
use super::url_ttl::{MAX_FORM_BYTES, part_url_ttl};
use crate::auth::Owner;
use crate::lease::Renewed;
use crate::ledger::{TransitionOutcome, Upload, UploadKind};
use crate::limits::Quota;
use crate::metrics::metrics;
use crate::problem::{Refusal, report_ledger_error, store_failed};
use crate::time::after;
use upload_s3::SignedForm;
use upload_types::PartNumber;
use upload_types::plan::Plan;
use upload_types::wire::{BeginRequest, Code, StoredPart, UploadState};

/// The delays between polls for the object of a form.
const MIN_POLL_DELAY: Duration = Duration::from_secs(2);
const MAX_POLL_DELAY: Duration = Duration::from_mins(5);

impl Service {
    /// Begins an upload in one form, and signs the form. Until the size of the upload is known, the
    /// quota counts the maximum size of the form.
    ///
    /// # Errors
    /// As [`Service::begin_multipart`]; `rate_limited`; `invalid_request` if there are hooks, since
    /// the form could replace an object that they have accepted.
    pub async fn begin_form(
        self: &Arc<Self>,
        owner: &Owner,
        request: BeginRequest,
    ) -> Result<(Upload, SignedForm), Refusal> {
        if self.has_hooks() {
            let detail =
                "this gateway accepts uploads in parts only (Uppy: shouldUseMultipart: true)";
            return Err(Refusal::with_detail(Code::InvalidRequest, detail));
        }
        self.take_permits(owner, 1)?;
        let quota = self.quota(owner);
        let max_size = [quota.outstanding, quota.total]
            .into_iter()
            .flatten()
            .fold(MAX_FORM_BYTES, u64::min)
            .min(self.config().limits.max_size);
        let plan = Plan::pinned(max_size, max_size.max(1));
        let plan = plan.map_err(|error| internal_error(&error))?;
        let url_ttl = self.config().url_ttl;
        let now = self.now();
        let renewed = Renewed {
            lease_until: after(now, MIN_POLL_DELAY),
            expires_at: after(now, url_ttl.saturating_add(part_url_ttl(max_size, url_ttl))),
        };
        let key = upload_types::new_id();
        let upload = self
            .begin_browser_upload(owner, &key, request, (UploadKind::FormPost, plan), renewed)
            .await?;
        let form = self
            .unproven_store
            .sign_form(&upload.key, &upload.new_object(), max_size, url_ttl)
            .await
            .map_err(|fault| store_failed("sign a form", &fault))?;
        metrics().record_signed_parts(1);
        Ok((upload, form))
    }

    /// Completes an upload if its form was posted. Returns `None` if there is no object yet.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub(super) async fn complete_posted_form(
        self: &Arc<Self>,
        upload: &Upload,
    ) -> Result<Option<CompleteResult>, Refusal> {
        let object = self.find_own_object(upload).await;
        let object = object.map_err(|fault| store_failed("check an object", &fault))?;
        let Some(object) = object else {
            return Ok(None);
        };
        let part = StoredPart {
            number: PartNumber::FIRST,
            size: object.size,
            etag: object.etag,
            sha256: None,
        };
        // The quota was checked with the maximum size of the form when the upload began.
        let quota = Quota::default();
        let (upload, source) = self.measure(upload.clone(), vec![part], quota)?;
        let result = self.join_or_spawn(upload, source).result().await;
        let pending = Ok(Completion::Pending(UploadState::Completing));
        Ok(Some(result.unwrap_or(pending)))
    }

    /// Polls for the object of a form that a sweep holds until `until`. The delay until the next
    /// poll grows with the age of the form. After the form has expired, its upload is ended only if
    /// there is no object.
    pub(super) async fn poll_form(self: &Arc<Self>, upload: Upload, until: Timestamp) {
        // A failure is logged, and a sweep polls again when the lease has ended.
        if !matches!(self.complete_posted_form(&upload).await, Ok(None)) {
            return;
        }
        let now = self.now();
        if upload.expires_at <= now {
            self.expire_form(upload, until).await;
            return;
        }
        let age = Duration::try_from(now.duration_since(upload.created_at)).unwrap_or_default();
        let next = after(now, (age / 4).clamp(MIN_POLL_DELAY, MAX_POLL_DELAY));
        if let Err(error) = self
            .ledger
            .postpone_form_check(&upload.id, until, next)
            .await
        {
            report_ledger_error(&error);
        }
    }

    async fn expire_form(&self, upload: Upload, until: Timestamp) {
        let epoch = Some(upload.lease.epoch);
        match self.ledger.start_aborting(&upload.id, epoch, until).await {
            Ok(TransitionOutcome::Done) => {
                let upload = Upload {
                    state: UploadState::Aborting,
                    ..upload
                };
                // A failure is logged, and the upload stays in the state `aborting`.
                let _ = self.finish_abort(&upload, UploadState::Expired).await;
            }
            Ok(_) => {}
            Err(error) => report_ledger_error(&error),
        }
    }
}
