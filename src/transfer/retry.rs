//! The decision whether a failed attempt is repeated, and when. Pure: the random number is an
//! argument.
//!
//! Callers of [`judge`]: `part_transitions` and `stream/send_part` for parts; `engine`,
//! `confirm_many`, `finish`, `handshake` and `stream/calls` for calls of the backend.
//!
//! Not here: how long the whole run may go without progress (`deadline`).

use std::time::Duration;

use upload_types::backoff::Backoff;
use upload_types::error::Kind;

/// The shortest and the longest wait before the next question about an upload that the backend is
/// completing.
pub const COMPLETION_POLL_WAITS: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(30));
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
const THROTTLED_BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
/// A captive portal responds instead of the backend until the user logs in.
const UNEXPECTED_SERVER_BACKOFF: Backoff =
    Backoff::new(Duration::from_secs(2), Duration::from_secs(30));
/// The most that a `Retry-After` may add to our own delay.
const MAX_RETRY_AFTER_EXTRA: Duration = Duration::from_mins(5);
/// How many responses of the backend that violate the protocol are followed by a retry.
const MAX_PROTOCOL_ERRORS: u32 = 3;
/// How many responses of the store without an `ETag` are followed by a retry, before its parts are
/// listed.
const MAX_MISSING_ETAGS: u32 = 2;
/// How many corrupted bodies are followed by a retry.
const MAX_CORRUPT_BODIES: u32 = 3;
/// How many rejections of the storage credentials are followed by a retry. That takes some seconds,
/// in which newer credentials may be in use.
const MAX_REJECTED_CREDENTIALS: u32 = 4;
/// How often in a row the store may report a new URL as expired, before that counts as an ordinary
/// failure.
const MAX_FREE_EXPIRED_URLS: u32 = 3;
/// How many of them are followed by a retry: then a further URL would be rejected too.
const MAX_EXPIRED_URLS: u32 = 4;
/// How many read errors of a source are followed by a retry. That takes some five minutes, in which
/// a network file system may become available again.
const MAX_READ_ERRORS: u32 = 20;

/// The failures of one part or one call in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    pub attempts: u32,
    corrupt: u32,
    expired: u32,
    /// Signatures that the store did not accept.
    refused_signatures: u32,
    rejected_credentials: u32,
    protocol_errors: u32,
    missing_etags: u32,
    read_errors: u32,
}

impl Failures {
    /// Whether the store has refused the credentials of a URL.
    #[must_use]
    pub fn has_rejected_credentials(&self) -> bool {
        self.rejected_credentials > 0
    }
}

/// The attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Reading, signing or sending bytes of the source: after a refusal, the part is signed again
    /// once; a read error of the source may be temporary.
    Bytes,
    /// A call to the backend.
    Call,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this time.
    Retry(Duration),
    /// The outcome is unknown: ask for the list of stored parts.
    ListParts,
    Stop,
}

