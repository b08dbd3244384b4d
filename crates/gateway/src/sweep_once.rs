//! One sweep on request. Gateways may run at the same time.
//!
//! Not here: the sweep itself (`service`).

use crate::bootstrap::{self, Resources};
use crate::config::Config;
use crate::listener::{http_url, reachable_address};
use crate::problem::Refusal;
use crate::service::{Service, SweepObserver};
use crate::store_check;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Code;

/// The mode of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepMode {
    Run,
    /// Report the actions of a sweep, and change nothing.
    DryRun,
}

/// Sweeps once, with the configuration of a gateway but without its listeners. Calls `observer` for
/// each item that the sweep finds. An upload that becomes `verified` waits for the hooks of a
/// gateway.
///
/// # Errors
/// As [`start`](crate::start); [`Kind::Temporary`] if store or ledger fail during the sweep,
/// [`Kind::Busy`] for an embedded store that a gateway has locked.
pub async fn sweep_once(
    config: Config,
    mode: SweepMode,
    observer: SweepObserver<'_>,
) -> Result<()> {
    config.validate()?;
    let hooks = bootstrap::hooks(&config)?;
    let resources = Resources::open(&config).await?;
    let address = reachable_address(config.listen);
    let (store, _internal_task) = resources.connect_store(&config, address).await?;
    let ledger = resources.ledger;
    let store = match mode {
        SweepMode::Run => Box::pin(store_check::check(store, &ledger, &config)).await?,
        // A probe writes to the store. A dry run must not write, and needs no proof.
        SweepMode::DryRun => Box::pin(store_check::in_named_region(store)).await,
    };
    let public_url = match &config.public_url {
        Some(url) => url.clone(),
        None => http_url(address)?,
    };
    let service_config = bootstrap::service_config(&config, &store, &public_url, hooks);
    let service = Service::new(ledger, store, service_config);
    let swept = match mode {
        SweepMode::DryRun => service.preview_sweep(observer).await,
        SweepMode::Run => {
            async {
                service.report_orphans(observer).await?;
                let surveyed = service.survey_all().await;
                // The sweep does not depend on a store that lists objects.
                service.sweep(Some(observer)).await?;
                surveyed
            }
            .await
        }
    };
    swept.map_err(|refusal| incomplete(&refusal))
}

fn incomplete(refusal: &Refusal) -> Error {
    let component = match refusal.code {
        Code::StoreUnavailable | Code::StoreRejected => "store",
        _ => "ledger",
    };
    Error::new(
        Kind::Temporary,
        format!("the {component} failed during the sweep; the log above has the reason"),
    )
    .with_hint("run the sweep again; it processes the uploads that are left")
}
