//! Checks of proofs, of the length and of unsigned headers, each with parts of one open upload.

use std::collections::BTreeMap;

use tracing::{debug, warn};

use upload_types::wire::Proof;
use upload_types::{Key, PartNumber, Sha256};

use super::body_check::{self, observed};
use super::fixture::{FORGED_BODY, SIGNED_BODY, URL_TTL, object_key, part_number, part_spec};
use crate::fault::Fault;
use crate::profile::{Capability, Finding, Profile, Support};
use crate::response;
use crate::signing::body_headers;
use crate::store::Store;

/// The maximum number of attempts to send a body while the store fails temporarily.
const MAX_SEND_ATTEMPTS: u32 = 3;
/// Each check has part numbers of its own, so that no check sees the part of another. The checks of
/// proofs use the first numbers.
const LENGTH_PART: u32 = 11;
const SMUGGLING_PART: u32 = 12;

/// The proofs to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProofSearch {
    /// From the strongest down to the first one that the store enforces.
    Strongest,
    /// All.
    All,
}

/// The store's reaction to one body.
struct Outcome {
    accepted: bool,
    observed: String,
    /// The rejection of credentials, bucket or region.
    rejection: Option<Fault>,
}

/// The checks, with an open multipart upload.
pub(super) struct ProofChecks<'a> {
    pub(super) store: &'a Store,
    pub(super) key: &'a Key,
    pub(super) upload_id: &'a str,
}

impl ProofChecks<'_> {
    /// Checks `proofs`, which are sorted from strong to weak, and records the findings. Returns the
    /// first that the store enforces; `None` if it enforces none, or if `stronger` was already
    /// found.
    pub(super) async fn find_strongest(
        &self,
        proofs: &[Proof],
        search: ProofSearch,
        stronger: Option<Proof>,
        profile: &mut Profile,
    ) -> Result<Option<Proof>, Fault> {
        let mut strongest = None;
        for (&proof, number) in proofs.iter().zip(1..) {
            let is_found = stronger.or(strongest).is_some();
            if is_found && (search == ProofSearch::Strongest || proof == Proof::None) {
                break;
            }
            let finding = self.check_proof(proof, part_number(number)).await?;
            if finding.support == Support::Yes && !is_found {
                strongest = Some(proof);
            }
            if let Some(capability) = Capability::of_proof(proof) {
                profile.record(capability, finding);
            }
        }
        Ok(strongest)
    }

    /// Checks that the store accepts the signed body, and neither accepts nor keeps another body of
    /// the same length. For [`Proof::None`], only that it accepts the signed body.
    async fn check_proof(&self, proof: Proof, number: PartNumber) -> Result<Finding, Fault> {
        let headers = body_headers(proof, &part_spec(number, SIGNED_BODY))?;
        let mut rejection = String::new();
        if proof != Proof::None {
            let forged = self.put(number, headers.clone(), FORGED_BODY, None).await?;
            if forged.accepted {
                return Ok(Finding::new(Support::No, forged.observed));
            }
            if self.stored_size(number).await?.is_some() {
                warn!(?proof, "the store refuses a wrong body, but keeps it");
                let text = format!("{}, and kept it", forged.observed);
                return Ok(Finding::new(Support::No, text));
            }
            rejection = forged.observed;
        }
        let signed = self.put(number, headers, SIGNED_BODY, None).await?;
        if let (Proof::None, Some(rejection)) = (proof, signed.rejection) {
            return Err(rejection);
        }
        if !signed.accepted {
            return Ok(Finding::new(Support::Refused, signed.observed));
        }
        if proof == Proof::Sha256 {
            let (parts, _) = self.store.list(self.key, self.upload_id, None).await?;
            let expected = Some(Sha256::of(SIGNED_BODY));
            if parts.iter().all(|part| part.sha256 != expected) {
                debug!("the store verifies SHA-256 checksums, and does not list them");
            }
        }
        Ok(Finding::new(Support::Yes, rejection))
    }

    /// Checks that the store rejects a body that is longer than its signed length. The hash of the
    /// body is the signed one, so that only the length is wrong.
    pub(super) async fn check_length(&self, proof: Proof) -> Result<Finding, Fault> {
        let number = part_number(LENGTH_PART);
        let body = [SIGNED_BODY, b"!"].concat();
        let mut part = part_spec(number, &body);
        part.size -= 1;
        let headers = body_headers(proof, &part)?;
        let outcome = self.put(number, headers, &body, None).await?;
        let support = if outcome.accepted {
            Support::No
        } else {
            Support::Yes
        };
        Ok(Finding::new(support, outcome.observed))
    }

    /// Checks that an unsigned header that turns the request into a copy has no effect. The object
    /// `source` must exist.
    pub(super) async fn check_smuggling(&self, proof: Proof) -> Result<Finding, Fault> {
        let source = self.store.full_key(&object_key(self.key, "source")?);
        let copy_source = format!("/{}/{source}", self.store.bucket());
        let number = part_number(SMUGGLING_PART);
        let headers = body_headers(proof, &part_spec(number, SIGNED_BODY))?;
        let outcome = self
            .put(number, headers, SIGNED_BODY, Some(&copy_source))
            .await?;
        // The response does not matter: Ceph 16 responds 400 `RequestTimeout`.
        let observed = outcome.observed;
        Ok(match self.stored_size(number).await? {
            None => Finding::new(Support::Yes, observed),
            Some(size) if size == SIGNED_BODY.len() as u64 => {
                Finding::new(Support::Yes, format!("{observed}, and did not copy"))
            }
            Some(_) => Finding::new(Support::No, format!("{observed}, and copied")),
        })
    }

    /// Sends a body to a URL that is signed for `headers`; repeats that after a temporary failure.
    async fn put(
        &self,
        number: PartNumber,
        headers: BTreeMap<String, String>,
        body: &[u8],
        copy_source: Option<&str>,
    ) -> Result<Outcome, Fault> {
        let mut last = Fault::Unavailable("UploadPart: not sent".into());
        for _ in 0..MAX_SEND_ATTEMPTS {
            let presigned = self
                .store
                .presign_internal_part(self.key, self.upload_id, number, headers.clone(), URL_TTL)
                .await?;
            let unsigned = copy_source.map(|source| ("x-amz-copy-source", source));
            let result = body_check::put(self.store, presigned, body, unsigned.as_slice()).await;
            let observed = result.as_ref().map(observed).unwrap_or_default();
            // The rejection of an unsigned header is final, even with the code of a temporary
            // failure.
            let is_final = copy_source.is_some()
                && result
                    .as_ref()
                    .is_ok_and(|response| response.status.is_client_error());
            match result.and_then(|response| response::check("UploadPart", response)) {
                Ok(_) => {
                    return Ok(Outcome {
                        accepted: true,
                        observed,
                        rejection: None,
                    });
                }
                Err(fault @ Fault::Unavailable(_)) if !is_final => last = fault,
                Err(fault) => {
                    debug!(%fault, "the store refuses the body");
                    return Ok(Outcome {
                        accepted: false,
                        observed,
                        rejection: Some(fault).filter(|fault| matches!(fault, Fault::Rejected(_))),
                    });
                }
            }
        }
        Err(last)
    }

    /// The size of a part that the store lists; `None` if it does not list the part.
    async fn stored_size(&self, number: PartNumber) -> Result<Option<u64>, Fault> {
        let (parts, _) = self.store.list(self.key, self.upload_id, None).await?;
        let part = parts.iter().find(|part| part.number == number);
        Ok(part.map(|part| part.size))
    }
}
