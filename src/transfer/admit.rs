//! How a source becomes an upload under way: gone on with, replaced, found finished, or begun.
//!
//! Border: everything before the first call to the backend; the choice itself is `resume::choose`.

use super::flight::{Flight, OnChange, Put, Stage};
use super::resume::{self, Choice};
use super::{Engine, Item};
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::journal::{Intent, Part, State, Upload};
use crate::names::UploadId;
use crate::plan::Plan;
use crate::source::File;
use crate::wire::Receipt;

/// So often an upload may begin anew.
const RESTARTS: u32 = 3;

pub(super) enum Admitted {
    Flight(Box<Flight>),
    /// Nothing to do: its receipt is in the journal.
    Finished(UploadId, Box<Receipt>),
}

impl Engine<'_> {
    pub(super) fn admit(&mut self, item: usize, ask: Item) -> Result<Admitted> {
        match ask {
            Item::Resume(upload) => self.admit_resume(item, &upload),
            Item::Put(put) => self.admit_put(item, put).map(|flight| Admitted::Flight(Box::new(flight))),
        }
    }

    fn admit_resume(&mut self, item: usize, upload: &Upload) -> Result<Admitted> {
        if let (Some(receipt), Some(id)) = (&upload.receipt, &upload.id) {
            return Ok(Admitted::Finished(id.clone(), Box::new(receipt.clone())));
        }
        let (upload, lock) = self.journal.lock(upload)?;
        match (upload.state, &upload.receipt, &upload.id) {
            (State::Completed, Some(receipt), Some(id)) => {
                return Ok(Admitted::Finished(id.clone(), Box::new(receipt.clone())));
            }
            (state, ..) if state.is_unfinished() => {}
            _ => return Err(Error::new(Kind::Gone, "the upload was given up")),
        }
        let intent = upload.intent.clone();
        let put = Put {
            path: intent.path,
            name: intent.name,
            content_type: intent.content_type,
            metadata: intent.metadata,
            part_size: Some(intent.part_size),
            again: false,
            on_change: OnChange::Fail,
        };
        let source = File::open(&put.path)?;
        if source.identity().size != upload.intent.identity.size {
            return Err(self.tell_changed(item, &upload, "its size is another than when its upload began"));
        }
        let mut flight = Flight::new(item, put, source, upload, Some(lock), Stage::Rejoining)?;
        flight.resumed = true;
        self.go_on(&mut flight)?;
        Ok(Admitted::Flight(Box::new(flight)))
    }

    fn admit_put(&mut self, item: usize, put: Put) -> Result<Flight> {
        let source = File::open(&put.path)?;
        let identity = source.identity();
        let candidates = self.journal.candidates(&self.info.instance_id, &put.name, source.path(), &identity)?;
        let take = |index: usize| candidates[index].clone();
        match resume::choose(&candidates, &identity, put.again) {
            Choice::Fresh => self.fresh(item, put, source),
            Choice::Finished(index) => Flight::new(item, put, source, take(index), None, Stage::Confirming),
            Choice::MaybeFinished(index) => {
                let upload = take(index);
                let parts = self.journal.parts(upload.row)?;
                let mut flight = Flight::new(item, put, source, upload, None, Stage::Rechecking)?;
                flight.parts = parts.into_iter().map(|part| (part.number, part)).collect();
                Ok(flight)
            }
            Choice::Replace(index) => {
                let (upload, lock) = self.journal.lock(&take(index))?;
                let told = self.tell_changed(item, &upload, "its size is another than when its upload began");
                tracing::info!(%told, "beginning anew");
                Flight::new(item, put, source, upload, Some(lock), Stage::Dropping)
            }
            Choice::Continue(index) => {
                let (upload, lock) = self.journal.lock(&take(index))?;
                let same = upload.intent.content_type == put.content_type && upload.intent.metadata == put.metadata;
                if upload.state == State::Creating && !same {
                    // Nothing of it is in the store: what is asked for now is what is to begin.
                    self.journal.abandoned(upload.row)?;
                    drop(lock);
                    return self.fresh(item, put, source);
                }
                if !upload.state.is_unfinished() {
                    // The process that held it has just ended it.
                    drop(lock);
                    return self.admit_put(item, put);
                }
                let mut flight = Flight::new(item, put, source, upload, Some(lock), Stage::Rejoining)?;
                self.go_on(&mut flight)?;
                Ok(flight)
            }
        }
    }

    /// Sets the stage that an unfinished upload goes on from.
    fn go_on(&mut self, flight: &mut Flight) -> Result<()> {
        let parts = self.journal.parts(flight.upload.row)?;
        let touched = flight.source.identity() != flight.upload.intent.identity;
        // What was not acknowledged is read again anyway; of a touched source its fingerprint tells nothing.
        let keep = |part: &Part| !touched || part.etag.is_some();
        flight.parts = parts.into_iter().filter(keep).map(|part| (part.number, part)).collect();
        flight.stage = match flight.upload.id {
            _ if touched => Stage::Rechecking,
            None => Stage::Beginning,
            Some(_) => Stage::Rejoining,
        };
        if flight.stage == Stage::Beginning {
            self.tell_plan(flight);
        }
        Ok(())
    }

    /// Notes a new upload of a source.
    fn fresh(&mut self, item: usize, put: Put, source: File) -> Result<Flight> {
        let plan = Plan::new(source.identity().size, put.part_size, &self.info.limits)?;
        let intent = Intent {
            backend: self.options.backend.clone(),
            instance_id: self.info.instance_id.clone(),
            path: source.path().to_path_buf(),
            name: put.name.clone(),
            content_type: put.content_type.clone(),
            metadata: put.metadata.clone(),
            identity: source.identity(),
            part_size: plan.part_size(),
        };
        let (upload, lock) = self.journal.intend(intent)?;
        let flight = Flight::new(item, put, source, upload, Some(lock), Stage::Beginning)?;
        self.tell_plan(&flight);
        Ok(flight)
    }

    /// Puts a new upload of the same source in the place of one that cannot go on. Fingerprints of a source
    /// that is still the same are kept.
    pub(super) fn anew(&mut self, flight: &mut Flight) -> Result<()> {
        if flight.restarts == RESTARTS {
            return Err(Error::new(
                Kind::Other,
                format!("began anew {RESTARTS} times; something keeps ending the upload"),
            )
            .hinting("run the command again once the file rests and the backend is well"));
        }
        if flight.upload.state != State::Completed || flight.stage == Stage::Confirming {
            self.journal.abandoned(flight.upload.row)?;
        }
        flight.lock = None;
        let source = File::open(&flight.put.path)?;
        let same = source.identity() == flight.upload.intent.identity;
        if flight.resumed && !same {
            return Err(self.tell_changed(
                flight.item,
                &flight.upload,
                "it is another file than when its upload began",
            ));
        }
        // What was there of the old one is not there of the new one.
        self.summary.bytes_known = self.summary.bytes_known.saturating_sub(flight.resumed_bytes);
        let mut next = self.fresh(flight.item, flight.put.clone(), source)?;
        next.resumed = flight.resumed;
        next.restarts = flight.restarts + 1;
        if same && next.plan == flight.plan {
            let unacknowledged = |part: &Part| Part { etag: None, ..part.clone() };
            next.parts = flight.parts.iter().map(|(number, part)| (*number, unacknowledged(part))).collect();
            let row = next.upload.row;
            let fingerprints: Vec<_> = next.parts.values().map(|part| (row, part.number, part.fingerprint)).collect();
            self.journal.fingerprinted(&fingerprints)?;
        }
        *flight = next;
        self.call(flight, std::time::Duration::ZERO);
        Ok(())
    }

    pub(super) fn tell_plan(&self, flight: &Flight) {
        let path = &flight.put.path;
        let path_b64 = path.to_str().is_none().then(|| {
            use base64::Engine as _;
            use std::os::unix::ffi::OsStrExt as _;
            base64::engine::general_purpose::STANDARD.encode(path.as_os_str().as_bytes())
        });
        self.sink.tell(Event::Plan {
            item: flight.item,
            upload: flight.upload.id.clone(),
            path: flight.path(),
            path_b64,
            size: flight.plan.size(),
            part_size: flight.plan.part_size(),
            parts: flight.plan.count(),
            resumed_bytes: flight.resumed_bytes,
        });
    }

    /// Tells that a source has changed, and gives the error for where that ends its upload.
    pub(super) fn tell_changed(&self, item: usize, upload: &Upload, why: &str) -> Error {
        let path = upload.intent.path.display().to_string();
        let error = Error::new(Kind::Changed, format!("{path} has changed: {why}"));
        let message = error.to_string();
        self.sink.tell(Event::Changed { item, upload: upload.id.clone(), path, message });
        error
    }
}
