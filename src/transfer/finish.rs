//! The end of uploads and of the run: what is counted, recorded and reported.
//!
//! Not here: why an upload has ended (`transitions`).

use std::time::Instant;

use upload_types::UploadId;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{Receipt, UploadState, UploadStatus};

use super::active_upload::{ActiveUpload, Stage};
use super::ended_upload::terminal_error;
use super::engine::Engine;
use super::options::Summary;
use super::resume::{self, Presence};
use super::retry::{self, Attempt, Verdict};
use super::signal::interrupted;
use super::wait_ready::{VerifiedIn, VerifiedUpload, Waiting};
use crate::event::Event;
use crate::journal::Record;

const UNREADABLE_HINT: &str =
    "check the disk or the network file system of the file; then run `upload resume ID`";

/// The origin of the knowledge that an object is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownFrom {
    Store,
    Journal,
}

impl Engine<'_> {
    /// The backend has verified an upload.
    pub(super) fn on_verified(
        &mut self,
        upload: &ActiveUpload,
        receipt: Box<Receipt>,
        verified_in: VerifiedIn,
    ) {
        match upload.upload.begun_id() {
            Ok(id) => self.on_object_verified(VerifiedUpload {
                item: upload.item,
                row: upload.row(),
                path: upload.path(),
                id: id.clone(),
                receipt,
                already: verified_in == VerifiedIn::EarlierRun,
                plan: None,
            }),
            Err(error) => self.fail(upload, &error),
        }
    }

    /// An upload is verified: it is completed, or waits for the backend's hooks.
    pub(super) fn on_object_verified(&mut self, upload: VerifiedUpload) {
        if self.waits.is_used() {
            self.waits.add(upload);
        } else {
            self.report_completed(upload, KnownFrom::Store);
        }
    }

    /// An upload is completed according to the journal, and the store is not asked.
    pub(super) fn report_completed_by_journal(&mut self, mut upload: VerifiedUpload) {
        self.summary.bytes_skipped += upload.receipt.size;
        if let Some(plan) = upload.plan.take() {
            self.committer.emit(plan);
        }
        self.report_completed(upload, KnownFrom::Journal);
    }

    pub(super) fn report_completed(&mut self, upload: VerifiedUpload, known_from: KnownFrom) {
        let from_journal = known_from == KnownFrom::Journal;
        self.summary.completed += 1;
        self.summary.already_stored += u64::from(upload.already);
        self.summary.from_journal += u64::from(from_journal);
        self.committer.emit(Event::Completed {
            item: upload.item,
            upload: Some(upload.id),
            path: upload.path,
            already_stored: upload.already,
            from_journal,
            receipt: upload.receipt,
        });
    }

    /// The status of an upload that waits for hooks.
    pub(super) fn on_status(&mut self, row: i64, status: Result<Box<UploadStatus>>) {
        let Some((index, waiting)) = self.waits.take(row) else {
            return;
        };
        crash::point("transfer.waited");
        match status {
            Ok(status) => self.on_wait_status(index, waiting, &status),
            Err(error) => self.on_poll_failed(index, waiting, &error),
        }
    }

    fn on_wait_status(&mut self, index: usize, mut waiting: Waiting, status: &UploadStatus) {
        let now = Instant::now();
        let is_ready = status.state == UploadState::Ready || !self.waits.is_used();
        let presence = resume::presence(status);
        if let (Presence::There, Some(plan)) = (&presence, waiting.upload.plan.take()) {
            self.summary.bytes_skipped += waiting.upload.receipt.size;
            self.committer.emit(plan);
        }
        match presence {
            Presence::There if is_ready => {
                self.last_success = now;
                if resume::take_location(&mut waiting.upload.receipt, status) {
                    let (row, receipt) = (waiting.upload.row, waiting.upload.receipt.clone());
                    self.committer.record(Record::Completed { row, receipt });
                }
                self.report_completed(waiting.upload, KnownFrom::Store);
            }
            Presence::There => {
                self.last_success = now;
                if waiting.is_first_poll() {
                    self.committer.emit(Event::Waiting {
                        item: waiting.upload.item,
                        upload: waiting.upload.id.clone(),
                        path: waiting.upload.path.clone(),
                    });
                }
                waiting.poll_later(now);
                self.waits.put_back(index, waiting);
            }
            Presence::Gone | Presence::Rejected(_) => {
                let error = terminal_error(status);
                let row = waiting.upload.row;
                self.committer.record(match error.kind() {
                    Kind::CheckFailed => Record::Rejected { row },
                    _ => Record::Abandoned { row },
                });
                self.fail_verified(waiting.upload, &error);
            }
        }
    }

    fn on_poll_failed(&mut self, index: usize, mut waiting: Waiting, error: &Error) {
        let failures = &mut waiting.failures;
        match retry::judge(error.kind(), Attempt::Call, failures, fastrand::f64()) {
            Verdict::Retry(wait) => {
                let attempts = failures.attempts;
                self.emit_retry(waiting.upload.event_source(), None, attempts, error, wait);
                waiting.poll_after(Instant::now(), wait);
                self.waits.put_back(index, waiting);
            }
            Verdict::ListParts | Verdict::Stop => self.fail_verified(waiting.upload, error),
        }
    }

    /// Fails the uploads that have waited for as long as `--wait-timeout` allows.
    pub(super) fn fail_late_waits(&mut self, now: Instant) {
        for upload in self.waits.take_late(now) {
            let what =
                "the object is verified, but its checks have not ended within --wait-timeout";
            let hint = format!(
                "to continue to wait: {} {}",
                self.options.resume_command, upload.id
            );
            let error = Error::new(Kind::Temporary, what).with_hint(hint);
            self.fail_verified(upload, &error);
        }
    }

    /// Reports the failure of an upload that is verified. It stays verified, so there is nothing to
    /// resume.
    pub(super) fn fail_verified(&mut self, upload: VerifiedUpload, error: &Error) {
        let resumable = self.summary.resumable;
        self.report_failure(upload.item, Some(upload.id), upload.path, error);
        self.summary.resumable = resumable;
    }

    /// Ends an upload with an error. Another process may continue it.
    pub(super) fn fail(&mut self, upload: &ActiveUpload, error: &Error) {
        let row = upload.row();
        // Before begin is called, the backend has nothing that could be continued.
        let has_ended = upload.stage() == Stage::Preparing
            && matches!(error.kind(), Kind::NoSource | Kind::SourceChanged);
        self.committer.record(if has_ended {
            Record::Abandoned { row }
        } else {
            Record::Released { row }
        });
        self.report_failure(upload.item, upload.upload.id.clone(), upload.path(), error);
    }

    /// Counts and reports a failure. `id` is that of the upload, if it has begun.
    pub(super) fn report_failure(
        &mut self,
        item: usize,
        id: Option<UploadId>,
        path: String,
        error: &Error,
    ) {
        let kind = error.kind();
        self.summary.failures.push(kind.exit_code());
        // `resume` does not continue an upload of another file version, and for the other kinds,
        // another attempt would not help.
        let has_ended = matches!(
            kind,
            Kind::SourceChanged
                | Kind::NotAcceptable
                | Kind::Exists
                | Kind::CheckFailed
                | Kind::Unconfirmed
                | Kind::Gone
                | Kind::NotFound
        );
        self.summary.resumable |= id.is_some() && !has_ended;
        let hint = failure_hint(error, id.as_ref(), &self.options.resume_command);
        self.committer.emit(Event::Failed {
            item,
            upload: id,
            path,
            kind: kind.name(),
            message: error.to_string(),
            hint,
        });
    }

    /// Ends everything because no byte was confirmed for too long. An upload whose source could not
    /// be read until the end fails because of that.
    pub(super) fn on_given_up(&mut self) {
        let what = "gave up: no byte was confirmed for too long";
        let error = |kind, last: Option<&String>| match last {
            Some(last) => Error::new(kind, what).with_source(last.clone()),
            None => Error::new(kind, what),
        };
        let last = self.last_error.clone();
        let (unreadable, others) = std::mem::take(&mut self.uploads)
            .into_iter()
            .partition(|upload| upload.last_failure == Some(Kind::Io));
        self.uploads = others;
        for upload in unreadable {
            let hint = match upload.upload.id {
                Some(_) => UNREADABLE_HINT,
                None => "check the disk or the network file system; then run the command again",
            };
            self.fail(&upload, &error(Kind::Io, last.as_ref()).with_hint(hint));
        }
        self.fail_all(&error(Kind::Temporary, last.as_ref()));
    }

    /// Ends everything under way, and everything that has not started, with one error.
    pub(super) fn fail_all(&mut self, error: &Error) {
        self.tasks.abort_all();
        self.committer.cancel_shared();
        for upload in std::mem::take(&mut self.uploads) {
            self.fail(&upload, error);
        }
        for upload in self.waits.take_all() {
            self.fail_verified(upload, error);
        }
        self.fail_unconfirmed(|_| error.duplicate());
        let pending = std::mem::take(&mut self.pending).into_iter();
        let waiting = self.blocked.take_all().into_iter();
        let waiting = waiting.chain(self.moved.take_all());
        for (item, request) in pending.chain(waiting) {
            self.report_failure(item, None, request.path(), error);
        }
        // The files that were not found yet fail together.
        self.report_selection();
        if let Some(name) = self.incoming.close() {
            let number = self.incoming.number();
            self.summary.found += 1;
            self.report_failure(number, None, name, error);
        }
    }

    /// The journal could not be written. Parts and uploads that it has not recorded are not
    /// reported as stored or completed, and the run ends: the results of running tasks could not be
    /// recorded either.
    pub(super) fn on_commit_failed(&mut self, error: &Error) {
        for undone in self.committer.undo() {
            self.summary.completed -= 1;
            self.report_failure(undone.item, undone.upload, undone.path, error);
        }
        self.fail_all(error);
        self.committer.drop_records();
    }

    /// Ends the run.
    pub(super) fn finish(mut self) -> Summary {
        if let Some(stopping) = self.stopping {
            self.tasks.abort_all();
            let command = self.options.resume_command.clone();
            let error = |id: Option<&UploadId>| {
                let resume = id.map(|id| format!("{command} {id}"));
                interrupted(stopping.signal, resume.as_deref())
            };
            for upload in std::mem::take(&mut self.uploads) {
                self.fail(&upload, &error(upload.upload.id.as_ref()));
            }
            for upload in self.waits.take_all() {
                let error = error(Some(&upload.id));
                self.fail_verified(upload, &error);
            }
            self.fail_unconfirmed(|source| error(Some(&source.id)));
            self.fail_all(&error(None));
        }
        crash::point("transfer.ending");
        self.committer.commit_soon();
        self.commit();
        self.summary
    }
}

/// The hint of a failure: that of the error or, for a temporary failure, the command that continues
/// the upload.
fn failure_hint(error: &Error, id: Option<&UploadId>, resume_command: &str) -> Option<String> {
    if let Some(hint) = error.hint() {
        return Some(hint.to_owned());
    }
    match error.kind() {
        Kind::Temporary | Kind::Throttled(_) | Kind::UrlExpired | Kind::PartsMismatch => {
            Some(match id {
                Some(id) => format!("to continue: {resume_command} {id}"),
                None => "run the command again".to_owned(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_continues_an_upload_only_if_it_has_begun() {
        let passing = Error::new(Kind::Temporary, "x");
        let id: UploadId = "some-id".parse().unwrap();
        let hint = |error: &Error, id| failure_hint(error, id, "upload resume").unwrap();
        let continues = "to continue: upload resume some-id";
        assert_eq!(hint(&passing, Some(&id)), continues);
        assert!(!hint(&passing, None).contains("resume"));
        let own = Error::new(Kind::Temporary, "x").with_hint("do this");
        assert_eq!(hint(&own, Some(&id)), "do this");
        let other = Error::new(Kind::Other, "x");
        assert_eq!(failure_hint(&other, Some(&id), "upload resume"), None);
    }
}
