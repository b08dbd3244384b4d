//! One set of the journal as a line of text or JSON, for `list`, or as an entry of a table.

use serde::Serialize;

use super::keys::KeyRule;
use super::set_definition::SetDefinition;
use super::upload_table::Entry;
use crate::journal::{FileSet, S3Service};
use crate::report::{escape, safe, text};
use upload_types::saturating;

/// A line of `--json`.
#[derive(Serialize)]
pub struct SetLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    set: &'a str,
    state: &'static str,
    backend: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_service: Option<&'a S3Service>,
    name: &'a str,
    files: u64,
    bytes: u64,
    is_complete: bool,
    done_files: u64,
    done_bytes: u64,
    stored_bytes: u64,
    failed_files: u64,
    created_at: String,
}

/// `stored_bytes`: those that the store has of all files.
pub fn json_line(set: &FileSet, stored_bytes: u64) -> SetLine<'_> {
    let progress = &set.progress;
    SetLine {
        kind: "set",
        set: &set.id,
        state: state(set),
        backend: &set.intent.backend,
        s3_service: set.intent.s3_service.as_ref(),
        name: &set.intent.name,
        files: progress.files,
        bytes: progress.bytes,
        is_complete: progress.is_complete,
        done_files: progress.done_files,
        done_bytes: progress.done_bytes,
        stored_bytes,
        failed_files: progress.failed_files,
        created_at: set.created_at.to_string(),
    }
}

pub fn text_line(set: &FileSet, stored_bytes: u64) -> String {
    let percent =
        percent(set, stored_bytes).map_or_else(|| "?".to_owned(), |percent| percent.to_string());
    let (id, state, size) = (&set.id, state(set), text::size(set.progress.bytes));
    let (name, files) = (safe(&set.intent.name), files(set));
    format!("{id:<36}  {state:<10}  {percent:>3}%  {size:>10}  {name} ({files})\n")
}

/// A set in the table for a terminal.
pub fn table_entry(set: &FileSet, stored_bytes: u64) -> Entry {
    let mut details = vec![
        ("files", files(set)),
        ("sources", escape(&set.intent.name)),
        ("backend", escape(&set.intent.backend)),
    ];
    if let Ok(SetDefinition {
        keys: KeyRule::Named { prefix },
        ..
    }) = SetDefinition::of(set)
        && !prefix.is_empty()
    {
        details.push(("prefix", escape(&prefix)));
    }
    Entry {
        id: set.id.clone(),
        state: state(set),
        stored: percent(set, stored_bytes),
        size: Some(set.progress.bytes),
        begun_at: set.created_at,
        details,
    }
}

pub fn state(set: &FileSet) -> &'static str {
    if set.progress.is_finished() {
        "finished"
    } else {
        "unfinished"
    }
}

/// The part of the bytes that is stored; `None` if the search for files has not ended.
fn percent(set: &FileSet, stored_bytes: u64) -> Option<u64> {
    let progress = &set.progress;
    progress
        .is_complete
        .then(|| text::percent(stored_bytes.min(progress.bytes), progress.bytes))
}

/// `611 of 1,204 files, 2 failed`.
fn files(set: &FileSet) -> String {
    let progress = &set.progress;
    let count = |files: u64| saturating::to_usize(files);
    let all = count(progress.files);
    let all = if progress.is_complete {
        text::files(all)
    } else {
        format!("{} or more files", text::number(all))
    };
    let done = text::number(count(progress.done_files));
    match progress.failed_files {
        0 => format!("{done} of {all}"),
        failed => format!("{done} of {all}, {} failed", text::number(count(failed))),
    }
}
