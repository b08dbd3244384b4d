//! What the gateway holds its store to: found out, or remembered from the ledger.
//!
//! Border: decides when to probe and whether to start; what is tried is `store/probe`, what is enough is `settings`.

use std::time::Duration;

use jiff::Timestamp;

use super::ledger::Ledger;
use super::opened::Opened;
use super::{Config, Probe, StoreConfig, settings, within_reach};
use upload_s3::{Fault, ProbeDepth, Profile, Store};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{Limits, Proof};

/// How long a profile is taken at a start without another look.
const FRESH: Duration = Duration::from_hours(24);

/// What a full probe came to.
#[derive(Debug)]
pub struct Probed {
    pub profile: Profile,
    pub limits: Limits,
    /// What the store would be held to, and what to warn of; or why the gateway would not start.
    pub judged: Result<(Proof, Vec<String>)>,
}

/// The store, held to what it was found to enforce, or to what the configuration says.
///
/// # Errors
/// As [`super::start`], of the store.
pub async fn hold(store: Store, ledger: &Ledger, config: &Config) -> Result<Store> {
    let embedded = is_embedded(config);
    if config.probe == Probe::Off {
        // Only the embedded store gets here with nothing said: what it checks is known.
        let profile = if embedded {
            Profile::embedded()
        } else {
            Profile::default()
        };
        return Ok(store
            .with_profile(profile)
            .with_proof(config.checksum.unwrap_or(Proof::Sha256)));
    }
    let found = if embedded {
        store
            .probe(ProbeDepth::Proofs, config.checksum)
            .await
            .map(|found| found.or_earlier(Profile::embedded()))
    } else {
        look(&store, ledger, config).await
    };
    match found {
        Ok(found) => {
            let (proof, warnings) = settings::judge(config.probe, config.checksum, &found)?;
            for warning in warnings {
                tracing::warn!("the store: {warning}");
            }
            Ok(store.with_profile(found).with_proof(proof))
        }
        Err(fault) if config.probe == Probe::Warn => {
            let proof = config.checksum.unwrap_or(Proof::None);
            tracing::warn!(
                ?fault,
                ?proof,
                "the store could not be tried; receipts say what it was declared to enforce"
            );
            Ok(store.with_proof(proof))
        }
        Err(fault) => Err(unusable(&fault)),
    }
}

/// Tries everything there is to try, whatever is remembered, and keeps it for the next start.
///
/// # Errors
/// As [`super::start`], but for the listener, which is not opened.
pub async fn probe(config: &Config) -> Result<Probed> {
    settings::check(config)?;
    let opened = Opened::open(config).await?;
    let (store, _inside) = opened.store(config, within_reach(config.listen)).await?;
    let profile = store
        .probe(ProbeDepth::Full, config.checksum)
        .await
        .map_err(|fault| unusable(&fault))?;
    if !is_embedded(config) {
        let key = store
            .profile_key()
            .await
            .map_err(|fault| unusable(&fault))?;
        keep(&opened.ledger, &key, &profile, Timestamp::now()).await?;
    }
    let judged = settings::judge(config.probe, config.checksum, &profile);
    let limits = store.with_profile(profile.clone()).limits();
    Ok(Probed {
        profile,
        limits,
        judged,
    })
}

fn is_embedded(config: &Config) -> bool {
    matches!(config.store, StoreConfig::Embedded { .. })
}

/// The profile of a store: the ledger's, if it is of today and good enough to start with, else a new one.
async fn look(store: &Store, ledger: &Ledger, config: &Config) -> Result<Profile, Fault> {
    let key = store.profile_key().await?;
    let earlier = remembered(ledger, &key).await;
    let now = Timestamp::now();
    let earlier = match earlier {
        Some((profile, probed_at)) => {
            // What would keep the gateway from starting may have been mended since.
            let good = settings::judge(Probe::Require, config.checksum, &profile).is_ok();
            if good && is_fresh(probed_at, now) {
                tracing::info!(%probed_at, "what the store can be held to is known from an earlier probe");
                return Ok(profile);
            }
            profile
        }
        None => Profile::default(),
    };
    // What only a full probe tries stays as it was found then.
    let found = store
        .probe(ProbeDepth::Start, config.checksum)
        .await?
        .or_earlier(earlier);
    if let Err(error) = keep(ledger, &key, &found, now).await {
        tracing::warn!(%error, "what the probe found could not be kept; the next start probes again");
    }
    Ok(found)
}

async fn remembered(ledger: &Ledger, key: &str) -> Option<(Profile, Timestamp)> {
    match ledger.store_profile(key).await {
        Ok(row) => {
            row.and_then(|(text, probed_at)| Some((serde_json::from_str(&text).ok()?, probed_at)))
        }
        Err(error) => {
            tracing::warn!(%error, "what is known of the store could not be read");
            None
        }
    }
}

async fn keep(ledger: &Ledger, key: &str, profile: &Profile, now: Timestamp) -> Result<()> {
    let unwritten = |error| {
        Error::new(Kind::Other, "could not write down what the probe found").with_source(error)
    };
    ledger
        .set_store_profile(key, serde_json::to_string(profile).map_err(unwritten)?, now)
        .await?;
    Ok(())
}

/// Whether a profile is taken without another look. One of a clock that was ahead is not.
fn is_fresh(probed_at: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(probed_at)).is_ok_and(|age| age < FRESH)
}

fn unusable(fault: &Fault) -> Error {
    match fault {
        Fault::Unavailable(why) => {
            Error::new(Kind::Temporary, format!("the store does not answer: {why}"))
                .with_hint("check --s3-endpoint and the network, then start again")
        }
        fault => Error::new(Kind::Config, format!("the store cannot be used: {fault}"))
            .with_hint("check the bucket's name, the region and what the credentials may do"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_good_for_a_day() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(is_fresh(at(1000), at(1000)) && is_fresh(at(1000), at(1000 + 86_399)));
        assert!(!is_fresh(at(1000), at(1000 + 86_400)) && !is_fresh(at(1000), at(999)));
    }
}
