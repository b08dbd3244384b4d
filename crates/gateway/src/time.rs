//! Times: arithmetic, and the precision of the ledger.

use std::time::Duration;

use jiff::Timestamp;

/// The time `delay` after `time`, at most the last timestamp that exists.
#[must_use]
pub fn after(time: Timestamp, delay: Duration) -> Timestamp {
    time.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// The time now, without the decimals that neither the ledger nor a receipt keeps.
#[must_use]
pub fn now_in_milliseconds() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
