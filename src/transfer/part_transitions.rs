//! Parts of an upload: the tasks that hash, sign and send them, and what follows from the results.
//!
//! Not here: the upload as a whole (`transitions`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{MAX_SIGN_PARTS, Proof, SignedPart, StoredTag};
use upload_types::{ETag, PartNumber};

use super::active_upload::{ActiveUpload, Stage};
use super::engine::{Engine, Next};
use super::hashing;
use super::part_queue::{RetryFrom, SignedEntry};
use super::part_states::LastPiece;
use super::retry::{self, Attempt, Failures, Verdict};
use super::task::PartResult;
use super::transitions::Noticed;
use crate::backend::{PartSource, PartUpload, PutOutcome, SignReason};
use crate::event::Event;
use crate::journal::Record;
use crate::source::{Digests, WithMd5};

/// What to do about a failed part.
enum PartRetry {
    After(Duration),
    /// The outcome is unknown: ask the store which parts it has.
    Rejoin,
}

impl Engine<'_> {
    /// Whether the backend needs the MD5 of each part.
    pub(super) fn with_md5(&self) -> WithMd5 {
        if self.info.proof == Proof::Md5 || self.backend.capabilities().wants_md5 {
            WithMd5::Yes
        } else {
            WithMd5::No
        }
    }

    pub(super) fn hash_part(&mut self, index: usize, number: PartNumber) {
        let with_md5 = self.with_md5();
        let upload = &mut self.uploads[index];
        let Some(range) = upload.plan.range(number) else {
            return;
        };
        let read = upload.parts.start_hashing(number);
        let source = upload.source.clone();
        self.spawn_part(index, async move {
            PartResult::Hashed(number, hashing::hash(source, range, with_md5, read).await)
        });
    }

    pub(super) fn on_hashed(
        &mut self,
        upload: &mut ActiveUpload,
        number: PartNumber,
        hashed: Result<Digests>,
    ) -> Result<Next> {
        upload.parts.end_attempt(number);
        let digests = match hashed {
            Ok(digests) => digests,
            Err(error) if error.kind() == Kind::SourceChanged => {
                return self.on_source_changed(upload, "it is shorter", Noticed::WhileRunning);
            }
            Err(error) => {
                return match self.judge_part(upload, number, error)? {
                    PartRetry::Rejoin => self.move_to(upload, Stage::Rejoining),
                    PartRetry::After(wait) => {
                        upload.queue.on_hash_failed(number, Instant::now() + wait);
                        Ok(Next::Continue)
                    }
                };
            }
        };
        upload.queue.on_hashed(number);
        self.on_digests(upload, number, digests)
    }

    pub(super) fn on_digests(
        &mut self,
        upload: &mut ActiveUpload,
        number: PartNumber,
        digests: Digests,
    ) -> Result<Next> {
        crash::point("transfer.part_hashed");
        let sha256 = digests.sha256;
        match upload.parts.sha256(number) {
            Some(before) if before != sha256 => {
                upload.digests_disproved = true;
                let why = format!("part {number} has other bytes than before");
                return self.on_source_changed(upload, &why, Noticed::WhileRunning);
            }
            Some(_) => {}
            None => upload.hashed_bytes += upload.part_len(number),
        }
        upload.parts.set_digests(number, digests);
        self.committer.record(Record::PartHashed {
            row: upload.row(),
            number,
            sha256,
        });
        if upload.stage() == Stage::Preparing {
            return self.move_to(upload, Stage::Beginning);
        }
        Ok(Next::Continue)
    }

    /// Requests URLs for at most `room` parts.
    pub(super) fn sign_parts(&mut self, index: usize, room: usize) {
        let upload = &mut self.uploads[index];
        let numbers = upload.queue.start_signing(room.min(MAX_SIGN_PARTS));
        let specs: Vec<_> = numbers
            .iter()
            .filter_map(|number| upload.part_spec(*number))
            .collect();
        let Some(id) = upload.upload.id.clone().filter(|_| !specs.is_empty()) else {
            return;
        };
        upload.last_call = Instant::now();
        let copies = upload.copies.of(&specs);
        let (epoch, backend) = (upload.epoch, Arc::clone(&self.backend));
        let is_rejected = |number: &PartNumber| {
            let failures = upload.parts.failures_mut(*number);
            failures.has_rejected_credentials()
        };
        let reason = if numbers.iter().any(is_rejected) {
            SignReason::CredentialsRejected
        } else {
            SignReason::UrlNeeded
        };
        self.spawn_part(index, async move {
            // The lifetime of the URLs may begin before the response arrives.
            let signed_at = Instant::now();
            let signed = backend.sign(&id, epoch, specs, copies, reason).await;
            PartResult::Signed(numbers, signed_at, signed)
        });
    }

    pub(super) fn on_signed(
        &mut self,
        upload: &mut ActiveUpload,
        numbers: &[PartNumber],
        signed_at: Instant,
        signed: Result<Vec<SignedPart>>,
    ) -> Result<Next> {
        let signed = match signed {
            Ok(signed) => signed,
            Err(error) => return self.on_sign_failed(upload, numbers, error),
        };
        crash::point("transfer.signed");
        upload.call_failures = Failures::default();
        note_copies(upload, &signed);
        for part in signed {
            match part {
                SignedPart::Put(put) => upload.queue.on_signed(put, signed_at),
                SignedPart::Stored { number, stored } => {
                    upload.queue.on_skipped();
                    let size = upload.part_len(number);
                    self.summary.bytes_skipped += size;
                    if stored.copied {
                        self.summary.bytes_copied += size;
                        upload.copies.bytes += size;
                    }
                    let origin = PartOrigin::of(&stored);
                    self.on_acknowledged(upload, number, stored.etag, origin);
                }
            }
        }
        Ok(Next::Continue)
    }

    fn on_sign_failed(
        &mut self,
        upload: &mut ActiveUpload,
        numbers: &[PartNumber],
        error: Error,
    ) -> Result<Next> {
        match error.kind() {
            Kind::SourceChanged => {
                let why = "the backend signed other bytes of it before";
                self.on_source_changed(upload, why, Noticed::WhileRunning)
            }
            // The status of the upload has the reason.
            Kind::Gone if upload.take_rejoin() => self.move_to(upload, Stage::Rejoining),
            Kind::NotFound | Kind::Gone => {
                self.emit_upload_retry(upload, &error);
                Ok(Next::Restart)
            }
            _ => {
                let wait = self.retry_delay(upload, error)?;
                for number in numbers {
                    upload.queue.on_sign_failed(*number, Instant::now() + wait);
                }
                Ok(Next::Continue)
            }
        }
    }

    pub(super) fn send_part(&mut self, index: usize, entry: SignedEntry) {
        crash::point("transfer.sending");
        let upload = &mut self.uploads[index];
        let number = entry.put.number;
        let range = upload.plan.range(number);
        let Some((range, sha256)) = range.zip(upload.parts.sha256(number)) else {
            return;
        };
        let part = PartUpload {
            signed: entry.put,
            signed_at: entry.signed_at,
            source: PartSource::File(upload.source.clone()),
            range,
            sha256,
            sent: upload.parts.start_sending(number, Instant::now()),
        };
        let backend = Arc::clone(&self.backend);
        self.spawn_part(index, async move {
            PartResult::Put(number, backend.put(part).await)
        });
    }

    pub(super) fn on_put(
        &mut self,
        upload: &mut ActiveUpload,
        number: PartNumber,
        outcome: Result<PutOutcome>,
    ) -> Result<Next> {
        let now = Instant::now();
        let nothing = LastPiece {
            since: now,
            start: 0,
        };
        let last = upload.parts.end_attempt(number).unwrap_or(nothing);
        match outcome {
            Ok(PutOutcome::Stored(etag)) => {
                let len = upload.part_len(number);
                upload.queue.on_stored();
                upload.parts.clear_failures(number);
                self.throttle.on_stored(now, last, len);
                self.summary.bytes_sent += len;
                let instance_id = &self.info.instance_id;
                for record in self.stores.on_stored(&self.backend, instance_id) {
                    self.committer.record(record);
                }
                self.on_acknowledged(upload, number, etag, PartOrigin::Sent);
                Ok(Next::Continue)
            }
            // The object is not the one of this upload: the rule for existing objects decides when
            // it begins again.
            Ok(PutOutcome::ObjectExists)
                if upload.put.key.is_some() && upload.object_checks > 0 =>
            {
                self.move_to(upload, Stage::Aborting)
            }
            // The response to a single PUT was lost. The backend reports whether the object is the
            // one of this upload.
            Ok(PutOutcome::ObjectExists) if upload.take_rejoin() => {
                upload.object_checks += 1;
                self.move_to(upload, Stage::Rejoining)
            }
            Ok(PutOutcome::ObjectExists) => {
                let what = "the store has another object under the key of this upload";
                let error = Error::new(Kind::Other, what);
                self.on_put_failed(upload, number, last, error)
            }
            Err(error) => self.on_put_failed(upload, number, last, error),
        }
    }

    fn on_put_failed(
        &mut self,
        upload: &mut ActiveUpload,
        number: PartNumber,
        last: LastPiece,
        error: Error,
    ) -> Result<Next> {
        let now = Instant::now();
        let is_durable = self.backend.capabilities().durable;
        if is_durable && let Some(error) = refused_attributes(upload, &error) {
            // An upload without these attributes is another one.
            upload.end_with = Some(error);
            return self.move_to(upload, Stage::Aborting);
        }
        match error.kind() {
            Kind::SourceChanged => {
                return self.on_source_changed(upload, "it is shorter", Noticed::WhileRunning);
            }
            // The store does not know the multipart upload. The backend reports whether it was
            // completed or aborted.
            Kind::Gone if is_durable && upload.take_rejoin() => {
                return self.move_to(upload, Stage::Rejoining);
            }
            Kind::Gone => {
                self.emit_upload_retry(upload, &error);
                return Ok(Next::Restart);
            }
            Kind::Throttled(_) => self.throttle.on_throttled(now, last.since),
            // An expired URL or credential is not a failure of the store.
            Kind::UrlExpired | Kind::CredentialsRejected => {}
            _ => self.throttle.on_failed(now, fastrand::f64()),
        }
        // The bytes were damaged on the way, or the source was changed. Hashing it again shows
        // which.
        let from = if error.kind() == Kind::Corrupt {
            RetryFrom::Hash
        } else {
            RetryFrom::Sign
        };
        match self.judge_part(upload, number, error)? {
            PartRetry::Rejoin => self.move_to(upload, Stage::Rejoining),
            PartRetry::After(wait) => {
                upload.queue.on_send_failed(number, from, now + wait);
                Ok(Next::Continue)
            }
        }
    }

    /// Judges the failure of a part.
    ///
    /// # Errors
    /// The error itself, if the part must not be tried again.
    fn judge_part(
        &mut self,
        upload: &mut ActiveUpload,
        number: PartNumber,
        error: Error,
    ) -> Result<PartRetry> {
        let failures = upload.parts.failures_mut(number);
        match retry::judge(error.kind(), Attempt::Bytes, failures, fastrand::f64()) {
            Verdict::Retry(wait) => {
                let attempts = failures.attempts;
                upload.last_failure = Some(error.kind());
                self.emit_retry(upload.event_source(), Some(number), attempts, &error, wait);
                Ok(PartRetry::After(wait))
            }
            Verdict::ListParts if upload.take_rejoin() => {
                self.emit_upload_retry(upload, &error);
                Ok(PartRetry::Rejoin)
            }
            Verdict::ListParts | Verdict::Stop => Err(error),
        }
    }

    /// The store has acknowledged a part.
    fn on_acknowledged(
        &mut self,
        upload: &mut ActiveUpload,
        number: PartNumber,
        etag: ETag,
        origin: PartOrigin,
    ) {
        crash::point("transfer.stored");
        let sha256 = upload.parts.sha256(number);
        let Some((sha256, id)) = sha256.zip(upload.upload.id.clone()) else {
            return;
        };
        upload.parts.set_stored(number, etag.clone());
        upload.last_failure = None;
        let size = upload.part_len(number);
        upload.confirmed_bytes += size;
        self.last_success = Instant::now();
        self.committer.record(Record::PartStored {
            row: upload.row(),
            number,
            etag: etag.clone(),
        });
        self.committer.emit(Event::Part {
            item: upload.item,
            upload: id,
            path: upload.path(),
            number,
            size,
            sha256,
            etag,
            skipped: origin != PartOrigin::Sent,
            copied: origin == PartOrigin::Copied,
        });
    }
}

