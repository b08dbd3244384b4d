//! The retry budget: limits how many parts are sent while the store accepts few of them. Pure: the
//! clock and the random number are arguments.
//!
//! A failed part waits for its own retry while the next part is sent. Without a budget, each of
//! 10,000 parts could fail once before the first one is repeated. A failure spends from the budget,
//! a stored part adds to it. Once it is spent, one part is sent at a time, after a delay that
//! doubles with each failure in a row. Each stored part doubles the number of parts, until the
//! budget has recovered. No part fails because the budget is spent.
//!
//! Not here: when a failed part is repeated (`retry`), and a store that throttles (`concurrency`).

use std::time::{Duration, Instant};

use upload_types::backoff::Backoff;

/// The initial budget, which is also the largest.
const MAX_RETRY_BUDGET: u32 = 500;
/// The cost of a failure. A stored part adds 1.
const FAILURE_COST: u32 = 5;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

#[derive(Debug, Clone, Copy)]
pub struct RetryBudget {
    left: u32,
    /// Parts stored in a row; 0 after a failure.
    stored_in_row: u32,
    /// Failures in a row; 0 after a stored part.
    failed_in_row: u32,
    /// No part is sent before this time.
    paused_until: Option<Instant>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            left: MAX_RETRY_BUDGET,
            stored_in_row: 0,
            failed_in_row: 0,
            paused_until: None,
        }
    }
}

impl RetryBudget {
    pub fn on_stored(&mut self) {
        self.left = (self.left + 1).min(MAX_RETRY_BUDGET);
        self.stored_in_row = self.stored_in_row.saturating_add(1);
        self.failed_in_row = 0;
        self.paused_until = None;
    }

    /// At least some bytes of a part were sent, and the part was not stored. `random` is in 0..1.
    pub fn on_failed(&mut self, now: Instant, random: f64) {
        self.left = self.left.saturating_sub(FAILURE_COST);
        self.stored_in_row = 0;
        self.failed_in_row = self.failed_in_row.saturating_add(1);
        self.paused_until = Some(now + BACKOFF.full_jitter(self.failed_in_row, random));
    }

    /// How many parts may be sent at the same time, if `jobs` may be sent without a budget.
    #[must_use]
    pub fn max_sending(&self, now: Instant, jobs: usize) -> usize {
        if self.left >= FAILURE_COST {
            return jobs;
        }
        if self.paused_until.is_some_and(|until| now < until) {
            return 0;
        }
        jobs.min(1 << self.stored_in_row.min(16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: usize = 64;

    /// A store that takes 100 ms for each part.
    struct Simulation {
        now: Instant,
        budget: RetryBudget,
        /// When each part under way ends.
        sending: Vec<Instant>,
        attempts: u32,
        stored: u32,
        most_sending: usize,
    }

    impl Simulation {
        fn new() -> Self {
            Self {
                now: Instant::now(),
                budget: RetryBudget::default(),
                sending: Vec::new(),
                attempts: 0,
                stored: 0,
                most_sending: 0,
            }
        }

        /// Runs for some seconds; there is always another part to send. `fails` returns true if the
        /// attempt with this number fails.
        fn run(&mut self, seconds: u32, mut fails: impl FnMut(u32) -> bool) {
            (self.attempts, self.stored, self.most_sending) = (0, 0, 0);
            for _ in 0..seconds * 100 {
                self.now += Duration::from_millis(10);
                let before = self.sending.len();
                self.sending.retain(|ends| *ends > self.now);
                for _ in self.sending.len()..before {
                    self.attempts += 1;
                    if fails(self.attempts) {
                        self.budget.on_failed(self.now, 0.5);
                    } else {
                        self.stored += 1;
                        self.budget.on_stored();
                    }
                }
                while self.sending.len() < self.budget.max_sending(self.now, JOBS) {
                    self.sending.push(self.now + Duration::from_millis(100));
                }
                self.most_sending = self.most_sending.max(self.sending.len());
            }
        }
    }

    #[test]
    fn occasional_failures_do_not_slow_down() {
        let mut simulation = Simulation::new();
        simulation.run(600, |attempt| attempt % 10 == 0);
        let attempts = simulation.attempts;
        assert!(attempts >= 64 * 10 * 590, "{attempts}");
    }

    #[test]
    fn failing_store_gets_few_attempts_and_recovers_within_seconds() {
        let mut simulation = Simulation::new();
        simulation.run(3600, |_| true);
        // 100 from the budget, those being sent when it was spent, and one every 15 seconds.
        let attempts = simulation.attempts;
        assert!((300..=410).contains(&attempts), "{attempts}");
        simulation.run(3600, |_| true);
        let (most, attempts) = (simulation.most_sending, simulation.attempts);
        assert!(most <= 1 && attempts <= 241, "{most} {attempts}");
        simulation.run(30, |_| false);
        let (most, stored) = (simulation.most_sending, simulation.stored);
        assert!(most == JOBS && stored >= 5000, "{most} {stored}");
    }

    #[test]
    fn store_that_fails_half_of_the_time_is_neither_flooded_nor_given_up() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut simulation = Simulation::new();
        simulation.run(60, |_| random.bool());
        simulation.run(3600, |_| random.bool());
        let each_second = f64::from(simulation.attempts) / 3600.0;
        let context = format!("{each_second} attempts a second; 640 without a budget");
        assert!((1.0..=64.0).contains(&each_second), "{context}");
        assert!(simulation.stored >= 3600, "{} stored", simulation.stored);
    }
}
