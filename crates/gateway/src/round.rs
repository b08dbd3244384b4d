//! One sweep by hand, beside gateways that may be running: with their configuration, and nothing that listens to anybody else.
//!
//! Border: opens what a sweep needs, and ends; what a sweep does is `service/sweep`.

use super::hooks::Hooks;
use super::opened::Opened;
use super::problem::Refusal;
use super::service::{Service, Tell};
use super::{Config, probing, rules, settings, url_of, within_reach};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Code;

/// Sweeps once, or tells what would be done; `tell` hears of each thing that was found. What is `verified` by it waits for the
/// hooks of a gateway.
///
/// # Errors
/// As [`start`](super::start); [`Kind::Temporary`] when store or ledger fail on the way, [`Kind::Busy`] for an embedded store
/// that a gateway holds.
pub async fn round(config: Config, dry_run: bool, tell: Tell<'_>) -> Result<()> {
    settings::check(&config)?;
    let hooks = Hooks::new(
        config.hooks.clone(),
        config.on_reject.clone(),
        config.hook_secret.clone(),
    )?;
    let opened = Opened::open(&config).await?;
    let here = within_reach(config.listen);
    let (store, _inside) = opened.store(&config, here).await?;
    let ledger = opened.ledger;
    // What is only read needs no proof, and the probe writes.
    let store = if dry_run {
        store
    } else {
        probing::hold(store, &ledger, &config).await?
    };
    let public_url = match &config.public_url {
        Some(url) => url.clone(),
        None => url_of(here)?,
    };
    let rules = rules(&config, &store, &public_url, hooks);
    let service = Service::new(ledger, store, rules);
    if dry_run {
        return service
            .would_sweep(tell)
            .await
            .map_err(|refusal| failed(&refusal));
    }
    service
        .survey_and_tell(tell)
        .await
        .map_err(|refusal| failed(&refusal))?;
    service
        .sweep_and_tell(Some(tell))
        .await
        .map_err(|refusal| failed(&refusal))
}

fn failed(refusal: &Refusal) -> Error {
    let who = if refusal.code == Code::StoreUnavailable {
        "store"
    } else {
        "ledger"
    };
    Error::new(
        Kind::Temporary,
        format!("the {who} does not answer as it should; the lines above say how"),
    )
    .with_hint("what was left out is found by the next sweep")
}