/// How the store has got the bytes of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartOrigin {
    /// This run has sent them.
    Sent,
    /// The store has copied them, in this run.
    Copied,
    /// It had them before.
    Stored,
}

impl PartOrigin {
    fn of(stored: &StoredTag) -> Self {
        if stored.copied {
            Self::Copied
        } else {
            Self::Stored
        }
    }
}

/// Notes whether the parts of a response were copied, as far as they were to be.
fn note_copies(upload: &mut ActiveUpload, signed: &[SignedPart]) {
    let has_copied = signed
        .iter()
        .any(|part| matches!(part, SignedPart::Stored { .. }));
    let specs = signed.iter();
    let specs: Vec<_> = specs
        .filter_map(|part| upload.part_spec(part.number()))
        .collect();
    if !upload.copies.of(&specs).is_empty() {
        upload.copies.note_response(has_copied);
    }
}

/// The error of a single PUT that the store always refuses, if its attributes may be the reason:
/// parts of a multipart upload do not have them.
fn refused_attributes(upload: &ActiveUpload, error: &Error) -> Option<Error> {
    let is_refusal =
        error.is_of_store() && matches!(error.kind(), Kind::Incompatible | Kind::NotAcceptable);
    let given = upload.upload.intent.attributes.given();
    let flags: Vec<String> = given
        .map(|attribute| format!("--{}", attribute.name()))
        .collect();
    let is_single_put = upload.plan.is_single() && !upload.copies.are_named_by_begin;
    if !is_single_put || !is_refusal || flags.is_empty() {
        return None;
    }
    let what = format!("{error}, perhaps because of {}", flags.join(", "));
    let hint = "leave out what the store does not support: run `upload put FILE` without it";
    Some(Error::new(Kind::NotAcceptable, what).with_hint(hint))
}
