//! `upload prune`: removes finished uploads from the journal, and on request lists the orphans of a
//! backend. Changes nothing in the store.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::args::PruneArgs;
use super::backend_spec::BackendSpec;
use super::hint_commands::HintCommands;
use super::orphans::Orphans;
use super::output;
use super::settings::{Settings, Target};
use super::upload_table::table;
use crate::event;
use crate::journal::{FileSet, Journal, State, Upload};
use crate::report::{safe, text};
use upload_types::UploadId;
use upload_types::error::{Error, Result};

/// # Errors
/// Those of the journal and, with `--orphans`, of the backend. The journal is pruned even if the
/// backend fails.
pub async fn run(settings: &Settings, flags: &PruneArgs, commands: &HintCommands) -> Result<()> {
    let mut journal = Journal::open(&settings.journal_to_read()?)?;
    let target = backend_with_orphans(settings, flags)?;
    let pruned = remove_finished(&mut journal, settings, flags)?;
    let Some(target) = target else {
        return Ok(());
    };
    let orphans = Orphans::find(&journal, &target, settings, &pruned, flags.query.limit())
        .await
        .map_err(|error| not_listed(error, &target))?;
    orphans.announce(settings, commands);
    output::print(&match output::stdout_columns() {
        Some(columns) if !settings.json() => table(&orphans.entries(), columns),
        _ if settings.json() => orphans.json_lines(),
        _ => orphans.text_lines(),
    })
}

/// Removes finished uploads from the journal, and reports their number. Returns their ids.
fn remove_finished(
    journal: &mut Journal,
    settings: &Settings,
    flags: &PruneArgs,
) -> Result<BTreeSet<UploadId>> {
    let now = Timestamp::now();
    let mut sets = journal.file_sets()?;
    let unfinished = |set: &&FileSet| !set.progress.is_finished();
    let unfinished: BTreeSet<i64> = sets.iter().filter(unfinished).map(|set| set.row).collect();
    let set_of = |upload: &Upload| upload.intent.file_set;
    let mut finished = journal.all()?;
    finished.retain(|upload| {
        // `resume` would send the files of an unfinished set again.
        let is_needed = set_of(upload).is_some_and(|set| unfinished.contains(&set));
        is_finished(upload, flags.older_than, now) && !is_needed
    });
    let rows: Vec<i64> = finished.iter().map(|upload| upload.row).collect();
    sets.retain(|set| set.progress.is_finished() && is_old(set.created_at, flags.older_than, now));
    let sets: Vec<i64> = sets.iter().map(|set| set.row).collect();
    let (removed, removed_sets, freed_bytes) = if flags.dry_run {
        (rows.len(), sets.len(), 0)
    } else {
        let removed = journal.delete(&rows)?;
        let removed_sets = journal.delete_sets(&sets)?;
        let freed_bytes = journal.compact().unwrap_or_else(|error| {
            output::eprint_line(&format!(
                "the journal was pruned, but its file is not smaller: {}",
                safe(&error.to_string())
            ));
            0
        });
        (removed, removed_sets, freed_bytes)
    };
    let in_embedded = embedded_objects(&finished);
    if settings.json() {
        let line = serde_json::json!({
            "type": "pruned",
            "removed": removed,
            "removed_sets": removed_sets,
            "freed_bytes": freed_bytes,
            "dry_run": flags.dry_run,
            "embedded_objects": in_embedded.count,
            "embedded_bytes": in_embedded.bytes,
        });
        output::print(&format!("{}\n", event::to_json_line(&line)))?;
    } else if !settings.quiet() {
        let verb = if flags.dry_run {
            "would remove"
        } else {
            "removed"
        };
        let uploads = counted(removed, "upload");
        let freed = match freed_bytes {
            0 => String::new(),
            bytes => format!("; its file is {} smaller", text::size(bytes)),
        };
        let sets = match removed_sets {
            0 => String::new(),
            sets => format!(" and {}", counted(sets, "set")),
        };
        output::eprint_line(&format!("{verb} {uploads}{sets} from the journal{freed}"));
        if in_embedded.count > 0 {
            let objects = counted(in_embedded.count, "object");
            let stay = if in_embedded.count == 1 {
                "stays"
            } else {
                "stay"
            };
            let (size, directory) = (text::size(in_embedded.bytes), settings.store_dir()?);
            output::eprint_line(&format!(
                "by the journal, {objects} of these uploads ({size}) {stay} in the embedded store {}; without the journal, \
                 `upload cat` does not find them",
                safe(&directory.display().to_string())
            ));
        }
    }
    Ok(finished
        .into_iter()
        .filter_map(|upload| upload.id)
        .collect())
}

/// The objects of `uploads` in the embedded store.
fn embedded_objects(uploads: &[Upload]) -> Objects {
    let embedded = BackendSpec::Embedded.to_string();
    let has_object =
        |upload: &&Upload| upload.state == State::Completed && upload.intent.backend == embedded;
    let sizes = uploads.iter().filter(has_object);
    sizes.fold(Objects::default(), |sum, upload| Objects {
        count: sum.count + 1,
        bytes: sum.bytes.saturating_add(size(upload)),
    })
}

/// The size of the object of a finished upload.
fn size(upload: &Upload) -> u64 {
    let receipt = upload.receipt.as_ref();
    receipt.map_or(upload.intent.version.size, |receipt| receipt.size)
}

#[derive(Default)]
struct Objects {
    count: usize,
    bytes: u64,
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// The backend to list orphans of, if that is requested.
fn backend_with_orphans(settings: &Settings, flags: &PruneArgs) -> Result<Option<Target>> {
    if !flags.orphans && flags.backend.is_none() {
        return Ok(None);
    }
    let connection = settings.connection(&flags.connection)?;
    let flag = flags.backend.as_deref();
    settings.target(flag, &connection).map(Some)
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
    !upload.state.is_unfinished() && is_old(ended_at, older_than, now)
}

fn is_old(time: Timestamp, older_than: Option<Duration>, now: Timestamp) -> bool {
    let age = now.duration_since(time);
    older_than.is_none_or(|least| age.unsigned_abs() >= least && age.is_positive())
}
