//! The parts of one upload: fingerprinted, signed, put, acknowledged; and what a failure on the way makes of them.
//!
//! Border: single parts; what follows for the upload as a whole is `step`, the bytes are `part`'s.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::flight::{Flight, Stage};
use super::queue::{Ready, Step};
use super::retry::{self, Failures, Verdict};
use super::step::MISMATCHES;
use super::unit::PartUnit;
use super::{Engine, Fate, part, retrying};
use crate::backend::Stored;
use crate::event::Event;
use crate::journal::{Note, Part};
use crate::source::Hashed;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{ETag, PartNumber};
use upload_types::wire::{MAX_SIGN_PARTS, Proof, SignedPart};

impl Engine<'_> {
    /// Whether the MD5 of each part is wanted beside its SHA-256.
    pub(super) fn wants_md5(&self) -> bool {
        self.info.proof == Proof::Md5 || self.backend.ways().md5
    }

    pub(super) fn hash(&mut self, index: usize, number: PartNumber) {
        let with_md5 = self.wants_md5();
        let flight = &mut self.flights[index];
        let Some(range) = flight.plan.range(number) else {
            return;
        };
        let read: Arc<AtomicU64> = Arc::default();
        flight.hashing.insert(number, Arc::clone(&read));
        let source = flight.source.clone();
        self.spawn_part(index, async move {
            PartUnit::Hashed(number, part::hash(source, range, with_md5, read).await)
        });
    }

    pub(super) fn hashed(
        &mut self,
        flight: &mut Flight,
        number: PartNumber,
        hashed: Result<Hashed>,
    ) -> Result<Fate> {
        flight.hashing.remove(&number);
        let hashed = match hashed {
            Err(error) if error.kind() == Kind::SourceChanged => {
                return self.changed(flight, "it has become shorter", true);
            }
            Err(error) => {
                let Some(wait) = self.part_again(flight, number, error)? else {
                    return self.move_to(flight, Stage::Rejoining);
                };
                flight.queue.hashing_failed(number, Instant::now() + wait);
                return Ok(Fate::Flying);
            }
            Ok(hashed) => hashed,
        };
        flight.queue.was_hashed(number);
        self.fingerprinted(flight, number, hashed)
    }

    /// The SHA-256 of a part is known.
    pub(super) fn fingerprinted(
        &mut self,
        flight: &mut Flight,
        number: PartNumber,
        hashed: Hashed,
    ) -> Result<Fate> {
        crash::point("transfer.fingerprinted");
        let Hashed { sha256, md5 } = hashed;
        match flight.sha256(number) {
            Some(before) if before != sha256 => {
                return self.changed(
                    flight,
                    &format!("part {number} has other bytes than before"),
                    true,
                );
            }
            Some(_) => {}
            None => flight.hashed += flight.len(number),
        }
        flight.parts.insert(
            number,
            Part {
                number,
                sha256,
                etag: None,
            },
        );
        if let Some(md5) = md5 {
            flight.md5.insert(number, md5);
        }
        self.note(Note::Fingerprinted {
            row: flight.upload.row,
            number,
            sha256,
        });
        if flight.stage == Stage::Preparing {
            return self.move_to(flight, Stage::Beginning);
        }
        Ok(Fate::Flying)
    }

    pub(super) fn sign(&mut self, index: usize, room: usize) {
        let flight = &mut self.flights[index];
        let numbers = flight.queue.next_to_sign(room.min(MAX_SIGN_PARTS));
        let specs: Vec<_> = numbers
            .iter()
            .filter_map(|number| flight.spec(*number))
            .collect();
        let Some(id) = flight.upload.id.clone().filter(|_| !specs.is_empty()) else {
            return;
        };
        flight.renewed = Instant::now();
        let (epoch, backend) = (flight.epoch, Arc::clone(&self.backend));
        self.spawn_part(index, async move {
            let signed = backend.sign(&id, epoch, specs).await;
            PartUnit::Signed(numbers, Instant::now(), signed)
        });
    }

    pub(super) fn signed(
        &mut self,
        flight: &mut Flight,
        numbers: &[PartNumber],
        at: Instant,
        signed: Result<Vec<SignedPart>>,
    ) -> Result<Fate> {
        let signed = match signed {
            Ok(signed) => signed,
            Err(error) if error.kind() == Kind::SourceChanged => {
                return self.changed(flight, "other bytes of it were signed before", true);
            }
            // Why it is gone, its status says.
            Err(error) if error.kind() == Kind::Gone && flight.mismatches < MISMATCHES => {
                flight.mismatches += 1;
                return self.move_to(flight, Stage::Rejoining);
            }
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Gone) => {
                self.remark(flight, &error);
                return Ok(Fate::Anew);
            }
            Err(error) => {
                let wait = self.again(flight, error)?;
                for number in numbers {
                    flight.queue.signing_failed(*number, Instant::now() + wait);
                }
                return Ok(Fate::Flying);
            }
        };
        crash::point("transfer.signed");
        flight.call_failures = Failures::default();
        for signed in signed {
            match signed {
                SignedPart::Put(put) => flight.queue.was_signed(put, at),
                SignedPart::Stored { number, stored } => {
                    flight.queue.was_known();
                    self.summary.bytes_skipped += flight.len(number);
                    self.acknowledge(flight, number, stored.etag, true);
                }
            }
        }
        Ok(Fate::Flying)
    }

    pub(super) fn put(&mut self, index: usize, ready: Ready) {
        let flight = &mut self.flights[index];
        crash::point("transfer.putting");
        let Ready { signed, signed_at } = ready;
        let number = signed.number;
        let Some((range, sha256)) = flight.plan.range(number).zip(flight.sha256(number)) else {
            return;
        };
        let sent: Arc<AtomicU64> = Arc::default();
        flight.putting.insert(number, Arc::clone(&sent));
        flight.piece.insert(number, (Instant::now(), 0));
        let source = flight.source.clone();
        let backend = Arc::clone(&self.backend);
        self.spawn_part(index, async move {
            PartUnit::Put(
                number,
                part::put(backend, source, range, sha256, signed, signed_at, sent).await,
            )
        });
    }

    /// A part was put, or was not.
    pub(super) fn stored(
        &mut self,
        flight: &mut Flight,
        number: PartNumber,
        stored: Result<Stored>,
    ) -> Result<Fate> {
        flight.putting.remove(&number);
        let (now, (since, told)) = (
            Instant::now(),
            flight.piece.remove(&number).unwrap_or((Instant::now(), 0)),
        );
        let error = match stored {
            Ok(Stored::New(etag)) => {
                flight.queue.was_put();
                flight.failures.remove(&number);
                self.lanes
                    .landed(now, since, flight.len(number).saturating_sub(told));
                self.budget.stored();
                self.summary.bytes_sent += flight.len(number);
                self.learn_stores();
                self.acknowledge(flight, number, etag, false);
                return Ok(Fate::Flying);
            }
            // A single PUT whose answer was lost: whose object it is, the backend decides.
            Ok(Stored::AlreadyThere) if flight.mismatches < MISMATCHES => {
                flight.mismatches += 1;
                return self.move_to(flight, Stage::Rejoining);
            }
            Ok(Stored::AlreadyThere) => Error::new(
                Kind::Other,
                "the store has another object in this one's place",
            ),
            Err(error) => error,
        };
        match error.kind() {
            Kind::SourceChanged => return self.changed(flight, "it has become shorter", true),
            // The multipart upload is unknown to the store: whether it was completed or aborted, the backend knows.
            Kind::Gone if flight.mismatches < MISMATCHES && self.backend.ways().ledger => {
                flight.mismatches += 1;
                return self.move_to(flight, Stage::Rejoining);
            }
            Kind::Gone => {
                self.remark(flight, &error);
                return Ok(Fate::Anew);
            }
            _ => {}
        }
        match error.kind() {
            Kind::Throttled(_) => self.lanes.throttled(now, since),
            // A URL that was signed too early says nothing about the store.
            Kind::UrlExpired => {}
            _ => self.budget.failed(now, fastrand::f64()),
        }
        // Damaged on the way, or changed under our hands: only reading it again tells.
        let step = if error.kind() == Kind::Corrupt {
            Step::Hash
        } else {
            Step::Sign
        };
        let Some(wait) = self.part_again(flight, number, error)? else {
            return self.move_to(flight, Stage::Rejoining);
        };
        flight.queue.put_failed(number, step, Instant::now() + wait);
        Ok(Fate::Flying)
    }

    /// Judges a failure of one part: how long to wait, or the error back. None where the store has to be asked first what it
    /// has.
    fn part_again(
        &mut self,
        flight: &mut Flight,
        number: PartNumber,
        error: Error,
    ) -> Result<Option<Duration>> {
        let failures = flight.failures.entry(number).or_default();
        let wait = match retry::judge(error.kind(), true, failures, fastrand::f64()) {
            Verdict::Again(wait) => wait,
            Verdict::Ask if flight.mismatches < MISMATCHES => {
                flight.mismatches += 1;
                self.remark(flight, &error);
                return Ok(None);
            }
            Verdict::Ask | Verdict::Stop => return Err(error),
        };
        let attempt = failures.attempts;
        self.last_error = Some(error.to_string());
        self.tell(retrying(
            flight.item,
            flight.upload.id.clone(),
            Some(number),
            attempt,
            &error,
            wait,
        ));
        Ok(Some(wait))
    }

    /// The store has these bytes.
    fn acknowledge(&mut self, flight: &mut Flight, number: PartNumber, etag: ETag, skipped: bool) {
        crash::point("transfer.stored");
        let size = flight.len(number);
        let Some((part, upload)) = flight.parts.get_mut(&number).zip(flight.upload.id.clone())
        else {
            return;
        };
        part.etag = Some(etag.clone());
        flight.md5.remove(&number);
        flight.confirmed += size;
        self.last_success = Instant::now();
        let sha256 = part.sha256;
        self.note(Note::Acknowledged {
            row: flight.upload.row,
            number,
            etag: etag.clone(),
        });
        self.tell(Event::Part {
            item: flight.item,
            upload,
            number,
            size,
            sha256,
            etag,
            skipped,
        });
    }
}
