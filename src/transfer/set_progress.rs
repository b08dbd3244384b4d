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
    /// That of its last run.
    before: SetProgress,
    progress: SetProgress,
    recorded: SetProgress,
}

impl SetTally {
    #[must_use]
    pub fn new(row: i64, before: SetProgress) -> Self {
        Self {
            row,
            before,
            progress: SetProgress::default(),
            recorded: before,
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
        let known = known(self.before, self.progress);
        if known == self.recorded {
            return None;
        }
        self.recorded = known;
        Some(Record::SetAdvanced {
            row: self.row,
            progress: known,
        })
    }
}

/// The progress that is known during a run: until all files have ended, those that the last run
/// found and uploaded count, too.
fn known(before: SetProgress, now: SetProgress) -> SetProgress {
    let ended = now.done_files.saturating_add(now.failed_files);
    if now.is_complete && ended >= now.files {
        return now;
    }
    let (files, bytes) = if now.is_complete {
        (now.files, now.bytes)
    } else {
        (now.files.max(before.files), now.bytes.max(before.bytes))
    };
    let done_files = now.done_files.max(before.done_files).min(files);
    SetProgress {
        files,
        bytes,
        // More may be found than the last run found.
        is_complete: now.is_complete || (before.is_complete && done_files < files),
        done_files,
        done_bytes: now.done_bytes.max(before.done_bytes).min(bytes),
        failed_files: now.failed_files.max(before.failed_files),
    }
}

/// Whether a file with a failure of this kind is left for the next run.
fn may_pass(kind: &str) -> bool {
    let passing = [
        Kind::Interrupted(0),
        Kind::Temporary,
        Kind::Throttled(None),
        Kind::UrlExpired,
        Kind::ClockSkew,
        Kind::PartsMismatch,
        Kind::Busy,
        Kind::Locked,
        Kind::LeaseLost,
        Kind::KeyInUse(None),
    ];
    passing.iter().any(|passing| passing.name() == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(files: u64, is_complete: bool, done: u64, failed: u64) -> SetProgress {
        SetProgress {
            files,
            bytes: files * 10,
            is_complete,
            done_files: done,
            done_bytes: done * 10,
            failed_files: failed,
        }
    }

    #[test]
    fn run_that_is_stopped_early_keeps_what_the_last_one_knew() {
        let before = progress(32, true, 26, 1);
        for (now, expected) in [
            (progress(0, false, 0, 0), before),
            (progress(20, false, 18, 0), before),
            (progress(40, false, 18, 0), progress(40, true, 26, 1)),
            (progress(30, true, 18, 0), progress(30, true, 26, 1)),
            (progress(32, true, 32, 0), progress(32, true, 32, 0)),
            (progress(30, true, 28, 2), progress(30, true, 28, 2)),
        ] {
            assert_eq!(known(before, now), expected, "{now:?}");
        }
        // All that the last run found is uploaded, and the search goes on.
        let early = known(progress(5, true, 4, 0), progress(5, false, 5, 0));
        assert!(!early.is_finished() && early.has_rest());
    }
}
