//! The lifetimes of presigned URLs for writing, and the time at which the writes that they permit
//! have ended. Pure.
//!
//! Not here: URLs for reading (`read`, `hooks`).

use std::time::Duration;

use jiff::Timestamp;

use crate::ledger::{Upload, UploadKind};
use crate::time::after;

/// On a connection with at least this speed, a part is sent before its URL expires.
const MIN_BYTES_PER_SECOND: u64 = 256 << 10;
const MAX_PART_URL_TTL: Duration = Duration::from_hours(12);
/// Some browser clients never request another URL for a part.
const MIN_BROWSER_PART_URL_TTL: Duration = Duration::from_hours(1);
/// A PUT that is slower than this is looked for a day later only.
const MIN_WRITE_BYTES_PER_SECOND: u64 = 64 << 10;
const MIN_WRITE_TIME: Duration = Duration::from_mins(15);
const MAX_WRITE_TIME: Duration = Duration::from_hours(24);
/// The last check of an ended upload is this long after the one at the end of late writes.
const LATE_CHECK_DELAY: Duration = Duration::from_hours(24);
/// The largest object that is sent in one form. Larger sources are sent in parts.
pub const MAX_FORM_BYTES: u64 = 100 << 20;

/// The lifetime of the URL of a part of `size` bytes.
pub fn part_url_ttl(size: u64, min: Duration) -> Duration {
    Duration::from_secs(size / MIN_BYTES_PER_SECOND)
        .max(min)
        .min(MAX_PART_URL_TTL)
}

/// How long after a signature a request for the upload may begin.
pub fn upload_url_ttl(upload: &Upload, min: Duration) -> Duration {
    match upload.kind {
        UploadKind::Declared | UploadKind::Copied => part_url_ttl(upload.plan.part_size(), min),
        UploadKind::Streamed => part_url_ttl(upload.plan.largest_part(), min),
        UploadKind::Multipart => part_url_ttl(0, min.max(MIN_BROWSER_PART_URL_TTL)),
        UploadKind::FormPost => min,
    }
}

/// How long a PUT or a form of `size` bytes may take. S3 ends a connection that is silent for about
/// 20 seconds, but sets no limit to the whole request, so slower ones are possible: the sweep looks
/// again a day later, and the survey of objects finds any others.
pub fn write_time(size: u64) -> Duration {
    Duration::from_secs(size / MIN_WRITE_BYTES_PER_SECOND).clamp(MIN_WRITE_TIME, MAX_WRITE_TIME)
}

/// The writes of an upload that may arrive in the store after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateWrites {
    /// The end of its URLs: from now on no request may begin.
    pub urls_end: Timestamp,
    /// The time at which a request that began before has ended. `None` if no request can create the
    /// object: that of an upload of several parts is created by the gateway alone.
    pub possible_until: Option<Timestamp>,
}

impl LateWrites {
    /// `now` is the time at which the upload ends. `min` is the minimum lifetime of URLs. Returns
    /// `None` if no such write is possible.
    pub fn of(upload: &Upload, min: Duration, now: Timestamp) -> Option<Self> {
        // Nothing is signed for an upload that has a receipt.
        let receipt = upload.receipt.as_ref();
        let signed = receipt.map_or(now, |receipt| receipt.finished.min(now));
        let urls_end = after(signed, upload_url_ttl(upload, min));
        let size = upload.plan.size();
        let possible_until = upload
            .is_single()
            .then(|| after(urls_end, write_time(size)));
        (possible_until.unwrap_or(urls_end) > now).then_some(Self {
            urls_end,
            possible_until,
        })
    }
}

/// When to check again after a check at `now` that found or removed everything. `until` is
/// [`LateWrites::possible_until`], as the ledger has it.
pub fn next_check(until: Option<Timestamp>, now: Timestamp) -> NextCheck {
    match until {
        None => NextCheck::Never,
        Some(until) if now < until => NextCheck::WhenWritesEnd(until),
        Some(_) => NextCheck::AfterWrites(after(now, LATE_CHECK_DELAY)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextCheck {
    /// A request may still create the object.
    WhenWritesEnd(Timestamp),
    /// No request may create the object any more, unless it is slower than any known one.
    AfterWrites(Timestamp),
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_url_ttl_suffices_for_slow_connections_up_to_12_hours() {
        let min = Duration::from_mins(15);
        assert_eq!(part_url_ttl(8 << 20, min), min);
        assert_eq!(part_url_ttl(1 << 30, min), Duration::from_secs(4096));
        assert_eq!(part_url_ttl(5 << 30, min), Duration::from_secs(20480));
        assert_eq!(part_url_ttl(u64::MAX, min), MAX_PART_URL_TTL);
        assert_eq!(part_url_ttl(0, Duration::from_hours(25)), MAX_PART_URL_TTL);
    }

    #[test]
    fn largest_put_ends_within_a_day() {
        assert_eq!(write_time(0), MIN_WRITE_TIME);
        assert_eq!(write_time(1 << 30), Duration::from_secs(16_384));
        assert_eq!(write_time(5 << 30), Duration::from_secs(81_920));
        assert_eq!(write_time(u64::MAX), MAX_WRITE_TIME);
    }

    #[test]
    fn checks_are_at_the_end_of_late_writes_and_a_day_later() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(
            next_check(Some(at(100)), at(99)),
            NextCheck::WhenWritesEnd(at(100))
        );
        let late = NextCheck::AfterWrites(at(100 + 24 * 60 * 60));
        assert_eq!(next_check(Some(at(100)), at(100)), late);
        assert_eq!(next_check(None, at(100)), NextCheck::Never);
    }
}
