//! The rate limit: one token bucket that all parts share.
//!
//! Not here: the choice of the rate. The command line and signals set it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as FairQueue, Notify};
use upload_types::sync::lock;

/// A sender that asks again up to this much too late still gets all bytes of the time in between.
const MAX_LATENESS: Duration = Duration::from_millis(50);
const MIN_GRANT_BYTES: u64 = 1 << 10;

/// The number of bytes that may be sent. It grows with time. Pure: the clock is an argument.
#[derive(Debug, Clone, Copy, PartialEq)]
struct TokenBucket {
    /// Bytes per second.
    rate: u64,
    bytes: f64,
    filled_at: Instant,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates are far below 2^52, and a byte more or less does not matter"
)]
impl TokenBucket {
    /// A bucket that is empty at `now`.
    fn new(rate: u64, now: Instant) -> Self {
        Self {
            rate: rate.max(1),
            bytes: 0.0,
            filled_at: now,
        }
    }

    /// The most bytes that are granted at once: those of 50 ms, so that a slow link is used evenly.
    fn grant_bytes(&self) -> u64 {
        (self.rate / 20).max(MIN_GRANT_BYTES)
    }

    /// Changes the rate. Keeps the bytes of the bucket, up to the capacity at the new rate.
    fn set_rate(&mut self, rate: u64, now: Instant) {
        self.fill(now);
        self.rate = rate.max(1);
        self.bytes = self.bytes.min(self.capacity());
    }

    /// Takes `bytes`, at most [`TokenBucket::grant_bytes`].
    ///
    /// # Errors
    /// The time until the bucket holds that many bytes.
    fn take(&mut self, bytes: u64, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        let missing = bytes as f64 - self.bytes;
        if missing > 0.0 {
            let wait = Duration::from_secs_f64(missing / self.rate as f64);
            // Must not be zero: the caller would not wait at all.
            return Err(wait + Duration::from_micros(1));
        }
        self.bytes = -missing;
        Ok(())
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.bytes = (self.bytes + seconds * self.rate as f64).min(self.capacity());
        self.filled_at = self.filled_at.max(now);
    }

    fn capacity(&self) -> f64 {
        self.rate as f64 * MAX_LATENESS.as_secs_f64() + self.grant_bytes() as f64
    }
}

/// The limit that all senders share. Its rate may change at any time.
#[derive(Debug, Default)]
pub struct Limiter {
    /// Bytes per second; zero for no limit. Read without a lock by senders that are not limited.
    rate: AtomicU64,
    /// Bytes granted so far, with a limit or without.
    granted: AtomicU64,
    bucket: Mutex<Option<TokenBucket>>,
    /// Senders wait in the order of their requests.
    queue: FairQueue<()>,
    rate_changed: Notify,
}

impl Limiter {
    #[must_use]
    pub fn new(rate: Option<u64>) -> Self {
        let limiter = Self::default();
        limiter.set(rate);
        limiter
    }

    /// Sets the rate in bytes per second, or removes it. It applies to waiting senders at once.
    pub fn set(&self, rate: Option<u64>) {
        let now = Instant::now();
        let mut bucket = lock(&self.bucket);
        match (rate, bucket.as_mut()) {
            (Some(rate), Some(bucket)) => bucket.set_rate(rate, now),
            (rate, _) => *bucket = rate.map(|rate| TokenBucket::new(rate, now)),
        }
        self.rate
            .store(rate.map_or(0, |rate| rate.max(1)), Ordering::Relaxed);
        drop(bucket);
        self.rate_changed.notify_waiters();
    }

    /// The rate in bytes per second.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    /// All bytes granted so far.
    #[must_use]
    pub fn granted_bytes(&self) -> u64 {
        self.granted.load(Ordering::Relaxed)
    }

    /// Like [`Limiter::take`], without waiting. Returns `None` if the caller may have to wait.
    pub fn take_now(&self, wanted: usize) -> Option<usize> {
        if self.rate().is_some() {
            return None;
        }
        self.granted.fetch_add(wanted as u64, Ordering::Relaxed);
        Some(wanted)
    }

    /// Waits until some of `wanted` bytes may be sent. Returns their number.
    pub async fn take(&self, wanted: usize) -> usize {
        if let Some(granted) = self.take_now(wanted) {
            return granted;
        }
        let granted = self.wait(wanted).await;
        self.granted.fetch_add(granted as u64, Ordering::Relaxed);
        granted
    }

    async fn wait(&self, wanted: usize) -> usize {
        let _turn = self.queue.lock().await;
        loop {
            // Registered before the bucket is read, so that no change in between is missed.
            let rate_changed = self.rate_changed.notified();
            let wait = {
                let mut bucket = lock(&self.bucket);
                let Some(bucket) = bucket.as_mut() else {
                    return wanted;
                };
                let limit = usize::try_from(bucket.grant_bytes());
                let bytes = limit.map_or(wanted, |limit| limit.min(wanted));
                match bucket.take(bytes as u64, Instant::now()) {
                    Ok(()) => return bytes,
                    Err(wait) => wait,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = rate_changed => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const SECOND: Duration = Duration::from_secs(1);

    /// The bytes that are sent in `time` if each wait takes `lateness` longer than it should.
    fn bytes_sent(rate: u64, time: Duration, lateness: Duration) -> u64 {
        let start = Instant::now();
        let (mut now, mut sent) = (start, 0);
        let mut bucket = TokenBucket::new(rate, start);
        while now < start + time {
            let bytes = bucket.grant_bytes().min(128 * KIB);
            match bucket.take(bytes, now) {
                Ok(()) => sent += bytes,
                Err(wait) => now += wait + lateness,
            }
        }
        sent
    }

    #[test]
    fn rates_hold_from_slow_to_fast_with_coarse_clocks() {
        for rate in [64 * KIB, KIB * KIB, 100_000_000, KIB * KIB * KIB] {
            for lateness in [0, 2, 20].map(Duration::from_millis) {
                let sent = bytes_sent(rate, 5 * SECOND, lateness);
                let expected = rate * 5;
                assert!(
                    sent.abs_diff(expected) * 20 <= expected,
                    "{sent} bytes instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn slow_link_is_used_evenly() {
        assert!(TokenBucket::new(64 * KIB, Instant::now()).grant_bytes() <= 4 * KIB);
    }

    #[test]
    fn unused_bytes_are_not_saved_up() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(1000 * KIB, start);
        let later = start + 60 * SECOND;
        let mut burst = 0;
        while bucket.take(KIB, later).is_ok() {
            burst += KIB;
        }
        assert!(burst <= 100 * KIB, "{burst}");
    }

    #[tokio::test]
    async fn removed_limit_releases_waiting_senders() {
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
