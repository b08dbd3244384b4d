//! `upload list`: the uploads and the sets of the journal, and the orphans of a backend. Changes
//! nothing.

use std::collections::BTreeSet;

use super::args::ListArgs;
use super::hint_commands::HintCommands;
use super::lookup::find_set;
use super::orphans::Orphans;
use super::output;
use super::set_line;
use super::settings::Settings;
use super::upload_line::{json_line, table_entry, text_line};
use super::upload_table::table;
use crate::event;
use crate::journal::{FileSet, Journal, Upload};
use crate::report::safe;
use upload_types::error::{Error, Kind, Result};

/// The form of the output.
#[derive(Clone, Copy)]
enum Form {
    Json,
    /// One line per upload, for programs.
    Lines,
    /// A table for a terminal of this many columns.
    Table(usize),
}

/// # Errors
/// Those of the journal and, for `--orphans`, of the backend. The uploads of the journal are
/// printed even if the backend fails.
pub async fn run(settings: &Settings, flags: &ListArgs, commands: &HintCommands) -> Result<()> {
    if flags.ids && !settings.journal()?.exists() {
        return Ok(());
    }
    let journal = Journal::open(&settings.journal_to_read()?)?;
    let form = match output::stdout_columns() {
        _ if settings.json() => Form::Json,
        Some(columns) => Form::Table(columns),
        None => Form::Lines,
    };
    let Listed { sets, uploads } = select(&journal, flags)?;
    if flags.ids {
        return output::print(&ids(&sets, &uploads));
    }
    output::print(&text(&journal, &sets, &uploads, form)?)?;
    let orphans = if flags.orphans {
        let connection = settings.connection(&flags.connection)?;
        let target = settings.target(flags.backend.as_deref(), &connection)?;
        let (known, limit) = (BTreeSet::new(), flags.query.limit());
        Some(Orphans::find(&journal, &target, settings, &known, limit).await?)
    } else {
        None
    };
    if let Some(orphans) = &orphans {
        orphans.announce(settings, commands);
        output::print(&match form {
            Form::Json => orphans.json_lines(),
            Form::Lines => orphans.text_lines(),
            Form::Table(columns) => table(&orphans.entries(), columns),
        })?;
    }
    let is_empty =
        sets.is_empty() && uploads.is_empty() && orphans.is_none_or(|orphans| orphans.is_empty());
    if is_empty && !settings.json() && !settings.quiet() {
        output::eprint_line(&nothing_listed(flags));
    }
    Ok(())
}

/// The message of an empty list.
fn nothing_listed(flags: &ListArgs) -> String {
    let names: Vec<String> = flags
        .sets
        .iter()
        .map(|set| safe(&set.to_string_lossy()))
        .collect();
    match (names.join(", "), flags.all) {
        (names, true) if names.is_empty() => "the journal has no uploads".to_owned(),
        (names, false) if names.is_empty() => "no unfinished uploads".to_owned(),
        (names, true) => format!("the journal has no uploads of {names}"),
        (names, false) => {
            format!("no unfinished uploads of {names}; add --all to list the finished ones")
        }
    }
}

/// The sets and the uploads to list, oldest first.
struct Listed {
    sets: Vec<FileSet>,
    uploads: Vec<Upload>,
}

/// The unfinished sets and the unfinished uploads that are in none of them; with `--all`, all sets
/// and uploads; or the uploads of the sets that are named.
///
/// # Errors
/// [`Kind::NotFound`] if the journal has no such set.
fn select(journal: &Journal, flags: &ListArgs) -> Result<Listed> {
    let mut uploads = journal.all()?;
    uploads.retain(|upload| flags.all || upload.state.is_unfinished());
    uploads.reverse();
    let mut sets = Vec::new();
    if flags.sets.is_empty() {
        sets = journal.file_sets()?;
        sets.retain(|set| flags.all || !set.progress.is_finished());
        sets.reverse();
        if !flags.all {
            uploads.retain(|upload| !is_in(upload, &sets));
        }
        return Ok(Listed { sets, uploads });
    }
    for named in &flags.sets {
        let set = find_set(journal, named, |_| true)?.ok_or_else(|| {
            let what = format!("the journal has no set {}", named.display());
            Error::new(Kind::NotFound, what).with_hint("run `upload list --all` to see all sets")
        })?;
        sets.push(set);
    }
    uploads.retain(|upload| is_in(upload, &sets));
    Ok(Listed {
        sets: Vec::new(),
        uploads,
    })
}

/// The bytes of a set that the store has: those of its finished files, and of the stored parts of
/// the others.
fn stored_bytes(journal: &Journal, set: &FileSet) -> Result<u64> {
    let mut bytes = set.progress.done_bytes;
    if set.progress.is_finished() {
        return Ok(bytes);
    }
    for upload in journal.unfinished_of_set(set.row)? {
        let parts = journal.parts(upload.row)?;
        bytes = bytes.saturating_add(json_line(&upload, &parts)?.stored_bytes);
    }
    Ok(bytes)
}

fn is_in(upload: &Upload, sets: &[FileSet]) -> bool {
    sets.iter()
        .any(|set| upload.intent.file_set == Some(set.row))
}

/// The sets and the uploads that have begun, newest first: id, tab, state and name.
fn ids(sets: &[FileSet], uploads: &[Upload]) -> String {
    let sets = sets.iter().rev().map(|set| {
        let (id, state, name) = (&set.id, set_line::state(set), safe(&set.intent.name));
        format!("{id}\t{state} {name}\n")
    });
    let begun = uploads.iter().rev().filter_map(|upload| {
        let (id, state) = (upload.id.as_ref()?, upload.state.name());
        let path = safe(&upload.intent.path.display().to_string());
        Some(format!("{id}\t{state} {path}\n"))
    });
    sets.chain(begun).collect()
}

fn text(journal: &Journal, sets: &[FileSet], uploads: &[Upload], form: Form) -> Result<String> {
    if let Form::Table(columns) = form {
        let mut entries = Vec::new();
        for set in sets {
            entries.push(set_line::table_entry(set, stored_bytes(journal, set)?));
        }
        for upload in uploads {
            entries.push(table_entry(upload, &journal.parts(upload.row)?)?);
        }
        return Ok(table(&entries, columns));
    }
    let mut lines = String::new();
    for set in sets {
        let stored = stored_bytes(journal, set)?;
        match form {
            Form::Json => {
                lines.push_str(&event::to_json_line(&set_line::json_line(set, stored)));
                lines.push('\n');
            }
            Form::Lines | Form::Table(_) => lines.push_str(&set_line::text_line(set, stored)),
        }
    }
    for upload in uploads {
        let parts = journal.parts(upload.row)?;
        match form {
            Form::Json => {
                lines.push_str(&event::to_json_line(&json_line(upload, &parts)?));
                lines.push('\n');
            }
            Form::Lines | Form::Table(_) => lines.push_str(&text_line(upload, &parts)?),
        }
    }
    Ok(lines)
}
