//! How much a run may fail at the store's expense: failures spend, parts that are stored earn. Pure: clock and dice are
//! arguments.
//!
//! A part that failed waits for its own next attempt, and meanwhile the next part goes: of ten thousand parts, each could fail
//! once before the first comes back. Once the budget is spent, parts go one at a time, and after failures in a row not before
//! a wait; each one that is stored lets twice as many go, until enough is earned. Nothing is given up for it.
//!
//! Border: parts on their way to the store, over all uploads of a run; when a failed one comes back is [`super::retry`]'s, and
//! a store that asks for less is heard by [`super::jobs`].

use std::time::{Duration, Instant};

/// What there is at the beginning, and at most.
const FULL: u32 = 500;
/// What a failure costs; what is stored earns one.
const COST: u32 = 5;
/// The first wait is up to this long, the next up to twice as long, and so on.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
pub struct Budget {
    left: u32,
    /// Stored in a row, and failed in a row: one of them is none.
    stored: u32,
    failed: u32,
    /// Before this, nothing goes.
    wait: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: FULL,
            stored: 0,
            failed: 0,
            wait: None,
        }
    }
}

impl Budget {
    /// A part was stored.
    pub fn stored(&mut self) {
        self.left = (self.left + 1).min(FULL);
        (self.stored, self.failed, self.wait) = (self.stored.saturating_add(1), 0, None);
    }

    /// A part was sent, or nearly, and is not stored. `dice` is in 0..1: the wait is drawn from the whole range.
    pub fn failed(&mut self, now: Instant, dice: f64) {
        self.left = self.left.saturating_sub(COST);
        (self.stored, self.failed) = (0, self.failed.saturating_add(1));
        let own = BASE.saturating_mul(1 << (self.failed - 1).min(16)).min(CAP);
        self.wait = Some(now + own.mul_f64(dice));
    }

    /// How many parts may be on the wire, where `jobs` may be otherwise.
    #[must_use]
    pub fn most(&self, now: Instant, jobs: usize) -> usize {
        if self.left >= COST {
            return jobs;
        }
        if self.wait.is_some_and(|wait| now < wait) {
            return 0;
        }
        jobs.min(1 << self.stored.min(16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that takes 100 ms for each part, and what of the run came to it: attempts, parts stored, and the most at once.
    struct Course {
        now: Instant,
        budget: Budget,
        under_way: Vec<Instant>,
        attempts: u32,
        stored: u32,
        most: usize,
    }

    impl Course {
        fn new() -> Self {
            let (now, budget) = (Instant::now(), Budget::default());
            Self {
                now,
                budget,
                under_way: Vec::new(),
                attempts: 0,
                stored: 0,
                most: 0,
            }
        }

        /// For so many seconds, with always another part to send and 64 at once; `fails` says of the nth attempt whether it does.
        fn run(&mut self, seconds: u32, mut fails: impl FnMut(u32) -> bool) {
            (self.attempts, self.stored, self.most) = (0, 0, 0);
            for _ in 0..seconds * 100 {
                self.now += Duration::from_millis(10);
                let before = self.under_way.len();
                self.under_way.retain(|ends| *ends > self.now);
                for _ in self.under_way.len()..before {
                    self.attempts += 1;
                    if fails(self.attempts) {
                        self.budget.failed(self.now, 0.5);
                    } else {
                        self.stored += 1;
                        self.budget.stored();
                    }
                }
                while self.under_way.len() < self.budget.most(self.now, 64) {
                    self.under_way.push(self.now + Duration::from_millis(100));
                }
                self.most = self.most.max(self.under_way.len());
            }
        }
    }

    #[test]
    fn a_failure_now_and_then_holds_nothing_up() {
        let mut course = Course::new();
        course.run(600, |attempt| attempt % 10 == 0);
        assert!(course.attempts >= 64 * 10 * 590, "{}", course.attempts);
    }

    #[test]
    fn a_store_that_takes_nothing_is_asked_less_and_less() {
        let mut course = Course::new();
        course.run(3600, |_| true);
        // A hundred that are paid for, those on the wire then, and one each fifteen seconds.
        assert!(
            (300..=410).contains(&course.attempts),
            "{}",
            course.attempts
        );
        course.run(3600, |_| true);
        assert!(
            course.most <= 1 && course.attempts <= 241,
            "{} {}",
            course.most,
            course.attempts
        );
        // Back again: within seconds as before.
        course.run(30, |_| false);
        assert!(
            course.most == 64 && course.stored >= 5000,
            "{} {}",
            course.most,
            course.stored
        );
    }

    /// Half of all attempts, for ever: it goes on, with a few at a time instead of all.
    #[test]
    fn a_store_that_fails_every_other_time_is_spared_and_not_given_up() {
        let mut dice = fastrand::Rng::with_seed(1);
        let mut course = Course::new();
        course.run(60, |_| dice.bool());
        course.run(3600, |_| dice.bool());
        let each_second = f64::from(course.attempts) / 3600.0;
        assert!(
            (1.0..=64.0).contains(&each_second),
            "{each_second} attempts a second, 640 unspared"
        );
        assert!(course.stored >= 3600, "{} stored in an hour", course.stored);
    }
}
