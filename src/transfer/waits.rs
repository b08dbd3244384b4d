//! Uploads that are verified, and wait until the backend's own checks have ended as well (`--wait ready`).
//!
//! Border: asks now and then for the state, and tells what came of it; bytes and parts are behind them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::retry::{self, Failures, Verdict};
use super::unit::Landed;
use super::{Engine, retrying};
use crate::event::Event;
use crate::journal::Record;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::UploadId;
use upload_types::wire::{Receipt, UploadState, UploadStatus};

/// The first question comes at once; then the pause doubles from the shortest to the longest.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// Questions under way at once.
const ASKED: usize = 16;

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// The object, verified.
    Verified,
    /// The backend's checks of it as well, so long at most.
    Ready(Option<Duration>),
}

/// One that waits.
pub struct Waiting {
    pub item: usize,
    /// In the journal.
    pub row: i64,
    pub path: String,
    pub id: UploadId,
    pub receipt: Box<Receipt>,
    /// It was there before this command ran.
    pub already: bool,
    since: Instant,
    due: Instant,
    asked: bool,
    questions: u32,
    failures: Failures,
}

impl Waiting {
    #[must_use]
    pub fn new(
        item: usize,
        row: i64,
        path: String,
        id: UploadId,
        receipt: Box<Receipt>,
        already: bool,
    ) -> Self {
        let now = Instant::now();
        let failures = Failures::default();
        Self {
            item,
            row,
            path,
            id,
            receipt,
            already,
            since: now,
            due: now,
            asked: false,
            questions: 0,
            failures,
        }
    }

    /// Has it ask anew: of a question that is under way no answer comes any more.
    pub fn ask_anew(&mut self) {
        (self.asked, self.due) = (false, Instant::now());
    }
}

/// How long to wait after so many questions.
fn pause(questions: u32) -> Duration {
    SHORTEST
        .saturating_mul(1 << questions.saturating_sub(1).min(16))
        .min(LONGEST)
}

/// What a backend says of an upload that it has rejected for its content; for any other state it is over in, that.
pub fn over(status: &UploadStatus) -> Error {
    match (status.state, &status.reason) {
        (UploadState::Rejected, Some(reason)) => {
            let reason: String = reason.chars().take(500).collect();
            Error::new(
                Kind::CheckFailed,
                format!("the backend's checks have rejected it: {reason}"),
            )
        }
        (state, _) => Error::new(
            Kind::Gone,
            format!("the backend says the upload is {}", state.name()),
        ),
    }
}

impl Engine<'_> {
    /// The backend has verified an upload: that is its end, unless more is waited for.
    pub(super) fn arrived(&mut self, waiting: Waiting) {
        match self.options.wait {
            WaitFor::Verified => self.done(waiting),
            WaitFor::Ready(_) => self.waits.push(waiting),
        }
    }

    fn done(&mut self, waiting: Waiting) {
        let Waiting {
            item,
            path,
            id,
            receipt,
            already,
            ..
        } = waiting;
        self.landed.push((item, path));
        self.completed(item, id, *receipt, already);
    }

    /// Asks where it is time to.
    pub(super) fn ask_of_waits(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let now = Instant::now();
        let under_way = self.waits.iter().filter(|waiting| waiting.asked).count();
        let due = self
            .waits
            .iter_mut()
            .filter(|waiting| !waiting.asked && waiting.due <= now);
        for waiting in due.take(ASKED.saturating_sub(under_way)) {
            waiting.asked = true;
            waiting.questions = waiting.questions.saturating_add(1);
            let (backend, row, id) = (Arc::clone(&self.backend), waiting.row, waiting.id.clone());
            self.units
                .spawn(async move { Landed::Waited(row, backend.status(&id).await.map(Box::new)) });
        }
    }

    pub(super) fn waited(&mut self, row: i64, said: Result<Box<UploadStatus>>) {
        let Some(index) = self.waits.iter().position(|waiting| waiting.row == row) else {
            return;
        };
        crash::point("transfer.waited");
        let mut waiting = self.waits.remove(index);
        waiting.asked = false;
        let now = Instant::now();
        match said {
            Ok(status) if status.state == UploadState::Ready => {
                self.last_success = now;
                self.done(waiting);
            }
            Ok(status) if status.state == UploadState::Verified => {
                // Who answers is there, and takes its time.
                self.last_success = now;
                if waiting.questions == 1 {
                    self.tell(Event::Waiting {
                        item: waiting.item,
                        upload: waiting.id.clone(),
                    });
                }
                waiting.failures = Failures::default();
                waiting.due = now + pause(waiting.questions);
                self.waits.insert(index, waiting);
            }
            Ok(status) => {
                let error = over(&status);
                self.note(match error.kind() {
                    Kind::CheckFailed => Record::Rejected { row },
                    _ => Record::Abandoned { row },
                });
                self.fail_wait(waiting, &error);
            }
            Err(error) => {
                match retry::judge(error.kind(), false, &mut waiting.failures, fastrand::f64()) {
                    Verdict::Again(wait) => {
                        self.last_error = Some(error.to_string());
                        let (item, id, attempt) =
                            (waiting.item, waiting.id.clone(), waiting.failures.attempts);
                        self.tell(retrying(item, Some(id), None, attempt, &error, wait));
                        waiting.due = now + wait.max(SHORTEST);
                        self.waits.insert(index, waiting);
                    }
                    Verdict::Ask | Verdict::Stop => self.fail_wait(waiting, &error),
                }
            }
        }
    }

    /// Gives up what was waited for long enough.
    pub(super) fn end_waits(&mut self, now: Instant) {
        let WaitFor::Ready(Some(limit)) = self.options.wait else {
            return;
        };
        let late = |waiting: &mut Waiting| now.saturating_duration_since(waiting.since) >= limit;
        let late: Vec<Waiting> = self.waits.extract_if(.., late).collect();
        for waiting in late {
            let what = "the object is verified, but the backend's checks have not ended within --wait-timeout";
            let command = format!("{} {}", self.options.resume, waiting.id);
            self.fail_wait(
                waiting,
                &Error::new(Kind::Temporary, what).with_hint(format!("to wait on: {command}")),
            );
        }
    }

    /// Fails one that waits: verified it stays, so there is nothing to resume.
    pub(super) fn fail_wait(&mut self, waiting: Waiting, error: &Error) {
        let resumable = self.summary.resumable;
        self.failed(waiting.item, Some(waiting.id), waiting.path, error);
        self.summary.resumable = resumable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_come_less_and_less_often() {
        let pauses: Vec<u128> = (1..=7)
            .map(|questions| pause(questions).as_millis())
            .collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pause(u32::MAX), LONGEST);
    }
}
