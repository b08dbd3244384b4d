//! `upload prune`: removes finished uploads from the journal, and lists the orphans of a backend.
//! Changes nothing in the store.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::args::PruneArgs;
use super::backend_spec::BackendSpec;
use super::orphans::Orphans;
use super::output;
use super::settings::{Settings, Target};
use crate::event;
use crate::journal::{Journal, Upload};
use upload_types::UploadId;
use upload_types::error::{Error, Kind, Result};

/// # Errors
/// Those of the journal and of the backend, if there is one. The journal is pruned even if
/// the backend fails.
pub async fn run(settings: &Settings, flags: &PruneArgs) -> Result<()> {
    let mut journal = Journal::open(&settings.journal()?)?;
    let target = backend_with_orphans(settings, flags)?;
    let pruned = remove_finished(&mut journal, settings, flags)?;
    let Some(target) = target else {
        return Ok(());
    };
    let orphans = Orphans::find(&journal, &target, &pruned, flags.query.limit())
        .await
        .map_err(|error| not_listed(error, &target))?;
    if !orphans.is_empty() && !settings.json() && !settings.quiet() {
        output::eprint_line(
            "in progress at the backend and unknown to this journal (another machine may be uploading them); \
             `upload abort ID` aborts one:",
        );
    }
    output::print(&orphans.lines(settings.json()))
}

/// Removes finished uploads from the journal, and reports their number. Returns their ids.
fn remove_finished(
    journal: &mut Journal,
    settings: &Settings,
    flags: &PruneArgs,
) -> Result<BTreeSet<UploadId>> {
    let now = Timestamp::now();
    let mut finished = journal.all()?;
    finished.retain(|upload| is_finished(upload, flags.older_than, now));
    let rows: Vec<i64> = finished.iter().map(|upload| upload.row).collect();
    let removed = journal.delete(&rows)?;
    if settings.json() {
        let line = serde_json::json!({ "type": "pruned", "removed": removed });
        output::print(&format!("{}\n", event::to_json_line(&line)))?;
    } else if !settings.quiet() {
        let noun = if removed == 1 { "upload" } else { "uploads" };
        output::eprint_line(&format!("removed {removed} {noun} from the journal"));
    }
    Ok(finished
        .into_iter()
        .filter_map(|upload| upload.id)
        .collect())
}

/// The configured backend. `None` without a configured backend, and for a configured Companion,
/// which cannot list uploads.
fn backend_with_orphans(settings: &Settings, flags: &PruneArgs) -> Result<Option<Target>> {
    let connection = settings.connection(&flags.connection)?;
    let flag = flags.backend.as_deref();
    match settings.target(flag, &connection) {
        Ok(target) if flag.is_none() && matches!(target.spec, BackendSpec::Companion(_)) => {
            if !settings.quiet() {
                output::eprint_line("orphans are not listed: a Companion cannot list uploads");
            }
            Ok(None)
        }
        Ok(target) => Ok(Some(target)),
        Err(error) if flag.is_none() && error.kind() == Kind::Config => Ok(None),
        Err(error) => Err(error),
    }
}

fn not_listed(error: Error, target: &Target) -> Error {
    let what = format!("could not list the orphans of {}", target.name());
    let outer = Error::new(error.kind(), what);
    match error.hint().map(str::to_owned) {
        Some(hint) => outer.with_source(error).with_hint(hint),
        None => outer.with_source(error),
    }
}

/// Whether an upload ended, and at least `older_than` ago if that is given.
fn is_finished(upload: &Upload, older_than: Option<Duration>, now: Timestamp) -> bool {
    let ended_at = upload
        .receipt
        .as_ref()
        .map_or(upload.created_at, |receipt| receipt.finished);
    let age = now.duration_since(ended_at);
    let is_old = |least: Duration| age.unsigned_abs() >= least && age.is_positive();
    !upload.state.is_unfinished() && older_than.is_none_or(is_old)
}
