//! Uploads without a plan, as browsers make them: begun, signed and completed with neither sizes nor fingerprints.
//!
//! Border: what holds for every upload is done where it is done for all: keys, quotas, the order of writes, and that HeadObject decides.
//! What the parts are, the store says: its list is what is completed. How that looks in HTTP is `gateway/companion`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::asked::Asked;
use super::{Completion, Service, aged, begin, closed, is_over, object, sign};
use crate::auth::Owner;
use crate::lease::Renewed;
use crate::ledger::{Manner, NewUpload, Signing, Upload};
use crate::metrics::metrics;
use crate::problem::{Refusal, store_failed};
use crate::rules;
use upload_s3::SignedForm;
use upload_types::names::{self, ETag, Key, PartNumber, UploadId};
use upload_types::plan::Plan;
use upload_types::wire::{
    BeginRequest, Code, MAX_SIGN_PARTS, Receipt, SignedPut, StoredPart, UploadState,
};

/// A part's URL lives for this long at least: some clients never ask for another.
const LIFE: Duration = Duration::from_hours(1);
/// The largest object that is sent in a form; what is larger goes in parts. As much counts for it until its size is known.
pub const FORM_MAX: u64 = 100 << 20;
/// A form is first looked for after this long, and never more seldom than the other.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const LAST_LOOK: Duration = Duration::from_mins(5);
/// How long a complete waits for its decision.
const PATIENCE: Duration = Duration::from_mins(2);
/// After how long it asks again, at first and later.
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_MAX: Duration = Duration::from_secs(5);

/// Which upload a call is about: both have to fit.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub id: &'a str,
    /// The object's name, as the bucket has it.
    pub key: &'a str,
}

impl Service {
    /// Begins an upload in parts; its multipart upload is in the store when this returns.
    ///
    /// # Errors
    /// What [`rules::begin`] refuses, `idempotency_mismatch`, `busy`, `gone`, `quota_exceeded`, `store_unavailable`.
    pub async fn begin_parts(
        self: &Arc<Self>,
        owner: &Owner,
        key: &str,
        request: BeginRequest,
    ) -> Result<Upload, Refusal> {
        // Neither is known: what is taken for them has one part, so that nothing divides by zero.
        let plan = Plan::pinned(0, self.rules.limits.min_part.max(1))
            .map_err(|error| begin::unexpected(&error))?;
        let renewed = self.rules.terms.renewed(Timestamp::now());
        self.begin_unplanned(owner, key, request, (Manner::Parts, plan, renewed))
            .await
    }

    /// Begins an upload in one form, and signs it. Nobody says when it was posted: a sweep looks for the object, and the store's events
    /// tell of it. As long as the form is good, it can be posted again; where hooks judge what was sent, there is none.
    ///
    /// # Errors
    /// As [`Service::begin_parts`]; `invalid_request` where there are hooks; `rate_limited`.
    pub async fn begin_form(
        self: &Arc<Self>,
        owner: &Owner,
        request: BeginRequest,
    ) -> Result<(Upload, SignedForm), Refusal> {
        if !self.rules.hooks.is_empty() {
            let detail =
                "this gateway takes uploads in parts only (Uppy: shouldUseMultipart: true)";
            return Err(Refusal::saying(Code::InvalidRequest, detail));
        }
        self.signed.take(&owner.0, 1)?;
        let quota = self.rules.quota;
        let largest = [Some(FORM_MAX), quota.outstanding, quota.total]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(FORM_MAX);
        let largest = largest.min(self.rules.limits.max_size);
        let plan =
            Plan::pinned(largest, largest.max(1)).map_err(|error| begin::unexpected(&error))?;
        let now = Timestamp::now();
        let later = |wait| now.checked_add(wait).unwrap_or(Timestamp::MAX);
        let ends = later(
            self.rules
                .url_ttl
                .saturating_add(sign::life(largest, self.rules.url_ttl)),
        );
        let renewed = Renewed {
            lease_until: later(FIRST_LOOK),
            expires_at: ends,
        };
        let key = names::new_id();
        let upload = self
            .begin_unplanned(owner, &key, request, (Manner::Form, plan, renewed))
            .await?;
        let signed = self
            .bare
            .sign_form(&upload.key, &object(&upload), largest, self.rules.url_ttl)
            .await;
        let form = signed.map_err(|fault| store_failed("sign", &fault))?;
        metrics().parts_signed.inc();
        Ok((upload, form))
    }

