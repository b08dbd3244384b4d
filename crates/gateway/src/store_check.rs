//! Decides the proof that the store must enforce, from a probe or from an earlier profile in the
//! ledger.
//!
//! Not here: the requests of a probe (`upload_s3`).

use std::time::Duration;

use jiff::Timestamp;

use crate::bootstrap::Resources;
use crate::config::{Config, ProbePolicy, StoreConfig};
use crate::ledger::Ledger;
use crate::listener::reachable_address;
use crate::time::describe_offset;
use upload_s3::{Capability, Fault, Place, ProbeDepth, Profile, PublicEndpoint, Store, Support};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{Limits, Proof};

/// How long a profile is valid without another probe.
const PROFILE_MAX_AGE: Duration = Duration::from_hours(24);

/// The result of a full probe.
#[derive(Debug)]
pub struct ProbeReport {
    pub profile: Profile,
    pub limits: Limits,
    /// The proof of the store and warnings about it, or the reason why the gateway would not start.
    pub assessment: Result<(Proof, Vec<String>)>,
}

/// Returns the store with the proof that the probe finds or that the configuration names.
///
/// # Errors
/// [`Kind::Temporary`] for a store that does not respond, [`Kind::Incompatible`] for an untrusted
/// certificate, [`Kind::Config`] for a store that cannot be used, [`Kind::Unauthorized`] for
/// credentials that are rejected.
pub async fn check(store: Store, ledger: &Ledger, config: &Config) -> Result<Store> {
    let is_embedded = config.store.is_embedded();
    if config.probe == ProbePolicy::Off {
        let profile = if is_embedded {
            Profile::embedded()
        } else {
            Profile::default()
        };
        // Only the embedded store may have no configured proof here; it enforces SHA-256.
        let proof = config.proof.unwrap_or(Proof::Sha256);
        return Ok(store.with_profile(profile).with_proof(proof));
    }
    let (store, profile) = if is_embedded {
        let found = store.probe(ProbeDepth::Proofs, config.proof).await;
        let profile = found.map(|found| found.or_earlier(Profile::embedded()));
        (store, profile)
    } else {
        let profile = recent_profile(&store, ledger, config).await;
        match corrected(&store, &profile) {
            Some(store) => {
                let profile = recent_profile(&store, ledger, config).await;
                (store, profile)
            }
            None => (store, profile),
        }
    };
    match profile {
        Ok(profile) => {
            let (proof, warnings) = assess(config.probe, config.proof, &profile)?;
            for warning in warnings {
                tracing::warn!(warning, "the store lacks a protection");
            }
            if !is_embedded {
                Box::pin(check_permissions(&store, config)).await?;
                Box::pin(check_public_endpoint(&store, config)).await?;
            }
            Ok(store.with_profile(profile).with_proof(proof))
        }
        Err(fault) if config.probe == ProbePolicy::Warn => {
            let proof = config.proof.unwrap_or(Proof::None);
            tracing::warn!(
                ?fault,
                ?proof,
                "could not probe the store; receipts state this proof without a check"
            );
            Ok(store.with_proof(proof))
        }
        Err(fault) => Err(unusable(&store, &fault)),
    }
}

/// Checks the permissions that uploads need later, so that they are not missed after all bytes
/// were sent.
async fn check_permissions(store: &Store, config: &Config) -> Result<()> {
    let missing = match store.missing_permissions().await {
        Ok(missing) if missing.is_empty() => return Ok(()),
        Ok(missing) => missing.join(", "),
        Err(fault) if config.probe == ProbePolicy::Require => return Err(unusable(store, &fault)),
        Err(fault) => {
            tracing::warn!(%fault, "could not check the permissions of the credentials");
            return Ok(());
        }
    };
    let (bucket, origin) = (store.bucket(), store.origin());
    if config.probe == ProbePolicy::Require {
        let text = format!(
            "could not use the bucket {bucket} at {origin}: the credentials lack the permission {missing}"
        );
        return Err(Error::new(Kind::Unauthorized, text).with_hint(format!(
            "permit {missing} to these credentials, on the bucket and its objects; then run the \
             command again"
        )));
    }
    tracing::warn!(missing, "the credentials lack a permission");
    Ok(())
}

