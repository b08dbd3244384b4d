//! How fast all parts together may go: a bucket of bytes that fills at the rate, and those who wait in line for it.
//!
//! Border: hands out permission; who sends asks for it before the network gets the bytes. What rate there is to be, the
//! command line and signals say.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use upload_types::sync::lock;

use tokio::sync::{Mutex as Line, Notify};

/// What may be made up for: a sender that comes late by more than this has lost the rest.
const SLACK: Duration = Duration::from_millis(50);
/// The least that is handed out at once, in bytes.
const BITE: u64 = 1 << 10;

/// Bytes that may go, as a number that grows with time. Pure: the clock is an argument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    rate: u64,
    level: f64,
    at: Instant,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates are far below 2^52, and a byte more or less does not matter"
)]
impl Bucket {
    /// Empty: nothing was saved up before there was a rate.
    #[must_use]
    pub fn new(rate: u64, now: Instant) -> Self {
        Self {
            rate: rate.max(1),
            level: 0.0,
            at: now,
        }
    }

    /// The most that is handed out at once: a small part of a second's worth, so that a slow line does not stutter.
    #[must_use]
    pub fn bite(&self) -> u64 {
        (self.rate / 20).max(BITE)
    }

    /// Another rate; what had been saved up at the old one is kept as far as it is no more than the new one's.
    pub fn set_rate(&mut self, rate: u64, now: Instant) {
        self.fill(now);
        self.rate = rate.max(1);
        self.level = self.level.min(self.most());
    }

    /// Takes `bytes` (at most a bite), or says how long to wait for them.
    ///
    /// # Errors
    /// The time after which there will be as many.
    pub fn take(&mut self, bytes: u64, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        let lacking = bytes as f64 - self.level;
        if lacking > 0.0 {
            // Not a time that rounds to none at all.
            return Err(
                Duration::from_secs_f64(lacking / self.rate as f64) + Duration::from_micros(1)
            );
        }
        self.level = -lacking;
        Ok(())
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + seconds * self.rate as f64).min(self.most());
        self.at = self.at.max(now);
    }

    fn most(&self) -> f64 {
        self.rate as f64 * SLACK.as_secs_f64() + self.bite() as f64
    }
}

/// One rate for all senders, which may change at any time. Without one, asking costs a look at a number.
#[derive(Debug, Default)]
pub struct Limiter {
    /// Bytes per second; zero is no limit.
    rate: AtomicU64,
    /// Bytes that were let go, with a limit or without.
    passed: AtomicU64,
    bucket: Mutex<Option<Bucket>>,
    /// First come, first served: whoever has had its bite stands behind the others.
    line: Line<()>,
    changed: Notify,
}

impl Limiter {
    #[must_use]
    pub fn new(rate: Option<u64>) -> Self {
        let limiter = Self::default();
        limiter.set(rate);
        limiter
    }

    /// Sets the rate in bytes per second, or none; those who wait are asked again at once.
    pub fn set(&self, rate: Option<u64>) {
        let now = Instant::now();
        let mut bucket = lock(&self.bucket);
        match (rate, bucket.as_mut()) {
            (Some(rate), Some(bucket)) => bucket.set_rate(rate, now),
            (rate, _) => *bucket = rate.map(|rate| Bucket::new(rate, now)),
        }
        self.rate
            .store(rate.map_or(0, |rate| rate.max(1)), Ordering::Relaxed);
        drop(bucket);
        self.changed.notify_waiters();
    }

    /// The rate in bytes per second.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    /// All bytes that were let go so far.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// As [`Limiter::take`], where nothing has to be waited for.
    pub fn take_now(&self, want: usize) -> Option<usize> {
        if self.rate().is_some() {
            return None;
        }
        self.passed.fetch_add(want as u64, Ordering::Relaxed);
        Some(want)
    }

    /// Waits until some of `want` bytes may go, and gives how many.
    pub async fn take(&self, want: usize) -> usize {
        if let Some(taken) = self.take_now(want) {
            return taken;
        }
        let taken = self.wait(want).await;
        self.passed.fetch_add(taken as u64, Ordering::Relaxed);
        taken
    }

    async fn wait(&self, want: usize) -> usize {
        let _turn = self.line.lock().await;
        loop {
            // Before looking, so that no change in between is missed.
            let changed = self.changed.notified();
            let lacking = {
                let mut bucket = lock(&self.bucket);
                let Some(bucket) = bucket.as_mut() else {
                    return want;
                };
                let bytes = usize::try_from(bucket.bite()).map_or(want, |bite| bite.min(want));
                match bucket.take(bytes as u64, Instant::now()) {
                    Ok(()) => return bytes,
                    Err(time) => time,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(lacking) => {}
                () = changed => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const SECOND: Duration = Duration::from_secs(1);

    /// How many bytes go in `time`, when each wait takes `late` longer than it should.
    fn sent(rate: u64, time: Duration, late: Duration) -> u64 {
        let start = Instant::now();
        let (mut now, mut sent) = (start, 0);
        let mut bucket = Bucket::new(rate, start);
        while now < start + time {
            let bytes = bucket.bite().min(128 * KIB);
            match bucket.take(bytes, now) {
                Ok(()) => sent += bytes,
                Err(wait) => now += wait + late,
            }
        }
        sent
    }

    #[track_caller]
    fn holds(rate: u64, sent: u64, seconds: u64) {
        let should = rate * seconds;
        assert!(
            sent.abs_diff(should) * 20 <= should,
            "{sent} bytes instead of {should}"
        );
    }

    #[test]
    fn rates_hold_from_slow_to_fast_though_clocks_are_coarse() {
        for rate in [64 * KIB, KIB * KIB, 100_000_000, KIB * KIB * KIB] {
            for late in [
                Duration::ZERO,
                Duration::from_millis(2),
                Duration::from_millis(20),
            ] {
                holds(rate, sent(rate, 5 * SECOND, late), 5);
            }
        }
    }

    #[test]
    fn a_slow_line_gets_its_bytes_evenly() {
        assert!(Bucket::new(64 * KIB, Instant::now()).bite() <= 4 * KIB);
    }

    #[test]
    fn what_was_not_used_is_not_saved_up() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000 * KIB, start);
        let later = start + 60 * SECOND;
        let mut burst = 0;
        while bucket.take(KIB, later).is_ok() {
            burst += KIB;
        }
        assert!(burst <= 100 * KIB, "{burst}");
    }

    #[tokio::test]
    async fn a_limit_that_is_lifted_lets_go_those_who_wait() {
        let limiter = std::sync::Arc::new(Limiter::new(Some(1)));
        let waiting = tokio::spawn({
            let limiter = std::sync::Arc::clone(&limiter);
            async move { limiter.take(1 << 20).await }
        });
        tokio::task::yield_now().await;
        limiter.set(None);
        let done = tokio::time::timeout(60 * SECOND, waiting).await;
        assert_eq!(done.unwrap().unwrap(), 1 << 20);
    }
}
