//! Begin: from a request to a row with a key, then to a multipart upload in the store.
//!
//! Border: the row is committed before the store hears of it, so that whatever is in the store can be found by its key.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{Service, aged, is_over, object};
use crate::auth::Owner;
use crate::ledger::{Manner, NewUpload, Upload};
use crate::metrics::metrics;
use crate::problem::{Refusal, store_failed};
use crate::rules;
use upload_types::crash;
use upload_types::names::{self, Key, Sha256, UploadId};
use upload_types::plan::{Plan, PlanError};
use upload_types::wire::{BeginRequest, BeginResponse, ClaimRequest, Code, PartSpec, UploadState};

impl Service {
    /// Begins an upload, or finds the one this key began before; true when it is new.
    ///
    /// # Errors
    /// What [`rules::begin`] refuses, `too_large`, `rate_limited`, `quota_exceeded`, `idempotency_mismatch`, `busy` while the
    /// same key is being begun, `lease_held` for another holder, `store_unavailable`.
    pub async fn begin(
        self: &Arc<Self>,
        owner: &Owner,
        idempotency_key: &str,
        request: BeginRequest,
    ) -> Result<(BeginResponse, bool), Refusal> {
        rules::word("the idempotency key", idempotency_key)?;
        rules::begin(&request, &self.rules.allow_types)?;
        let plan = self.plan(&request)?;
        let digest = digest(&request)?;
        let wanted = request
            .parts
            .filter(|parts| fit(&plan, parts))
            .unwrap_or_default();
        self.signable(&wanted)?;
        let _guard = self.enter(&owner.0, idempotency_key)?;
        self.signed.take(&owner.0, wanted.len())?;

        let now = Timestamp::now();
        let id = names::new_id();
        let new = NewUpload {
            key: key(owner, &id, &request.name)?,
            id: id.parse::<UploadId>().map_err(|error| unexpected(&error))?,
            owner: owner.0.clone(),
            idempotency_key: idempotency_key.to_owned(),
            digest,
            name: request.name,
            content_type: request.content_type,
            metadata: request.metadata,
            manner: Manner::Planned,
            plan,
            pinned: wanted.clone(),
            token: Uuid::new_v4().simple().to_string(),
            holder: request.holder.clone(),
            created_at: now,
            renewed: self.rules.terms.renewed(now),
        };
        let (upload, new) = self.ledger.begin_within(new, self.rules.quota).await??;
        crash::point("gateway.begin.noted");
        let mut upload = aged(upload, now);
        if upload.digest != digest || upload.manner != Manner::Planned {
            return Err(Refusal::new(Code::IdempotencyMismatch));
        }
        let open = matches!(upload.state, UploadState::Pending | UploadState::Uploading);
        if open {
            upload = self.created(upload, !new).await?;
        }
        if !new && !is_over(upload.state) {
            upload.lease.epoch = self.lease_again(&upload, request.holder).await?;
        }
        if new {
            metrics().begun(upload.plan.size());
            tracing::info!(id = %upload.id, key = %upload.key, size = upload.plan.size(), "begun");
        }
        let mut parts = None;
        if open && !wanted.is_empty() {
            if !new {
                self.pin(&upload, upload.lease.epoch, &wanted).await?;
            }
            parts = Some(self.signed(&upload, &wanted).await?);
            crash::point("gateway.begin.signed");
        }
        let state = if parts.is_some() {
            UploadState::Uploading
        } else {
            upload.state
        };
        let answer = BeginResponse {
            id: upload.id,
            epoch: upload.lease.epoch,
            state,
            key: upload.key,
            part_size: upload.plan.part_size(),
            part_count: upload.plan.count(),
            expires_at: upload.expires_at,
            parts,
        };
        Ok((answer, new))
    }

    fn plan(&self, request: &BeginRequest) -> Result<Plan, Refusal> {
        let Some(size) = request.size else {
            return Err(Refusal::saying(
                Code::InvalidRequest,
                "size must be known; null is reserved for later",
            ));
        };
        Plan::new(size, request.part_size, &self.rules.limits).map_err(|error| match error {
            PlanError::TooLarge { .. } => Refusal::saying(Code::TooLarge, error.to_string()),
            _ => Refusal::saying(Code::InvalidRequest, error.to_string()),
        })
    }

