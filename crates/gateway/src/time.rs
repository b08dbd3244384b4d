//! Times: arithmetic, and the precision of the ledger.

use std::time::Duration;

use jiff::Timestamp;

/// The time `delay` after `time`, at most the last timestamp that exists.
#[must_use]
pub fn after(time: Timestamp, delay: Duration) -> Timestamp {
    time.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// A time without the decimals that neither the ledger nor a receipt keeps.
#[must_use]
pub fn in_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// The difference between the clock of the store and the local one (`seconds`, positive if the
/// local clock is behind), as a number and a word: `300`, `behind`.
pub fn describe_offset(seconds: i64) -> (u64, &'static str) {
    let direction = if seconds < 0 { "ahead of" } else { "behind" };
    (seconds.unsigned_abs(), direction)
}
