//! Uploads from browsers in parts: begun, signed and completed without declared sizes and SHA-256.
//!
//! An upload is completed with the parts that the store lists. Keys, quotas, the order of writes
//! and the check of the object are the same as for all uploads.
//!
//! Not here: uploads in one form (`form_upload`), and the HTTP routes (`companion`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::abort::Finished;
use super::completion::Completion;
use super::completion_source::CompletionSource;
use super::lifecycle::{accepts_parts, is_complete, is_gone, refuse_parts, refuse_transition};
use super::multipart::Reuse;
use super::new_upload::{Arrival, internal_error};
use super::shared_state::Service;
use super::url_ttl::upload_url_ttl;
use crate::auth::Owner;
use crate::lease::Renewed;
use crate::ledger::{NewUpload, TransitionOutcome, Upload, UploadKind};
use crate::limits::Quota;
use crate::metrics::metrics;
use crate::problem::{Refusal, ledger_failed, store_failed};
use crate::validation;
use upload_types::backoff::Backoff;
use upload_types::plan::Plan;
use upload_types::saturating;
use upload_types::wire::{
    BeginRequest, Code, MAX_SIGN_PARTS, Receipt, SignedPut, StoredPart, UploadState,
};
use upload_types::{ETag, Key, PartNumber};

/// How long a complete waits for its outcome.
const COMPLETE_TIMEOUT: Duration = Duration::from_mins(2);
/// The delays between attempts to complete while another gateway completes the upload.
const COMPLETE_BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
/// Seconds until a client may repeat a complete after it has timed out.
const TIMEOUT_RETRY_SECONDS: u64 = 5;

/// Names an upload by its id and by the name of its object in the bucket. Both must match.
#[derive(Debug, Clone, Copy)]
pub struct UploadRef<'a> {
    pub id: &'a str,
    pub object_name: &'a str,
}

impl Service {
    /// Begins an upload in parts. Its multipart upload exists when this returns.
    ///
    /// # Errors
    /// Those of [`validation::check_begin`]; `rate_limited`, `idempotency_mismatch`, `busy`,
    /// `gone`, `quota_exceeded`, `store_unavailable`.
    pub async fn begin_multipart(
        self: &Arc<Self>,
        owner: &Owner,
        idempotency_key: &str,
        request: BeginRequest,
    ) -> Result<Upload, Refusal> {
        self.take_permits(owner, 1)?;
        // Sizes are unknown until the upload is complete. Until then its plan has one empty part.
        let plan = Plan::pinned(0, self.config().limits.min_part.max(1));
        let plan = plan.map_err(|error| internal_error(&error))?;
        let renewed = self.renewed();
        self.begin_browser_upload(
            owner,
            idempotency_key,
            request,
            (UploadKind::Multipart, plan),
            renewed,
        )
        .await
    }

    pub(super) async fn begin_browser_upload(
        self: &Arc<Self>,
        owner: &Owner,
        idempotency_key: &str,
        request: BeginRequest,
        (kind, plan): (UploadKind, Plan),
        renewed: Renewed,
    ) -> Result<Upload, Refusal> {
        validation::check_word("the idempotency key", idempotency_key)?;
        validation::check_begin(&request, &self.allow_types(owner))?;
        let arrival = Arrival {
            kind,
            plan,
            pinned: Vec::new(),
            chosen: None,
        };
        let new = NewUpload::from_request(
            owner,
            idempotency_key,
            request,
            arrival,
            (self.now(), renewed),
        )?;
        let _guard = self.lock_key(&owner.0, idempotency_key)?;
        let (upload, is_new) = self.insert(owner, new).await?;
        if is_gone(upload.state) {
            return Err(Refusal::new(Code::Gone));
        }
        if !accepts_parts(upload.state) {
            return Ok(upload);
        }
        self.ensure_multipart(upload, Reuse::unless(is_new)).await
    }

    /// The name of an object in the bucket: the key with the prefix.
    #[must_use]
    pub fn object_name(&self, key: &Key) -> String {
        self.store.full_key(key)
    }

    #[must_use]
    pub fn bucket(&self) -> &str {
        self.store.bucket()
    }

    /// The URL of the object of a receipt: that of the CDN, otherwise that of the store. Returns
    /// `None` before the upload is ready.
    #[must_use]
    pub fn object_url(&self, receipt: &Receipt) -> Option<String> {
        receipt.location.as_ref()?;
        let key = self
            .store
            .key_of(self.store.bucket(), receipt.key.as_str())
            .unwrap_or_else(|| receipt.key.clone());
        let cdn_url = self.store.cdn_url(&key);
        Some(cdn_url.unwrap_or_else(|| self.store.plain_url(&key)))
    }

