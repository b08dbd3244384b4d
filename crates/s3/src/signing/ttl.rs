//! The lifetime of a signature. Pure: the clock is an argument.

use std::time::Duration;

use reqsign_core::time::Timestamp;

use crate::fault::Fault;

/// The longest lifetime that S3 accepts in a presigned URL.
const MAX_TTL: Duration = Duration::from_hours(7 * 24);
/// A URL expires this much earlier than its credential, because clocks differ. If less time is
/// left, it expires with the credential.
pub(super) const CREDENTIAL_EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// Limits a lifetime to 7 days and to that of the credential, which ends at `credential_expires`.
/// Returns whole seconds, at least one.
///
/// # Errors
/// A rejection if the credential has expired.
pub(super) fn clamp(
    ttl: Duration,
    credential_expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<Duration, Fault> {
    let ttl = Duration::from_secs(ttl.min(MAX_TTL).as_secs().max(1));
    let Some(end) = credential_expires else {
        return Ok(ttl);
    };
    let left_at = |time: Timestamp| {
        let left = end.as_second().saturating_sub(time.as_second());
        u64::try_from(left).ok().filter(|left| *left > 0)
    };
    match left_at(now + CREDENTIAL_EXPIRY_MARGIN).or_else(|| left_at(now)) {
        Some(left) => Ok(ttl.min(Duration::from_secs(left))),
        None => Err(Fault::no_access(
            "the AWS credentials have expired",
            "the AWS credentials have expired, and their source provides no newer ones",
            "renew the AWS credentials; then run the command again",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_is_limited_by_s3_and_by_the_credential() {
        let now = Timestamp::now();
        let clamped = |ttl, expires| clamp(ttl, expires, now).map(|ttl| ttl.as_secs());
        assert_eq!(clamped(Duration::MAX, None).unwrap(), 7 * 24 * 60 * 60);
        assert_eq!(clamped(Duration::ZERO, None).unwrap(), 1);
        let expires = Some(now + Duration::from_secs(100));
        assert_eq!(clamped(Duration::from_mins(15), expires).unwrap(), 90);
        assert_eq!(clamped(Duration::from_secs(80), expires).unwrap(), 80);
        let last = Some(now + Duration::from_secs(10));
        assert_eq!(clamped(Duration::from_mins(15), last).unwrap(), 10);
        assert!(matches!(
            clamped(Duration::from_mins(15), Some(now)),
            Err(Fault::Rejected(_))
        ));
    }
}
