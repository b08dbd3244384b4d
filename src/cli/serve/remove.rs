//! `upload serve rm`: removes uploads of any owner with their objects.
//!
//! Not here: the removal (`gateway`).

use std::time::Duration;

use super::ledger_location;
use crate::cli::output;
use crate::cli::settings::Settings;
use crate::event;
use upload_gateway::Config;
use upload_types::UploadId;
use upload_types::error::{Error, Kind, Result};

/// # Errors
/// [`Kind::Usage`] for a text that is not an upload id; the first error of the removals, after all
/// of them.
pub async fn run(settings: &Settings, config: Config, ids: &[String]) -> Result<()> {
    ledger_location::check_exists(&config.ledger)?;
    let ids = ids.iter().map(|id| parse(id)).collect::<Result<Vec<_>>>()?;
    let json = settings.json();
    // Waiting is useless: a gateway keeps the embedded store open until it stops.
    let config = Config {
        store_lock_timeout: Duration::ZERO,
        ..config
    };
    let results = upload_gateway::remove_uploads(config, &ids).await?;
    let mut first_error = None;
    for (id, result) in ids.iter().zip(results) {
        match result {
            Ok(()) if json => {
                let line = serde_json::json!({ "type": "removed", "upload": id });
                output::print(&format!("{}\n", event::to_json_line(&line)))?;
            }
            Ok(()) if settings.quiet() => {}
            Ok(()) => output::eprint_line(&format!("removed {id}")),
            Err(error) if first_error.is_none() => first_error = Some(error),
            Err(error) => output::eprint_error(&error),
        }
    }
    first_error.map_or(Ok(()), Err)
}

fn parse(id: &str) -> Result<UploadId> {
    id.parse().map_err(|_| {
        Error::new(Kind::Usage, format!("{id:?} is not an upload id"))
            .with_hint("give the id of a receipt, of the log, or of `upload list`")
    })
}