/// Checks that signatures for the endpoint of clients are valid, if this machine can reach it.
async fn check_public_endpoint(store: &Store, config: &Config) -> Result<()> {
    let StoreConfig::S3 {
        public_endpoint: Some(endpoint),
        ..
    } = &config.store
    else {
        return Ok(());
    };
    let endpoint = endpoint.origin().ascii_serialization();
    match store.check_public_endpoint().await {
        Ok(PublicEndpoint::Works) => {
            tracing::info!(endpoint, "the store accepts URLs for the public endpoint");
        }
        Ok(PublicEndpoint::NotReachable(reason)) => {
            tracing::warn!(
                endpoint,
                reason,
                "could not check the public endpoint of the store: it cannot be reached from here"
            );
        }
        Ok(PublicEndpoint::Rejects(response)) if config.probe == ProbePolicy::Require => {
            let text =
                format!("the public endpoint {endpoint} does not accept signed URLs: {response}");
            return Err(Error::new(Kind::Config, text).with_hint(
                "let the proxy at --s3-public-endpoint forward requests to the store with their \
                 path, query and Host",
            ));
        }
        Ok(PublicEndpoint::Rejects(response)) => {
            tracing::warn!(
                endpoint,
                response,
                "the public endpoint refuses signed URLs"
            );
        }
        Err(fault) => tracing::warn!(%fault, "could not check the public endpoint of the store"),
    }
    Ok(())
}

/// Runs all checks of a probe, even if the ledger has a profile, and saves the profile for the next
/// start.
///
/// # Errors
/// [`Kind::Temporary`] for a store that does not respond, [`Kind::Incompatible`] for an untrusted
/// certificate, [`Kind::Config`] for a store that cannot be used, [`Kind::Unauthorized`] for
/// credentials that are rejected, and the errors of opening ledger and store.
pub async fn probe_store(config: &Config) -> Result<ProbeReport> {
    config.validate()?;
    let resources = Resources::open(config).await?;
    let (store, _internal_task) = resources
        .connect_store(config, reachable_address(config.listen))
        .await?;
    let profile = store.probe(ProbeDepth::Full, config.proof).await;
    let (store, profile) = match corrected(&store, &profile) {
        Some(store) => {
            let profile = store.probe(ProbeDepth::Full, config.proof).await;
            (store, profile)
        }
        None => (store, profile),
    };
    let profile = profile.map_err(|fault| unusable(&store, &fault))?;
    if !config.store.is_embedded() {
        let key = store
            .profile_key()
            .await
            .map_err(|fault| unusable(&store, &fault))?;
        save_profile(&resources.ledger, &key, &profile, Timestamp::now()).await?;
    }
    let mut assessment = assess(config.probe, config.proof, &profile);
    if !config.store.is_embedded() {
        let checked = match Box::pin(check_permissions(&store, config)).await {
            Ok(()) => Box::pin(check_public_endpoint(&store, config)).await,
            failed => failed,
        };
        assessment = checked.and(assessment);
    }
    let limits = store.with_profile(profile.clone()).limits();
    Ok(ProbeReport {
        profile,
        limits,
        assessment,
    })
}

/// The store in the region that it has named because the request was for another one. Returns
/// `None` if the configuration names the region.
fn corrected<T>(store: &Store, result: &Result<T, Fault>) -> Option<Store> {
    let fault = result.as_ref().err()?;
    let there = store.in_region_of(fault)?;
    tracing::info!(%fault, "using the region that the store names");
    Some(there)
}

/// The store in the region that it names, for a process that does not probe it. Writes nothing.
pub async fn in_named_region(store: Store) -> Store {
    let checked = store.missing_permissions().await;
    corrected(&store, &checked).unwrap_or(store)
}

/// The profile in the ledger if it is recent and sufficient for a start, otherwise that of a new
/// probe.
async fn recent_profile(store: &Store, ledger: &Ledger, config: &Config) -> Result<Profile, Fault> {
    let key = store.profile_key().await?;
    let saved = saved_profile(ledger, &key).await;
    let now = Timestamp::now();
    let earlier = match saved {
        Some((profile, probed_at)) => {
            // If the profile prevents a start, the store is probed again: it may be fixed now.
            let suffices = assess(ProbePolicy::Require, config.proof, &profile).is_ok();
            if suffices && is_recent(probed_at, now) {
                if let Err(fault) = store.delete_stale_probes(now).await {
                    tracing::warn!(%fault, "could not delete the leftovers of interrupted probes");
                }
                tracing::info!(%probed_at, "using the store's profile from an earlier probe");
                return Ok(profile);
            }
            profile
        }
        None => Profile::default(),
    };
    // Findings that only a full probe makes are taken from the earlier profile.
    let profile = store
        .probe(ProbeDepth::Start, config.proof)
        .await?
        .or_earlier(earlier);
    if let Err(error) = save_profile(ledger, &key, &profile, now).await {
        tracing::warn!(%error, "could not save the store's profile; the next start probes again");
    }
    Ok(profile)
}

