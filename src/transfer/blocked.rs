//! Items whose uploads other processes drive: this run waits for these processes, and chooses again.
//!
//! Not here: who drives an upload (`journal`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use upload_types::UploadId;
use upload_types::error::{Error, Kind};

use super::deadline::WaitingFor;
use super::engine::Engine;
use super::options::Item;
use crate::event::Event;

/// How often the journal is asked whether the other process has ended its upload.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The items that wait.
#[derive(Default)]
pub(super) struct Blocked {
    waiting: Vec<Waiting>,
    /// Since when each item waits, also while it is checked.
    since: BTreeMap<usize, Instant>,
}

struct Waiting {
    item: usize,
    request: Item,
    check_at: Instant,
}

impl Blocked {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the items that are due for a check.
    fn take_due(&mut self, now: Instant) -> Vec<(usize, Item)> {
        let due = self.waiting.extract_if(.., |one| one.check_at <= now);
        due.map(|one| (one.item, one.request)).collect()
    }

    pub fn take_all(&mut self) -> Vec<(usize, Item)> {
        let waiting = std::mem::take(&mut self.waiting);
        let waiting = waiting.into_iter();
        waiting.map(|one| (one.item, one.request)).collect()
    }
}

impl Engine<'_> {
    /// Ends an item that could not start. If another process drives its upload, the item waits for
    /// that process instead, for as long as the run may go without progress.
    pub(super) fn not_started(
        &mut self,
        item: usize,
        id: Option<UploadId>,
        request: Item,
        error: &Error,
    ) {
        if error.kind() != Kind::Busy || self.stopping.is_some() {
            return self.failed(item, id, request.path(), error);
        }
        let now = Instant::now();
        let is_first = self.blocked.since.is_empty();
        let known = self.blocked.since.get(&item).copied();
        let since = *self.blocked.since.entry(item).or_insert(now);
        let give_up = self.options.give_up;
        if give_up.is_due(now, since, WaitingFor::Progress) {
            return self.failed(item, id, request.path(), error);
        }
        if known.is_none() {
            self.committer.emit(Event::Blocked {
                item,
                upload: id,
                path: request.path(),
                message: error.to_string(),
                is_first,
            });
        }
        let left = give_up.left(now, since, WaitingFor::Progress);
        let wait = left.map_or(CHECK_INTERVAL, |left| left.min(CHECK_INTERVAL));
        self.blocked.waiting.push(Waiting {
            item,
            request,
            check_at: now + wait,
        });
    }

    /// Starts the items again that are due for a check, after those that have not started yet.
    pub(super) fn check_blocked(&mut self) {
        let now = Instant::now();
        self.pending.extend(self.blocked.take_due(now));
        // Waiting for another process is no failure to make progress.
        if self.uploads.is_empty() && self.waits.is_empty() {
            self.last_success = now;
        }
    }
}
