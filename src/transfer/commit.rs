//! What happened: gathered, written down together, then told; and the calls that wait until it is written.
//!
//! Border: when the journal is written; what is noted is `step`'s and `parts`', how it is written the journal's.

use std::time::{Duration, Instant};

use super::Engine;
use super::unit::Landed;
use crate::event::Event;
use crate::journal::Record;
use upload_types::crash;
use upload_types::error::{Error, Result};

/// What happened is written down and told after no longer than this, together with what else happened meanwhile.
const COMMIT: Duration = Duration::from_millis(20);

impl Engine<'_> {
    /// Something is to be written down, soon.
    pub(super) fn note(&mut self, note: Record) {
        self.notes.push(note);
        self.hasten();
    }

    /// Something is to be told, once what was noted before it is written.
    pub(super) fn tell(&mut self, event: Event) {
        self.events.push(event);
        self.hasten();
    }

    fn hasten(&mut self) {
        self.commit_by
            .get_or_insert_with(|| Instant::now() + COMMIT);
    }

    /// Writes down what was noted. What cannot be written stays noted.
    pub(super) fn commit(&mut self) -> Result<()> {
        if !self.notes.is_empty() {
            self.journal.record(&self.notes)?;
            self.notes.clear();
        }
        Ok(())
    }

    /// What happened cannot be written down: what is not in the journal is not called stored or done. What is on the wire ends
    /// here: none of it could be written down either.
    fn unwritten(&mut self, error: &Error) {
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Completed {
                    item,
                    upload,
                    already: false,
                    ..
                } => {
                    self.summary.completed -= 1;
                    let path = self.landed.iter().find(|(landed, _)| *landed == item);
                    let path = path.map(|(_, path)| path.clone()).unwrap_or_default();
                    self.failed(item, Some(upload), path, error);
                }
                Event::Part { .. } => {}
                event => self.events.push(event),
            }
        }
        self.fail_all(error);
        self.notes.clear();
    }

    /// When it is time: writes what was noted, tells what happened, and starts the calls that waited for that.
    pub(super) fn flush(&mut self) {
        if self.commit_by.is_none_or(|by| by > Instant::now()) {
            return;
        }
        crash::point("transfer.flush.due");
        if let Err(error) = self.commit() {
            self.unwritten(&error);
        }
        self.commit_by = None;
        self.landed.clear();
        crash::point("transfer.flush.written");
        for event in std::mem::take(&mut self.events) {
            self.sink.emit(event);
        }
        crash::point("transfer.flush.told");
        for flight in &mut self.flights {
            let row = flight.upload.row;
            for unit in std::mem::take(&mut flight.starting) {
                flight.hold(
                    self.units
                        .spawn(async move { Landed::One(row, unit.await) }),
                );
            }
        }
        for post in std::mem::take(&mut self.posts) {
            self.units.spawn(post);
        }
        crash::point("transfer.flush.started");
    }
}

/// Waits until it is time to write down what was noted.
pub(super) async fn due(commit_by: Option<Instant>) {
    match commit_by {
        Some(by) => tokio::time::sleep_until(by.into()).await,
        None => std::future::pending().await,
    }
}
