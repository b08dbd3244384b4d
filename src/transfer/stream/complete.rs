//! The end of a stream: its command has succeeded, it has enough bytes, and no signal has arrived.
//! Only then is it completed and its receipt compared with what was sent.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use upload_types::backoff::Backoff;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::schedule::Schedule;
use upload_types::wire::{BatchComplete, CompletePart, CompleteRequest, Receipt, UploadState};
use upload_types::{Checksum, UploadId};

use super::choose::whole_plan;
use super::hints::interrupted;
use super::run::StreamRun;
use crate::backend::Completion;
use crate::event::{Event, Phase, STREAM_PATH};
use crate::journal::{Record, State};
use crate::source::{StreamEnd, empty_stream};
use crate::transfer::ended_upload::terminal_error;
use crate::transfer::engine::{LEASE_RENEW_INTERVAL, STOP_GRACE};
use crate::transfer::options::{PutRequest, WaitFor};
use crate::transfer::resume::{self, Presence};
use crate::transfer::retry::COMPLETION_POLL_WAITS;
use crate::transfer::signal::stop_signal;

/// A signal that ends all processes of a terminal ends the producer too. The end of its output may
/// be noticed before the signal, which is first acknowledged on standard error.
const SIGNAL_GRACE: Duration = Duration::from_millis(250);
/// The interval between two questions about the hooks of the backend.
const POLL_INTERVAL: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// The interval between two checks of a command that has closed its output.
const PRODUCER_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The longest time for an abort after a failure.
const ABORT_TIMEOUT: Duration = Duration::from_secs(20);

