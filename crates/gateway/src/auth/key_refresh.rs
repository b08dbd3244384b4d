//! Decides when an issuer's key set is fetched. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// A key set younger than this is not fetched again for keys that it has.
const MIN_REFRESH_AGE: Duration = Duration::from_mins(10);
/// A key set older than this is not used: the issuer may have withdrawn keys while it could not be
/// reached.
const MAX_AGE: Duration = Duration::from_hours(24);
/// The pause between two fetches for known keys, and between two fetches for missing keys.
const FETCH_PAUSE: Duration = Duration::from_mins(1);
/// The pause between two fetches while there is no usable key set.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The times of fetches of the key set. An attempt counts from its end: the callers that waited
/// for it take its outcome, and the pause until the next one begins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FetchTimes {
    /// The end of the last attempt.
    pub attempted: Option<Instant>,
    /// The end of the last attempt for a key that the set did not have.
    pub attempted_for_missing: Option<Instant>,
    /// The last success.
    pub fetched: Option<Instant>,
}

/// The reason that there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The issuer has no key with that id.
    Unknown,
    /// The issuer cannot be reached, and the key set is missing or too old.
    Unavailable,
}

/// What to do when a key is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyLookup {
    Use,
    /// Use the key, and fetch the set in the background.
    UseAndRefresh,
    Fetch,
    Fail(KeyError),
}

/// Decides what to do about a key that the set has (`is_known`) or lacks.
pub(super) fn look_up(times: &FetchTimes, is_known: bool, now: Instant) -> KeyLookup {
    let age = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
    let is_past = |at, pause| age(at).is_none_or(|age| age >= pause);
    let is_usable = age(times.fetched).is_some_and(|age| age < MAX_AGE);
    let last_attempt_succeeded = times.fetched >= times.attempted;
    match (is_usable, is_known) {
        (true, true)
            if is_past(times.fetched, MIN_REFRESH_AGE) && is_past(times.attempted, FETCH_PAUSE) =>
        {
            KeyLookup::UseAndRefresh
        }
        (true, true) => KeyLookup::Use,
        (true, false) if is_past(times.attempted_for_missing, FETCH_PAUSE) => KeyLookup::Fetch,
        (true, false) if last_attempt_succeeded => KeyLookup::Fail(KeyError::Unknown),
        (false, _) if is_past(times.attempted, RETRY_PAUSE) => KeyLookup::Fetch,
        _ => KeyLookup::Fail(KeyError::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_set_is_fetched_when_needed_and_rarely_otherwise() {
        let now = Instant::now() + Duration::from_hours(100);
        let ago = |duration: Duration| now.checked_sub(duration);
        let secs = |secs| ago(Duration::from_secs(secs));
        let look_up = |attempted, attempted_for_missing, fetched, is_known| {
            let times = FetchTimes {
                attempted,
                attempted_for_missing,
                fetched,
            };
            look_up(&times, is_known, now)
        };
        assert_eq!(look_up(None, None, None, false), KeyLookup::Fetch);
        // The last attempt succeeded.
        assert_eq!(look_up(secs(10), None, secs(9), true), KeyLookup::Use);
        assert_eq!(
            look_up(secs(700), None, secs(699), true),
            KeyLookup::UseAndRefresh
        );
        // A missing key is fetched at once, but not twice in a minute.
        assert_eq!(look_up(secs(2), None, secs(1), false), KeyLookup::Fetch);
        assert_eq!(
            look_up(secs(2), secs(2), secs(1), false),
            KeyLookup::Fail(KeyError::Unknown)
        );
        assert_eq!(look_up(secs(2), secs(61), secs(1), false), KeyLookup::Fetch);
        // The last attempt failed: known keys are used for a day, and a missing key is unavailable.
        assert_eq!(look_up(secs(30), None, secs(3600), true), KeyLookup::Use);
        assert_eq!(
            look_up(secs(61), None, secs(3600), true),
            KeyLookup::UseAndRefresh
        );
        assert_eq!(
            look_up(secs(2), secs(2), secs(3600), false),
            KeyLookup::Fail(KeyError::Unavailable)
        );
        let day = ago(Duration::from_hours(25));
        assert_eq!(
            look_up(secs(1), None, day, true),
            KeyLookup::Fail(KeyError::Unavailable)
        );
        assert_eq!(look_up(secs(6), None, day, true), KeyLookup::Fetch);
        // The callers that waited for an attempt do not begin another one.
        assert_eq!(
            look_up(secs(0), None, None, false),
            KeyLookup::Fail(KeyError::Unavailable)
        );
        assert_eq!(
            look_up(secs(1), None, None, false),
            KeyLookup::Fail(KeyError::Unavailable)
        );
    }
}