    /// The epoch for a repeated begin. The idempotency key is the client's own, so its holder goes on with the epoch it may
    /// never have heard of; a delayed duplicate then fences nobody off.
    async fn lease_again(&self, upload: &Upload, holder: Option<String>) -> Result<u64, Refusal> {
        let Some(holder) = holder else {
            // Who names no holder is none: the epoch of one is not for others.
            return match upload.lease.holder {
                None => Ok(upload.lease.epoch),
                Some(_) => Err(Refusal {
                    detail: Some("name the holder".into()),
                    ..Refusal::later(Code::LeaseHeld, 1)
                }),
            };
        };
        let same = upload.lease.holder.as_ref() == Some(&holder);
        let epoch = same.then_some(upload.lease.epoch);
        self.lease(upload.clone(), &ClaimRequest { holder, epoch })
            .await
    }

    /// Sees to it that an open upload of several parts has its multipart upload in the store: the one in the ledger, else (if
    /// an earlier call may have created it) the oldest at its key, else a new one.
    pub(super) async fn created(&self, mut upload: Upload, adopt: bool) -> Result<Upload, Refusal> {
        if upload.is_single() || upload.store_upload.is_some() {
            return Ok(upload);
        }
        let place = self.asking.acquire().await;
        let mut found = Vec::new();
        if adopt {
            found = self
                .store
                .find(&upload.key)
                .await
                .map_err(|fault| store_failed("find", &fault))?;
        }
        if found.is_empty() {
            let store = if upload.manner == Manner::Planned {
                &self.store
            } else {
                &self.bare
            };
            let created = store.create(&upload.key, &object(&upload)).await;
            found.push(created.map_err(|fault| store_failed("create", &fault))?);
        }
        drop(place);
        crash::point("gateway.begin.created");
        let mut found = found.into_iter();
        let Some(store_upload) = found.next() else {
            return Ok(upload);
        };
        let won = self
            .ledger
            .set_store_upload(&upload.id, &store_upload)
            .await?;
        crash::point("gateway.begin.adopted");
        if !won {
            // Another gateway was quicker, or the upload was aborted meanwhile: ours must not stay behind.
            upload = self
                .find(&Owner(upload.owner.clone()), upload.id.as_str())
                .await?;
            if upload.store_upload.as_ref() != Some(&store_upload) {
                self.drop_multipart(&upload, &store_upload).await;
            }
            if upload.store_upload.is_none() {
                return Err(super::closed(upload.state));
            }
            return Ok(upload);
        }
        for spare in found {
            self.drop_multipart(&upload, &spare).await;
        }
        upload.store_upload = Some(store_upload);
        Ok(upload)
    }

    /// Aborts a multipart upload of ours nobody will use.
    async fn drop_multipart(&self, upload: &Upload, store_upload: &str) {
        if let Err(fault) = self.store.abort(&upload.key, store_upload).await {
            tracing::warn!(key = %upload.key, ?fault, "could not abort a spare multipart upload");
            // The sweep tries again; where the ledger fails too, it finds it at the end of the upload.
            let _ = self.ledger.look_again(&upload.id, Timestamp::now()).await;
        }
    }
}

/// Whether parts sent along with a begin are parts of the plan that was made.
fn fit(plan: &Plan, parts: &[PartSpec]) -> bool {
    rules::sign(plan, parts).is_ok()
}

pub(super) fn key(owner: &Owner, id: &str, name: &str) -> Result<Key, Refusal> {
    let owner = &owner.0;
    let key = match rules::extension(name) {
        Some(extension) => format!("uploads/{owner}/{id}.{extension}"),
        None => format!("uploads/{owner}/{id}"),
    };
    key.parse().map_err(|error| unexpected(&error))
}

/// Of what a repeat must say again.
pub(super) fn digest(request: &BeginRequest) -> Result<Sha256, Refusal> {
    #[derive(Serialize)]
    struct Pinned<'a> {
        name: &'a str,
        size: Option<u64>,
        content_type: &'a str,
        part_size: Option<u64>,
        metadata: &'a std::collections::BTreeMap<String, String>,
    }
    let BeginRequest {
        name,
        size,
        content_type,
        part_size,
        metadata,
        ..
    } = request;
    let pinned = Pinned {
        name,
        size: *size,
        content_type,
        part_size: *part_size,
        metadata,
    };
    serde_json::to_vec(&pinned)
        .map(|json| Sha256::of(&json))
        .map_err(|error| unexpected(&error))
}

pub(super) fn unexpected(error: &dyn std::error::Error) -> Refusal {
    tracing::error!(%error, "could not write down a begin");
    Refusal::new(Code::Unavailable)
}