async fn saved_profile(ledger: &Ledger, key: &str) -> Option<(Profile, Timestamp)> {
    match ledger.store_profile(key).await {
        Ok(row) => {
            row.and_then(|(json, probed_at)| Some((serde_json::from_str(&json).ok()?, probed_at)))
        }
        Err(error) => {
            tracing::warn!(%error, "could not read the store's profile");
            None
        }
    }
}

async fn save_profile(ledger: &Ledger, key: &str, profile: &Profile, now: Timestamp) -> Result<()> {
    let json = serde_json::to_string(profile).map_err(|error| {
        Error::new(Kind::Other, "could not save the result of the probe").with_source(error)
    })?;
    ledger.set_store_profile(key, json, now).await?;
    Ok(())
}

/// A profile from the future, written by a gateway with a fast clock, is not recent.
fn is_recent(probed_at: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(probed_at)).is_ok_and(|age| age < PROFILE_MAX_AGE)
}

fn unusable(store: &Store, fault: &Fault) -> Error {
    let place = format!("bucket {} at {}", store.bucket(), store.origin());
    let offset = store.clock_offset().as_secs();
    // A bucket that does not exist, or another region, has nothing to do with the clock.
    let may_be_clock = match fault {
        Fault::Rejected(rejection) => {
            rejection.kind == Kind::Unauthorized && rejection.place == Place::Store
        }
        Fault::Refused(_) => true,
        _ => false,
    };
    if offset != 0 && may_be_clock {
        // The store compares signatures and the expiry of URLs with its own clock.
        let (seconds, direction) = describe_offset(offset);
        let text = format!(
            "could not use the {place}, because the clock of this machine is {seconds} s \
             {direction} that of the store: {fault}"
        );
        return Error::new(Kind::Config, text)
            .with_hint("synchronise the clock of this machine; then run the command again");
    }
    match fault {
        Fault::Rejected(rejection) => {
            let text = match rejection.place {
                Place::Credentials => rejection.text.clone(),
                Place::Proxy => format!("could not reach the {place}: {}", rejection.text),
                Place::Store => format!("could not use the {place}: {}", rejection.text),
            };
            Error::new(rejection.kind, text).with_hint(rejection.hint.as_str())
        }
        Fault::NoCredentials(reason) => Error::new(Kind::Temporary, reason.as_str())
            .with_hint("check the network; then run the command again"),
        Fault::Unavailable(reason) => Error::new(
            Kind::Temporary,
            format!("could not reach the {place}: {reason}"),
        )
        .with_hint(
            "check --s3-endpoint, the proxy if one is named, and the network; then run the \
             command again",
        ),
        Fault::Untrusted(reason) => Error::new(
            Kind::Incompatible,
            format!("the certificate of the store is not trusted ({place}): {reason}"),
        )
        .with_hint("trust the authority that issued it: --ca-cert FILE"),
        fault => Error::new(Kind::Config, format!("could not use the {place}: {fault}")).with_hint(
            "check the bucket's name, the region and the permissions of the credentials",
        ),
    }
}

