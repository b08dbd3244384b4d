//! The rate of a stream of bytes. Pure: the clock is an argument.

use std::time::Instant;

/// Bytes per second: an average in which the weight of the past halves every
/// [`Rate::HALF_LIFE_SECONDS`].
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    updated: Instant,
    total: u64,
    value: f64,
}

impl Rate {
    const HALF_LIFE_SECONDS: f64 = 2.0;

    /// A rate of zero, after `total` bytes.
    #[must_use]
    pub fn new(now: Instant, total: u64) -> Self {
        Self {
            updated: now,
            total,
            value: 0.0,
        }
    }

    /// Takes the number of bytes so far. Returns the rate in bytes per second.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is shown with three digits"
    )]
    pub fn update(&mut self, now: Instant, total: u64) -> u64 {
        let seconds = now.saturating_duration_since(self.updated).as_secs_f64();
        if seconds > 0.0 {
            let latest = total.saturating_sub(self.total) as f64 / seconds;
            let weight = 0.5_f64.powf(seconds / Self::HALF_LIFE_SECONDS);
            self.value = self.value * weight + latest * (1.0 - weight);
            (self.updated, self.total) = (now, total);
        }
        self.value as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rate_of_a_steady_stream_converges_to_it() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 0);
        let rates =
            (1..=300_u64).map(|i| rate.update(start + Duration::from_millis(100 * i), i * 1000));
        let last = rates.last().unwrap();
        assert!((9_990..=10_000).contains(&last), "{last}");
    }
}
