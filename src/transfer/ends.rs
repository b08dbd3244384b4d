//! How uploads end, and the run with them: what is counted, written and told.
//!
//! Border: that one has ended, and why, was decided elsewhere.

use std::time::Instant;

use super::flight::Flight;
use super::{Engine, Item, Summary};
use crate::event::Event;
use crate::journal::Record;
use upload_types::crash;
use upload_types::error::{Error, Kind};
use upload_types::names::UploadId;
use upload_types::wire::Receipt;

impl Engine<'_> {
    pub(super) fn completed(
        &mut self,
        item: usize,
        upload: UploadId,
        receipt: Receipt,
        already: bool,
    ) {
        self.summary.completed += 1;
        self.tell(Event::Completed {
            item,
            upload,
            receipt,
            already,
        });
    }

    pub(super) fn failed(
        &mut self,
        item: usize,
        upload: Option<UploadId>,
        path: String,
        error: &Error,
    ) {
        let kind = error.kind();
        self.summary.failures.push(kind.exit_code());
        // What has begun stays in the journal; only of another generation, or where asking again tells no more, nothing is gone
        // on with.
        let over = matches!(
            kind,
            Kind::SourceChanged | Kind::NotAcceptable | Kind::CheckFailed | Kind::Unconfirmed
        );
        self.summary.resumable |= upload.is_some() && !over;
        let hint = error.hint().map(str::to_owned);
        self.tell(Event::Failed {
            item,
            upload,
            path,
            kind: kind.name(),
            message: error.to_string(),
            hint,
        });
    }

    /// Ends one upload with an error; another process may go on with it.
    pub(super) fn fail(&mut self, flight: &Flight, error: &Error) {
        self.note(Record::Released {
            row: flight.upload.row,
        });
        self.failed(flight.item, flight.upload.id.clone(), flight.path(), error);
    }

    /// Ends everything under way and everything still to come with one error.
    pub(super) fn fail_all(&mut self, error: &Error) {
        self.units.abort_all();
        self.posts.clear();
        for flight in std::mem::take(&mut self.flights) {
            self.fail(&flight, error);
        }
        for waiting in std::mem::take(&mut self.waits) {
            self.fail_wait(waiting, error);
        }
        for (item, ask) in std::mem::take(&mut self.waiting) {
            let path = match &ask {
                Item::Put(put) => put.path.display().to_string(),
                Item::Resume(upload) => upload.intent.path.display().to_string(),
            };
            self.failed(item, None, path, error);
        }
    }

    pub(super) fn end(mut self) -> Summary {
        if let Some((signal, _)) = self.stopping {
            self.units.abort_all();
            for flight in std::mem::take(&mut self.flights) {
                let error = interrupted(signal, &self.options.resume, flight.upload.id.as_ref());
                self.fail(&flight, &error);
            }
            for waiting in std::mem::take(&mut self.waits) {
                let error = interrupted(signal, &self.options.resume, Some(&waiting.id));
                self.fail_wait(waiting, &error);
            }
            let error = interrupted(signal, &self.options.resume, None);
            self.fail_all(&error);
        }
        crash::point("transfer.ending");
        self.commit_by = Some(Instant::now());
        self.flush();
        self.summary
    }
}

/// What a signal ends: how to go on is the hint.
pub(super) fn interrupted(signal: u8, resume: &str, id: Option<&UploadId>) -> Error {
    let command = id.map_or(resume.to_owned(), |id| format!("{resume} {id}"));
    Error::new(Kind::Interrupted(signal), "interrupted; nothing is lost")
        .with_hint(format!("to continue: {command}"))
}
