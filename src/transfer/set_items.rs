//! Items that are found while others are uploaded: how they join the run. A source has vanished if
//! it was deleted after it was found.
//!
//! Not here: how they start (`start`).

use super::engine::Engine;
use super::incoming::MAX_PENDING;
use super::items::Incoming;
use super::options::{IfGone, PutRequest};
use crate::event::Event;
use upload_types::error::{Error, Kind};

impl Engine<'_> {
    /// Whether the next item is taken now. As few are taken as keep all jobs busy: the others wait
    /// where they were found.
    pub(super) fn wants_items(&self) -> bool {
        self.incoming.is_open() && self.stopping.is_none() && self.pending.len() < MAX_PENDING
    }

    /// Whether there is nothing to do before the next item is found. That is no failure to make
    /// progress: a list may be written slowly.
    pub(super) fn waits_for_items(&self) -> bool {
        let is_idle = self.pending.is_empty() && self.has_no_uploads();
        self.incoming.is_open() && is_idle
    }

    /// Takes what was found: `first`, and what is there already. Takes at most [`MAX_PENDING`]
    /// results: their events are in memory until the next commit.
    pub(super) fn on_incoming(&mut self, first: Option<Incoming>) {
        self.report_selection();
        let mut next = first;
        if next.is_none() {
            self.incoming.close();
        }
        let mut taken = 0;
        while let Some(incoming) = next {
            match incoming {
                Incoming::Item(item) => {
                    let number = self.incoming.number();
                    self.summary.found += 1;
                    self.pending.push_back((number, item));
                }
                Incoming::Failed { path, error } => {
                    let number = self.incoming.number();
                    self.summary.found += 1;
                    self.report_failure(number, None, path, &error);
                }
                Incoming::Event(event) => self.committer.emit(event),
            }
            taken += 1;
            if taken == MAX_PENDING || self.pending.len() >= MAX_PENDING {
                break;
            }
            next = self.incoming.try_next();
        }
    }

    /// Reports how much was found so far.
    pub(super) fn report_selection(&mut self) {
        if let Some(selected) = self.incoming.progress() {
            self.committer.emit(selected.into());
        }
    }

    /// Ends an item whose source could not be opened. A source that was found in a directory may
    /// have been deleted since.
    pub(super) fn on_not_opened(&mut self, item: usize, put: &PutRequest, error: &Error) {
        let path = put.path.display().to_string();
        let is_gone = put.path.symlink_metadata().is_err_and(|error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            )
        });
        match put.if_gone {
            IfGone::Skip if is_gone => {
                self.summary.found = self.summary.found.saturating_sub(1);
                self.committer.count_left_out();
                self.committer.emit(Event::Skipped {
                    path,
                    reason: "vanished",
                    rule: None,
                });
            }
            IfGone::FailAsVanished if is_gone => {
                self.report_failure(item, None, path, &vanished(&put.path.display().to_string()));
            }
            _ => self.report_failure(item, None, path, error),
        }
    }
}

/// The error for a source that was deleted after it was found.
#[must_use]
pub fn vanished(path: &str) -> Error {
    let what = format!("{path} vanished: it was deleted after it was found");
    Error::new(Kind::NoSource, what)
        .with_hint("if files may be deleted during the run, put them with --ignore-vanished")
}
