//! Begin: inserts the row of an upload, then creates its multipart upload in the store.
//!
//! The row is committed before the first request to the store, so that everything that the gateway
//! creates in the store is at the key of a row.

use std::sync::Arc;

use super::copy::check_copies;
use super::lifecycle::{accepts_parts, is_gone, with_expiry};
use super::multipart::Reuse;
use super::new_upload::Arrival;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::ledger::{BeginRefusal, NewUpload, Upload, UploadKind};
use crate::metrics::metrics;
use crate::problem::{Refusal, ledger_failed};
use crate::validation;
use upload_types::crash;
use upload_types::plan::{Plan, PlanError};
use upload_types::schedule::Schedule;
use upload_types::wire::{
    Attributes, BeginRequest, BeginResponse, ClaimRequest, Code, PartCopy, UploadState,
};

/// A begun upload.
pub struct Begun {
    pub response: BeginResponse,
    /// False if an earlier request with the same idempotency key began it.
    pub is_new: bool,
}

impl Service {
    /// Begins an upload, or finds the one that an earlier request with the same idempotency key
    /// began.
    ///
    /// # Errors
    /// Those of [`validation::check_begin`], of [`Service::requested_key`] and of
    /// [`Service::insert_at_key`]; `attribute_not_allowed`, `too_large`, `rate_limited`,
    /// `quota_exceeded`, `idempotency_mismatch`, `busy` while another request with the same key
    /// runs, `lease_held` for another holder, `store_unavailable`.
    pub async fn begin(
        self: &Arc<Self>,
        owner: &Owner,
        idempotency_key: &str,
        mut request: BeginRequest,
    ) -> Result<Begun, Refusal> {
        validation::check_word("the idempotency key", idempotency_key)?;
        validation::check_begin(&request, &self.allow_types(owner))?;
        *request.attributes = self.check_attributes(*request.attributes)?;
        let requested = self.requested_key(owner, &request)?;
        request.key = requested
            .as_ref()
            .map(|requested| requested.key.to_string());
        let copies = std::mem::take(&mut request.copies);
        let (kind, plan) = self.plan(&request, &copies)?;
        // Parts that do not match the plan are ignored: the client computed them before it got the
        // plan.
        let parts = request.parts.take().unwrap_or_default();
        let parts = if kind.has_plan() && validation::check_parts(&plan, &parts).is_ok() {
            parts
        } else {
            Vec::new()
        };
        self.check_signable(&parts)?;
        let copies = if parts.is_empty() { Vec::new() } else { copies };
        check_copies(&parts, &copies)?;
        let _guard = self.lock_key(&owner.0, idempotency_key)?;
        self.take_permits(owner, parts.len().max(1))?;

        let holder = request.holder.clone();
        let arrival = Arrival {
            kind,
            plan,
            pinned: parts.clone(),
            chosen: None,
        };
        let (mut upload, is_new) = match requested {
            None => {
                let times = (self.now(), self.renewed());
                let new = NewUpload::from_request(owner, idempotency_key, request, arrival, times)?;
                self.insert(owner, new).await?
            }
            // Boxed, since it is large, and most begins do not need it.
            Some(requested) => {
                let new = (request, arrival);
                Box::pin(self.insert_at_key(owner, idempotency_key, &requested, new)).await?
            }
        };
        let is_open = accepts_parts(upload.state);
        if is_open {
            upload = self.ensure_multipart(upload, Reuse::unless(is_new)).await?;
        }
        if !is_new && !is_gone(upload.state) {
            upload.lease.epoch = self.epoch_for_repeat(&upload, holder).await?;
        }
        let mut signed = None;
        if is_open && !parts.is_empty() {
            if !is_new {
                self.pin(&upload, upload.lease.epoch, &parts).await?;
            }
            signed = Some(self.copy_or_sign(&upload, &parts, &copies).await?);
            crash::point("gateway.begin.signed");
        }
        let state = if signed.is_some() {
            UploadState::Uploading
        } else {
            upload.state
        };
        let response = BeginResponse {
            id: upload.id.clone(),
            epoch: upload.lease.epoch,
            state,
            key: self.store.key_in_bucket(&upload.key),
            part_size: upload.plan.part_size(),
            double_after: upload.plan.schedule().double_after(),
            part_count: if kind == UploadKind::Streamed {
                0
            } else {
                upload.plan.count()
            },
            expires_at: upload.expires_at,
            parts: signed,
        };
        Ok(Begun { response, is_new })
    }

