//! The limits of the simulated link and store: bytes per second, delay of responses, throttling.
//!
//! Not here: reading and writing. See `connection`.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The bytes of one read on a link without a limit.
const BLOCK: u64 = 1 << 20;

#[derive(Default)]
pub struct Limits {
    /// Bytes per second of each connection.
    pub rate: Option<u64>,
    /// Bytes per second of all connections together.
    total: Option<(u64, Mutex<Clock>)>,
    /// The time before each response.
    pub delay: Duration,
    /// The number of requests in progress above which the response is 503.
    pub at_once: Option<u64>,
    /// Requests per second.
    requests: Option<(u64, Mutex<Clock>)>,
}

impl Limits {
    pub fn set_total_rate(&mut self, rate: u64) {
        self.total = Some((rate.max(1), Mutex::default()));
    }

    pub fn set_request_rate(&mut self, requests: u64) {
        self.requests = Some((requests.max(1), Mutex::default()));
    }

    fn slowest_rate(&self) -> Option<u64> {
        self.rate
            .into_iter()
            .chain(self.total.as_ref().map(|(rate, _)| *rate))
            .min()
    }

    /// The bytes that the kernel may buffer for a connection: those of a tenth of a second.
    pub fn receive_buffer(&self) -> Option<usize> {
        self.slowest_rate()
            .map(|rate| usize::try_from((rate / 10).clamp(16 << 10, 1 << 20)).unwrap_or(1 << 20))
    }

    /// The bytes of one read: few on a slow link, so that they arrive evenly.
    pub fn block(&self) -> u64 {
        self.slowest_rate()
            .map_or(BLOCK, |rate| (rate / 50).clamp(4 << 10, BLOCK))
    }

    /// Waits until the link would have carried these bytes.
    pub fn wait_for_link(&self, connection: &mut Clock, bytes: u64) {
        let now = Instant::now();
        let mut until = now;
        if let Some(rate) = self.rate {
            until = connection.book(now, bytes, rate);
        }
        if let Some((rate, clock)) = &self.total {
            until = until.max(
                clock
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .book(now, bytes, *rate),
            );
        }
        thread::sleep(until - now);
    }

    /// Returns true if one more request is throttled, with `at_once` of them in progress.
    pub fn throttles(&self, at_once: u64) -> bool {
        if self.at_once.is_some_and(|most| at_once > most) {
            return true;
        }
        let Some((rate, clock)) = &self.requests else {
            return false;
        };
        let mut clock = clock.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // Permit a burst of a tenth of a second's requests.
        if clock.ahead(now) > Duration::from_millis(100) {
            return true;
        }
        clock.book(now, 1, *rate);
        false
    }
}

/// The time at which the link would have carried everything so far.
#[derive(Default)]
pub struct Clock(Option<Instant>);

impl Clock {
    fn book(&mut self, now: Instant, amount: u64, rate: u64) -> Instant {
        let nanos = u128::from(amount) * 1_000_000_000 / u128::from(rate.max(1));
        // An idle link does not save up capacity.
        let passed = self.0.unwrap_or(now).max(now)
            + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.0 = Some(passed);
        passed
    }

    fn ahead(&self, now: Instant) -> Duration {
        self.0.map_or(Duration::ZERO, |passed| {
            passed.saturating_duration_since(now)
        })
    }
}
