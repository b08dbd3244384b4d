//! Verified uploads whose status is polled: until the hooks have decided (`--wait ready`), or once,
//! if the journal has their receipt from an earlier run.
//!
//! Not here: what a status means for the run (`finish`).

use std::path::Path;
use std::time::{Duration, Instant};

use upload_types::UploadId;
use upload_types::backoff::Backoff;
use upload_types::plan::Plan;
use upload_types::wire::Receipt;

use super::options::WaitFor;
use super::retry::Failures;
use crate::event::{Event, EventSource, Stored};
use crate::journal::Upload;

/// The interval between two polls of an upload.
const POLL_INTERVAL: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// Polls under way at once.
const MAX_POLLS: usize = 16;

/// A verified upload.
pub struct VerifiedUpload {
    pub item: usize,
    /// Its row in the journal.
    pub row: i64,
    pub path: String,
    pub id: UploadId,
    pub receipt: Box<Receipt>,
    /// The object existed before this command ran.
    pub already: bool,
    /// Its plan, if it was not reported yet.
    pub plan: Option<Event>,
}

/// The run in which the backend has verified an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifiedIn {
    ThisRun,
    EarlierRun,
}

impl VerifiedUpload {
    /// An upload that the journal has as completed, of the source at `path`. Returns `None` if the
    /// journal has no receipt of it.
    #[must_use]
    pub fn recorded(item: usize, path: &Path, upload: &Upload, stored: Stored) -> Option<Self> {
        let intent = &upload.intent;
        let plan = Plan::pinned(intent.version.size, intent.part_size).ok()?;
        let plan = Event::plan(item, upload.id.clone(), path, &plan, stored);
        Some(Self {
            item,
            row: upload.row,
            path: path.display().to_string(),
            id: upload.id.clone()?,
            receipt: Box::new(upload.receipt.clone()?),
            already: true,
            plan: Some(plan.with_key(intent.key.clone())),
        })
    }

    /// The source, for events.
    #[must_use]
    pub fn event_source(&self) -> EventSource {
        EventSource {
            item: self.item,
            path: Some(self.path.clone()),
            upload: Some(self.id.clone()),
        }
    }
}

/// A verified upload whose status is polled.
pub struct Waiting {
    pub upload: VerifiedUpload,
    pub failures: Failures,
    since: Instant,
    next_poll: Instant,
    is_polling: bool,
    polls: u32,
}

impl Waiting {
    /// Whether only one poll was made so far.
    pub fn is_first_poll(&self) -> bool {
        self.polls == 1
    }

    /// Polls again after the usual interval.
    pub fn poll_later(&mut self, now: Instant) {
        self.failures = Failures::default();
        self.next_poll = now + POLL_INTERVAL.delay(self.polls);
    }

    /// Polls again after a failure.
    pub fn poll_after(&mut self, now: Instant, wait: Duration) {
        self.next_poll = now + wait.max(POLL_INTERVAL.delay(1));
    }
}

/// The uploads that wait.
pub struct Waits {
    waiting: Vec<Waiting>,
    wait_for: WaitFor,
}

impl Waits {
    pub fn new(wait_for: WaitFor) -> Self {
        Self {
            waiting: Vec::new(),
            wait_for,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether verified uploads wait for the backend's hooks.
    pub fn is_used(&self) -> bool {
        self.wait_for != WaitFor::Verified
    }

    pub fn add(&mut self, upload: VerifiedUpload) {
        let now = Instant::now();
        self.waiting.push(Waiting {
            upload,
            failures: Failures::default(),
            since: now,
            next_poll: now,
            is_polling: false,
            polls: 0,
        });
    }

    /// The uploads to poll now.
    pub fn start_polls(&mut self, now: Instant) -> Vec<(i64, UploadId)> {
        let polling = self.waiting.iter().filter(|waiting| waiting.is_polling);
        let room = MAX_POLLS.saturating_sub(polling.count());
        let due = self
            .waiting
            .iter_mut()
            .filter(|waiting| !waiting.is_polling && waiting.next_poll <= now);
        let polls = due.take(room).map(|waiting| {
            waiting.is_polling = true;
            waiting.polls = waiting.polls.saturating_add(1);
            (waiting.upload.row, waiting.upload.id.clone())
        });
        polls.collect()
    }

    /// Takes the upload whose poll has ended. If it still has to wait, the caller adds it again
    /// with [`Waits::put_back`].
    pub fn take(&mut self, row: i64) -> Option<(usize, Waiting)> {
        let index = self
            .waiting
            .iter()
            .position(|waiting| waiting.upload.row == row)?;
        let mut waiting = self.waiting.remove(index);
        waiting.is_polling = false;
        Some((index, waiting))
    }

    pub fn put_back(&mut self, index: usize, waiting: Waiting) {
        self.waiting.insert(index, waiting);
    }

    /// This process was stopped for some time, which does not count.
    pub fn skip(&mut self, pause: Duration) {
        for waiting in &mut self.waiting {
            waiting.since += pause;
        }
    }

    /// Takes the uploads that have waited for the longest time allowed.
    pub fn take_late(&mut self, now: Instant) -> Vec<VerifiedUpload> {
        let WaitFor::Ready(Some(limit)) = self.wait_for else {
            return Vec::new();
        };
        let is_late = |waiting: &mut Waiting| now.saturating_duration_since(waiting.since) >= limit;
        let late = self.waiting.extract_if(.., is_late);
        late.map(|waiting| waiting.upload).collect()
    }

    pub fn take_all(&mut self) -> Vec<VerifiedUpload> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|waiting| waiting.upload).collect()
    }

    /// The polls under way were aborted: polls each upload again.
    pub fn poll_all_again(&mut self) {
        for waiting in &mut self.waiting {
            waiting.is_polling = false;
            waiting.next_poll = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_become_less_frequent() {
        let intervals: Vec<u128> = (1..=7)
            .map(|polls| POLL_INTERVAL.delay(polls).as_millis())
            .collect();
        assert_eq!(intervals, [200, 400, 800, 1600, 3200, 5000, 5000]);
    }
}