impl StreamRun<'_> {
    /// Waits for the end of the command. If it fails, the upload ends without an object.
    pub(super) async fn await_producer(&mut self) -> Result<()> {
        let ended = loop {
            let Some(producer) = &mut self.producer else {
                return Ok(());
            };
            if let Some(ended) = producer.poll_end() {
                break ended;
            }
            let is_quiet = self.last_call.elapsed() >= LEASE_RENEW_INTERVAL;
            if let Some((id, claim)) = self.renewal().filter(|_| is_quiet) {
                self.last_call = Instant::now();
                tokio::select! {
                    // The next call repeats a failure.
                    _ = self.backend.claim(&id, &claim) => {}
                    signal = stop_signal(&mut self.stop) => return Err(interrupted(signal)),
                }
            }
            self.wait(PRODUCER_POLL_INTERVAL).await?;
        };
        self.producer = None;
        let Err(error) = ended else {
            return Ok(());
        };
        tokio::select! {
            () = sleep(SIGNAL_GRACE) => Err(self.end_without_object(error).await),
            // The signal has ended the command too.
            signal = stop_signal(&mut self.stop) => Err(interrupted(signal)),
        }
    }

    /// Completes the upload of a stream whose parts are all stored.
    pub(super) async fn complete(
        &mut self,
        end: &StreamEnd,
        put: &PutRequest,
        schedule: Schedule,
        min_size: u64,
    ) -> Result<Box<Receipt>> {
        self.wait(SIGNAL_GRACE).await?;
        if end.size == 0 && min_size > 0 {
            let hint = "check the program that writes to the pipe; to upload an empty object, \
                        give --allow-empty";
            let error = Error::new(Kind::StreamTooSmall, "the stream has no bytes");
            return Err(self.end_without_object(error.with_hint(hint)).await);
        }
        if end.size < min_size {
            let what = format!(
                "the stream has {} bytes, fewer than the {min_size} of --min-size",
                end.size
            );
            let error = Error::new(Kind::StreamTooSmall, what)
                .with_hint("check the program that writes to the pipe");
            return Err(self.end_without_object(error).await);
        }
        if end.size == 0 {
            self.send_empty_part(put, schedule).await?;
        }
        let (Some(row), Some(id)) = (self.row(), self.id()) else {
            return Err(Error::new(Kind::Other, "the upload has not begun"));
        };
        let plan = whole_plan(end.size, schedule)?;
        let parts: Vec<CompletePart> = self
            .done
            .iter()
            .map(|(number, (sha256, etag))| CompletePart {
                number: *number,
                etag: etag.clone(),
                sha256: *sha256,
            })
            .collect();
        let checksum = Checksum::composite(parts.iter().map(|part| &part.sha256));
        let request = BatchComplete {
            id: id.clone(),
            request: CompleteRequest {
                epoch: self.epoch,
                parts,
                checksum: checksum.clone(),
            },
        };
        let state = self.upload.as_ref().map(|upload| upload.state);
        if state != Some(State::Completing) {
            self.committer.record(Record::Completing { row });
        }
        self.report_progress(0, Phase::Completing);
        self.commit_now()?;
        crash::point("stream.all_stored");
        let mut receipt = match self.request_completion(request).await {
            Ok(receipt) => receipt,
            Err(error) => {
                if error.kind() == Kind::Exists {
                    // The backend has aborted the upload.
                    self.abandon()?;
                }
                return Err(error);
            }
        };
        resume::check_receipt(&receipt, &plan, &checksum)?;
        let is_other_sha256 = receipt.sha256.is_some_and(|sum| sum != end.sha256);
        if receipt.id.as_ref() != Some(&id) || is_other_sha256 {
            let what = "the backend's receipt is for another upload";
            let hint = "do not use the object; run the whole pipeline again";
            return Err(Error::new(Kind::Corrupt, what).with_hint(hint));
        }
        crash::point("stream.verified");
        receipt.backend.clone_from(&self.options.backend);
        receipt.name.clone_from(&put.name);
        receipt.sha256 = Some(end.sha256);
        self.record_receipt(row, &receipt);
        self.commit_now()?;
        self.await_hooks(row, id, receipt).await
    }

    /// Sends the only part of a stream without bytes.
    async fn send_empty_part(&mut self, put: &PutRequest, schedule: Schedule) -> Result<()> {
        self.begin(put, schedule).await?;
        let items = empty_stream(self.with_md5());
        self.read_and_send(items, put, schedule).await.map(drop)
    }

    async fn request_completion(&mut self, request: BatchComplete) -> Result<Box<Receipt>> {
        let (shortest, longest) = COMPLETION_POLL_WAITS;
        loop {
            let completion = self
                .call_with_grace(STOP_GRACE, |backend| {
                    let request = request.clone();
                    async move { backend.complete(&request).await }
                })
                .await
                .map_err(|error| possibly_complete(error, &request))?;
            match completion {
                Completion::Verified(receipt) => return Ok(receipt),
                Completion::Pending(wait) => {
                    let waited = self.wait(wait.clamp(shortest, longest)).await;
                    waited.map_err(|error| possibly_complete(error, &request))?;
                }
            }
        }
    }

    fn record_receipt(&mut self, row: i64, receipt: &Receipt) {
        self.has_ended = true;
        self.committer.record(Record::Completed {
            row,
            receipt: Box::new(receipt.clone()),
        });
    }

    /// Waits until the hooks of the backend have accepted the object, if the run waits for them.
    async fn await_hooks(
        &mut self,
        row: i64,
        id: UploadId,
        mut receipt: Box<Receipt>,
    ) -> Result<Box<Receipt>> {
        let WaitFor::Ready(limit) = self.options.wait.at(&self.info) else {
            return Ok(receipt);
        };
        let since = Instant::now();
        for polls in 1_u32.. {
            let asked = id.clone();
            let status = self
                .call(|backend| {
                    let id = asked.clone();
                    async move { backend.status(&id).await }
                })
                .await
                .map_err(|error| undecided_checks(error, &id))?;
            match resume::presence(&status) {
                Presence::There if status.state == UploadState::Ready => {
                    if resume::take_location(&mut receipt, &status) {
                        self.record_receipt(row, &receipt);
                    }
                    break;
                }
                Presence::There if polls == 1 => {
                    self.committer.emit(Event::Waiting {
                        item: self.options.first_item,
                        upload: id.clone(),
                        path: STREAM_PATH.to_owned(),
                    });
                    self.commit_now()?;
                }
                Presence::There => {}
                Presence::Gone | Presence::Rejected(_) => {
                    let error = terminal_error(&status);
                    self.committer.record(match error.kind() {
                        Kind::CheckFailed => Record::Rejected { row },
                        _ => Record::Abandoned { row },
                    });
                    return Err(error);
                }
            }
            if limit.is_some_and(|limit| since.elapsed() >= limit) {
                let what =
                    "the object is verified, but its checks have not ended within --wait-timeout";
                let hint = format!("to see their outcome, run `upload status {id} --remote`");
                return Err(Error::new(Kind::Temporary, what).with_hint(hint));
            }
            let waited = self.wait(POLL_INTERVAL.delay(polls)).await;
            waited.map_err(|error| undecided_checks(error, &id))?;
        }
        Ok(receipt)
    }

    /// Aborts the upload, so that nothing of the stream stays, unless an earlier run has stored
    /// parts: the next run may continue with them. Returns `error`.
    pub(super) async fn end_without_object(&mut self, error: Error) -> Error {
        if !self.stored.is_empty() {
            return error;
        }
        let Some(id) = self.id() else {
            return error;
        };
        let epoch = Some(self.epoch);
        let abort = self.call(|backend| {
            let id = id.clone();
            async move { backend.abort(&id, epoch).await }
        });
        let aborted = timeout(ABORT_TIMEOUT, abort).await;
        if let Ok(Ok(())) = aborted {
            return self.abandon().err().unwrap_or(error);
        }
        tracing::warn!(%id, "could not abort the upload; run `upload abort {id}`");
        error
    }
}

/// The error of a wait for the hooks that a signal has ended, or that has ended without a response:
/// the object is verified.
fn undecided_checks(error: Error, id: &UploadId) -> Error {
    let kind = error.kind();
    let undecided = match kind {
        Kind::Interrupted(_) => Error::new(
            kind,
            "interrupted; the object is verified, and its checks go on",
        ),
        Kind::Temporary => {
            let what = "the object is verified, but the outcome of its checks is not known";
            Error::new(kind, what).with_source(error.to_string())
        }
        _ => return error,
    };
    undecided.with_hint(format!(
        "to see their outcome, run `upload status {id} --remote`"
    ))
}

/// The error of a request to complete that a signal has ended: its outcome is unknown.
fn possibly_complete(error: Error, request: &BatchComplete) -> Error {
    match error.kind() {
        Kind::Interrupted(_) => {
            let what = "interrupted; the object may be complete";
            let hint = format!(
                "to see whether it is, run `upload status {} --remote`",
                request.id
            );
            Error::new(error.kind(), what).with_hint(hint)
        }
        _ => error,
    }
}
