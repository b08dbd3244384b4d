//! The consequences of the result of a task about an upload: records first, then the next call. If
//! a result leaves the outcome open, the engine asks the backend; it never guesses.
//!
//! Not here: results about single parts (`part_transitions`), and what follows from a rejoin
//! (`rejoined`).

use std::time::{Duration, Instant};

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::plan::Plan;
use upload_types::wire::{
    BeginResponse, IfExists, ObjectState, Receipt, SignedPart, UploadState, UploadStatus,
};

use super::active_upload::{ActiveUpload, Stage, StartedBy};
use super::comparison::check_begun_key;
use super::ended_upload::terminal_error;
use super::engine::{Engine, Next};
use super::options::OnChange;
use super::plan_error::plan_error;
use super::resume::{self, Presence};
use super::retry::{COMPLETION_POLL_WAITS, Failures};
use super::task::{AbortOutcome, PartResult, UploadResult};
use crate::backend::Completion;
use crate::event::Event;
use crate::journal::{Record, State};

/// How often a source that is modified while it is hashed is hashed again before completing.
const MAX_FINAL_CHECKS: u32 = 3;

impl Engine<'_> {
    pub(super) fn on_result(
        &mut self,
        upload: &mut ActiveUpload,
        result: UploadResult,
    ) -> Result<Next> {
        match result {
            UploadResult::Part(generation, result) => {
                self.on_part_result(upload, generation, result)
            }
            UploadResult::LeaseRenewed(renewed) => Self::on_lease_renewed(upload, renewed),
            UploadResult::VersionChecked(observed) => {
                self.on_version_checked(upload, observed.ok())
            }
            UploadResult::CheckedEarly(is_same) => self.on_checked_early(upload, is_same.ok()),
            UploadResult::Rehashed(Ok(true)) => self.on_rehashed(upload, Content::Same),
            UploadResult::Rehashed(Ok(false)) => self.on_rehashed(upload, Content::Differs),
            UploadResult::Confirmed(Ok(status)) => self.on_confirmed(upload, &status),
            UploadResult::Aborted(Ok(outcome)) => self.on_aborted(upload, outcome),
            UploadResult::Begun(requested, Ok(response)) => {
                self.on_begun(upload, requested, response)
            }
            UploadResult::Rejoined(Ok(rejoined)) => self.on_rejoined(upload, rejoined),
            UploadResult::HashedForReceipt(receipt, hashed) => {
                let learned = upload.learn_digests(hashed?);
                let next = self.on_receipt(upload, *receipt)?;
                self.record_digests(upload, learned);
                Ok(next)
            }
            UploadResult::WholeHashed(Some(receipt), whole) => {
                self.on_whole_hashed(upload, Some(receipt), whole?)
            }
            UploadResult::Compared(Ok(digests)) => self.on_compared_content(upload, &digests),
            UploadResult::WholeHashed(None, Ok(whole)) => self.on_whole_hashed(upload, None, whole),
            UploadResult::Completed(Ok(Completion::Verified(receipt))) => {
                self.on_receipt(upload, *receipt)
            }
            UploadResult::Completed(Ok(Completion::Pending(wait))) => {
                self.call_when_decided(upload, wait)
            }
            UploadResult::Begun(_, Err(error)) => self.on_begin_failed(upload, error),
            UploadResult::Completed(Err(error)) => self.on_complete_failed(upload, error),
            UploadResult::Rejoined(Err(error)) if error.kind() == Kind::CheckFailed => {
                let row = upload.row();
                self.committer.record(Record::Rejected { row });
                Err(error)
            }
            // Nothing depends on the upload of the old file version.
            UploadResult::Aborted(Err(error)) if error.kind() == Kind::Unconfirmed => {
                self.emit_upload_retry(upload, &error);
                Ok(Next::Restart)
            }
            UploadResult::Aborted(Err(error)) if upload.end_with.is_some() => {
                Err(Self::on_abort_failed(upload, error))
            }
            UploadResult::Rehashed(Err(error))
            | UploadResult::Compared(Err(error))
            | UploadResult::WholeHashed(None, Err(error))
            | UploadResult::Aborted(Err(error))
            | UploadResult::Confirmed(Err(error))
            | UploadResult::Rejoined(Err(error)) => self.on_call_failed(upload, error),
        }
    }

    fn on_part_result(
        &mut self,
        upload: &mut ActiveUpload,
        generation: u32,
        result: PartResult,
    ) -> Result<Next> {
        let is_current = generation == upload.queue_generation
            && matches!(upload.stage(), Stage::Preparing | Stage::Sending);
        if !is_current {
            // The list of stored parts, which was requested since, contains the result.
            return Ok(Next::Continue);
        }
        match result {
            PartResult::Hashed(number, hashed) => self.on_hashed(upload, number, hashed),
            PartResult::Signed(numbers, signed_at, signed) => {
                self.on_signed(upload, &numbers, signed_at, signed)
            }
            PartResult::Put(number, outcome) => self.on_put(upload, number, outcome),
        }
    }

    fn on_lease_renewed(upload: &ActiveUpload, renewed: Result<u64>) -> Result<Next> {
        // In another stage, a new lease has replaced the one that was to be renewed.
        let is_current = matches!(upload.stage(), Stage::Sending | Stage::FinalCheck);
        match renewed {
            Err(error) if is_current && matches!(error.kind(), Kind::LeaseLost | Kind::Busy) => {
                Err(error)
            }
            _ => Ok(Next::Continue),
        }
    }

    fn on_begin_failed(&mut self, upload: &mut ActiveUpload, error: Error) -> Result<Next> {
        match error.kind() {
            // The next `put` makes another request, so there is nothing to resume.
            Kind::NotAcceptable | Kind::Other => {
                let row = upload.row();
                self.committer.record(Record::Abandoned { row });
                Err(error)
            }
            Kind::Exists => self.on_exists(upload, error),
            Kind::KeyInUse(_) => self.on_key_in_use(upload, error),
            // It has begun before, with other bytes. Without parts, begin returns its id, so that
            // it can be aborted.
            Kind::SourceChanged if !upload.begins_without_parts => {
                upload.begins_without_parts = true;
                self.call_after(upload, Duration::ZERO)?;
                Ok(Next::Continue)
            }
            _ => self.on_call_failed(upload, error),
        }
    }

    fn on_complete_failed(&mut self, upload: &mut ActiveUpload, error: Error) -> Result<Next> {
        let is_durable = self.backend.capabilities().durable;
        match error.kind() {
            // Only the store can tell which parts are missing.
            Kind::PartsMismatch if upload.take_rejoin() => {
                self.emit_upload_retry(upload, &error);
                self.move_to(upload, Stage::Rejoining)
            }
            Kind::Exists => self.on_exists(upload, error),
            // Its status has the reason: an object that a hook rejected is not sent again.
            Kind::Gone if is_durable && upload.take_rejoin() => {
                self.move_to(upload, Stage::Rejoining)
            }
            _ => self.on_call_failed(upload, error),
        }
    }

    /// Repeats a failed call later. If the backend no longer has the upload, begins another one.
    fn on_call_failed(&mut self, upload: &mut ActiveUpload, error: Error) -> Result<Next> {
        if matches!(error.kind(), Kind::NotFound | Kind::Gone) {
            if let Some(error) = self.unconfirmed_completion(upload) {
                return Err(error);
            }
            let reason = match error.kind() {
                Kind::NotFound => "the backend no longer has this upload".to_owned(),
                _ => error.to_string(),
            };
            let reason = format!("{reason}; uploading the file from the beginning");
            self.emit_restarted(upload, reason);
            return Ok(Next::Restart);
        }
        let wait = self.retry_delay(upload, error)?;
        self.call_after(upload, wait)?;
        Ok(Next::Continue)
    }

    /// Asks again about an upload that is being completed.
    fn call_when_decided(&mut self, upload: &mut ActiveUpload, wait: Duration) -> Result<Next> {
        let (shortest, longest) = COMPLETION_POLL_WAITS;
        upload.call_failures = Failures::default();
        self.call_after(upload, wait.clamp(shortest, longest))?;
        Ok(Next::Continue)
    }

    /// Reports an error after which the upload continues in another way.
    pub(super) fn emit_upload_retry(&mut self, upload: &ActiveUpload, error: &Error) {
        let source = upload.event_source();
        let event = Event::retry(source, None, 1, error, Duration::ZERO);
        self.committer.emit(event);
    }

    /// Reports that another upload of the same source replaces this one.
    fn emit_restarted(&mut self, upload: &ActiveUpload, message: String) {
        self.committer.emit(crate::event::Event::Restarted {
            item: upload.item,
            upload: upload.upload.id.clone(),
            path: upload.path(),
            message,
        });
    }

    /// The source has another version than the parts that were sent. `noticed` is when the change
    /// was noticed.
    pub(super) fn on_source_changed(
        &mut self,
        upload: &mut ActiveUpload,
        why: &str,
        noticed: Noticed,
    ) -> Result<Next> {
        let error = self.emit_changed(upload.item, &upload.upload, why);
        // If the source is as this process opened it, the upload began with an earlier version;
        // unless every part is of this run, and was changed through a mapping.
        let is_of_this_run = upload.stage() == Stage::FinalCheck && upload.resumed_bytes == 0;
        let is_as_opened = !is_of_this_run
            && upload
                .source
                .current_version()
                .is_ok_and(|version| version == upload.source.version());
        let may_restart = noticed == Noticed::AtStart
            || is_as_opened
            || upload.put.on_change == OnChange::Restart;
        if upload.started_by == StartedBy::Resume || !may_restart {
            return Err(error);
        }
        match upload.stage() {
            // It is complete, so there is nothing to abort.
            Stage::Rejoining => Ok(Next::Restart),
            _ => self.move_to(upload, Stage::Aborting),
        }
    }

    /// The acknowledged parts of a touched source were hashed again.
    pub(super) fn on_rehashed(
        &mut self,
        upload: &mut ActiveUpload,
        content: Content,
    ) -> Result<Next> {
        crash::point("transfer.rehashed");
        let is_final = upload.stage() == Stage::FinalCheck;
        self.last_success = Instant::now();
        if content == Content::Differs {
            let is_same_version = upload.checked_version == upload.upload.intent.version;
            upload.digests_disproved |= is_same_version;
            if upload.upload.state.is_finished() && upload.started_by == StartedBy::Put {
                return Ok(Next::Restart);
            }
            if is_same_version && !upload.upload.state.is_finished() {
                let row = upload.row();
                self.committer.record(Record::DigestsForgotten { row });
            }
            let noticed = if is_final {
                Noticed::WhileRunning
            } else {
                Noticed::AtStart
            };
            return self.on_source_changed(upload, "its content differs", noticed);
        }
        self.committer.record(Record::SourceTouched {
            row: upload.row(),
            path: upload.source.path().to_path_buf(),
            version: upload.checked_version,
        });
        upload.upload.intent.version = upload.checked_version;
        if is_final || upload.upload.state.is_finished() {
            self.on_compared(upload);
        }
        match (is_final, upload.upload.state, &upload.upload.id) {
            (true, ..) => self.on_all_stored(upload),
            (false, state, _) if state.is_finished() => self.move_to(upload, Stage::Confirming),
            (false, _, Some(_)) => self.move_to(upload, Stage::Rejoining),
            (false, _, None) => {
                self.emit_plan(upload);
                self.prepare(upload)
            }
        }
    }

    /// The upload of an old file version was aborted, or completed before that.
    fn on_aborted(&mut self, upload: &mut ActiveUpload, outcome: AbortOutcome) -> Result<Next> {
        crash::point("transfer.aborted");
        let completed = match outcome {
            AbortOutcome::Pending(wait) => return self.call_when_decided(upload, wait),
            AbortOutcome::Aborted => None,
            AbortOutcome::Completed(receipt) => Some(receipt),
        };
        if let Some(error) = upload.end_with.take() {
            let row = upload.row();
            self.committer.record(Record::Abandoned { row });
            return Err(error);
        }
        let Some(mut receipt) = completed else {
            return Ok(Next::Restart);
        };
        // If another process completed it with parts that this journal does not know, the receipt
        // is not recorded.
        let is_ours = resume::object_checksum(&upload.plan, &upload.parts.to_journal())
            .and_then(|checksum| resume::check_receipt(&receipt, &upload.plan, &checksum));
        if is_ours.is_ok() && upload.upload.id == receipt.id {
            let location = &receipt.location;
            tracing::info!(
                ?location,
                "the upload of the old file version was completed"
            );
            receipt.backend.clone_from(&self.options.backend);
            receipt.name.clone_from(&upload.upload.intent.name);
            let row = upload.row();
            self.committer.record(Record::Completed { row, receipt });
            upload.upload.state = State::Completed;
        }
        Ok(Next::Restart)
    }

    /// An upload that is to end with an error could not be aborted. The next put aborts it.
    fn on_abort_failed(upload: &mut ActiveUpload, failure: Error) -> Error {
        let path = upload.path();
        tracing::warn!(path, %failure, "could not abort the upload");
        upload.end_with.take().unwrap_or(failure)
    }

    /// The status of an upload that was completed before.
    fn on_confirmed(&mut self, upload: &mut ActiveUpload, status: &UploadStatus) -> Result<Next> {
        crash::point("transfer.confirmed");
        self.last_success = Instant::now();
        let mut receipt = match (resume::presence(status), upload.upload.receipt.clone()) {
            (Presence::There, Some(receipt)) => receipt,
            (Presence::Gone, _) if upload.started_by == StartedBy::Resume => {
                let row = upload.row();
                self.committer.record(Record::Abandoned { row });
                return Err(terminal_error(status));
            }
            (Presence::There, None) => return Ok(Next::Restart),
            (Presence::Gone, receipt) => {
                let finished = receipt.map_or_else(String::new, |receipt| {
                    format!(" on {}", receipt.finished.strftime("%-d %B %Y"))
                });
                let has_other = status.object == Some(ObjectState::Replaced)
                    && upload.upload.intent.key.is_some();
                let replaces = upload.put.if_exists == IfExists::Overwrite;
                let reason = if has_other {
                    format!(
                        "uploaded{finished}, but the store has another object in its place; \
                         replacing that object"
                    )
                } else {
                    format!(
                        "uploaded{finished}, but the store no longer has this object; uploading it again"
                    )
                };
                // Otherwise the content of the other object decides.
                if !has_other || replaces {
                    self.emit_restarted(upload, reason);
                }
                return Ok(Next::Restart);
            }
            (Presence::Rejected(error), _) => {
                let row = upload.row();
                self.committer.record(Record::Rejected { row });
                return Err(error);
            }
        };
        let has_learned_location = resume::take_location(&mut receipt, status);
        let has_learned_sha256 = receipt.sha256.is_none() && upload.whole_sha256.is_some();
        if has_learned_sha256 {
            receipt.sha256 = upload.whole_sha256;
        }
        if has_learned_location || has_learned_sha256 {
            let (row, receipt) = (upload.row(), Box::new(receipt.clone()));
            self.committer.record(Record::Completed { row, receipt });
        }
        self.emit_plan_of_stored(upload);
        Ok(Next::AlreadyThere(Box::new(receipt)))
    }

    fn on_begun(
        &mut self,
        upload: &mut ActiveUpload,
        requested: Instant,
        response: BeginResponse,
    ) -> Result<Next> {
        crash::point("transfer.begun");
        let plan = Plan::pinned(upload.plan.size(), response.part_size).map_err(plan_error)?;
        let limits = &self.info.limits;
        if plan.count() != response.part_count
            || plan.part_size() > limits.max_part
            || plan.count() > limits.max_parts
        {
            let what = "the backend chose a part size outside its own limits";
            let hint = "report this to the operator of the backend";
            return Err(Error::new(Kind::Incompatible, what).with_hint(hint));
        }
        let backend_state = self.backend.opaque_state(&response.id);
        upload.upload.backend_state.clone_from(&backend_state);
        self.committer.record(Record::Begun {
            row: upload.row(),
            id: response.id.clone(),
            part_size: plan.part_size(),
            backend_state,
        });
        self.committer.commit_soon();
        self.last_success = Instant::now();
        check_begun_key(upload.upload.intent.key.as_deref(), &response.key)?;
        if plan != upload.plan {
            upload.parts.clear();
        }
        upload.plan = plan;
        upload.upload.id = Some(response.id);
        upload.upload.state = State::Uploading;
        upload.epoch = response.epoch;
        match response.state {
            UploadState::Pending | UploadState::Uploading => {
                self.send_missing(upload, &[]);
                match response.parts {
                    Some(signed) => self.on_signed_by_begin(upload, requested, signed),
                    None => Ok(Next::Continue),
                }
            }
            _ => self.move_to(upload, Stage::Rejoining),
        }
    }

    fn on_signed_by_begin(
        &mut self,
        upload: &mut ActiveUpload,
        requested: Instant,
        signed: Vec<SignedPart>,
    ) -> Result<Next> {
        let numbers = upload.queue.start_signing(usize::MAX);
        if !numbers
            .iter()
            .copied()
            .eq(signed.iter().map(SignedPart::number))
        {
            let what = "the backend signed other parts than were requested";
            let hint = "use matching versions of upload and gateway";
            return Err(Error::new(Kind::Incompatible, what).with_hint(hint));
        }
        self.on_signed(upload, &numbers, requested, Ok(signed))
    }

    /// Every part is stored. If the source is still the same, the upload can be completed.
    pub(super) fn on_all_stored(&mut self, upload: &mut ActiveUpload) -> Result<Next> {
        crash::point("transfer.all_stored");
        let version = upload.source.current_version()?;
        let expected = upload.upload.intent.version;
        if version.size != expected.size || upload.source.has_bytes_after_its_end()? {
            return self.on_source_changed(upload, "its size has changed", Noticed::WhileRunning);
        }
        let has_writer = upload.source.has_writer();
        self.note_writer(upload, has_writer);
        let must_compare = upload.watch.may_be_mapped() && upload.final_checks == 0;
        if version != expected || must_compare {
            if upload.final_checks == MAX_FINAL_CHECKS {
                let what = format!(
                    "{} keeps changing: it was modified or touched during each of \
                     {MAX_FINAL_CHECKS} checks of its content",
                    upload.source.path().display()
                );
                let hint = "stop the program that modifies or touches it, or put a copy of it";
                return Err(Error::new(Kind::SourceChanged, what).with_hint(hint));
            }
            upload.final_checks += 1;
            // Taken before the source is hashed: a change during that shows in the next comparison.
            upload.checked_version = version;
            upload.whole_sha256 = None;
            upload.watch.start_comparison(has_writer);
            return self.move_to(upload, Stage::FinalCheck);
        }
        if self.needs_whole_sha256(upload) {
            upload.checked_version = version;
            return self.move_to(upload, Stage::FinalCheck);
        }
        self.move_to(upload, Stage::Completing)
    }

    /// The backend has verified the object. The receipt must be for this upload.
    pub(super) fn on_receipt(
        &mut self,
        upload: &mut ActiveUpload,
        mut receipt: Receipt,
    ) -> Result<Next> {
        self.last_success = Instant::now();
        let checksum = resume::object_checksum(&upload.plan, &upload.parts.to_journal())?;
        resume::check_receipt(&receipt, &upload.plan, &checksum)?;
        if upload.upload.id != receipt.id {
            let what = "the backend's receipt is for another upload";
            let hint =
                "do not use the object; upload the file again with `upload put FILE --force`";
            return Err(Error::new(Kind::Corrupt, what).with_hint(hint));
        }
        crash::point("transfer.verified");
        receipt.backend.clone_from(&self.options.backend);
        receipt.name.clone_from(&upload.upload.intent.name);
        receipt.sha256 = receipt.sha256.or(upload.whole_sha256);
        self.committer.record(Record::Completed {
            row: upload.row(),
            receipt: Box::new(receipt.clone()),
        });
        upload.upload.receipt = Some(receipt.clone());
        let progress = upload.progress(Instant::now());
        self.committer.emit(progress);
        Ok(Next::Verified(Box::new(receipt)))
    }
}

/// Whether a source has the content of which parts were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Same,
    Differs,
}

/// When it was noticed that a source has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noticed {
    /// When the upload was continued.
    AtStart,
    WhileRunning,
}
