//! How a source becomes an upload under way: gone on with, replaced, found finished, or begun.
//!
//! Border: everything before the first call to the backend; the choice itself is `resume::choose`.

use super::flight::{Flight, OnChange, Put, Stage};
use super::plan_error::plan_error;
use super::resume::{self, Choice};
use super::unit;
use super::waits::Waiting;
use super::{Engine, Item, SMALL, SMALL_BYTES};
use crate::event::Event;
use crate::journal::{Intent, Note, Part, State, Upload};
use crate::source::File;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::plan::Plan;

/// So often an upload may begin anew.
const RESTARTS: u32 = 3;

enum Admitted {
    Flight(Box<Flight>),
    /// To be noted, then begun.
    Fresh(Put, File),
    /// Nothing to do: its receipt is in the journal.
    Finished(Box<Waiting>),
}

/// An upload whose receipt is in the journal.
fn finished(item: usize, upload: &Upload) -> Option<Admitted> {
    let (id, receipt) = (upload.id.clone()?, upload.receipt.clone()?);
    let path = upload.intent.path.display().to_string();
    Some(Admitted::Finished(Box::new(Waiting::new(
        item,
        upload.row,
        path,
        id,
        Box::new(receipt),
        true,
    ))))
}

impl Engine<'_> {
    /// How many parts may be on the wire.
    pub(super) fn jobs(&self) -> usize {
        self.lanes.limit().min(self.options.most)
    }

    /// How many uploads of large files are under way: a few ahead of the parts in flight keep descriptors few.
    pub(super) fn ahead(&self) -> usize {
        self.jobs().saturating_mul(2).max(8).min(self.options.most)
    }

    /// Takes in waiting sources for as long as there is room: what the journal knows of them is read together, and what is to be
    /// begun is noted together.
    pub(super) fn admit_more(&mut self) {
        let (few, mut taken) = (self.ahead(), self.flights.len());
        let mut bytes: u64 = self
            .flights
            .iter()
            .map(|flight| flight.plan.size() - flight.confirmed)
            .sum();
        let (mut admitted, mut sources) = (Vec::new(), Vec::new());
        while taken < few || (taken < SMALL.min(self.options.most) && bytes < SMALL_BYTES) {
            let Some((item, ask)) = self.waiting.pop_front() else {
                break;
            };
            let size = match ask {
                Item::Put(put) => match File::open(&put.path) {
                    Ok(source) => {
                        let size = source.identity().size;
                        sources.push((item, put, source));
                        size
                    }
                    Err(error) => {
                        self.failed(item, None, put.path.display().to_string(), &error);
                        continue;
                    }
                },
                Item::Resume(upload) => {
                    let size = upload.intent.identity.size;
                    match self.admit_resume(item, &upload) {
                        Ok(one) => admitted.push((item, one)),
                        Err(error) => {
                            let path = upload.intent.path.display().to_string();
                            self.failed(item, upload.id.clone(), path, &error);
                            continue;
                        }
                    }
                    size
                }
            };
            (taken, bytes) = (taken + 1, bytes.saturating_add(size));
        }
        if !sources.is_empty() {
            admitted.extend(self.admit_puts(sources));
        }
        crash::point("transfer.admit.opened");
        let mut fresh = Vec::new();
        for (item, admitted) in admitted {
            match admitted {
                Admitted::Flight(flight) => self.take_off(flight),
                Admitted::Fresh(put, source) => fresh.push((item, put, source)),
                Admitted::Finished(waiting) => self.arrived(*waiting),
            }
        }
        self.begin_fresh(fresh);
    }

    fn admit_puts(&mut self, sources: Vec<(usize, Put, File)>) -> Vec<(usize, Admitted)> {
        let wanted = sources
            .iter()
            .map(|(_, put, source)| (put.name.as_str(), source.path(), source.identity()));
        let known = match self
            .journal
            .candidates(&self.info.instance_id, &wanted.collect::<Vec<_>>())
        {
            Ok(known) => known.into_iter().map(Ok).collect(),
            Err(error) => sources
                .iter()
                .map(|_| Err(error.duplicate()))
                .collect::<Vec<_>>(),
        };
        let mut admitted = Vec::new();
        for ((item, put, source), candidates) in sources.into_iter().zip(known) {
            let path = put.path.display().to_string();
            match candidates.and_then(|candidates| self.admit_put(item, put, source, &candidates)) {
                Ok(one) => admitted.push((item, one)),
                Err(error) => self.failed(item, None, path, &error),
            }
        }
        admitted
    }

    fn begin_fresh(&mut self, sources: Vec<(usize, Put, File)>) {
        let (mut intents, mut planned) = (Vec::new(), Vec::new());
        for (item, put, source) in sources {
            match self.intent(&put, &source) {
                Ok(intent) => {
                    intents.push(intent);
                    planned.push((item, put, source));
                }
                Err(error) => self.failed(item, None, put.path.display().to_string(), &error),
            }
        }
        if intents.is_empty() {
            return;
        }
        let noted = match self.intend(intents) {
            Ok(noted) => noted.into_iter().map(Ok).collect(),
            Err(error) => planned
                .iter()
                .map(|_| Err(error.duplicate()))
                .collect::<Vec<_>>(),
        };
        crash::point("transfer.admit.noted");
        for ((item, put, source), upload) in planned.into_iter().zip(noted) {
            let path = put.path.display().to_string();
            match upload.and_then(|upload| self.noted(item, put, source, upload)) {
                Ok(flight) => self.take_off(Box::new(flight)),
                Err(error) => self.failed(item, None, path, &error),
            }
        }
    }

    /// Writes down what is about to begin, and in the same moment what was noted before: what makes room for it.
    fn intend(&mut self, intents: Vec<Intent>) -> Result<Vec<Option<Upload>>> {
        let noted = self.journal.intend(&self.notes, intents)?;
        self.notes.clear();
        Ok(noted)
    }

    /// What is to be written down before a source is begun.
    fn intent(&self, put: &Put, source: &File) -> Result<Intent> {
        let plan = Plan::new(source.identity().size, put.part_size, &self.info.limits)
            .map_err(plan_error)?;
        Ok(Intent {
            backend: self.options.backend.clone(),
            instance_id: self.info.instance_id.clone(),
            path: source.path().to_path_buf(),
            name: put.name.clone(),
            content_type: put.content_type.clone(),
            metadata: put.metadata.clone(),
            identity: source.identity(),
            part_size: plan.part_size(),
        })
    }

    /// A new upload that has just been noted; nothing if another process was quicker.
    fn noted(
        &mut self,
        item: usize,
        put: Put,
        source: File,
        upload: Option<Upload>,
    ) -> Result<Flight> {
        let upload = upload
            .ok_or_else(|| Error::new(Kind::Busy, "another process has just begun this upload"))?;
        let flight = Flight::new(item, put, source, upload, Stage::Beginning)?;
        self.tell_plan(&flight);
        Ok(flight)
    }

    /// Sets a flight on its way.
    fn take_off(&mut self, mut flight: Box<Flight>) {
        let begun = match flight.stage {
            Stage::Beginning => self.set_out(&mut flight),
            stage => self.move_to(&mut flight, stage),
        };
        let last = self.flights.len();
        self.settle_fate(last, flight, begun);
    }

    fn admit_resume(&mut self, item: usize, upload: &Upload) -> Result<Admitted> {
        unit::recall(&self.backend, upload);
        if let Some(waiting) = finished(item, upload) {
            return Ok(waiting);
        }
        let upload = self.journal.take(upload)?;
        unit::recall(&self.backend, &upload);
        let row = upload.row;
        let admitted = self.resumed(item, upload);
        if admitted.is_err() {
            self.note(Note::Released { row });
        }
        admitted
    }

    fn resumed(&mut self, item: usize, upload: Upload) -> Result<Admitted> {
        match (upload.state, finished(item, &upload)) {
            (State::Completed, Some(waiting)) => return Ok(waiting),
            (State::Rejected, _) => {
                return Err(Error::new(
                    Kind::CheckFailed,
                    "the backend's checks have rejected it",
                ));
            }
            (state, _) if state.is_unfinished() => {}
            _ => return Err(Error::new(Kind::Gone, "the upload was given up")),
        }
        let intent = upload.intent.clone();
        let put = Put {
            path: intent.path,
            name: intent.name,
            content_type: intent.content_type,
            metadata: intent.metadata,
            part_size: Some(intent.part_size),
            force: false,
            on_change: OnChange::Fail,
        };
        let source = File::open(&put.path)?;
        if source.identity().size != upload.intent.identity.size {
            return Err(self.tell_changed(
                item,
                &upload,
                "its size is another than when its upload began",
            ));
        }
        let mut flight = Flight::new(item, put, source, upload, Stage::Rejoining)?;
        flight.resumed = true;
        self.go_on(&mut flight)?;
        Ok(Admitted::Flight(Box::new(flight)))
    }

    fn admit_put(
        &mut self,
        item: usize,
        put: Put,
        source: File,
        candidates: &[Upload],
    ) -> Result<Admitted> {
        for upload in candidates {
            unit::recall(&self.backend, upload);
        }
        let identity = source.identity();
        let chosen = |index: usize| candidates[index].clone();
        let flight = match resume::choose(candidates, &identity, put.force) {
            Choice::Fresh => return Ok(Admitted::Fresh(put, source)),
            Choice::Finished(index) => {
                Flight::new(item, put, source, chosen(index), Stage::Confirming)?
            }
            Choice::MaybeFinished(index) => {
                let upload = chosen(index);
                let parts = self.journal.parts(upload.row)?;
                let mut flight = Flight::new(item, put, source, upload, Stage::Rechecking)?;
                flight.parts = parts.into_iter().map(|part| (part.number, part)).collect();
                flight
            }
            Choice::Replace(index) => {
                let upload = self.journal.take(&chosen(index))?;
                let told = self.tell_changed(
                    item,
                    &upload,
                    "its size is another than when its upload began",
                );
                tracing::info!(%told, "beginning anew");
                let parts = self.journal.parts(upload.row)?;
                let mut flight = Flight::new(item, put, source, upload, Stage::Dropping)?;
                flight.parts = parts.into_iter().map(|part| (part.number, part)).collect();
                flight
            }
            Choice::Continue(index) => {
                let upload = self.journal.take(&chosen(index))?;
                let same = upload.intent.content_type == put.content_type
                    && upload.intent.metadata == put.metadata;
                if upload.state == State::Creating && !same {
                    // Nothing of it is in the store: what is asked for now is what is to begin.
                    self.note(Note::Abandoned { row: upload.row });
                    return Ok(Admitted::Fresh(put, source));
                }
                if !upload.state.is_unfinished() {
                    // The process that drove it has just ended it: look again.
                    let wanted = [(put.name.as_str(), source.path(), identity)];
                    let candidates = self
                        .journal
                        .candidates(&self.info.instance_id, &wanted)?
                        .concat();
                    return self.admit_put(item, put, source, &candidates);
                }
                let mut flight = Flight::new(item, put, source, upload, Stage::Rejoining)?;
                self.go_on(&mut flight)?;
                flight
            }
        };
        Ok(Admitted::Flight(Box::new(flight)))
    }

    /// Sets the stage that an unfinished upload goes on from.
    fn go_on(&mut self, flight: &mut Flight) -> Result<()> {
        let parts = self.journal.parts(flight.upload.row)?;
        let touched = flight.source.identity() != flight.upload.intent.identity;
        // What was not acknowledged is read again anyway; of a touched source its SHA-256 tells nothing.
        let keep = |part: &Part| !touched || part.etag.is_some();
        flight.parts = parts
            .into_iter()
            .filter(keep)
            .map(|part| (part.number, part))
            .collect();
        flight.stage = match flight.upload.id {
            _ if touched => Stage::Rechecking,
            None => Stage::Beginning,
            Some(_) => Stage::Rejoining,
        };
        if flight.stage == Stage::Beginning {
            if !self.backend.ways().ledger {
                let path = flight.path();
                tracing::warn!(%path, "had it begun before, that stays behind in the store, empty, until it is removed there");
            }
            self.tell_plan(flight);
        }
        Ok(())
    }

    /// Puts a new upload of the same source in the place of one that cannot go on. Fingerprints of a source
    /// that is still the same are kept.
    ///
    /// # Errors
    /// [`Kind::Unconfirmed`] for one that may have been completed, where nobody can tell: it is not sent twice.
    pub(super) fn anew(&mut self, flight: &mut Flight) -> Result<()> {
        let completing =
            flight.upload.state == State::Completing && flight.stage != Stage::Dropping;
        if let (true, false, Some(id)) = (completing, self.backend.ways().ledger, &flight.upload.id)
        {
            return Err(self.backend.unconfirmed(id));
        }
        if flight.restarts == RESTARTS {
            return Err(Error::new(
                Kind::Other,
                format!("began anew {RESTARTS} times; something keeps ending the upload"),
            )
            .with_hint("run the command again once the file rests and the backend is well"));
        }
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
        self.summary.bytes_skipped = self
            .summary
            .bytes_skipped
            .saturating_sub(flight.resumed_bytes);
        let intent = self.intent(&flight.put, &source)?;
        let replaces = !flight.upload.state.is_finished() || flight.stage == Stage::Confirming;
        if replaces {
            self.note(Note::Abandoned {
                row: flight.upload.row,
            });
        }
        let noted = self.intend(vec![intent]);
        if noted.is_err() && replaces {
            // Until another takes its place, this one is what is unfinished.
            self.notes.pop();
        }
        let upload = noted?.pop().flatten();
        crash::point("transfer.anew");
        let mut next = self.noted(flight.item, flight.put.clone(), source, upload)?;
        next.resumed = flight.resumed;
        next.restarts = flight.restarts + 1;
        if same && next.plan == flight.plan {
            let unacknowledged = |part: &Part| Part {
                etag: None,
                ..part.clone()
            };
            next.parts = flight
                .parts
                .iter()
                .map(|(number, part)| (*number, unacknowledged(part)))
                .collect();
            let row = next.upload.row;
            for Part { number, sha256, .. } in next.parts.values().cloned() {
                self.note(Note::Fingerprinted {
                    row,
                    number,
                    sha256,
                });
            }
        }
        *flight = next;
        self.set_out(flight).map(drop)
    }

    pub(super) fn tell_plan(&mut self, flight: &Flight) {
        let path = &flight.put.path;
        let path_b64 = path.to_str().is_none().then(|| {
            use base64::Engine as _;
            use std::os::unix::ffi::OsStrExt as _;
            base64::engine::general_purpose::STANDARD.encode(path.as_os_str().as_bytes())
        });
        self.tell(Event::Plan {
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
    pub(super) fn tell_changed(&mut self, item: usize, upload: &Upload, why: &str) -> Error {
        let path = upload.intent.path.display().to_string();
        let error = Error::new(Kind::SourceChanged, format!("{path} has changed: {why}"));
        let message = error.to_string();
        self.tell(Event::Changed {
            item,
            upload: upload.id.clone(),
            path,
            message,
        });
        error
    }
}
