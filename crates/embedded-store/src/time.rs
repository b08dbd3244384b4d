//! Times: milliseconds since 1970 in rows, [`Timestamp`] in S3's types.

use std::time::{Duration, SystemTime};

use s3s::dto::Timestamp;

/// The end of the year 9999, where the range of [`Timestamp`] ends.
const MAX_MILLISECONDS: u64 = 253_402_300_799_000;

/// Milliseconds since 1970.
pub fn now() -> i64 {
    milliseconds(SystemTime::now())
}

/// Milliseconds since 1970; 0 for an earlier time.
pub fn milliseconds(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub fn timestamp(milliseconds: i64) -> Timestamp {
    let since = u64::try_from(milliseconds)
        .unwrap_or_default()
        .min(MAX_MILLISECONDS);
    Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(since))
}

/// The timestamp in whole seconds, as headers carry it.
pub fn whole_second(milliseconds: i64) -> Timestamp {
    timestamp(milliseconds / 1000 * 1000)
}
