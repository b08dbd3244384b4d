//! The number of parts that may be sent now: the concurrency limit, reduced by the retry budget and
//! the limit of open files.

use std::time::Instant;

use super::concurrency::{ConcurrencyLimiter, Jobs};
use super::part_states::LastPiece;
use super::retry_budget::RetryBudget;

#[derive(Debug)]
pub struct Throttle {
    limiter: ConcurrencyLimiter,
    budget: RetryBudget,
    max_open: usize,
}

impl Throttle {
    pub fn new(jobs: Jobs, max_open: usize, now: Instant) -> Self {
        Self {
            limiter: ConcurrencyLimiter::new(jobs, now),
            budget: RetryBudget::default(),
            max_open,
        }
    }

    /// How many parts may be sent at the same time while the store accepts them.
    pub fn jobs(&self) -> usize {
        self.limiter.limit().min(self.max_open)
    }

    /// How many parts may be sent at the same time now.
    pub fn max_sending(&self, now: Instant) -> usize {
        self.budget.max_sending(now, self.jobs())
    }

    /// A part of `len` bytes was stored.
    pub fn on_stored(&mut self, now: Instant, last: LastPiece, len: u64) {
        let bytes = len.saturating_sub(last.start);
        self.limiter.on_sent(now, last.since, bytes);
        self.budget.on_stored();
    }

    /// A piece of a part was sent.
    pub fn on_piece(&mut self, now: Instant, since: Instant, bytes: u64) {
        self.limiter.on_sent(now, since, bytes);
    }

    /// The store or the backend throttled a request that began at `since`.
    pub fn on_throttled(&mut self, now: Instant, since: Instant) {
        self.limiter.on_throttled(now, since);
    }

    /// A part was sent, but not stored. `random` is in 0..1.
    pub fn on_failed(&mut self, now: Instant, random: f64) {
        self.budget.on_failed(now, random);
    }

    /// See [`ConcurrencyLimiter::on_tick`].
    pub fn on_tick(&mut self, now: Instant, is_full: bool) {
        self.limiter.on_tick(now, is_full);
    }

    /// After connections were replaced: failures of the old ones do not count for the new ones.
    pub fn reset_budget(&mut self) {
        self.budget = RetryBudget::default();
    }
}
