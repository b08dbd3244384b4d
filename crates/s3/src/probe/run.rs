//! Runs a probe: proofs first, then the other checks with the proof that was found.

use jiff::Timestamp;
use tracing::{debug, warn};
use uuid::Uuid;

use upload_types::wire::Proof;

use super::body_check::finding_of;
use super::checks::{self, Checks};
use super::cleanup;
use super::depth::ProbeDepth;
use super::fixture::{PROBE_OBJECT, PROBE_PREFIX, parse_key, probe_key};
use super::proofs::{ProofChecks, ProofSearch};
use crate::attribute_headers::ENCRYPTION_HEADER;
use crate::fault::Fault;
use crate::profile::{Capability, Finding, Profile, Support};
use crate::store::Store;

/// SHA-256 checksums are requested when an upload is created, so the other proofs need an upload of
/// their own.
const PROOFS_BY_UPLOAD: [&[Proof]; 2] =
    [&[Proof::Sha256], &[Proof::Payload, Proof::Md5, Proof::None]];

impl Store {
    /// Finds out the capabilities of the store. Stops at the strongest proof, unless `wanted` is a
    /// weaker one or the depth is [`ProbeDepth::Full`]. Deletes the leftovers of interrupted probes
    /// first.
    ///
    /// # Errors
    /// [`Fault`] if the store cannot be used at all.
    pub async fn probe(&self, depth: ProbeDepth, wanted: Option<Proof>) -> Result<Profile, Fault> {
        if let Err(fault) = self.delete_stale_probes(Timestamp::now()).await {
            warn!(%fault, "could not delete the leftovers of interrupted probes");
        }
        let search = match (depth, wanted) {
            (ProbeDepth::Full, _) | (_, Some(Proof::Payload | Proof::Md5)) => ProofSearch::All,
            _ => ProofSearch::Strongest,
        };
        let is_encrypted = self.create_headers().contains_key(ENCRYPTION_HEADER);
        // Boxed, since the compiler limits the depth of the future of a whole start.
        let profile = Box::pin(run(self, depth, search)).await;
        profile.map_err(|fault| match fault {
            Fault::Refused(text) if is_encrypted => Fault::misconfigured(
                "the store refuses the encryption of the gateway",
                text,
                "leave out --sse if the store has no such encryption, or correct its value",
            ),
            fault => fault,
        })
    }

    /// Whether a key, without the prefix of the store, is one of a probe.
    #[must_use]
    pub fn is_probe_key(key: &str) -> bool {
        key.strip_prefix(PROBE_PREFIX)
            .is_some_and(|rest| parse_key(rest).is_some())
    }

    /// Deletes the leftovers of interrupted probes that began more than 15 minutes before `now`.
    /// Returns the number of aborted multipart uploads.
    ///
    /// # Errors
    /// [`Fault`] if the store does not list, delete or abort.
    pub async fn delete_stale_probes(&self, now: Timestamp) -> Result<usize, Fault> {
        Box::pin(cleanup::delete_stale(self, now)).await
    }
}

async fn run(store: &Store, depth: ProbeDepth, search: ProofSearch) -> Result<Profile, Fault> {
    let key = probe_key(Uuid::new_v4())?;
    let mut profile = Profile::default();
    let mut found = None;
    for proofs in PROOFS_BY_UPLOAD {
        if found.is_some() && search == ProofSearch::Strongest {
            break;
        }
        let store = store.clone().with_proof(proofs[0]);
        let upload_id = match store.create(&key, &PROBE_OBJECT).await {
            Ok(upload_id) => upload_id,
            // Only after a permanent failure: a store that is unavailable for a moment must not get
            // a weaker proof.
            Err(fault @ Fault::Refused(_)) if proofs[0] == Proof::Sha256 => {
                debug!(%fault, "the store creates no upload with SHA-256 checksums");
                let finding = Finding::new(Support::Refused, fault.to_string());
                profile.record(Capability::Sha256, finding);
                continue;
            }
            Err(fault) => return Err(fault),
        };
        let checks = ProofChecks {
            store: &store,
            key: &key,
            upload_id: &upload_id,
        };
        let result = check_upload(&checks, proofs, depth, search, found, &mut profile).await;
        let aborted = store.abort(&key, &upload_id).await;
        found = found.or(result?);
        aborted?;
    }
    if found.is_none() {
        return Err(Fault::Refused(
            "the store accepts no part at a presigned URL".into(),
        ));
    }
    if depth == ProbeDepth::Full {
        cleanup::warn_of_leftovers(store, &key).await?;
    }
    Ok(profile)
}

/// Checks proofs with one upload. If one is found, and none was `found` before, makes the other
/// checks with it.
async fn check_upload(
    checks: &ProofChecks<'_>,
    proofs: &[Proof],
    depth: ProbeDepth,
    search: ProofSearch,
    found: Option<Proof>,
    profile: &mut Profile,
) -> Result<Option<Proof>, Fault> {
    let strongest = checks
        .find_strongest(proofs, search, found, profile)
        .await?;
    let Some(proof) = strongest else {
        return Ok(None);
    };
    let result = check_others(checks, proof, depth, profile).await;
    // The objects may exist even if the checks failed.
    if let Err(fault) = cleanup::delete_objects(checks.store, checks.key, depth.objects()).await {
        warn!(%fault, key = %checks.key, "could not delete the objects of the probe");
    }
    result.map(|()| Some(proof))
}

async fn check_others(
    proofs: &ProofChecks<'_>,
    proof: Proof,
    depth: ProbeDepth,
    profile: &mut Profile,
) -> Result<(), Fault> {
    let length = proofs.check_length(proof).await?;
    profile.record(Capability::Length, length);
    let store = proofs.store.clone().with_proof(proof);
    let put_once = checks::check_put_once(&store, proofs.key).await?;
    profile.record(Capability::PutOnce, put_once);
    // This must follow the check of `put-once`, which creates the object that must not be copied.
    let smuggling = proofs.check_smuggling(proof).await?;
    profile.record(Capability::Smuggling, smuggling);
    let checks = Checks {
        store: &store,
        key: proofs.key,
        upload_id: proofs.upload_id,
    };
    if depth >= ProbeDepth::Start {
        checks.small(profile).await;
    }
    if depth >= ProbeDepth::Full {
        checks.large(profile).await;
    }
    if depth >= ProbeDepth::Start {
        // This must be the last check: it deletes the object `source`.
        let deletion = checks::check_deletion(&store, proofs.key).await;
        profile.record(Capability::Deletion, finding_of(deletion));
    }
    Ok(())
}
