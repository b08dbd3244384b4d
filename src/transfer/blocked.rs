//! The items whose uploads other processes drive. They wait for these processes.
//!
//! Not here: what drives an upload (`journal`), and how an item starts (`start`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::options::Item;

/// How often the journal is asked whether the other process has ended its upload.
const JOURNAL_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The items that wait.
#[derive(Default)]
pub struct Blocked {
    waiting: Vec<Waiting>,
    /// Since when each item waits, also while it is checked.
    since: BTreeMap<usize, Instant>,
}

struct Waiting {
    item: usize,
    request: Item,
    check_at: Instant,
}

/// Which items were blocked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// This one.
    Same,
    /// Only others.
    Others,
    None,
}

impl Blocked {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Notes that an item is blocked at `now`. Returns the time since which it is blocked.
    pub fn note(&mut self, item: usize, now: Instant) -> (Instant, Earlier) {
        let earlier = match self.since.contains_key(&item) {
            true => Earlier::Same,
            false if self.since.is_empty() => Earlier::None,
            false => Earlier::Others,
        };
        (*self.since.entry(item).or_insert(now), earlier)
    }

    /// Checks an item again after the usual interval, or after `left` if that is shorter.
    pub fn check_later(
        &mut self,
        item: usize,
        request: Item,
        now: Instant,
        left: Option<Duration>,
    ) {
        let wait = left.map_or(JOURNAL_POLL_INTERVAL, |left| {
            left.min(JOURNAL_POLL_INTERVAL)
        });
        self.waiting.push(Waiting {
            item,
            request,
            check_at: now + wait,
        });
    }

    /// This process was stopped for some time, which does not count.
    pub fn skip(&mut self, pause: Duration) {
        self.since.values_mut().for_each(|since| *since += pause);
    }

    /// Takes the items that are due for a check.
    pub fn take_due(&mut self, now: Instant) -> Vec<(usize, Item)> {
        let due = self.waiting.extract_if(.., |one| one.check_at <= now);
        due.map(|one| (one.item, one.request)).collect()
    }

    pub fn take_all(&mut self) -> Vec<(usize, Item)> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        waiting.map(|one| (one.item, one.request)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_the_process_was_stopped_does_not_count() {
        let start = Instant::now();
        let mut blocked = Blocked::default();
        assert_eq!(blocked.note(3, start), (start, Earlier::None));
        let pause = Duration::from_hours(1);
        blocked.skip(pause);
        let (since, earlier) = blocked.note(3, start + pause);
        assert_eq!((since, earlier), (start + pause, Earlier::Same));
        assert_eq!(blocked.note(4, start + pause).1, Earlier::Others);
    }
}