    async fn begin_unplanned(
        self: &Arc<Self>,
        owner: &Owner,
        idempotency_key: &str,
        request: BeginRequest,
        (manner, plan, renewed): (Manner, Plan, Renewed),
    ) -> Result<Upload, Refusal> {
        rules::word("the idempotency key", idempotency_key)?;
        rules::begin(&request, &self.rules.allow_types)?;
        let digest = begin::digest(&request)?;
        let _guard = self.enter(&owner.0, idempotency_key)?;
        let now = Timestamp::now();
        let id = names::new_id();
        let new = NewUpload {
            key: begin::key(owner, &id, &request.name)?,
            id: id
                .parse::<UploadId>()
                .map_err(|error| begin::unexpected(&error))?,
            owner: owner.0.clone(),
            idempotency_key: idempotency_key.to_owned(),
            digest,
            name: request.name,
            content_type: request.content_type,
            metadata: request.metadata,
            manner,
            plan,
            pinned: Vec::new(),
            token: Uuid::new_v4().simple().to_string(),
            holder: None,
            created_at: now,
            renewed,
        };
        let (upload, new) = self.ledger.begin_within(new, self.rules.quota).await??;
        let upload = aged(upload, now);
        if upload.digest != digest || upload.manner != manner {
            return Err(Refusal::new(Code::IdempotencyMismatch));
        }
        if is_over(upload.state) {
            return Err(Refusal::new(Code::Gone));
        }
        if new {
            metrics().begun(0);
            tracing::info!(id = %upload.id, key = %upload.key, ?manner, "begun");
        }
        if !matches!(upload.state, UploadState::Pending | UploadState::Uploading) {
            return Ok(upload);
        }
        self.created(upload, !new).await
    }

    /// What the object of an upload is called in the bucket.
    #[must_use]
    pub fn address(&self, key: &Key) -> String {
        self.store.whole(key)
    }