/// Judges a failure, and counts it. `random` is in 0..1.
pub fn judge(kind: Kind, attempt: Attempt, failures: &mut Failures, random: f64) -> Verdict {
    failures.attempts = failures.attempts.saturating_add(1);
    let delay = |backoff: Backoff| backoff.full_jitter(failures.attempts, random);
    let later = Verdict::Retry(delay(BACKOFF));
    match kind {
        Kind::Temporary => later,
        Kind::Throttled(retry_after) => {
            let own = delay(THROTTLED_BACKOFF);
            let longest = own + MAX_RETRY_AFTER_EXTRA;
            Verdict::Retry(retry_after.map_or(own, |wait| wait.clamp(own, longest)))
        }
        Kind::KeyInUse(retry_after) => {
            let own = delay(BACKOFF);
            let longest = own + MAX_RETRY_AFTER_EXTRA;
            Verdict::Retry(retry_after.map_or(own, |wait| wait.clamp(own, longest)))
        }
        Kind::UrlExpired => {
            failures.expired += 1;
            if failures.expired <= MAX_FREE_EXPIRED_URLS {
                Verdict::Retry(Duration::ZERO)
            } else if failures.expired <= MAX_EXPIRED_URLS {
                later
            } else {
                Verdict::Stop
            }
        }
        Kind::Corrupt if failures.corrupt < MAX_CORRUPT_BODIES => {
            failures.corrupt += 1;
            later
        }
        Kind::Io if attempt == Attempt::Bytes && failures.read_errors < MAX_READ_ERRORS => {
            failures.read_errors += 1;
            later
        }
        Kind::Unauthorized | Kind::ClockSkew | Kind::WrongEndpoint
            if attempt == Attempt::Bytes && failures.refused_signatures == 0 =>
        {
            failures.refused_signatures += 1;
            Verdict::Retry(Duration::ZERO)
        }
        Kind::CredentialsRejected if failures.rejected_credentials < MAX_REJECTED_CREDENTIALS => {
            failures.rejected_credentials += 1;
            later
        }
        Kind::UnexpectedServer => Verdict::Retry(delay(UNEXPECTED_SERVER_BACKOFF)),
        Kind::ProtocolError if failures.protocol_errors < MAX_PROTOCOL_ERRORS => {
            failures.protocol_errors += 1;
            later
        }
        Kind::MissingEtag if failures.missing_etags < MAX_MISSING_ETAGS => {
            failures.missing_etags += 1;
            later
        }
        Kind::MissingEtag => Verdict::ListParts,
        _ => Verdict::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(kind: Kind, attempts: usize, random: f64) -> Vec<Verdict> {
        let mut failures = Failures::default();
        (0..attempts)
            .map(|_| judge(kind, Attempt::Bytes, &mut failures, random))
            .collect()
    }

    fn retry(seconds: f64) -> Verdict {
        Verdict::Retry(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn delay_doubles_up_to_30_s_with_full_jitter() {
        let first = verdicts(Kind::Temporary, 4, 1.0);
        assert_eq!(first, [retry(0.5), retry(1.0), retry(2.0), retry(4.0)]);
        assert_eq!(verdicts(Kind::Temporary, 100, 1.0)[99], retry(30.0));
        assert_eq!(verdicts(Kind::Temporary, 100, 0.0)[99], retry(0.0));
    }

    #[test]
    fn retry_after_is_honoured_up_to_a_limit() {
        let throttled = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            verdicts(Kind::Throttled(retry_after), 1, 1.0)[0]
        };
        assert_eq!(throttled(0), retry(1.0));
        assert_eq!(throttled(20), retry(20.0));
        assert_eq!(throttled(99_999), retry(301.0));
    }

    #[test]
    fn expired_url_is_signed_again_four_times_at_first_without_waiting() {
        let expired = verdicts(Kind::UrlExpired, 5, 1.0);
        assert_eq!(expired[..3], [retry(0.0); 3]);
        assert!(matches!(expired[3], Verdict::Retry(wait) if wait > Duration::ZERO));
        assert_eq!(expired[4], Verdict::Stop);
    }

    #[test]
    fn unexpected_server_is_retried_and_protocol_error_three_times() {
        assert_eq!(verdicts(Kind::UnexpectedServer, 100, 1.0)[99], retry(30.0));
        assert_eq!(verdicts(Kind::UnexpectedServer, 1, 1.0), [retry(2.0)]);
        assert_eq!(verdicts(Kind::ProtocolError, 4, 1.0)[3], Verdict::Stop);
    }

    #[test]
    fn missing_etag_is_retried_twice_and_then_parts_are_listed() {
        let verdicts = verdicts(Kind::MissingEtag, 3, 1.0);
        assert!(
            matches!(verdicts[..2], [Verdict::Retry(_), Verdict::Retry(_)]),
            "{verdicts:?}"
        );
        assert_eq!(verdicts[2], Verdict::ListParts);
    }

    #[test]
    fn rejected_credentials_are_retried_four_times() {
        let verdicts = verdicts(Kind::CredentialsRejected, 5, 1.0);
        let waits = [retry(0.5), retry(1.0), retry(2.0), retry(4.0)];
        assert_eq!(verdicts[..4], waits);
        assert_eq!(verdicts[4], Verdict::Stop);
    }

    #[test]
    fn corruption_is_retried_three_times_and_a_refused_signature_once() {
        assert_eq!(verdicts(Kind::Corrupt, 4, 0.5)[3], Verdict::Stop);
        for kind in [Kind::Unauthorized, Kind::ClockSkew, Kind::WrongEndpoint] {
            assert_eq!(
                verdicts(kind, 2, 0.5),
                [retry(0.0), Verdict::Stop],
                "{kind:?}"
            );
        }
        let of_call = judge(
            Kind::Unauthorized,
            Attempt::Call,
            &mut Failures::default(),
            0.5,
        );
        assert_eq!(of_call, Verdict::Stop);
        for kind in [
            Kind::SourceChanged,
            Kind::Gone,
            Kind::LeaseLost,
            Kind::Incompatible,
        ] {
            assert_eq!(verdicts(kind, 1, 0.5), [Verdict::Stop], "{kind:?}");
        }
    }
}
