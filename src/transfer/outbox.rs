//! Begins and completes that may go out together: while one call is under way, those that come meanwhile wait for the next.
//! Pure: the clock is an argument.
//!
//! Border: whose turn it is; what is asked for each is `step`'s. A single upload never waits here.

use std::collections::VecDeque;
use std::time::Instant;

use upload_types::wire::MAX_BATCH_UPLOADS;

/// Calls under way at once, where there is that much to say.
const CALLS: usize = 3;
/// Worth a call beside one that is under way.
const WORTH: usize = 32;

#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<(Instant, i64)>,
    under_way: usize,
}

impl Outbox {
    /// The upload in this row has something to ask, not before `due`.
    pub fn add(&mut self, row: i64, due: Instant) {
        self.waiting.push_back((due, row));
    }

    /// Rows that are to go out in one call now, in the order they came; none while it is better to wait.
    pub fn next(&mut self, now: Instant) -> Vec<i64> {
        let due = self.waiting.iter().filter(|(due, _)| *due <= now).count();
        let enough = if self.under_way == 0 { 1 } else { WORTH };
        if due < enough || self.under_way >= CALLS {
            return Vec::new();
        }
        let mut rows = Vec::with_capacity(due.min(MAX_BATCH_UPLOADS));
        self.waiting.retain(|(due, row)| {
            let goes = *due <= now && rows.len() < MAX_BATCH_UPLOADS;
            if goes {
                rows.push(*row);
            }
            !goes
        });
        self.under_way += 1;
        rows
    }

    /// A call is back, with whatever answer.
    pub fn came_back(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_goes_at_once_and_those_behind_it_go_together() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        assert!(outbox.next(now).is_empty());
        outbox.add(1, now);
        assert_eq!(outbox.next(now), [1]);
        outbox.add(2, now);
        outbox.add(3, now + Duration::from_secs(1));
        outbox.add(4, now);
        assert!(outbox.next(now).is_empty(), "one is under way");
        outbox.came_back();
        assert_eq!(outbox.next(now), [2, 4]);
        outbox.came_back();
        assert!(outbox.next(now).is_empty(), "3 is not due");
        assert_eq!(outbox.next(now + Duration::from_secs(1)), [3]);
    }

    #[test]
    fn many_do_not_wait_for_one_that_is_slow() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.add(0, now);
        assert_eq!(outbox.next(now).len(), 1);
        (1..=1000).for_each(|row| outbox.add(row, now));
        let sizes: Vec<usize> = (0..CALLS).map(|_| outbox.next(now).len()).collect();
        assert_eq!(
            sizes,
            [MAX_BATCH_UPLOADS, MAX_BATCH_UPLOADS, 0],
            "no more calls than that"
        );
    }
}
