//! Lists orphans: uploads that a backend has in progress and that the journal does not know.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::backend_handle::BackendHandle;
use super::hint_commands::{HintCommands, backend_flags};
use super::output;
use super::query_limit::within_limit;
use super::settings::{Settings, Target};
use super::upload_table::Entry;
use crate::event;
use crate::journal::Journal;
use crate::report::{escape, safe, text};
use upload_types::UploadId;
use upload_types::error::Result;
use upload_types::wire::{UploadState, UploadStatus};

const IN_PROGRESS: [UploadState; 4] = [
    UploadState::Pending,
    UploadState::Uploading,
    UploadState::Completing,
    UploadState::Aborting,
];

/// The orphans of one backend.
pub struct Orphans {
    backend: String,
    /// Those that select the backend.
    flags: Vec<String>,
    uploads: Vec<UploadStatus>,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    backend: &'a str,
    #[serde(flatten)]
    status: &'a UploadStatus,
}

impl Orphans {
    /// Reads the uploads of the backend before those of the journal, so that an upload that begins
    /// in between is not an orphan. The uploads in `pruned`, which were just removed from the
    /// journal, are not orphans either. `limit` is for the backend.
    ///
    /// # Errors
    /// Those of the backend and of the journal.
    pub async fn find(
        journal: &Journal,
        target: &Target,
        settings: &Settings,
        pruned: &BTreeSet<UploadId>,
        limit: Option<Duration>,
    ) -> Result<Self> {
        let handle = within_limit(limit, BackendHandle::connect(target, settings)).await?;
        let in_progress = within_limit(limit, uploads_in_progress(&handle)).await;
        let backend = handle.name().to_owned();
        let flags = backend_flags(&backend, handle.s3_service());
        handle.close().await;
        let mut uploads = in_progress?;
        let known: BTreeSet<UploadId> = journal
            .all()?
            .into_iter()
            .filter_map(|upload| upload.id)
            .collect();
        uploads.retain(|status| !known.contains(&status.id) && !pruned.contains(&status.id));
        Ok(Self {
            backend,
            flags,
            uploads,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.uploads.is_empty()
    }

    /// Prints the meaning of the lines, and the command that ends an orphan.
    pub fn announce(&self, settings: &Settings, commands: &HintCommands) {
        if self.is_empty() || settings.json() || settings.quiet() {
            return;
        }
        let command = commands.abort_orphan(&self.flags);
        output::eprint_line(&format!(
            "in progress at the backend and unknown to this journal (another machine may be uploading them); \
             `{}` aborts one:",
            escape(&command)
        ));
    }

    /// The orphans as entries of a table.
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |status: &UploadStatus| Entry {
            id: safe(status.id.as_str()),
            state: status.state.name(),
            stored: None,
            size: status.size,
            begun_at: status.created_at,
            details: vec![
                ("orphan", escape(&status.name)),
                ("backend", escape(&self.backend)),
                ("expires", format!("{:.0}", status.expires_at)),
            ],
        };
        self.uploads.iter().map(entry).collect()
    }

    /// One line of JSON per orphan.
    pub fn json_lines(&self) -> String {
        self.lines(|status| {
            event::to_json_line(&Line {
                kind: "orphan",
                backend: &self.backend,
                status,
            })
        })
    }

    /// One line of text per orphan.
    pub fn text_lines(&self) -> String {
        self.lines(row)
    }

    fn lines(&self, line: impl Fn(&UploadStatus) -> String) -> String {
        let mut lines = String::new();
        for status in &self.uploads {
            let line = line(status);
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{line}");
        }
        lines
    }
}

fn row(status: &UploadStatus) -> String {
    let (id, state, expires_at) = (&status.id, status.state.name(), status.expires_at);
    let size = status.size.map_or_else(|| "-".to_owned(), text::size);
    let name = safe(&status.name);
    format!("{id:<36}  {state:<10}  orphan  {size:>10}  expires {expires_at:.0}  {name}")
}

async fn uploads_in_progress(handle: &BackendHandle) -> Result<Vec<UploadStatus>> {
    let mut uploads = Vec::new();
    for state in IN_PROGRESS {
        let found = handle.backend().uploads(state).await?;
        uploads.extend(found.into_iter().filter(|upload| upload.state == state));
    }
    Ok(uploads)
}
