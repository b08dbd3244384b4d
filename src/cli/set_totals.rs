//! The sets of a run: the one that is uploaded now, and the totals of all sources of the run.
//!
//! Not here: the files of a set (`selection`), and its row (`journal::FileSet`).

use crate::event::{Event, OtherSources};
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
    /// The sources before the current set.
    earlier: OtherSources,
    /// The sources of the sets that follow, as their last runs have found them.
    later: OtherSources,
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

    /// Names the sources of the sets that follow the current one.
    pub fn set_later(&mut self, later: OtherSources) {
        self.later = later;
    }

    /// Counts sources before the current set.
    pub fn count(&mut self, files: u64, bytes: u64) {
        self.earlier.add(files, bytes);
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

    /// The current set, if the journal has it.
    pub fn current(&self) -> Option<&FileSet> {
        self.current.as_ref()
    }

    /// The event before the first file of a set is found.
    pub fn announcement(&self) -> Event {
        let mut event = Event::Selected {
            files: 0,
            bytes: 0,
            is_complete: false,
            set: None,
            destination: None,
            others: OtherSources::default(),
        };
        self.editor()(&mut event);
        event
    }

    /// Adds to an event about the current set what is known about it, and the other sources.
    pub fn editor(&self) -> impl Fn(&mut Event) + Clone + Send + Sync + 'static {
        let id = self.current.as_ref().map(|set| set.id.clone());
        let named = self.destination.clone();
        let mut all_others = self.earlier;
        all_others.add(self.later.files, self.later.bytes);
        all_others.is_incomplete = self.later.is_incomplete;
        move |event| {
            if let Event::Selected {
                set,
                destination,
                others,
                ..
            } = event
            {
                set.clone_from(&id);
                destination.clone_from(&named);
                *others = all_others;
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
