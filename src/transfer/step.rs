//! One step of one upload: what follows from what a unit came to, in the order that loses nothing.
//!
//! Border: the order of writes (faults are answered here, by reading, never by guessing); units do the work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flight::{Flight, OnChange, Stage};
use super::queue::Queue;
use super::retry::Failures;
use super::unit::{self, PartUnit, Rejoined, Unit};
use super::{Engine, Fate, part, resume, tell_retry};
use crate::backend::Completion;
use crate::error::{Error, Kind, Result};
use crate::journal::{Part, State};
use crate::names::{ByteRange, Fingerprint, PartNumber};
use crate::plan::Plan;
use crate::wire::{self, BeginAnswer, CompleteRequest, Proof, Receipt, StoredPart};

/// So often completing may find other parts in the store than it was told.
pub(super) const MISMATCHES: u32 = 3;

impl Engine<'_> {
    /// Makes the call that an upload's stage is about, after `wait`.
    pub(super) fn call(&mut self, flight: &mut Flight, wait: Duration) {
        let (backend, upload) = (Arc::clone(&self.backend), flight.upload.clone());
        let id = upload.id.clone();
        match flight.stage {
            Stage::Rechecking | Stage::Sealing => {
                let ranges =
                    flight.parts.values().filter_map(|part| Some((flight.plan.range(part.number)?, part.fingerprint)));
                let ranges: Vec<(ByteRange, Fingerprint)> = ranges.collect();
                let (source, read) = (flight.source.clone(), flight.rechecked_anew());
                self.spawn(flight, async move { Unit::Rechecked(part::unchanged(source, ranges, read).await) });
            }
            Stage::Beginning => {
                let request = unit::begin_request(&upload);
                self.spawn(flight, async move {
                    tokio::time::sleep(wait).await;
                    Unit::Begun(backend.begin(&upload.idem, &request).await)
                });
            }
            Stage::Confirming => self.spawn(flight, async move {
                tokio::time::sleep(wait).await;
                Unit::Confirmed(match upload.begun() {
                    Ok(id) => backend.status(id).await.map(|status| status.state),
                    Err(error) => Err(error),
                })
            }),
            Stage::Dropping => self.spawn(flight, async move {
                tokio::time::sleep(wait).await;
                Unit::Dropped(match id {
                    Some(id) => backend.abort(&id).await,
                    None => Ok(()),
                })
            }),
            Stage::Rejoining => self.spawn(flight, async move {
                tokio::time::sleep(wait).await;
                Unit::Rejoined(match upload.begun() {
                    Ok(id) => unit::rejoin(&backend, id, upload.holder.clone()).await,
                    Err(error) => Err(error),
                })
            }),
            Stage::Completing => {
                let request = resume::review(&flight.plan, &flight.parts).map(|(parts, checksum)| CompleteRequest {
                    epoch: flight.epoch,
                    parts,
                    checksum,
                });
                self.spawn(flight, async move {
                    tokio::time::sleep(wait).await;
                    Unit::Completed(match (request, upload.begun()) {
                        (Ok(request), Ok(id)) => backend.complete(id, &request).await,
                        (Err(error), _) | (_, Err(error)) => Err(error),
                    })
                });
            }
            // Parts are started by `fill`.
            Stage::Sending => {}
        }
    }

    pub(super) fn step(&mut self, flight: &mut Flight, unit: Unit) -> Result<Fate> {
        match unit {
            Unit::Rechecked(same) => self.rechecked(flight, same?),
            // What it says of the store, the list that is asked for meanwhile says too.
            Unit::Part(leg, _) if leg != flight.leg || flight.stage != Stage::Sending => Ok(Fate::Flying),
            Unit::Part(_, PartUnit::Hashed(number, hashed)) => self.hashed(flight, number, hashed),
            Unit::Part(_, PartUnit::Signed(numbers, at, signed)) => self.signed(flight, &numbers, at, signed),
            Unit::Part(_, PartUnit::Put(number, stored)) => self.stored(flight, number, stored),
            // A claim made meanwhile has replaced the epoch it named.
            Unit::Renewed(_) if !matches!(flight.stage, Stage::Sending | Stage::Sealing) => Ok(Fate::Flying),
            Unit::Renewed(epoch) => match epoch {
                Err(error) if matches!(error.kind(), Kind::LeaseLost | Kind::Busy) => Err(error),
                _ => Ok(Fate::Flying),
            },
            Unit::Dropped(Ok(())) => Ok(Fate::Anew),
            // It has ended already, one way or another.
            Unit::Dropped(Err(error)) if matches!(error.kind(), Kind::NotFound | Kind::Gone | Kind::Other) => {
                Ok(Fate::Anew)
            }
            Unit::Confirmed(Ok(state)) => Ok(self.confirmed(flight, state)),
            Unit::Begun(Ok(answer)) => self.begun(flight, answer),
            Unit::Rejoined(Ok(rejoined)) => self.rejoined(flight, rejoined),
            Unit::Completed(Ok(completion)) => self.completion(flight, completion),
            Unit::Completed(Err(error)) if error.kind() == Kind::PartsMismatch && flight.mismatches < MISMATCHES => {
                // Only the store knows which of them it misses.
                flight.mismatches += 1;
                self.note(flight, &error);
                Ok(self.move_to(flight, Stage::Rejoining))
            }
            // Refused for what was asked: it will be asked otherwise, so nothing is left to resume.
            Unit::Begun(Err(error)) if matches!(error.kind(), Kind::Denied | Kind::Other) => {
                self.journal.abandoned(flight.upload.row)?;
                Err(error)
            }
            Unit::Dropped(Err(error))
            | Unit::Confirmed(Err(error))
            | Unit::Begun(Err(error))
            | Unit::Rejoined(Err(error))
            | Unit::Completed(Err(error)) => self.call_again(flight, error),
        }
    }

    /// A call failed: once more later, or, where the backend no longer has the upload, anew.
    fn call_again(&mut self, flight: &mut Flight, error: Error) -> Result<Fate> {
        if matches!(error.kind(), Kind::NotFound | Kind::Gone) {
            self.note(flight, &error);
            return Ok(Fate::Anew);
        }
        let wait = self.again(flight, error)?;
        self.call(flight, wait);
        Ok(Fate::Flying)
    }

    pub(super) fn move_to(&mut self, flight: &mut Flight, stage: Stage) -> Fate {
        flight.ground();
        flight.stage = stage;
        flight.call_failures = Failures::default();
        self.call(flight, Duration::ZERO);
        Fate::Flying
    }

    /// Tells of something about the whole upload that is answered by going on another way.
    pub(super) fn note(&mut self, flight: &Flight, error: &Error) {
        tell_retry(self.sink, flight.item, flight.upload.id.clone(), None, 1, error, Duration::ZERO);
    }

    /// The source is of another generation than what was sent of it.
    pub(super) fn changed(&mut self, flight: &mut Flight, why: &str, while_running: bool) -> Result<Fate> {
        let error = self.tell_changed(flight.item, &flight.upload, why);
        // Since this command opened it, it has not moved: what differs is of an earlier generation.
        let earlier = flight.source.identity_now().is_ok_and(|now| now == flight.source.identity());
        let begin_anew = !flight.resumed && (!while_running || earlier || flight.put.on_change == OnChange::Restart);
        if !begin_anew {
            return Err(error);
        }
        Ok(self.move_to(flight, Stage::Dropping))
    }

    /// The fingerprints of a touched source were taken again.
    fn rechecked(&mut self, flight: &mut Flight, same: bool) -> Result<Fate> {
        let sealing = flight.stage == Stage::Sealing;
        self.last_success = Instant::now();
        if !same {
            if flight.upload.state == State::Completed {
                return Ok(Fate::Anew);
            }
            return self.changed(flight, "its content is not what was sent of it", sealing);
        }
        self.journal.touched(flight.upload.row, flight.source.path(), &flight.checked)?;
        flight.upload.intent.identity = flight.checked;
        match (sealing, flight.upload.state, &flight.upload.id) {
            (true, ..) => self.seal(flight),
            (false, State::Completed, _) => Ok(self.move_to(flight, Stage::Confirming)),
            (false, _, Some(_)) => Ok(self.move_to(flight, Stage::Rejoining)),
            (false, _, None) => {
                self.tell_plan(flight);
                Ok(self.move_to(flight, Stage::Beginning))
            }
        }
    }

    /// What was finished earlier is still there, or not.
    fn confirmed(&mut self, flight: &mut Flight, state: wire::State) -> Fate {
        self.last_success = Instant::now();
        let there = matches!(state, wire::State::Verified | wire::State::Ready);
        let Some(receipt) = flight.upload.receipt.clone().filter(|_| there) else { return Fate::Anew };
        flight.resumed_bytes = flight.plan.size();
        self.summary.bytes_known += flight.plan.size();
        self.tell_plan(flight);
        Fate::Landed(Box::new(receipt), true)
    }

    fn begun(&mut self, flight: &mut Flight, answer: BeginAnswer) -> Result<Fate> {
        let plan = Plan::pinned(flight.plan.size(), answer.part_size)?;
        let limits = &self.info.limits;
        if plan.count() != answer.part_count || plan.part_size() > limits.max_part || plan.count() > limits.max_parts {
            return Err(Error::new(Kind::Unusable, "the backend pinned a plan that breaks its own limits"));
        }
        self.journal.opened(flight.upload.row, &answer.id, plan.part_size())?;
        self.last_success = Instant::now();
        if plan != flight.plan {
            flight.parts.clear();
        }
        flight.plan = plan;
        flight.upload.id = Some(answer.id);
        flight.upload.state = State::Uploading;
        flight.epoch = answer.epoch;
        match answer.state {
            wire::State::Pending | wire::State::Uploading => {
                self.send(flight, &[]);
                Ok(Fate::Flying)
            }
            _ => Ok(self.move_to(flight, Stage::Rejoining)),
        }
    }

    fn rejoined(&mut self, flight: &mut Flight, rejoined: Rejoined) -> Result<Fate> {
        self.last_success = Instant::now();
        match rejoined {
            Rejoined::Running { epoch, stored } => {
                flight.epoch = epoch;
                let first = flight.leg == 0;
                self.send(flight, &stored);
                if first {
                    self.tell_plan(flight);
                }
                Ok(Fate::Flying)
            }
            Rejoined::Verified(receipt) => {
                if flight.leg == 0 {
                    flight.resumed_bytes = flight.plan.size();
                    self.summary.bytes_known += flight.plan.size();
                    self.tell_plan(flight);
                }
                self.verified(flight, *receipt)
            }
        }
    }

    /// Sets out to send what the store lacks.
    fn send(&mut self, flight: &mut Flight, stored: &[StoredPart]) {
        let journal: Vec<Part> = flight.parts.values().cloned().collect();
        let kept = resume::agreed(&flight.plan, &journal, stored);
        for part in flight.parts.values_mut() {
            part.etag = None;
        }
        flight.confirmed = 0;
        for (number, fingerprint, etag) in kept {
            flight.confirmed += flight.len(number);
            flight.parts.insert(number, Part { number, fingerprint, etag: Some(etag.clone()) });
            self.batch.acknowledgements.push((flight.upload.row, number, etag));
        }
        // A single PUT whose answer was lost: the object is there by our token, so its bytes are those that were signed.
        if let ([only], true) = (stored, flight.plan.is_single()) {
            self.adopt(flight, only);
        }
        let is_stored = |number: &PartNumber| flight.parts.get(number).is_some_and(|part| part.etag.is_some());
        let missing = flight.plan.parts().map(|(number, _)| number).filter(|number| !is_stored(number));
        // MD5s are not kept: where the store wants them, a part is read again.
        let known = |number: &PartNumber| self.info.proof != Proof::Md5 && flight.parts.contains_key(number);
        let (hashed, outstanding): (Vec<_>, Vec<_>) = missing.partition(known);
        flight.hashed = flight.confirmed + hashed.iter().map(|number| flight.len(*number)).sum::<u64>();
        // In a later leg, what is there was sent by this run.
        if flight.leg == 0 {
            self.summary.bytes_known += flight.confirmed;
            flight.resumed_bytes = flight.confirmed;
        }
        flight.rate = super::pace::Rate::new(Instant::now(), flight.confirmed);
        flight.queue = Queue::new(outstanding, hashed);
        flight.leg += 1;
        flight.abort_units();
        flight.hashing.clear();
        flight.putting.clear();
        flight.stage = Stage::Sending;
        flight.call_failures = Failures::default();
        flight.renewed = Instant::now();
        self.flush();
    }

    /// Takes over the one part of a single PUT where the store keeps no SHA-256 to compare.
    fn adopt(&mut self, flight: &mut Flight, stored: &StoredPart) {
        let number = stored.number;
        let fits = number == PartNumber::FIRST && stored.size == flight.len(number) && stored.sha256.is_none();
        let row = flight.upload.row;
        if let Some(part) = flight.parts.get_mut(&number).filter(|part| fits && part.etag.is_none()) {
            part.etag = Some(stored.etag.clone());
            flight.confirmed = stored.size;
            self.batch.acknowledgements.push((row, number, stored.etag.clone()));
        }
    }

    /// Every part is stored: once the source is still what it was, completing may be asked for.
    pub(super) fn seal(&mut self, flight: &mut Flight) -> Result<Fate> {
        let (now, then) = (flight.source.identity_now()?, flight.upload.intent.identity);
        if now.size != then.size {
            return self.changed(flight, "its size is another than when its upload began", true);
        }
        if now != then {
            // Taken before the source is read again: what changes meanwhile shows in the next look.
            flight.checked = now;
            return Ok(self.move_to(flight, Stage::Sealing));
        }
        resume::review(&flight.plan, &flight.parts)?;
        self.journal.sealing(flight.upload.row)?;
        flight.upload.state = State::Completing;
        Ok(self.move_to(flight, Stage::Completing))
    }

    fn completion(&mut self, flight: &mut Flight, completion: Completion) -> Result<Fate> {
        match completion {
            Completion::Verified(receipt) => self.verified(flight, *receipt),
            Completion::Deciding(wait) => {
                flight.call_failures = Failures::default();
                self.call(flight, wait.clamp(Duration::from_secs(1), Duration::from_secs(30)));
                Ok(Fate::Flying)
            }
        }
    }

    /// The backend has verified the object: if it is ours by every measure we have, that is the end.
    fn verified(&mut self, flight: &mut Flight, mut receipt: Receipt) -> Result<Fate> {
        self.last_success = Instant::now();
        let (_, checksum) = resume::review(&flight.plan, &flight.parts)?;
        resume::confirm(&receipt, &flight.plan, &checksum)?;
        receipt.backend.clone_from(&self.options.backend);
        self.journal.completed(flight.upload.row, &receipt)?;
        flight.upload.receipt = Some(receipt.clone());
        let progress = flight.progress(Instant::now());
        self.sink.tell(progress);
        Ok(Fate::Landed(Box::new(receipt), false))
    }
}
