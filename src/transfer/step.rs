//! One step of one upload: what follows from what a unit came to, in the order that loses nothing.
//!
//! Border: the order of writes (faults are answered here, by reading, never by guessing); units do the work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flight::{Flight, OnChange, Stage};
use super::plan_error::plan_error;
use super::queue::Queue;
use super::retry::Failures;
use super::unit::{self, Ask, Dropped, PartUnit, Rejoined, Unit};
use super::{Engine, Fate, part, resume, retrying, waits};
use crate::backend::Completion;
use crate::journal::{Note, Part, State};
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{ByteRange, ETag, PartNumber, Sha256};
use upload_types::plan::Plan;
use upload_types::wire::{
    self, BatchComplete, BeginResponse, CompleteRequest, Receipt, SignedPart, StoredPart,
};

/// So often completing may find other parts in the store than it was told.
pub(super) const MISMATCHES: u32 = 3;

impl Engine<'_> {
    /// Makes the call that an upload's stage is about, after `wait`.
    pub(super) fn call(&mut self, flight: &mut Flight, wait: Duration) -> Result<()> {
        let (backend, upload) = (Arc::clone(&self.backend), flight.upload.clone());
        let id = upload.id.clone();
        match flight.stage {
            Stage::Rechecking | Stage::Sealing => {
                let ranges = flight
                    .parts
                    .values()
                    .filter_map(|part| Some((flight.plan.range(part.number)?, part.sha256)));
                let ranges: Vec<(ByteRange, Sha256)> = ranges.collect();
                let (source, read) = (flight.source.clone(), flight.rechecked_anew());
                self.start(flight, async move {
                    tokio::time::sleep(wait).await;
                    Unit::Rechecked(part::unchanged(source, ranges, read).await)
                });
            }
            Stage::Confirming => self.start(flight, async move {
                tokio::time::sleep(wait).await;
                Unit::Confirmed(match upload.begun() {
                    Ok(id) => backend.status(id).await.map(Box::new),
                    Err(error) => Err(error),
                })
            }),
            Stage::Dropping => {
                let epoch = (flight.epoch > 0).then_some(flight.epoch);
                let complete = resume::review(&flight.plan, &flight.parts).ok();
                self.start(flight, async move {
                    tokio::time::sleep(wait).await;
                    Unit::Dropped(match id {
                        Some(id) => {
                            unit::drop_upload(&backend, &id, upload.holder, epoch, complete).await
                        }
                        None => Ok(Dropped::Away),
                    })
                });
            }
            Stage::Rejoining => self.start(flight, async move {
                tokio::time::sleep(wait).await;
                Unit::Rejoined(match upload.begun() {
                    Ok(id) => unit::rejoin(&backend, id, upload.holder.clone()).await,
                    Err(error) => Err(error),
                })
            }),
            // Calls about small files go out together; what takes the store longer goes on its own.
            Stage::Beginning | Stage::Completing
                if flight.plan.is_single() && backend.ways().ledger =>
            {
                self.outbox.add(flight.upload.row, Instant::now() + wait);
            }
            Stage::Beginning | Stage::Completing => {
                if let Some(ask) = self.ask(flight)? {
                    self.start(flight, async move {
                        tokio::time::sleep(wait).await;
                        unit::ask(&backend, ask).await
                    });
                }
            }
            // Parts are started by `fill`.
            Stage::Preparing | Stage::Sending => {}
        }
        Ok(())
    }

    /// What is to be asked about an upload that begins or completes; the journal knows beforehand.
    pub(super) fn ask(&mut self, flight: &mut Flight) -> Result<Option<Ask>> {
        Ok(match (flight.stage, &flight.upload.id) {
            (Stage::Beginning, _) if self.stopping.is_none() => {
                let parts = flight
                    .spec(PartNumber::FIRST)
                    .filter(|_| flight.plan.is_single() && !flight.repinned);
                Some(Ask::Begin(unit::begin(
                    &flight.upload,
                    parts.map(|part| vec![part]),
                )))
            }
            (Stage::Completing, Some(id)) => {
                let id = id.clone();
                let (parts, checksum) = resume::review(&flight.plan, &flight.parts)?;
                if flight.upload.state != State::Completing {
                    self.note(Note::Sealing {
                        row: flight.upload.row,
                    });
                    flight.upload.state = State::Completing;
                }
                Some(Ask::Complete(BatchComplete {
                    id,
                    request: CompleteRequest {
                        epoch: flight.epoch,
                        parts,
                        checksum,
                    },
                }))
            }
            _ => None,
        })
    }

    pub(super) fn step(&mut self, flight: &mut Flight, unit: Unit) -> Result<Fate> {
        match unit {
            Unit::Rechecked(Ok(same)) => self.rechecked(flight, same),
            // What it says of the store, the list that is asked for meanwhile says too.
            Unit::Part(leg, _)
                if leg != flight.leg
                    || !matches!(flight.stage, Stage::Preparing | Stage::Sending) =>
            {
                Ok(Fate::Flying)
            }
            Unit::Part(_, PartUnit::Hashed(number, hashed)) => self.hashed(flight, number, hashed),
            Unit::Part(_, PartUnit::Signed(numbers, at, signed)) => {
                self.signed(flight, &numbers, at, signed)
            }
            Unit::Part(_, PartUnit::Put(number, stored)) => self.stored(flight, number, stored),
            // A claim made meanwhile has replaced the epoch it named.
            Unit::Renewed(_) if !matches!(flight.stage, Stage::Sending | Stage::Sealing) => {
                Ok(Fate::Flying)
            }
            Unit::Renewed(epoch) => match epoch {
                Err(error) if matches!(error.kind(), Kind::LeaseLost | Kind::Busy) => Err(error),
                _ => Ok(Fate::Flying),
            },
            Unit::Dropped(Ok(dropped)) => self.dropped(flight, dropped),
            Unit::Confirmed(Ok(status)) => self.confirmed(flight, &status),
            Unit::Begun(at, Ok(answer)) => self.begun(flight, at, answer),
            Unit::Rejoined(Ok(rejoined)) => self.rejoined(flight, rejoined),
            Unit::Compared(receipt, fingerprints) => {
                for (number, sha256) in fingerprints? {
                    flight.parts.insert(
                        number,
                        Part {
                            number,
                            sha256,
                            etag: None,
                        },
                    );
                }
                self.verified(flight, *receipt)
            }
            Unit::Completed(Ok(completion)) => self.completion(flight, completion),
            Unit::Completed(Err(error))
                if error.kind() == Kind::PartsMismatch && flight.mismatches < MISMATCHES =>
            {
                // Only the store knows which of them it misses.
                flight.mismatches += 1;
                self.remark(flight, &error);
                self.move_to(flight, Stage::Rejoining)
            }
            Unit::Rejoined(Err(error)) if error.kind() == Kind::CheckFailed => {
                self.note(Note::Rejected {
                    row: flight.upload.row,
                });
                Err(error)
            }
            // Why it is gone, its status says: what was rejected for its content is not sent again.
            Unit::Completed(Err(error))
                if error.kind() == Kind::Gone
                    && flight.mismatches < MISMATCHES
                    && self.backend.ways().ledger =>
            {
                flight.mismatches += 1;
                self.move_to(flight, Stage::Rejoining)
            }
            // Of another generation, so nothing waits for it.
            Unit::Dropped(Err(error)) if error.kind() == Kind::Unconfirmed => {
                self.remark(flight, &error);
                Ok(Fate::Anew)
            }
            // Refused for what was asked: it will be asked otherwise, so nothing is left to resume.
            Unit::Begun(_, Err(error))
                if matches!(error.kind(), Kind::NotAcceptable | Kind::Other) =>
            {
                self.note(Note::Abandoned {
                    row: flight.upload.row,
                });
                Err(error)
            }
            // It has begun already, with other bytes: begun without them, it tells its id, and can be dropped.
            Unit::Begun(_, Err(error))
                if error.kind() == Kind::SourceChanged && !flight.repinned =>
            {
                flight.repinned = true;
                self.call(flight, Duration::ZERO)?;
                Ok(Fate::Flying)
            }
            Unit::Rechecked(Err(error))
            | Unit::Dropped(Err(error))
            | Unit::Confirmed(Err(error))
            | Unit::Begun(_, Err(error))
            | Unit::Rejoined(Err(error))
            | Unit::Completed(Err(error)) => self.call_again(flight, error),
        }
    }

    /// A call failed: once more later, or, where the backend no longer has the upload, anew.
    fn call_again(&mut self, flight: &mut Flight, error: Error) -> Result<Fate> {
        if matches!(error.kind(), Kind::NotFound | Kind::Gone) {
            self.remark(flight, &error);
            return Ok(Fate::Anew);
        }
        let wait = self.again(flight, error)?;
        self.call(flight, wait)?;
        Ok(Fate::Flying)
    }

    pub(super) fn move_to(&mut self, flight: &mut Flight, stage: Stage) -> Result<Fate> {
        flight.ground();
        flight.stage = stage;
        flight.call_failures = Failures::default();
        self.call(flight, Duration::ZERO)?;
        Ok(Fate::Flying)
    }

    /// Sets out to begin. A single part is fingerprinted first, so that the answer to begin brings its signature.
    pub(super) fn set_out(&mut self, flight: &mut Flight) -> Result<Fate> {
        let known = !self.wants_md5() && flight.sha256(PartNumber::FIRST).is_some();
        if !flight.plan.is_single() || known {
            return self.move_to(flight, Stage::Beginning);
        }
        flight.stage = Stage::Preparing;
        let at_hand = flight.plan.range(PartNumber::FIRST);
        let at_hand = at_hand.and_then(|range| flight.source.hash_at_hand(range, self.wants_md5()));
        if let Some(hashed) = at_hand {
            return self.fingerprinted(flight, PartNumber::FIRST, hashed);
        }
        flight.queue = Queue::new(vec![PartNumber::FIRST], vec![]);
        Ok(Fate::Flying)
    }

    /// Tells of something about the whole upload that is answered by going on another way.
    pub(super) fn remark(&mut self, flight: &Flight, error: &Error) {
        self.tell(retrying(
            flight.item,
            flight.upload.id.clone(),
            None,
            1,
            error,
            Duration::ZERO,
        ));
    }

    /// The source is of another generation than what was sent of it.
    pub(super) fn changed(
        &mut self,
        flight: &mut Flight,
        why: &str,
        while_running: bool,
    ) -> Result<Fate> {
        let error = self.tell_changed(flight.item, &flight.upload, why);
        // Since this command opened it, it has not moved: what differs is of an earlier generation.
        let earlier = flight
            .source
            .identity_now()
            .is_ok_and(|now| now == flight.source.identity());
        let begin_anew = !flight.resumed
            && (!while_running || earlier || flight.put.on_change == OnChange::Restart);
        if !begin_anew {
            return Err(error);
        }
        self.move_to(flight, Stage::Dropping)
    }

    /// The fingerprints of a touched source were taken again.
    fn rechecked(&mut self, flight: &mut Flight, same: bool) -> Result<Fate> {
        crash::point("transfer.rechecked");
        let sealing = flight.stage == Stage::Sealing;
        self.last_success = Instant::now();
        if !same {
            if flight.upload.state.is_finished() {
                return Ok(Fate::Anew);
            }
            return self.changed(flight, "its content is not what was sent of it", sealing);
        }
        let (row, path) = (flight.upload.row, flight.source.path().to_path_buf());
        self.note(Note::Touched {
            row,
            path,
            identity: flight.checked,
        });
        flight.upload.intent.identity = flight.checked;
        match (sealing, flight.upload.state, &flight.upload.id) {
            (true, ..) => self.seal(flight),
            (false, state, _) if state.is_finished() => self.move_to(flight, Stage::Confirming),
            (false, _, Some(_)) => self.move_to(flight, Stage::Rejoining),
            (false, _, None) => {
                self.tell_plan(flight);
                self.set_out(flight)
            }
        }
    }

    /// Another generation takes its place. Where it was completed before it could be aborted, it is an object of its own, and
    /// the journal knows.
    fn dropped(&mut self, flight: &mut Flight, dropped: Dropped) -> Result<Fate> {
        crash::point("transfer.dropped");
        let mut receipt = match dropped {
            Dropped::Away => return Ok(Fate::Anew),
            Dropped::Finished(receipt) => receipt,
            Dropped::Deciding(wait) => {
                flight.call_failures = Failures::default();
                self.call(
                    flight,
                    wait.clamp(Duration::from_secs(1), Duration::from_secs(30)),
                )?;
                return Ok(Fate::Flying);
            }
        };
        // What somebody else made of it, with parts that this journal does not know, is theirs to tell of.
        let ours = resume::checksum(&flight.plan, &flight.parts)
            .and_then(|checksum| resume::confirm(&receipt, &flight.plan, &checksum));
        if ours.is_ok() && flight.upload.id.as_ref() == Some(&receipt.id) {
            tracing::info!(
                location = receipt.location,
                "the generation before was completed"
            );
            receipt.backend.clone_from(&self.options.backend);
            self.note(Note::Completed {
                row: flight.upload.row,
                receipt,
            });
            flight.upload.state = State::Completed;
        }
        Ok(Fate::Anew)
    }

    /// What was finished earlier is still there, or not.
    fn confirmed(&mut self, flight: &mut Flight, status: &wire::UploadStatus) -> Result<Fate> {
        crash::point("transfer.confirmed");
        self.last_success = Instant::now();
        let error = waits::over(status);
        if error.kind() == Kind::CheckFailed {
            self.note(Note::Rejected {
                row: flight.upload.row,
            });
            return Err(error);
        }
        let there = matches!(
            status.state,
            wire::UploadState::Verified | wire::UploadState::Ready
        );
        let Some(receipt) = flight.upload.receipt.clone().filter(|_| there) else {
            return Ok(Fate::Anew);
        };
        flight.resumed_bytes = flight.plan.size();
        self.summary.bytes_skipped += flight.plan.size();
        self.tell_plan(flight);
        Ok(Fate::Landed(Box::new(receipt), true))
    }

    fn begun(&mut self, flight: &mut Flight, at: Instant, answer: BeginResponse) -> Result<Fate> {
        crash::point("transfer.begun");
        let plan = Plan::pinned(flight.plan.size(), answer.part_size).map_err(plan_error)?;
        let limits = &self.info.limits;
        if plan.count() != answer.part_count
            || plan.part_size() > limits.max_part
            || plan.count() > limits.max_parts
        {
            return Err(Error::new(
                Kind::Incompatible,
                "the backend pinned a plan that breaks its own limits",
            ));
        }
        let memo = self.backend.memo(&answer.id);
        flight.upload.memo.clone_from(&memo);
        self.note(Note::Opened {
            row: flight.upload.row,
            id: answer.id.clone(),
            part_size: plan.part_size(),
            memo,
        });
        self.commit_by = Some(Instant::now());
        self.last_success = Instant::now();
        if plan != flight.plan {
            flight.parts.clear();
        }
        flight.plan = plan;
        flight.upload.id = Some(answer.id);
        flight.upload.state = State::Uploading;
        flight.epoch = answer.epoch;
        match answer.state {
            wire::UploadState::Pending | wire::UploadState::Uploading => {
                self.send(flight, &[]);
                match answer.parts {
                    Some(signed) => self.signed_with_begin(flight, at, signed),
                    None => Ok(Fate::Flying),
                }
            }
            _ => self.move_to(flight, Stage::Rejoining),
        }
    }

    fn signed_with_begin(
        &mut self,
        flight: &mut Flight,
        at: Instant,
        signed: Vec<SignedPart>,
    ) -> Result<Fate> {
        let numbers = flight.queue.next_to_sign(usize::MAX);
        if !numbers
            .iter()
            .copied()
            .eq(signed.iter().map(SignedPart::number))
        {
            return Err(Error::new(
                Kind::Incompatible,
                "the backend signed other parts than it was asked for",
            ));
        }
        self.signed(flight, &numbers, at, Ok(signed))
    }

    fn rejoined(&mut self, flight: &mut Flight, rejoined: Rejoined) -> Result<Fate> {
        crash::point("transfer.rejoined");
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
                    self.summary.bytes_skipped += flight.plan.size();
                    self.tell_plan(flight);
                }
                // Another journal's process finished it: what this one never read is held against the receipt too.
                let unread =
                    |(number, _): &(PartNumber, ByteRange)| !flight.parts.contains_key(number);
                let unread: Vec<_> = flight.plan.parts().filter(unread).collect();
                if unread.is_empty() {
                    return self.verified(flight, *receipt);
                }
                let (source, read) = (flight.source.clone(), flight.rechecked_anew());
                self.start(flight, async move {
                    Unit::Compared(receipt, part::hash_all(source, unread, read).await)
                });
                Ok(Fate::Flying)
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
        let row = flight.upload.row;
        let noted: BTreeMap<PartNumber, ETag> = journal
            .into_iter()
            .filter_map(|part| Some((part.number, part.etag?)))
            .collect();
        flight.confirmed = 0;
        for (number, sha256, etag) in kept {
            flight.confirmed += flight.len(number);
            if noted.get(&number) != Some(&etag) {
                self.note(Note::Acknowledged {
                    row,
                    number,
                    etag: etag.clone(),
                });
            }
            flight.parts.insert(
                number,
                Part {
                    number,
                    sha256,
                    etag: Some(etag),
                },
            );
        }
        // A single PUT whose answer was lost: the object is there by our token, so its bytes are those that were signed.
        if let ([only], true) = (stored, flight.plan.is_single()) {
            self.adopt(flight, only);
        }
        let is_stored = |number: &PartNumber| {
            flight
                .parts
                .get(number)
                .is_some_and(|part| part.etag.is_some())
        };
        let missing = flight
            .plan
            .parts()
            .map(|(number, _)| number)
            .filter(|number| !is_stored(number));
        // MD5s are not kept: where the store wants them, a part is read again.
        let wants_md5 = self.wants_md5();
        let known = |number: &PartNumber| {
            let has_md5 = !wants_md5 || flight.md5.contains_key(number);
            has_md5 && flight.parts.contains_key(number)
        };
        let (hashed, outstanding): (Vec<_>, Vec<_>) = missing.partition(known);
        flight.hashed =
            flight.confirmed + hashed.iter().map(|number| flight.len(*number)).sum::<u64>();
        // In a later leg, what is there was sent by this run.
        if flight.leg == 0 {
            self.summary.bytes_skipped += flight.confirmed;
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
    }

    /// Takes over the one part of a single PUT where the store keeps no SHA-256 to compare.
    fn adopt(&mut self, flight: &mut Flight, stored: &StoredPart) {
        let number = stored.number;
        let fits = number == PartNumber::FIRST
            && stored.size == flight.len(number)
            && stored.sha256.is_none();
        let row = flight.upload.row;
        if let Some(part) = flight
            .parts
            .get_mut(&number)
            .filter(|part| fits && part.etag.is_none())
        {
            part.etag = Some(stored.etag.clone());
            flight.confirmed = stored.size;
            self.note(Note::Acknowledged {
                row,
                number,
                etag: stored.etag.clone(),
            });
        }
    }

    /// Every part is stored: once the source is still what it was, completing may be asked for.
    pub(super) fn seal(&mut self, flight: &mut Flight) -> Result<Fate> {
        crash::point("transfer.sealing");
        let (now, then) = (flight.source.identity_now()?, flight.upload.intent.identity);
        if now.size != then.size {
            return self.changed(
                flight,
                "its size is another than when its upload began",
                true,
            );
        }
        if now != then {
            // Taken before the source is read again: what changes meanwhile shows in the next look.
            flight.checked = now;
            return self.move_to(flight, Stage::Sealing);
        }
        self.move_to(flight, Stage::Completing)
    }

    fn completion(&mut self, flight: &mut Flight, completion: Completion) -> Result<Fate> {
        match completion {
            Completion::Verified(receipt) => self.verified(flight, *receipt),
            Completion::Deciding(wait) => {
                flight.call_failures = Failures::default();
                self.call(
                    flight,
                    wait.clamp(Duration::from_secs(1), Duration::from_secs(30)),
                )?;
                Ok(Fate::Flying)
            }
        }
    }

    /// The backend has verified the object: if it is ours by every measure we have, that is the end.
    fn verified(&mut self, flight: &mut Flight, mut receipt: Receipt) -> Result<Fate> {
        self.last_success = Instant::now();
        let checksum = resume::checksum(&flight.plan, &flight.parts)?;
        resume::confirm(&receipt, &flight.plan, &checksum)?;
        if flight.upload.id.as_ref() != Some(&receipt.id) {
            return Err(Error::new(
                Kind::Corrupt,
                "the backend's receipt is of another upload",
            ));
        }
        crash::point("transfer.verified");
        receipt.backend.clone_from(&self.options.backend);
        self.note(Note::Completed {
            row: flight.upload.row,
            receipt: Box::new(receipt.clone()),
        });
        flight.upload.receipt = Some(receipt.clone());
        let progress = flight.progress(Instant::now());
        self.tell(progress);
        Ok(Fate::Landed(Box::new(receipt), false))
    }
}
