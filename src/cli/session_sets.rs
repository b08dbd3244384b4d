//! The sets of a run: the one that is uploaded now, and the totals of all sources of the run.
//!
//! Not here: the files of a set (`selection`), and its row (`journal::FileSet`).

use crate::event::Event;
use crate::journal::{FileSet, Journal};

/// The sets of a run, and its other sources.
#[derive(Debug, Default)]
pub struct RunSets {
    /// The set that is uploaded now, if the journal has it.
    current: Option<FileSet>,
    /// The rows of all sets of this run.
    rows: Vec<i64>,
    /// The backend and the prefix of the keys of the current set.
    destination: Option<String>,
    totals: Totals,
}

/// The sources of the run beside those of the current set.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    files: u64,
    bytes: u64,
    /// Other sets follow.
    is_incomplete: bool,
}

impl RunSets {
    /// Begins the upload of a set.
    pub fn start(&mut self, set: FileSet) {
        self.rows.push(set.row);
        self.current = Some(set);
    }

    /// The backend and the prefix of the keys of the current set, for messages.
    pub fn set_destination(&mut self, destination: String) {
        self.destination = Some(destination);
    }

    /// Whether other sets follow the current one.
    pub fn expect_others(&mut self, others: bool) {
        self.totals.is_incomplete = others;
    }

    /// Counts sources that are not in a set.
    pub fn count(&mut self, files: u64, bytes: u64) {
        self.totals.files = self.totals.files.saturating_add(files);
        self.totals.bytes = self.totals.bytes.saturating_add(bytes);
    }

    /// Ends the upload of the current set.
    pub fn end(&mut self, journal: &Journal) {
        let Some(set) = self.current.take() else {
            return;
        };
        if let Ok(Some(progress)) = journal.set_progress(set.row) {
            self.count(progress.files, progress.bytes);
        }
    }

    /// The row of the current set.
    pub fn row(&self) -> Option<i64> {
        self.current.as_ref().map(|set| set.row)
    }

    /// The event before the first file of a set is found.
    pub fn announcement(&self) -> Event {
        let mut event = Event::Selected {
            files: 0,
            bytes: 0,
            is_complete: false,
            set: None,
            destination: None,
        };
        self.editor()(&mut event);
        event
    }

    /// Adds to an event about the current set the other sources of the run.
    pub fn editor(&self) -> impl Fn(&mut Event) + Clone + Send + Sync + 'static {
        let (totals, id) = (self.totals, self.current.as_ref().map(|set| set.id.clone()));
        let is_only = totals.files == 0 && !totals.is_incomplete;
        let named = self.destination.clone().filter(|_| is_only);
        move |event| {
            if let Event::Selected {
                files,
                bytes,
                is_complete,
                set,
                destination,
            } = event
            {
                *files = files.saturating_add(totals.files);
                *bytes = bytes.saturating_add(totals.bytes);
                *is_complete &= !totals.is_incomplete;
                set.clone_from(&id);
                destination.clone_from(&named);
            }
        }
    }

    /// Whether a set of this run has files that were not uploaded and have not failed.
    pub fn have_rest(&self, journal: &Journal) -> bool {
        let has_rest = |row: &i64| {
            let progress = journal.set_progress(*row);
            matches!(progress, Ok(Some(progress)) if progress.has_rest())
        };
        self.rows.iter().any(has_rest)
    }
}
