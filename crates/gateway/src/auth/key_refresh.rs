//! Decides when an issuer's key set is fetched. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// A key set younger than this is not fetched again for keys that it has.
const MIN_REFRESH_AGE: Duration = Duration::from_mins(10);
/// A key set older than this is not used: the issuer may have withdrawn keys while it could not be
/// reached.
const MAX_AGE: Duration = Duration::from_hours(24);
/// The pause between two fetches for known keys, and the time in which at most
/// [`MAX_FETCHES_FOR_MISSING_KEYS`] fetches are for missing keys.
const FETCH_PAUSE: Duration = Duration::from_mins(1);
/// More than one, since an issuer may change its key again soon.
const MAX_FETCHES_FOR_MISSING_KEYS: usize = 4;
/// A key that a fetch within this time did not find does not exist.
const MISSING_PAUSE: Duration = Duration::from_secs(2);
/// The pause between two fetches while there is no usable key set.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The times of fetches of the key set. An attempt counts from its end: the callers that waited
/// for it take its outcome, and the pause until the next one begins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FetchTimes {
    /// The end of the last attempt.
    pub attempted: Option<Instant>,
    /// The ends of the last attempts for keys that the set did not have, the latest first.
    pub attempted_for_missing: [Option<Instant>; MAX_FETCHES_FOR_MISSING_KEYS],
    /// The last success.
    pub fetched: Option<Instant>,
}

impl FetchTimes {
    /// Records the end of a fetch for a key that the set does not have.
    pub(super) fn record_for_missing(&mut self, now: Instant) {
        self.attempted_for_missing.rotate_right(1);
        self.attempted_for_missing[0] = Some(now);
    }
}

/// The reason that there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The issuer has no such key.
    Unknown,
    /// The issuer cannot be reached, and the key set is missing or too old; or the set has been
    /// fetched for missing keys too often.
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
    let [latest, .., earliest] = times.attempted_for_missing;
    let last_attempt_succeeded = times.fetched >= times.attempted;
    match (is_usable, is_known) {
        (true, true)
            if is_past(times.fetched, MIN_REFRESH_AGE) && is_past(times.attempted, FETCH_PAUSE) =>
        {
            KeyLookup::UseAndRefresh
        }
        (true, true) => KeyLookup::Use,
        (true, false) if !is_past(latest, MISSING_PAUSE) && last_attempt_succeeded => {
            KeyLookup::Fail(KeyError::Unknown)
        }
        (true, false) if is_past(earliest, FETCH_PAUSE) && is_past(latest, MISSING_PAUSE) => {
            KeyLookup::Fetch
        }
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
        let look_up = |attempted, for_missing, fetched, is_known| {
            let mut attempted_for_missing = [None; MAX_FETCHES_FOR_MISSING_KEYS];
            attempted_for_missing[0] = for_missing;
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
        // A missing key is fetched at once, but not twice in two seconds.
        assert_eq!(look_up(secs(2), None, secs(1), false), KeyLookup::Fetch);
        assert_eq!(
            look_up(secs(1), secs(1), secs(1), false),
            KeyLookup::Fail(KeyError::Unknown)
        );
        assert_eq!(look_up(secs(2), secs(2), secs(1), false), KeyLookup::Fetch);
        // The last attempt failed: known keys are used for a day, and a missing key is unavailable.
        assert_eq!(look_up(secs(30), None, secs(3600), true), KeyLookup::Use);
        assert_eq!(
            look_up(secs(61), None, secs(3600), true),
            KeyLookup::UseAndRefresh
        );
        assert_eq!(
            look_up(secs(1), secs(1), secs(3600), false),
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

    #[test]
    fn missing_keys_cause_a_few_fetches_a_minute() {
        let start = Instant::now();
        let mut times = FetchTimes {
            attempted: Some(start),
            fetched: Some(start),
            ..FetchTimes::default()
        };
        let mut fetch_at = |secs| {
            let now = start + Duration::from_secs(secs);
            let lookup = look_up(&times, false, now);
            if lookup == KeyLookup::Fetch {
                times.record_for_missing(now);
                (times.attempted, times.fetched) = (Some(now), Some(now));
            }
            lookup
        };
        for secs in [0, 10, 20, 30] {
            assert_eq!(fetch_at(secs), KeyLookup::Fetch);
            assert_eq!(fetch_at(secs + 1), KeyLookup::Fail(KeyError::Unknown));
        }
        // Another change of the key may be the cause: the client must try again.
        assert_eq!(fetch_at(40), KeyLookup::Fail(KeyError::Unavailable));
        assert_eq!(fetch_at(59), KeyLookup::Fail(KeyError::Unavailable));
        assert_eq!(fetch_at(60), KeyLookup::Fetch);
    }
}
