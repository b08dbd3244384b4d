//! The difference between the clock of the store and the local clock, from the header `Date` of
//! the store's responses.
//!
//! Not here: the use of the difference (the gateway).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::HeaderMap;
use http::header::DATE;
use jiff::{SignedDuration, Timestamp};

/// Smaller differences are ignored: `Date` has whole seconds, and a response may be slow.
const TOLERATED_SECONDS: i64 = 60;
/// No response with a date has arrived.
const UNKNOWN: i64 = i64::MIN;

/// The latest measurement, shared by all clones.
#[derive(Debug, Clone)]
pub(crate) struct ClockOffset(Arc<AtomicI64>);

impl ClockOffset {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }

    /// Measures the difference with a response to a request that was sent at `sent` and was
    /// complete at `now`: the store may have written its date at any time in between. Logs a
    /// difference that matters when it begins and when it ends. A response without a valid date
    /// changes nothing.
    pub(crate) fn measure(&self, headers: &HeaderMap, sent: Timestamp, now: Timestamp) {
        let Some(date) = headers
            .get(DATE)
            .and_then(|date| date.to_str().ok())
            .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        else {
            return;
        };
        let date = date.timestamp().as_second();
        let seconds = (date - sent.as_second()).min(0) + (date - now.as_second()).max(0);
        let before = self.0.swap(seconds, Ordering::Relaxed);
        match (matters(before), matters(seconds)) {
            (false, true) => tracing::error!(
                seconds_ahead = -seconds,
                "the clock of this machine differs from that of the store: synchronise it; \
                 the time of the store is used for leases and expiry"
            ),
            (true, false) => tracing::info!("the clock of this machine agrees with the store's"),
            _ => {}
        }
    }

    /// The time of the store minus the local time. Zero if it is tolerated or unknown.
    pub(crate) fn get(&self) -> SignedDuration {
        let seconds = self.0.load(Ordering::Relaxed);
        SignedDuration::from_secs(if matters(seconds) { seconds } else { 0 })
    }
}

fn matters(seconds: i64) -> bool {
    seconds != UNKNOWN && seconds.unsigned_abs() > TOLERATED_SECONDS.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_is_that_of_the_latest_date_beyond_the_tolerance() {
        let clock = ClockOffset::new();
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        for (date, seconds) in [
            ("no date", 0),
            ("Mon, 30 Nov 2026 12:01:00 GMT", 0),
            ("Mon, 30 Nov 2026 11:59:00 GMT", 0),
            ("Mon, 30 Nov 2026 12:01:01 GMT", 61),
            ("Sun, 29 Nov 2026 12:00:00 GMT", -86_400),
            ("no date", -86_400),
            ("Mon, 30 Nov 2026 12:00:01 GMT", 0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, date.parse().unwrap());
            clock.measure(&headers, now, now);
            assert_eq!(clock.get().as_secs(), seconds, "{date}");
        }
        clock.measure(&HeaderMap::new(), now, now);
        assert_eq!(clock.get(), SignedDuration::ZERO);
        // The headers of a slow response are older than its end.
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Mon, 30 Nov 2026 12:00:00 GMT".parse().unwrap());
        clock.measure(&headers, now, now + SignedDuration::from_mins(10));
        assert_eq!(clock.get(), SignedDuration::ZERO);
    }
}
