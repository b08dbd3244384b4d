//! Limits on time: without any byte, with too few bytes, and of a whole response of the API. A
//! part or an object whose bytes keep moving may take any time.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use upload_types::error::{Error, Kind, Result};

/// The kernel closes a connection if its peer acknowledges nothing for this long.
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time from the last byte of a request to the first of its response.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);
/// Bytes that the kernel may have accepted and not yet sent.
const MAX_BUFFERED_BYTES: u64 = 4 << 20;
/// The slowest link on which buffered bytes still arrive in time.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 << 10;
/// The least that an object must send on average, over [`SLOW_INTERVALS`].
const MIN_OBJECT_BYTES_PER_SECOND: u64 = 1 << 10;
/// A response that sends some bytes in each interval of [`Timeouts::receive`] may do so for this
/// many intervals.
const SLOW_INTERVALS: u32 = 4;
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The limits of one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Replaces each limit.
    configured: Option<Duration>,
}

impl Timeouts {
    #[must_use]
    pub fn new(configured: Option<Duration>) -> Self {
        Self { configured }
    }

    /// From the last of `len` bytes that the kernel accepted to the first byte of the response.
    #[must_use]
    pub fn response(self, len: u64) -> Duration {
        self.configured
            .unwrap_or_else(|| RESPONSE_TIMEOUT + Self::time_to_drain(len))
    }

    /// The longest time between two bytes that the kernel accepts.
    #[must_use]
    pub fn send(self) -> Duration {
        self.configured
            .unwrap_or_else(|| TCP_USER_TIMEOUT + Self::time_to_drain(MAX_BUFFERED_BYTES))
    }

    /// The longest time between two chunks of a response.
    #[must_use]
    pub fn receive(self) -> Duration {
        self.configured.unwrap_or(TCP_USER_TIMEOUT)
    }

    /// The time for a whole response of which `received` bytes have arrived: 2 minutes by default,
    /// and more for a long one.
    #[must_use]
    pub fn whole_response(self, received: u64) -> Duration {
        self.receive() * SLOW_INTERVALS + Self::time_to_drain(received)
    }

    /// A period of reading an object, and the bytes that must arrive in it: 120 KiB in 2 minutes by
    /// default.
    #[must_use]
    pub fn slow_object(self) -> (Duration, u64) {
        let period = self.receive() * SLOW_INTERVALS;
        (period, period.as_secs() * MIN_OBJECT_BYTES_PER_SECOND)
    }

    fn time_to_drain(len: u64) -> Duration {
        Duration::from_secs(len.min(MAX_BUFFERED_BYTES) / SLOWEST_BYTES_PER_SECOND)
    }
}

/// Waits for a future that has to be ready within `limit`.
///
/// A suspended process does not observe the connection, so a late check counts as one
/// [`CHECK_INTERVAL`].
///
/// # Errors
/// [`Kind::Temporary`] if it is not ready in time.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T> {
    let mut waited = Duration::ZERO;
    within_counted(limit, &mut waited, future).await
}

/// As [`within`]; adds the time of the wait to `waited`.
///
/// # Errors
/// As [`within`].
pub async fn within_counted<T>(
    limit: Duration,
    waited: &mut Duration,
    future: impl Future<Output = T>,
) -> Result<T> {
    let mut future = pin!(future);
    let mut left = limit;
    while !left.is_zero() {
        let interval = left.min(CHECK_INTERVAL);
        let began = Instant::now();
        if let Ok(output) = tokio::time::timeout(interval, &mut future).await {
            *waited += began.elapsed().min(interval);
            return Ok(output);
        }
        left -= interval;
        *waited += interval;
    }
    let what = "the connection made no progress";
    Err(Error::new(Kind::Temporary, what))
}

/// Returns once the request has stalled: `sent` has not grown for [`Timeouts::send`] or, when all
/// `len` bytes are sent, for [`Timeouts::response`]. Late checks count as in [`within`].
pub async fn until_stalled(sent: &AtomicU64, len: u64, timeouts: Timeouts) {
    let mut sent_before = 0;
    let mut idle = Duration::ZERO;
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let sent_now = sent.load(Ordering::Relaxed);
        idle = if sent_now == sent_before {
            idle + CHECK_INTERVAL
        } else {
            Duration::ZERO
        };
        sent_before = sent_now;
        let limit = if sent_now >= len {
            timeouts.response(len)
        } else {
            timeouts.send()
        };
        if idle > limit {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_allow_for_buffered_bytes() {
        let default = Timeouts::default();
        assert_eq!(default.response(0), RESPONSE_TIMEOUT);
        let mib = default.response(1 << 20);
        assert_eq!(mib, RESPONSE_TIMEOUT + Duration::from_secs(64));
        assert_eq!(
            default.response(5 << 30),
            default.response(MAX_BUFFERED_BYTES)
        );
        assert_eq!(default.send(), Duration::from_secs(286));
        assert_eq!(default.whole_response(0), Duration::from_mins(2));
        assert_eq!(default.whole_response(1 << 20), Duration::from_secs(184));
        assert_eq!(default.slow_object(), (Duration::from_mins(2), 120 << 10));
        let limit = Duration::from_secs(3);
        let configured = Timeouts::new(Some(limit));
        assert_eq!(
            [
                configured.response(5 << 30),
                configured.send(),
                configured.receive()
            ],
            [limit; 3]
        );
    }
}