    /// Which bucket it is in.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.store.bucket()
    }

    /// Where an object is, as a URL: of its store where it has no better.
    #[must_use]
    pub fn location(&self, key: &Key) -> String {
        self.store.cdn(key).unwrap_or_else(|| self.store.url(key))
    }

    /// The owner's upload in parts at this place; whatever does not fit is as unknown as any other.
    async fn placed(&self, owner: &Owner, place: Place<'_>) -> Result<Upload, Refusal> {
        let upload = self.find(owner, place.id).await?;
        let fits = upload.manner == Manner::Parts && self.store.whole(&upload.key) == place.key;
        if fits {
            Ok(upload)
        } else {
            Err(Refusal::new(Code::NotFound))
        }
    }

    /// Signs parts by their numbers alone.
    ///
    /// # Errors
    /// `invalid_request` for too many, `too_large` and `quota_exceeded` for a part that would be behind the end of what may be sent,
    /// `rate_limited`, `gone`, `busy`, `not_found`, `store_unavailable`.
    pub async fn sign_numbers(
        &self,
        owner: &Owner,
        place: Place<'_>,
        numbers: &[PartNumber],
    ) -> Result<Vec<SignedPut>, Refusal> {
        let limits = &self.rules.limits;
        let last = numbers.iter().map(|number| number.get()).max().unwrap_or(0);
        if last == 0 || numbers.len() > MAX_SIGN_PARTS || last > limits.max_parts {
            let detail = format!(
                "part numbers are 1 to {}, and {MAX_SIGN_PARTS} at most at a time",
                limits.max_parts
            );
            return Err(Refusal::saying(Code::InvalidRequest, detail));
        }
        let upload = self.placed(owner, place).await?;
        if !matches!(upload.state, UploadState::Pending | UploadState::Uploading) {
            return Err(over(upload.state));
        }
        // All parts but the last have the store's least size.
        let bytes = u64::from(last - 1).saturating_mul(limits.min_part);
        if bytes > limits.max_size {
            return Err(too_large(limits.max_size));
        }
        self.signed.take(&owner.0, numbers.len())?;
        let upload = self.created(upload, true).await?;
        let multipart = upload
            .store_upload
            .as_deref()
            .ok_or_else(|| Refusal::later(Code::Busy, 1))?;
        let renewed = self.rules.terms.renewed(Timestamp::now());
        let expected = self
            .ledger
            .foresee(
                &upload.id,
                upload.lease.epoch,
                bytes,
                self.rules.quota,
                renewed,
            )
            .await??;
        if expected != Signing::Done {
            return Err(sign::refusal(expected));
        }
        let mut all = Vec::with_capacity(numbers.len());
        for number in numbers {
            let signed = self
                .bare
                .sign_bare(&upload.key, multipart, *number, self.life_of(&upload))
                .await;
            all.push(signed.map_err(|fault| store_failed("sign", &fault))?);
        }
        metrics()
            .parts_signed
            .inc_by(u64::try_from(all.len()).unwrap_or(u64::MAX));
        Ok(all)
    }

    /// Every part the store holds; of a complete upload, those it was completed with.
    ///
    /// # Errors
    /// As [`Service::parts`].
    pub async fn listed(
        &self,
        owner: &Owner,
        place: Place<'_>,
    ) -> Result<Vec<StoredPart>, Refusal> {
        let upload = self.placed(owner, place).await?;
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self.parts(owner, upload.id.as_str(), after).await?;
            all.extend(page.parts);
            match page.next {
                Some(next) if all.len() <= most_parts(&upload) => after = next.get(),
                _ => return Ok(all),
            }
        }
    }

    /// Completes an upload with parts of these numbers and ETags, and waits for the decision; asked again, tells the same.
    ///
    /// # Errors
    /// `invalid_request` for no parts, `parts_mismatch` where the store holds others, `too_large`, `quota_exceeded`, `gone`, `busy`,
    /// `unavailable` when it takes too long (ask again), `not_found`, `store_unavailable`.
    pub async fn complete_parts(
        self: &Arc<Self>,
        owner: &Owner,
        place: Place<'_>,
        wanted: &BTreeMap<PartNumber, ETag>,
    ) -> Result<Receipt, Refusal> {
        let (deadline, mut again) = (Instant::now() + PATIENCE, AGAIN);
        loop {
            let upload = self.placed(owner, place).await?;
            if is_over(upload.state) {
                return Err(Refusal::new(Code::Gone));
            }
            if let Some(receipt) = upload.receipt {
                return Ok(receipt);
            }
            let (upload, asked) = if upload.state == UploadState::Completing {
                let rows = self.ledger.parts(&upload.id, 0, upload.parts_max()).await?;
                let asked = Asked::of_rows(&upload, rows, None)
                    .ok_or_else(|| Refusal::later(Code::Busy, 1))?;
                (upload, asked)
            } else {
                let parts = matching(self.listed(owner, place).await?, wanted)?;
                self.measured(upload, parts)?
            };
            let mut outcome = self.join_or_spawn(upload, asked);
            match timeout_at(deadline, outcome.wait_for(Option::is_some))
                .await
                .map(|said| said.map(|said| said.clone()))
            {
                Ok(Ok(Some(Ok(Completion::Receipt(receipt))))) => return Ok(*receipt),
                // Another gateway completes it.
                Ok(Ok(Some(Err(refusal)))) if refusal.code != Code::Busy => return Err(refusal),
                _ if Instant::now() + again >= deadline => {
                    return Err(Refusal::later(Code::Unavailable, 5));
                }
                _ => sleep(again).await,
            }
            again = (again * 2).min(AGAIN_MAX);
        }
    }

    /// Gives an upload in parts up; said again, it comes to the same.
    ///
    /// # Errors
    /// As [`Service::abort`].
    pub async fn abort_parts(&self, owner: &Owner, place: Place<'_>) -> Result<(), Refusal> {
        // Not as old as it is: what expired is to leave the store too.
        let upload = self.row(owner, place.id).await?;
        if upload.manner != Manner::Parts || self.store.whole(&upload.key) != place.key {
            return Err(Refusal::new(Code::NotFound));
        }
        self.abort(owner, upload.id.as_str(), None).await
    }

    /// An upload with the sizes that its parts turn out to have.
    fn measured(
        &self,
        mut upload: Upload,
        parts: Vec<StoredPart>,
    ) -> Result<(Upload, Asked), Refusal> {
        let size = parts
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(part.size));
        if size > self.rules.limits.max_size {
            return Err(too_large(self.rules.limits.max_size));
        }
        let largest = parts.iter().map(|part| part.size).max().unwrap_or(0).max(1);
        upload.plan = Plan::pinned(size, largest).map_err(|error| begin::unexpected(&error))?;
        let epoch = upload.lease.epoch;
        Ok((upload, Asked::Listed { epoch, parts }))
    }

    /// Seals what was asked: an upload by its plan as its client says, any other as the store lists it.
    pub(super) async fn seal(&self, upload: &Upload, asked: &Asked) -> Result<Signing, Refusal> {
        let renewed = self.rules.terms.renewed(Timestamp::now());
        let (id, epoch) = (&upload.id, asked.epoch());
        match asked {
            Asked::Planned(request) => Ok(self
                .ledger
                .seal(id, epoch, request.parts.clone(), renewed)
                .await?),
            Asked::Listed { .. } if upload.state == UploadState::Completing => {
                Ok(self.ledger.seal_again(id, epoch, renewed).await?)
            }
            Asked::Listed { parts, .. } => {
                // For a form its largest size has been counted.
                let quota = if upload.manner == Manner::Form {
                    <_>::default()
                } else {
                    self.rules.quota
                };
                Ok(self
                    .ledger
                    .seal_listed(id, epoch, upload.plan, parts.clone(), quota, renewed)
                    .await??)
            }
        }
    }

    /// Looks whether a form was posted, and completes its upload if so; none where there is nothing yet.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub(super) async fn posted(
        self: &Arc<Self>,
        upload: &Upload,
    ) -> Result<Option<super::complete::Outcome>, Refusal> {
        let head = self
            .store
            .head(&upload.key)
            .await
            .map_err(|fault| store_failed("head", &fault))?;
        let Some(head) = head.filter(|head| head.token.as_ref() == Some(&upload.token)) else {
            return Ok(None);
        };
        let part = StoredPart {
            number: PartNumber::FIRST,
            size: head.size,
            etag: head.etag,
            sha256: None,
        };
        let (upload, asked) = self.measured(upload.clone(), vec![part])?;
        let mut outcome = self.join_or_spawn(upload, asked);
        let outcome = outcome
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|outcome| outcome.clone());
        Ok(Some(outcome.unwrap_or(Ok(Completion::Deciding(
            UploadState::Completing,
        )))))
    }

    /// As the sweep does, of one that it has taken until `until`: the older the form, the longer until the next look. One that has
    /// expired is ended only when nothing is there.
    pub(super) async fn look_for_form(self: &Arc<Self>, upload: Upload, until: Timestamp) {
        // What failed is logged, and looked at again when the lease is over.
        if !matches!(self.posted(&upload).await, Ok(None)) {
            return;
        }
        let now = Timestamp::now();
        if upload.expires_at <= now {
            let given_up = self
                .ledger
                .give_up(&upload.id, Some(upload.lease.epoch), until)
                .await;
            if matches!(given_up.map_err(Refusal::from), Ok(Signing::Done)) {
                let upload = Upload {
                    state: UploadState::Aborting,
                    ..upload
                };
                drop(self.clear(&upload, UploadState::Expired).await);
            }
            return;
        }
        let age = Duration::try_from(now.duration_since(upload.created_at)).unwrap_or_default();
        let next = now
            .checked_add((age / 4).clamp(FIRST_LOOK, LAST_LOOK))
            .unwrap_or(Timestamp::MAX);
        if let Err(error) = self.ledger.look_at_form(&upload.id, until, next).await {
            drop(Refusal::from(error));
        }
    }

    /// How long what is signed for an upload may live.
    pub(super) fn life_of(&self, upload: &Upload) -> Duration {
        let ttl = self.rules.url_ttl;
        match upload.manner {
            Manner::Planned => sign::life(upload.plan.part_size(), ttl),
            Manner::Parts => sign::life(0, ttl.max(LIFE)),
            // From its beginning until the last of it may have come.
            Manner::Form => ttl.saturating_add(sign::life(FORM_MAX, ttl)),
        }
    }
}

