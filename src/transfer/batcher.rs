//! Batches calls: while a call is under way, requests to begin and to complete small uploads, and
//! for the status of uploads, wait, and go together in the next call. If no call is under way, a
//! request does not wait. Pure: the clock is an argument.

use std::collections::VecDeque;
use std::time::Instant;

use upload_types::wire::MAX_BATCH_UPLOADS;

/// Calls under way at once.
const MAX_CALLS: usize = 3;
/// Uploads that justify a further call while one is under way.
const MIN_UPLOADS_FOR_ANOTHER_CALL: usize = 32;

#[derive(Debug, Default)]
pub struct CallBatcher {
    waiting: VecDeque<(Instant, i64)>,
    calls: usize,
}

impl CallBatcher {
    /// The upload in this row has a call to make, not before `due`.
    pub fn add(&mut self, row: i64, due: Instant) {
        self.waiting.push_back((due, row));
    }

    /// The rows whose calls go together now, in the order in which they were added. Empty while
    /// waiting is better. A call that is returned counts as under way until
    /// [`CallBatcher::on_call_ended`].
    pub fn next_batch(&mut self, now: Instant) -> Vec<i64> {
        let due = self.waiting.iter().filter(|(due, _)| *due <= now).count();
        let min_batch = if self.calls == 0 {
            1
        } else {
            MIN_UPLOADS_FOR_ANOTHER_CALL
        };
        if due < min_batch || self.calls >= MAX_CALLS {
            return Vec::new();
        }
        let mut rows = Vec::with_capacity(due.min(MAX_BATCH_UPLOADS));
        self.waiting.retain(|(due, row)| {
            let goes_now = *due <= now && rows.len() < MAX_BATCH_UPLOADS;
            if goes_now {
                rows.push(*row);
            }
            !goes_now
        });
        self.calls += 1;
        rows
    }

    pub fn on_call_ended(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn first_call_goes_at_once_and_later_ones_together() {
        let now = Instant::now();
        let mut batcher = CallBatcher::default();
        assert!(batcher.next_batch(now).is_empty());
        batcher.add(1, now);
        assert_eq!(batcher.next_batch(now), [1]);
        batcher.add(2, now);
        batcher.add(3, now + Duration::from_secs(1));
        batcher.add(4, now);
        assert!(batcher.next_batch(now).is_empty(), "one is under way");
        batcher.on_call_ended();
        assert_eq!(batcher.next_batch(now), [2, 4]);
        batcher.on_call_ended();
        assert!(batcher.next_batch(now).is_empty(), "3 is not due");
        assert_eq!(batcher.next_batch(now + Duration::from_secs(1)), [3]);
    }

    #[test]
    fn large_batches_do_not_wait_for_a_slow_call() {
        let now = Instant::now();
        let mut batcher = CallBatcher::default();
        batcher.add(0, now);
        assert_eq!(batcher.next_batch(now).len(), 1);
        (1..=1000).for_each(|row| batcher.add(row, now));
        let sizes: Vec<usize> = (0..MAX_CALLS)
            .map(|_| batcher.next_batch(now).len())
            .collect();
        assert_eq!(
            sizes,
            [MAX_BATCH_UPLOADS, MAX_BATCH_UPLOADS, 0],
            "calls are limited"
        );
    }
}
