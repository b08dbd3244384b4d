//! `upload list`: the uploads of the journal, and the orphans of a backend. Changes nothing.

use std::collections::BTreeSet;

use super::args::ListArgs;
use super::hint_commands::HintCommands;
use super::orphans::Orphans;
use super::output;
use super::settings::Settings;
use super::upload_line::{json_line, table_entry, text_line};
use super::upload_table::table;
use crate::event;
use crate::journal::{Journal, Upload};
use crate::report::safe;
use upload_types::error::Result;

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
    let mut uploads = journal.all()?;
    uploads.retain(|upload| flags.all || upload.state.is_unfinished());
    uploads.reverse();
    if flags.ids {
        return output::print(&ids(&uploads));
    }
    output::print(&uploads_text(&journal, &uploads, form)?)?;
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
            Form::Json => orphans.lines(true),
            Form::Lines => orphans.lines(false),
            Form::Table(columns) => table(&orphans.entries(), columns),
        })?;
    }
    let is_empty = uploads.is_empty() && orphans.is_none_or(|orphans| orphans.is_empty());
    if is_empty && !settings.json() && !settings.quiet() {
        output::eprint_line(if flags.all {
            "the journal has no uploads"
        } else {
            "no unfinished uploads"
        });
    }
    Ok(())
}

/// The uploads that have begun, newest first: id, tab, state and file.
fn ids(uploads: &[Upload]) -> String {
    let begun = uploads.iter().rev().filter_map(|upload| {
        let (id, state) = (upload.id.as_ref()?, upload.state.name());
        let path = safe(&upload.intent.path.display().to_string());
        Some(format!("{id}\t{state} {path}\n"))
    });
    begun.collect()
}

fn uploads_text(journal: &Journal, uploads: &[Upload], form: Form) -> Result<String> {
    if let Form::Table(columns) = form {
        let entry = |upload: &Upload| table_entry(upload, &journal.parts(upload.row)?);
        let entries = uploads.iter().map(entry).collect::<Result<Vec<_>>>()?;
        return Ok(table(&entries, columns));
    }
    let line = |upload: &Upload| {
        let parts = journal.parts(upload.row)?;
        match form {
            Form::Json => Ok(event::to_json_line(&json_line(upload, &parts)?) + "\n"),
            Form::Lines | Form::Table(_) => text_line(upload, &parts),
        }
    };
    uploads.iter().map(line).collect()
}