    /// The owner's upload in parts.
    ///
    /// # Errors
    /// `not_found` if the owner has no such upload, or if the name of its object does not match.
    async fn find_multipart(
        &self,
        owner: &Owner,
        reference: UploadRef<'_>,
    ) -> Result<Upload, Refusal> {
        let upload = self.find_upload(owner, reference.id).await?;
        self.check_reference(&upload, reference)?;
        Ok(upload)
    }

    fn check_reference(&self, upload: &Upload, reference: UploadRef<'_>) -> Result<(), Refusal> {
        let matches = upload.kind == UploadKind::Multipart
            && self.store.full_key(&upload.key) == reference.object_name;
        if matches {
            Ok(())
        } else {
            Err(Refusal::new(Code::NotFound))
        }
    }

    /// Signs parts of which only the numbers are known.
    ///
    /// # Errors
    /// `invalid_request` for too many parts, `too_large` and `quota_exceeded` if the parts before
    /// the last one would exceed a limit even with their minimum size, `rate_limited`, `gone`,
    /// `busy`, `not_found`, `store_unavailable`.
    pub async fn sign_part_numbers(
        &self,
        owner: &Owner,
        reference: UploadRef<'_>,
        numbers: &[PartNumber],
    ) -> Result<Vec<SignedPut>, Refusal> {
        let limits = self.config().limits;
        let last = numbers.iter().map(|number| number.get()).max().unwrap_or(0);
        if last == 0 || numbers.len() > MAX_SIGN_PARTS || last > limits.max_parts {
            let detail = format!(
                "part numbers are 1 to {}, and at most {MAX_SIGN_PARTS} at a time",
                limits.max_parts
            );
            return Err(Refusal::with_detail(Code::InvalidRequest, detail));
        }
        let upload = self.find_multipart(owner, reference).await?;
        if is_complete(upload.state) {
            return Err(Refusal::with_detail(Code::Gone, "this upload is complete"));
        }
        if !accepts_parts(upload.state) {
            return Err(refuse_parts(upload.state));
        }
        // All parts before the last one have at least the minimum size of the store.
        let min_size = u64::from(last - 1).saturating_mul(limits.min_part);
        if min_size > limits.max_size {
            return Err(too_large(limits.max_size));
        }
        self.take_permits(owner, numbers.len())?;
        let upload = self.ensure_multipart(upload, Reuse::SearchFirst).await?;
        let multipart = upload
            .store_upload
            .as_deref()
            .ok_or_else(|| Refusal::retry_after(Code::Busy, 1))?;
        let (epoch, quota) = (upload.lease.epoch, self.quota(owner));
        let outcome = self
            .ledger
            .reserve_size(&upload.id, epoch, min_size, quota, self.renewed())
            .await
            .map_err(ledger_failed)??;
        if outcome != TransitionOutcome::Done {
            return Err(refuse_transition(outcome));
        }
        let ttl = upload_url_ttl(&upload, self.config().url_ttl);
        let mut signed = Vec::with_capacity(numbers.len());
        for number in numbers {
            let put = self
                .unproven_store
                .sign_unbound_part(&upload.key, multipart, *number, ttl)
                .await;
            signed.push(put.map_err(|fault| store_failed("sign parts", &fault))?);
        }
        metrics().record_signed_parts(signed.len());
        Ok(signed)
    }

    /// All parts of an upload in the store, or, for a while after it is complete, those with which
    /// it was completed.
    ///
    /// # Errors
    /// As [`Service::parts`].
    pub async fn all_parts(
        &self,
        owner: &Owner,
        reference: UploadRef<'_>,
    ) -> Result<Vec<StoredPart>, Refusal> {
        self.take_permits(owner, 1)?;
        self.all_pages_of_parts(owner, reference).await
    }

    /// Like [`Service::all_parts`], without a permit of the owner's rate.
    async fn all_pages_of_parts(
        &self,
        owner: &Owner,
        reference: UploadRef<'_>,
    ) -> Result<Vec<StoredPart>, Refusal> {
        let upload = self.find_multipart(owner, reference).await?;
        let max_parts = saturating::to_usize(upload.max_parts());
        let (mut parts, mut after) = (Vec::new(), 0);
        loop {
            let page = self.page_of_parts(owner, upload.id.as_str(), after).await?;
            parts.extend(page.parts);
            match page.next {
                Some(next) if parts.len() <= max_parts => after = next.get(),
                _ => return Ok(parts),
            }
        }
    }

