//! The removal of uploads on request of the operator. Gateways may run at the same time.
//!
//! Not here: the removal of one upload (`service`).

use crate::bootstrap::{self, Resources};
use crate::config::Config;
use crate::listener::{http_url, reachable_address};
use crate::problem::Refusal;
use crate::service::Service;
use crate::store_check;
use upload_types::UploadId;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Code;

/// Removes uploads of any owner, in any state, with their objects. Returns a result for each of
/// them.
///
/// # Errors
/// As [`start`](crate::start), without a probe of the store; [`Kind::Busy`] for an embedded store
/// that a gateway has locked. Of one upload: [`Kind::NotFound`]; [`Kind::Temporary`] if the removal
/// can be repeated.
pub async fn remove_uploads(config: Config, ids: &[UploadId]) -> Result<Vec<Result<()>>> {
    config.validate()?;
    let hooks = bootstrap::hooks(&config)?;
    let resources = Resources::open(&config).await?;
    let address = reachable_address(config.listen);
    let (store, _internal_task) = resources.connect_store(&config, address).await?;
    let store = Box::pin(store_check::in_named_region(store)).await;
    let public_url = match &config.public_url {
        Some(url) => url.clone(),
        None => http_url(address)?,
    };
    let service_config = bootstrap::service_config(&config, &store, &public_url, hooks);
    let service = Service::new(resources.ledger, store, service_config);
    let mut results = Vec::with_capacity(ids.len());
    for id in ids {
        let removed = service.remove_for_operator(id).await;
        results.push(removed.map_err(|refusal| failed(id, &refusal)));
    }
    Ok(results)
}

fn failed(id: &UploadId, refusal: &Refusal) -> Error {
    match refusal.code {
        Code::NotFound => Error::new(Kind::NotFound, format!("the ledger has no upload {id}"))
            .with_hint("check the id and --ledger"),
        Code::NotAbortable => Error::new(
            Kind::Temporary,
            format!("upload {id} is being completed and was not removed"),
        )
        .with_hint("run `upload serve sweep`, which decides the complete; then remove the upload"),
        code => {
            let reason = refusal.detail.as_deref().unwrap_or(code.title());
            let text = format!("could not remove upload {id}: {reason}");
            let hint = if code == Code::StoreRejected {
                "check the credentials and the settings of the store; then run the command again"
            } else {
                "run the command again; with -v it logs the errors of store and ledger"
            };
            Error::new(Kind::Temporary, text).with_hint(hint)
        }
    }
}
