//! `upload prune`: removes finished uploads from the journal, and lists the orphans of a backend. Changes nothing in the store.

use std::time::Duration;

use jiff::Timestamp;

use super::args::PruneArgs;
use super::backend_spec::BackendSpec;
use super::orphans::Orphans;
use super::output;
use super::settings::Settings;
use crate::event;
use crate::journal::{Journal, Upload};
use upload_types::error::{Kind, Result};

/// # Errors
/// Those of the journal and of the backend, if there is one.
pub async fn run(settings: &Settings, flags: &PruneArgs) -> Result<()> {
    let mut journal = Journal::open(&settings.journal()?)?;
    let now = Timestamp::now();
    let finished: Vec<i64> = journal
        .all()?
        .iter()
        .filter(|upload| is_finished(upload, flags.older_than, now))
        .map(|upload| upload.row)
        .collect();
    // Before uploads are removed: they would be orphans afterwards.
    let orphans = orphans(settings, flags, &journal).await?;
    let removed = journal.delete(&finished)?;
    let lines = orphans
        .as_ref()
        .map(|orphans| orphans.lines(settings.json()));
    let lines = lines.unwrap_or_default();
    if settings.json() {
        let line = serde_json::json!({ "type": "pruned", "removed": removed });
        return output::print(&format!("{}\n{lines}", event::to_json_line(&line)));
    }
    if !settings.quiet() {
        output::eprint_line(&format!("removed {removed} from the journal"));
        if orphans.is_some_and(|orphans| !orphans.is_empty()) {
            output::eprint_line(
                "in progress at the backend and unknown to this journal (another machine may be uploading them); \
                 `upload abort ID` aborts one:",
            );
        }
    }
    output::print(&lines)
}

/// The orphans of the configured backend; `None` if there is none, or if it is a Companion, which cannot list uploads.
async fn orphans(
    settings: &Settings,
    flags: &PruneArgs,
    journal: &Journal,
) -> Result<Option<Orphans>> {
    let connection = settings.connection(&flags.connection)?;
    let flag = flags.backend.as_deref();
    match settings.target(flag, &connection) {
        Ok(target) if flag.is_none() && matches!(target.spec, BackendSpec::Companion(_)) => {
            if !settings.quiet() {
                output::eprint_line("orphans are not listed: a Companion cannot list uploads");
            }
            Ok(None)
        }
        Ok(target) => Orphans::find(journal, &target).await.map(Some),
        Err(error) if flag.is_none() && error.kind() == Kind::Config => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an upload has ended, at least `older_than` ago.
fn is_finished(upload: &Upload, older_than: Option<Duration>, now: Timestamp) -> bool {
    let ended_at = upload
        .receipt
        .as_ref()
        .map_or(upload.created_at, |receipt| receipt.finished);
    let age = now.duration_since(ended_at);
    let is_old = |least: Duration| age.unsigned_abs() >= least && age.is_positive();
    !upload.state.is_unfinished() && older_than.is_none_or(is_old)
}