fn most_parts(upload: &Upload) -> usize {
    usize::try_from(upload.parts_max()).unwrap_or(usize::MAX)
}

/// Why an upload takes no more parts.
fn over(state: UploadState) -> Refusal {
    match state {
        UploadState::Verified | UploadState::Ready => {
            Refusal::saying(Code::Gone, "this upload is complete")
        }
        state => closed(state),
    }
}

fn too_large(most: u64) -> Refusal {
    Refusal::saying(
        Code::TooLarge,
        format!("an upload has {most} bytes at most"),
    )
}

/// Those of the store's parts that are wanted, by number and ETag, in order.
fn matching(
    held: Vec<StoredPart>,
    wanted: &BTreeMap<PartNumber, ETag>,
) -> Result<Vec<StoredPart>, Refusal> {
    if wanted.is_empty() {
        return Err(Refusal::saying(Code::InvalidRequest, "there are no parts"));
    }
    let mut held: BTreeMap<_, _> = held.into_iter().map(|part| (part.number, part)).collect();
    let one = |(number, etag): (&PartNumber, &ETag)| {
        let part = held.remove(number).filter(|part| part.etag == *etag);
        part.ok_or_else(|| {
            Refusal::saying(
                Code::PartsMismatch,
                format!("the store holds no such part {number}"),
            )
        })
    };
    wanted.iter().map(one).collect()
}