/// The proof that the store is required to enforce, never stronger than the probe found, and
/// warnings.
///
/// # Errors
/// [`Kind::Config`] if the policy requires the probe to succeed, but the store accepts a wrong body
/// or a wrong length, or does not enforce the required proof.
fn assess(
    policy: ProbePolicy,
    required: Option<Proof>,
    profile: &Profile,
) -> Result<(Proof, Vec<String>)> {
    let mut warnings = Vec::new();
    let strongest = profile.proof();
    if strongest == Proof::None {
        warnings.push("it accepts a body with another checksum than the signed one".to_owned());
    }
    let proof = match required {
        Some(required) if !profile.proves(required) => {
            warnings.push(format!(
                "it does not enforce {}, only {}",
                required.name(),
                strongest.name()
            ));
            strongest
        }
        required => required.unwrap_or(strongest),
    };
    if profile.support(Capability::Length) != Support::Yes {
        warnings.push("it accepts a body of another length than the signed one".to_owned());
    }
    if profile.support(Capability::Encryption) == Support::No {
        let observed = profile.observed(Capability::Encryption);
        let text = format!("it ignores --sse: HeadObject shows an object {observed}");
        if policy == ProbePolicy::Require {
            let text = format!("the store does not encrypt as requested: {text}");
            return Err(Error::new(Kind::Config, text).with_hint(
                "leave out --sse, or correct its value; or use a store with that encryption",
            ));
        }
        warnings.push(text);
    }
    if policy == ProbePolicy::Require && !warnings.is_empty() {
        let text = format!("the store cannot prove uploads: {}", warnings.join("; "));
        return Err(Error::new(Kind::Config, text).with_hint(
            "use a store that enforces signed checksums; or accept the risk: run a gateway with \
             `upload serve --store-probe warn`, and upload to it",
        ));
    }
    if profile.support(Capability::Smuggling) != Support::Yes {
        warnings.push(
            "it obeys an unsigned x-amz-copy-source on a presigned PUT: \
             give the signing credentials no read access"
                .to_owned(),
        );
    }
    if profile.support(Capability::RequiredHeaders) == Support::No {
        warnings.push(format!(
            "it ignores a header of --required-header: HeadObject shows an object {}",
            profile.observed(Capability::RequiredHeaders)
        ));
    }
    if profile.support(Capability::Expiry) == Support::No {
        warnings.push(
            "it accepts presigned URLs after their expiry: a leaked URL never becomes invalid"
                .to_owned(),
        );
    }
    if profile.support(Capability::Deletion) == Support::No {
        warnings.push(
            "what the gateway deletes stays as a version of the bucket, rejected objects too: \
             permit s3:DeleteObjectVersion, and let the bucket expire noncurrent versions"
                .to_owned(),
        );
    }
    Ok((proof, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_s3::Finding;

    fn profile(proof: Proof, enforces_length: bool) -> Profile {
        let mut profile = Profile::default();
        let mut record = |capability, is_supported| {
            let support = if is_supported {
                Support::Yes
            } else {
                Support::No
            };
            profile.record(capability, Finding::new(support, ""));
        };
        record(Capability::Sha256, proof == Proof::Sha256);
        record(Capability::Md5, proof == Proof::Md5);
        record(Capability::Length, enforces_length);
        record(Capability::Smuggling, true);
        profile
    }

    /// The proof and the number of warnings, or the kind of the error.
    fn try_assess(
        policy: ProbePolicy,
        required: Option<Proof>,
        profile: &Profile,
    ) -> Result<(Proof, usize), Kind> {
        assess(policy, required, profile)
            .map(|(proof, warnings)| (proof, warnings.len()))
            .map_err(|error| error.kind())
    }

    #[test]
    fn store_that_enforces_nothing_is_rejected_unless_accepted() {
        use ProbePolicy::{Require, Warn};

        let strong = profile(Proof::Sha256, true);
        assert_eq!(try_assess(Require, None, &strong), Ok((Proof::Sha256, 0)));
        // A proof does not imply a weaker one.
        assert_eq!(
            try_assess(Require, Some(Proof::Payload), &strong),
            Err(Kind::Config)
        );
        let mut both = strong;
        both.record(Capability::Payload, Finding::new(Support::Yes, ""));
        assert_eq!(
            try_assess(Require, Some(Proof::Payload), &both),
            Ok((Proof::Payload, 0))
        );
        for insufficient in [profile(Proof::None, true), profile(Proof::Sha256, false)] {
            assert_eq!(try_assess(Require, None, &insufficient), Err(Kind::Config));
            assert_eq!(
                try_assess(Warn, None, &insufficient),
                Ok((insufficient.proof(), 1))
            );
        }
        let weak = profile(Proof::Md5, true);
        assert_eq!(try_assess(Require, None, &weak), Ok((Proof::Md5, 0)));
        assert_eq!(
            try_assess(Require, Some(Proof::Sha256), &weak),
            Err(Kind::Config)
        );
        // A receipt must not claim a required proof that the store does not enforce.
        assert_eq!(
            try_assess(Warn, Some(Proof::Sha256), &weak),
            Ok((Proof::Md5, 1))
        );
        assert_eq!(
            try_assess(Warn, Some(Proof::None), &weak),
            Ok((Proof::None, 0))
        );
        let nothing = profile(Proof::None, true);
        assert_eq!(
            try_assess(Warn, Some(Proof::Payload), &nothing),
            Ok((Proof::None, 2))
        );
    }

    #[test]
    fn profile_is_recent_for_a_day() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(is_recent(at(1000), at(1000)) && is_recent(at(1000), at(1000 + 86_399)));
        assert!(!is_recent(at(1000), at(1000 + 86_400)) && !is_recent(at(1000), at(999)));
    }
}