    /// Checks attributes against the configuration and the store.
    ///
    /// # Errors
    /// Those of [`validation::check_attributes`].
    fn check_attributes(&self, attributes: Attributes) -> Result<Attributes, Refusal> {
        if attributes.is_empty() {
            return Ok(attributes);
        }
        let conflict = |attributes: &Attributes| self.store.attribute_conflict(attributes);
        validation::check_attributes(attributes, &self.config().allow_attributes, conflict)
    }

    /// The plan of a source. That of a stream has no byte yet.
    fn plan(
        &self,
        request: &BeginRequest,
        copies: &[PartCopy],
    ) -> Result<(UploadKind, Plan), Refusal> {
        let limits = &self.config().limits;
        let (kind, plan) = match (request.size, request.expected_size) {
            (Some(_), Some(_)) => {
                let detail = "expected_size is for a source of unknown size";
                return Err(Refusal::with_detail(Code::InvalidRequest, detail));
            }
            (Some(size), None) => (
                UploadKind::Declared,
                Plan::new(size, request.part_size, limits),
            ),
            (None, expected) => (
                UploadKind::Streamed,
                Schedule::new(expected, request.part_size, limits)
                    .and_then(|schedule| Plan::of_stream(0, schedule)),
            ),
        };
        let plan = plan.map_err(|error| {
            let code = match error {
                PlanError::TooLarge { .. } => Code::TooLarge,
                PlanError::PartSizeOutOfRange { .. } | PlanError::Indivisible { .. } => {
                    Code::InvalidRequest
                }
            };
            Refusal::with_detail(code, error.to_string())
        })?;
        // The store can copy parts only, so a single PUT is not possible.
        let is_copied = plan.is_single() && !copies.is_empty() && self.store.proves_copies();
        if kind == UploadKind::Declared && is_copied {
            return Ok((UploadKind::Copied, plan));
        }
        Ok((kind, plan))
    }

    /// Inserts the row of a new upload, or finds the row of an earlier request with the same
    /// idempotency key. Also returns true if the row is new.
    ///
    /// # Errors
    /// `quota_exceeded`, `idempotency_mismatch`, `unavailable`.
    pub(super) async fn insert(
        &self,
        owner: &Owner,
        new: NewUpload,
    ) -> Result<(Upload, bool), Refusal> {
        match self.try_insert(owner, new).await? {
            Ok(begun) => Ok(begun),
            Err(BeginRefusal::Excess(excess)) => Err(excess.into()),
            Err(BeginRefusal::KeyInUse(_)) => Err(Refusal::retry_after(Code::KeyInUse, 1)),
        }
    }

    /// Like [`Service::insert`], with the reason if the row was not inserted.
    pub(super) async fn try_insert(
        &self,
        owner: &Owner,
        new: NewUpload,
    ) -> Result<Result<(Upload, bool), BeginRefusal>, Refusal> {
        let (sha256, kind, now) = (new.spec.request_sha256, new.spec.kind, new.spec.created_at);
        let begun = self
            .ledger
            .begin_within_quota(new, self.quota(owner))
            .await
            .map_err(ledger_failed)?;
        let (upload, is_new) = match begun {
            Ok(begun) => begun,
            Err(refusal) => return Ok(Err(refusal)),
        };
        crash::point("gateway.begin.recorded");
        if upload.request_sha256 != sha256 || upload.kind.has_plan() != kind.has_plan() {
            return Err(Refusal::new(Code::IdempotencyMismatch));
        }
        if is_new {
            let size = kind.has_plan().then_some(upload.plan.size());
            metrics().record_begun(size.unwrap_or(0));
            tracing::info!(id = %upload.id, key = %upload.key, size, ?kind, "upload begun");
        }
        Ok(Ok((with_expiry(upload, now), is_new)))
    }

    /// The epoch for a repeated begin. The request is from the same client, since it has the
    /// idempotency key, so the holder keeps its epoch. A delayed duplicate of the request therefore
    /// does not invalidate the epoch.
    async fn epoch_for_repeat(
        &self,
        upload: &Upload,
        holder: Option<String>,
    ) -> Result<u64, Refusal> {
        let Some(holder) = holder else {
            // A request that names no holder must not get the epoch of a holder.
            return match upload.lease.holder {
                None => Ok(upload.lease.epoch),
                Some(_) => Err(Refusal {
                    detail: Some(
                        "this upload has a holder, and the request must name it".to_owned(),
                    ),
                    ..Refusal::retry_after(Code::LeaseHeld, 1)
                }),
            };
        };
        let is_holder = upload.lease.holder.as_ref() == Some(&holder);
        let epoch = is_holder.then_some(upload.lease.epoch);
        self.set_holder(upload.clone(), &ClaimRequest { holder, epoch })
            .await
    }
}