    /// Completes an upload with the parts of these numbers and ETags, and waits for the outcome. A
    /// repetition returns the same receipt.
    ///
    /// # Errors
    /// `invalid_request` without parts, `parts_mismatch` if the store has other parts, `too_large`,
    /// `quota_exceeded`, `rate_limited`, `gone`, `busy`, `unavailable` if it takes too long (repeat
    /// the request), `not_found`, `store_unavailable`.
    pub async fn complete_multipart(
        self: &Arc<Self>,
        owner: &Owner,
        reference: UploadRef<'_>,
        requested: &BTreeMap<PartNumber, ETag>,
    ) -> Result<Receipt, Refusal> {
        self.take_permits(owner, 1)?;
        let deadline = Instant::now() + COMPLETE_TIMEOUT;
        let mut attempts = 0;
        loop {
            let upload = self.find_multipart(owner, reference).await?;
            if is_gone(upload.state) {
                return Err(Refusal::new(Code::Gone));
            }
            if let Some(receipt) = upload.shown_receipt() {
                return Ok(receipt);
            }
            let found = if upload.state == UploadState::Completing {
                let rows = self.ledger.parts(&upload.id, 0, upload.max_parts()).await;
                let rows = rows.map_err(ledger_failed)?;
                // Another gateway deletes the rows when it has completed the upload.
                CompletionSource::from_rows(&upload, rows, None).map(|source| (upload, source))
            } else {
                match self.all_pages_of_parts(owner, reference).await {
                    Ok(stored) => {
                        let parts = select_parts(stored, requested)?;
                        Some(self.measure(upload, parts, self.quota(owner))?)
                    }
                    Err(refusal) => {
                        // Another call may have completed the upload since it was read.
                        let upload = self.find_multipart(owner, reference).await?;
                        return upload.shown_receipt().ok_or(refusal);
                    }
                }
            };
            attempts += 1;
            let delay = COMPLETE_BACKOFF.delay(attempts);
            let result = match found {
                Some((upload, source)) => {
                    let mut completion = self.join_or_spawn(upload, source);
                    timeout_at(deadline, completion.result()).await
                }
                None => Ok(None),
            };
            match result {
                Ok(Some(Ok(Completion::Receipt(receipt)))) => return Ok(*receipt),
                // `busy` means that another gateway completes the upload.
                Ok(Some(Err(refusal))) if refusal.code != Code::Busy => return Err(refusal),
                _ if Instant::now() + delay >= deadline => {
                    return Err(Refusal::retry_after(
                        Code::Unavailable,
                        TIMEOUT_RETRY_SECONDS,
                    ));
                }
                _ => sleep(delay).await,
            }
        }
    }

    /// Aborts an upload in parts. Idempotent.
    ///
    /// # Errors
    /// As [`Service::abort`].
    pub async fn abort_multipart(
        &self,
        owner: &Owner,
        reference: UploadRef<'_>,
    ) -> Result<(), Refusal> {
        // An upload that has expired must still be removed from the store.
        let upload = self.find_row(owner, reference.id).await?;
        self.check_reference(&upload, reference)?;
        self.abort(owner, upload.id.as_str(), None, Finished::Keep)
            .await
    }

    /// The upload with a plan computed from the sizes of its parts, and the source for its
    /// completion within the quota.
    pub(super) fn measure(
        &self,
        mut upload: Upload,
        parts: Vec<StoredPart>,
        quota: Quota,
    ) -> Result<(Upload, CompletionSource), Refusal> {
        let sizes = parts.iter().map(|part| part.size);
        let size = sizes.clone().fold(0, u64::saturating_add);
        if size > self.config().limits.max_size {
            return Err(too_large(self.config().limits.max_size));
        }
        let largest = sizes.max().unwrap_or(0).max(1);
        upload.spec.plan = Plan::pinned(size, largest).map_err(|error| internal_error(&error))?;
        let epoch = upload.lease.epoch;
        let source = CompletionSource::Listed {
            epoch,
            parts,
            quota,
        };
        Ok((upload, source))
    }
}

fn too_large(max_size: u64) -> Refusal {
    Refusal::with_detail(
        Code::TooLarge,
        format!("an upload has at most {max_size} bytes"),
    )
}

/// The stored parts with the requested numbers and ETags, in order.
fn select_parts(
    stored: Vec<StoredPart>,
    requested: &BTreeMap<PartNumber, ETag>,
) -> Result<Vec<StoredPart>, Refusal> {
    if requested.is_empty() {
        return Err(Refusal::with_detail(
            Code::InvalidRequest,
            "the request names no parts",
        ));
    }
    let mut stored: BTreeMap<_, _> = stored.into_iter().map(|part| (part.number, part)).collect();
    let select = |(number, etag): (&PartNumber, &ETag)| {
        let part = stored.remove(number).filter(|part| part.etag == *etag);
        part.ok_or_else(|| {
            let detail = format!("the store has no part {number} with this ETag");
            Refusal::with_detail(Code::PartsMismatch, detail)
        })
    };
    requested.iter().map(select).collect()
}
