//! Arithmetic on timestamps.

use std::time::Duration;

use jiff::Timestamp;

/// The time `delay` after `time`, at most the last timestamp that exists.
#[must_use]
pub fn after(time: Timestamp, delay: Duration) -> Timestamp {
    time.checked_add(delay).unwrap_or(Timestamp::MAX)
}
