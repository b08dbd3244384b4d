//! The lifetimes of presigned URLs for writing.
//!
//! Not here: URLs for reading (`read`, `hooks`).

use std::time::Duration;

use crate::ledger::{Upload, UploadKind};

/// On a connection with at least this speed, a part is sent before its URL expires.
const MIN_BYTES_PER_SECOND: u64 = 256 << 10;
const MAX_PART_URL_TTL: Duration = Duration::from_hours(12);
/// Some browser clients never request another URL for a part.
const MIN_BROWSER_PART_URL_TTL: Duration = Duration::from_hours(1);
/// The largest object that is sent in one form. Larger sources are sent in parts.
pub const MAX_FORM_BYTES: u64 = 100 << 20;

/// The lifetime of the URL of a part of `size` bytes.
pub fn part_url_ttl(size: u64, min: Duration) -> Duration {
    Duration::from_secs(size / MIN_BYTES_PER_SECOND)
        .max(min)
        .min(MAX_PART_URL_TTL)
}

/// How long after a signature an object or a part of the upload may still arrive in the store.
pub fn upload_url_ttl(upload: &Upload, min: Duration) -> Duration {
    match upload.kind {
        UploadKind::Declared => part_url_ttl(upload.plan.part_size(), min),
        UploadKind::Multipart => part_url_ttl(0, min.max(MIN_BROWSER_PART_URL_TTL)),
        // A form may be posted until it expires. Its bytes may take this long to arrive.
        UploadKind::FormPost => min.saturating_add(part_url_ttl(MAX_FORM_BYTES, min)),
    }
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
}
