//! The progress of a set, counted from the events of its files.
//!
//! Pure. Not here: the search for the files (`items`).

use crate::event::Event;
use crate::journal::{Record, SetProgress};
use upload_types::error::Kind;

/// The progress of the set in one row of the journal.
#[derive(Debug)]
pub struct SetTally {
    row: i64,
    progress: SetProgress,
    recorded: SetProgress,
}

impl SetTally {
    #[must_use]
    pub fn new(row: i64) -> Self {
        Self {
            row,
            progress: SetProgress::default(),
            recorded: SetProgress::default(),
        }
    }

    /// Counts what an event reports.
    pub fn count(&mut self, event: &Event) {
        let progress = &mut self.progress;
        match event {
            Event::Selected {
                files,
                bytes,
                is_complete,
                ..
            } => {
                (progress.files, progress.bytes) = (*files, *bytes);
                progress.is_complete = *is_complete;
            }
            Event::Completed { receipt, .. } => {
                progress.done_files += 1;
                progress.done_bytes = progress.done_bytes.saturating_add(receipt.size);
            }
            Event::Kept { .. } => progress.done_files += 1,
            Event::Failed { kind, .. } if !may_pass(kind) => progress.failed_files += 1,
            _ => {}
        }
    }

    /// Counts a file that is left out.
    pub fn count_left_out(&mut self) {
        self.progress.done_files += 1;
    }

    /// The record of what was counted since the last one.
    pub fn record(&mut self) -> Option<Record> {
        if self.progress == self.recorded {
            return None;
        }
        self.recorded = self.progress;
        Some(Record::SetAdvanced {
            row: self.row,
            progress: self.progress,
        })
    }
}

/// Whether a file with a failure of this kind is left for the next run.
fn may_pass(kind: &str) -> bool {
    let passing = [
        Kind::Interrupted(0),
        Kind::Temporary,
        Kind::Throttled(None),
        Kind::UrlExpired,
        Kind::PartsMismatch,
        Kind::Busy,
    ];
    passing.iter().any(|passing| passing.name() == kind)
}
