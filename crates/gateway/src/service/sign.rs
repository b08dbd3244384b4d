//! Sign: presigned requests for parts. Each is valid for the bytes of its part only.
//!
//! Not here: the signature itself (`upload_s3`).

use std::collections::BTreeMap;

use super::copy::check_copies;
use super::lifecycle::{accepts_parts, is_gone, refuse_parts, refuse_transition};
use super::multipart::Reuse;
use super::shared_state::Service;
use super::stream;
use super::url_ttl::part_url_ttl;
use crate::auth::Owner;
use crate::ledger::{TransitionOutcome, Upload, UploadKind};
use crate::metrics::metrics;
use crate::problem::{Refusal, ledger_failed, report_store_fault, store_failed};
use crate::validation;
use upload_s3::Fault;
use upload_types::crash;
use upload_types::wire::{Code, PartSpec, Proof, SignRequest, SignResponse, SignedPart};

impl Service {
    /// Signs parts of an upload, except those that the store could copy.
    ///
    /// # Errors
    /// `invalid_request` for parts that do not match the plan, `too_large` and `quota_exceeded` for
    /// parts of a stream that is larger than permitted, `attribute_not_allowed` if the store
    /// refuses the attributes of the upload, `lease_lost`, `part_pinned`, `gone`, `rate_limited`,
    /// `busy` while the upload is completing, `not_found`, `store_unavailable`.
    pub async fn sign(
        &self,
        owner: &Owner,
        id: &str,
        request: SignRequest,
    ) -> Result<SignResponse, Refusal> {
        let upload = self.find_upload(owner, id).await?;
        // The epoch is checked before the state, since the new holder may have changed the state.
        if request.epoch != upload.lease.epoch && !is_gone(upload.state) {
            return Err(Refusal::new(Code::LeaseLost));
        }
        if !accepts_parts(upload.state) {
            return Err(refuse_parts(upload.state));
        }
        check_declared(&upload)?;
        if upload.kind == UploadKind::Streamed {
            stream::check_parts(
                upload.plan.schedule(),
                &request.parts,
                &self.config().limits,
            )?;
        } else {
            validation::check_parts(&upload.plan, &request.parts)?;
        }
        self.check_signable(&request.parts)?;
        check_copies(&request.parts, &request.copies)?;
        self.take_permits(owner, request.parts.len())?;
        if request.credentials_rejected {
            // The credentials that the gateway has may still be valid.
            if let Err(fault) = self.store.renew_credentials().await {
                report_store_fault("renew the credentials", &fault);
            }
        }
        let upload = self.ensure_multipart(upload, Reuse::SearchFirst).await?;
        if upload.kind == UploadKind::Streamed {
            self.pin_stream(owner, &upload, request.epoch, &request.parts)
                .await?;
        } else {
            self.pin(&upload, request.epoch, &request.parts).await?;
        }
        let parts = self
            .copy_or_sign(&upload, &request.parts, &request.copies)
            .await?;
        Ok(SignResponse { parts })
    }

    /// Checks that the parts have the digests that the proof of the store needs, and that no part
    /// is listed with two different SHA-256.
    pub(super) fn check_signable(&self, parts: &[PartSpec]) -> Result<(), Refusal> {
        if self.store.proof() == Proof::Md5 && parts.iter().any(|part| part.md5.is_none()) {
            return Err(Refusal::with_detail(
                Code::InvalidRequest,
                "the proof of this backend is md5: each part needs its md5",
            ));
        }
        let mut sha256_by_number = BTreeMap::new();
        for part in parts {
            let earlier = sha256_by_number.insert(part.number, part.sha256);
            if earlier.is_some_and(|earlier| earlier != part.sha256) {
                return Err(refuse_transition(TransitionOutcome::PartMismatch(
                    part.number,
                )));
            }
        }
        Ok(())
    }

    /// Pins parts of the plan to their SHA-256.
    pub(super) async fn pin(
        &self,
        upload: &Upload,
        epoch: u64,
        parts: &[PartSpec],
    ) -> Result<(), Refusal> {
        let outcome = self
            .ledger
            .pin_parts(&upload.id, epoch, parts.to_vec(), self.renewed())
            .await
            .map_err(ledger_failed)?;
        if outcome != TransitionOutcome::Done {
            return Err(refuse_transition(outcome));
        }
        crash::point("gateway.sign.pinned");
        Ok(())
    }

    /// Signs parts that are pinned.
    pub(super) async fn sign_pinned(
        &self,
        upload: &Upload,
        parts: &[PartSpec],
    ) -> Result<Vec<SignedPart>, Refusal> {
        let key = &upload.key;
        let ttl = |size| part_url_ttl(size, self.config().url_ttl);
        let multipart = upload
            .store_upload
            .as_deref()
            .filter(|_| !upload.is_single());
        let signed = match (multipart, parts) {
            (Some(multipart), parts) => self.store.sign_parts(key, multipart, parts, ttl).await,
            (None, [part, ..]) if upload.is_single() => {
                let object = upload.new_object();
                let put = self
                    .store
                    .sign_put(key, &object, part, ttl(part.size))
                    .await;
                // All entries of the request name the same part, since the plan has only one.
                put.map(|put| vec![put; parts.len()])
            }
            (None, _) => Err(Fault::NoSuchUpload),
        };
        let signed = signed.map_err(|fault| store_failed("sign parts", &fault))?;
        metrics().record_signed_parts(signed.len());
        crash::point("gateway.sign.signed");
        Ok(signed.into_iter().map(SignedPart::Put).collect())
    }
}

/// Checks that the client has declared the parts of the upload.
///
/// # Errors
/// `invalid_request` for an upload from a browser.
pub fn check_declared(upload: &Upload) -> Result<(), Refusal> {
    if upload.kind.declares_parts() {
        return Ok(());
    }
    Err(Refusal::with_detail(
        Code::InvalidRequest,
        "this upload was begun through the routes of Companion and has no plan",
    ))
}
