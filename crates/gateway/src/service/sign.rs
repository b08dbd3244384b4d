//! Sign: one presigned request for each part, good for its bytes alone.
//!
//! Border: the first sign pins a part to its SHA-256; the signature itself is `store`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Service, closed, is_over, object};
use crate::auth::Owner;
use crate::ledger::{Transition, Upload, UploadKind};
use crate::metrics::metrics;
use crate::problem::{Refusal, store_failed};
use crate::rules;
use upload_s3::Fault;
use upload_types::crash;
use upload_types::wire::{
    Code, PartSpec, Proof, SignRequest, SignResponse, SignedPart, UploadState,
};

/// The slowest link a part's URL must outlive, in bytes per second.
const SLOWEST: u64 = 256 << 10;
/// No signed URL for a part lives longer.
const LIFE_MAX: Duration = Duration::from_hours(12);

impl Service {
    /// Signs parts of an upload.
    ///
    /// # Errors
    /// `invalid_request` for parts that are not the plan's, `lease_lost`, `part_pinned`, `gone`, `rate_limited`, `busy` while completing,
    /// `not_found`, `store_unavailable`.
    pub async fn sign(
        &self,
        owner: &Owner,
        id: &str,
        request: SignRequest,
    ) -> Result<SignResponse, Refusal> {
        let upload = self.find(owner, id).await?;
        // Who lost the upload to another is to hear of that first, however far the other has come.
        if request.epoch != upload.lease.epoch && !is_over(upload.state) {
            return Err(Refusal::new(Code::LeaseLost));
        }
        if !matches!(upload.state, UploadState::Pending | UploadState::Uploading) {
            return Err(closed(upload.state));
        }
        planned(&upload)?;
        rules::sign(&upload.plan, &request.parts)?;
        self.signable(&request.parts)?;
        self.signed.take(&owner.0, request.parts.len())?;
        let upload = self.created(upload, true).await?;
        self.pin(&upload, request.epoch, &request.parts).await?;
        Ok(SignResponse {
            parts: self.signed(&upload, &request.parts).await?,
        })
    }

    /// Whether all that the backend's proof takes is known of these parts, and nothing twice.
    pub(super) fn signable(&self, parts: &[PartSpec]) -> Result<(), Refusal> {
        if self.store.proof() == Proof::Md5 && parts.iter().any(|part| part.md5.is_none()) {
            return Err(Refusal::saying(
                Code::InvalidRequest,
                "this backend's proof is md5: each part needs its md5",
            ));
        }
        let mut seen = BTreeMap::new();
        let differs = |part: &&PartSpec| {
            seen.insert(part.number, part.sha256)
                .is_some_and(|sha256| sha256 != part.sha256)
        };
        match parts.iter().find(differs) {
            Some(part) => Err(refusal(Transition::PartMismatch(part.number))),
            None => Ok(()),
        }
    }

    /// Pins parts that are the plan's to their fingerprints.
    pub(super) async fn pin(
        &self,
        upload: &Upload,
        epoch: u64,
        parts: &[PartSpec],
    ) -> Result<(), Refusal> {
        match self
            .ledger
            .pin_parts(
                &upload.id,
                epoch,
                parts.to_vec(),
                self.rules.terms.renewed(Timestamp::now()),
            )
            .await?
        {
            Transition::Done => {
                crash::point("gateway.sign.pinned");
                Ok(())
            }
            refused => Err(refusal(refused)),
        }
    }

    /// Signs parts that are pinned.
    pub(super) async fn signed(
        &self,
        upload: &Upload,
        parts: &[PartSpec],
    ) -> Result<Vec<SignedPart>, Refusal> {
        let (key, life) = (&upload.key, |size| life(size, self.rules.url_ttl));
        let multipart = upload
            .store_upload
            .as_deref()
            .filter(|_| !upload.is_single());
        let signed = match (multipart, parts) {
            (Some(multipart), parts) => self.store.sign_parts(key, multipart, parts, life).await,
            (None, [part, ..]) if upload.is_single() => {
                // Each of them is the one there is.
                let put = self
                    .store
                    .sign_put(key, &object(upload), part, life(part.size))
                    .await;
                put.map(|put| vec![put; parts.len()])
            }
            (None, _) => Err(Fault::NoSuchUpload),
        };
        let signed = signed.map_err(|fault| store_failed("sign", &fault))?;
        metrics()
            .parts_signed
            .inc_by(u64::try_from(signed.len()).unwrap_or(u64::MAX));
        crash::point("gateway.sign.signed");
        Ok(signed.into_iter().map(SignedPart::Put).collect())
    }
}

/// Whether an upload has a plan that parts can be held to.
///
/// # Errors
/// `invalid_request`.
pub(super) fn planned(upload: &Upload) -> Result<(), Refusal> {
    if upload.kind == UploadKind::Declared {
        return Ok(());
    }
    Err(Refusal::saying(
        Code::InvalidRequest,
        "this upload has no plan: it was begun by Companion's routes",
    ))
}

/// What the ledger's refusal of an epoch-bearing call is in the API's words.
pub(super) fn refusal(signing: Transition) -> Refusal {
    match signing {
        Transition::Done => Refusal::new(Code::Unavailable),
        Transition::LeaseLost => Refusal::new(Code::LeaseLost),
        Transition::WrongState(state) => closed(state),
        Transition::PartMismatch(number) => Refusal::saying(
            Code::PartPinned,
            format!("part {number} was signed with another SHA-256"),
        ),
    }
}

/// How long the URL of a part of `size` bytes lives.
pub(super) fn life(size: u64, ttl: Duration) -> Duration {
    Duration::from_secs(size / SLOWEST).max(ttl).min(LIFE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_outlives_the_slowest_link_but_not_the_day() {
        let ttl = Duration::from_mins(15);
        assert_eq!(life(8 << 20, ttl), ttl);
        assert_eq!(life(1 << 30, ttl), Duration::from_secs(4096));
        assert_eq!(life(5 << 30, ttl), Duration::from_secs(20480));
        assert_eq!(life(u64::MAX, ttl), LIFE_MAX);
        assert_eq!(life(0, Duration::from_hours(25)), LIFE_MAX);
    }
}
