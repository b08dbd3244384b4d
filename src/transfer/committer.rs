//! The committer: writes what happened to the journal, and then reports it. Records and events of
//! 20 ms share one commit; calls that depend on a record start after its commit.
//!
//! The journal and the event stream are private to this type: no event can be reported before its
//! record is written.
//!
//! Not here: the choice of records (`transitions`, `part_transitions`).

use std::path::Path;
use std::time::{Duration, Instant};

use upload_types::UploadId;
use upload_types::crash;
use upload_types::error::{Error, Result};

use super::set_progress::SetTally;
use super::task::{BoxTask, TaskResult};
use crate::event::{Event, EventSender};
use crate::journal::{Intent, Journal, Part, Record, SetProgress, Upload};
use crate::source::FileVersion;

/// How long a record or an event waits for others.
const COMMIT_DELAY: Duration = Duration::from_millis(20);

pub struct Committer<'a> {
    journal: &'a mut Journal,
    sender: &'a EventSender,
    records: Vec<Record>,
    events: Vec<Event>,
    deferred: Vec<Deferred>,
    /// Counts the files of the set, if the journal has it.
    tally: Option<SetTally>,
    /// When to commit; `None` if there is nothing to commit.
    due: Option<Instant>,
}

/// A task that starts after the next commit. With a row, it belongs to that upload and ends with
/// it.
pub struct Deferred {
    pub row: Option<i64>,
    pub task: BoxTask<TaskResult>,
}

/// A completed item whose record could not be written.
pub struct Undone {
    pub item: usize,
    pub upload: Option<UploadId>,
    pub path: String,
}

impl<'a> Committer<'a> {
    pub fn new(journal: &'a mut Journal, sender: &'a EventSender) -> Self {
        Self {
            journal,
            sender,
            records: Vec::new(),
            events: Vec::new(),
            deferred: Vec::new(),
            tally: None,
            due: None,
        }
    }

    /// Records the progress of the set in this row, from that of its last run.
    pub fn count_set(&mut self, row: i64, before: SetProgress) {
        self.tally = Some(SetTally::new(row, before));
    }

    /// Counts a file of the set that is left out, without an event of its own.
    pub fn count_left_out(&mut self) {
        if let Some(tally) = &mut self.tally {
            tally.count_left_out();
        }
    }

    /// As [`Journal::candidates`].
    pub fn candidates(
        &self,
        instance_id: &str,
        sources: &[(&str, &Path, FileVersion)],
    ) -> Result<Vec<Vec<Upload>>> {
        self.journal.candidates(instance_id, sources)
    }

    /// As [`Journal::parts`].
    pub fn parts(&self, row: i64) -> Result<Vec<Part>> {
        self.journal.parts(row)
    }

    /// As [`Journal::stores`].
    pub fn stores(&self, instance_id: &str) -> Result<Vec<String>> {
        self.journal.stores(instance_id)
    }

    /// As [`Journal::take`], at once.
    pub fn take(&mut self, upload: &Upload) -> Result<Upload> {
        self.journal.take(upload)
    }

    /// As [`Journal::intend`], at once, together with the records so far.
    pub fn intend(&mut self, intents: Vec<Intent>) -> Result<Vec<Option<Upload>>> {
        let uploads = self.journal.intend(&self.records, intents)?;
        self.records.clear();
        Ok(uploads)
    }

    /// As [`Committer::intend`], for an upload that replaces the one in the row `replaced`. If it
    /// fails, the old upload stays.
    pub fn replace(&mut self, replaced: Option<i64>, intent: Intent) -> Result<Option<Upload>> {
        if let Some(row) = replaced {
            self.record(Record::Abandoned { row });
        }
        let uploads = self.intend(vec![intent]);
        if uploads.is_err() && replaced.is_some() {
            self.records.pop();
        }
        Ok(uploads?.pop().flatten())
    }

    /// Writes a record with the next commit.
    pub fn record(&mut self, record: Record) {
        self.records.push(record);
        self.schedule();
    }

    /// Reports an event after the next commit.
    pub fn emit(&mut self, event: Event) {
        if let Some(tally) = &mut self.tally {
            tally.count(&event);
        }
        self.events.push(event);
        self.schedule();
    }

    /// Starts a task after the next commit, which becomes due at once.
    pub fn defer(&mut self, row: Option<i64>, task: BoxTask<TaskResult>) {
        self.deferred.push(Deferred { row, task });
        self.commit_soon();
    }

    /// Drops the deferred tasks of an upload.
    pub fn cancel(&mut self, row: i64) {
        self.deferred.retain(|deferred| deferred.row != Some(row));
    }

    /// Drops all deferred tasks that belong to no single upload.
    pub fn cancel_shared(&mut self) {
        self.deferred.retain(|deferred| deferred.row.is_some());
    }

    /// Makes the next commit due.
    pub fn commit_soon(&mut self) {
        self.due = Some(Instant::now());
    }

    fn schedule(&mut self) {
        self.due
            .get_or_insert_with(|| Instant::now() + COMMIT_DELAY);
    }

    /// When the next commit is due.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the records if a commit is due. Returns true if it was due.
    ///
    /// # Errors
    /// The journal cannot be written: see [`Committer::undo`].
    pub fn commit(&mut self) -> Result<bool> {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return Ok(false);
        }
        crash::point("transfer.commit.due");
        self.records
            .extend(self.tally.as_mut().and_then(SetTally::record));
        if !self.records.is_empty() {
            self.journal.record(&self.records)?;
            self.records.clear();
        }
        Ok(true)
    }

    /// After a commit failed: drops the records, and the events that depend on them. Returns the
    /// items that were to be reported as completed.
    pub fn undo(&mut self) -> Vec<Undone> {
        self.records.clear();
        // It has counted files that the journal does not have.
        self.tally = None;
        let mut undone = Vec::new();
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Completed {
                    item,
                    upload,
                    path,
                    already_stored: false,
                    ..
                } => undone.push(Undone { item, upload, path }),
                Event::Part { .. } => {}
                event => self.events.push(event),
            }
        }
        undone
    }

    /// After [`Committer::undo`]: drops the records made since, which could not be written either.
    pub fn drop_records(&mut self) {
        self.records.clear();
    }

    /// Reports the events and returns the tasks that waited for the commit.
    pub fn report(&mut self) -> Vec<Deferred> {
        self.due = None;
        crash::point("transfer.commit.written");
        for event in std::mem::take(&mut self.events) {
            self.sender.emit(event);
        }
        crash::point("transfer.commit.reported");
        std::mem::take(&mut self.deferred)
    }
}

/// Waits until `due`; forever if it is `None`.
pub async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// A copy of an error that affects several items.
pub fn same_error<T>(error: &Error) -> Result<T> {
    Err(error.duplicate())
}
