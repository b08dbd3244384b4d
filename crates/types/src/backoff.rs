//! Exponential back-off: the delay after each failure. Pure: the random number is an argument.
//!
//! Not here: whether to try again at all.

use std::time::Duration;

/// A delay that doubles from `first` up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The delay after `failures` consecutive failures; 1 means the first failure.
    #[must_use]
    pub fn delay(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// The delay with "full jitter": between zero and [`Backoff::delay`], so that many clients do
    /// not try again at the same time. `random` is in 0..1.
    #[must_use]
    pub fn full_jitter(self, failures: u32, random: f64) -> Duration {
        self.delay(failures).mul_f64(random.clamp(0.0, 1.0))
    }

    /// The delay with "equal jitter": between half of [`Backoff::delay`] and all of it.
    /// `random` is in 0..1.
    #[must_use]
    pub fn equal_jitter(self, failures: u32, random: f64) -> Duration {
        self.delay(failures)
            .mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

    #[test]
    fn delay_doubles_up_to_the_longest() {
        let delays: Vec<u128> = (0..=7)
            .map(|failures| BACKOFF.delay(failures).as_millis())
            .collect();
        assert_eq!(delays, [200, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(BACKOFF.delay(u32::MAX), Duration::from_secs(5));
    }

    #[test]
    fn jitter_stays_within_its_range() {
        assert_eq!(BACKOFF.full_jitter(2, 0.0), Duration::ZERO);
        assert_eq!(BACKOFF.full_jitter(2, 0.5), Duration::from_millis(200));
        assert_eq!(BACKOFF.equal_jitter(2, 0.0), Duration::from_millis(400));
        assert_eq!(BACKOFF.equal_jitter(2, 1.0), Duration::from_millis(200));
        assert_eq!(BACKOFF.equal_jitter(2, 7.0), Duration::from_millis(200));
    }
}
