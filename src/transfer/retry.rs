//! Whether a failed attempt is made again, and when. Pure: the dice are an argument.
//!
//! Border: one part, or one call about a whole upload; how long the whole run may fail is [`super::pace`].

use std::time::Duration;

use upload_types::error::Kind;

/// The first wait is up to this long, the next up to twice as long, and so on.
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);
/// The same where the other side asks for less.
const THROTTLED_BASE: Duration = Duration::from_secs(1);
const THROTTLED_CAP: Duration = Duration::from_mins(1);
/// A `Retry-After` may lengthen our own wait by no more than this.
const THROTTLED_EXTRA: Duration = Duration::from_mins(5);
/// Where something else answers, it does so for as long as it takes somebody to log in.
const INTERCEPTED_BASE: Duration = Duration::from_secs(2);
/// So often the backend may answer what it was not asked.
const GARBLED_MAX: u32 = 3;
/// So often a part is sent again whose answer lacks the mark of success, before the store is asked what it has.
const UNMARKED_MAX: u32 = 2;
/// So often a part may arrive damaged.
const CORRUPT_MAX: u32 = 3;
/// So often in a row a fresh URL may be called expired before it counts as an ordinary failure.
const EXPIRED_FREE: u32 = 3;
/// So often a source may fail to be read: some five minutes, in which a network's file system may come back.
const UNREADABLE_MAX: u32 = 20;

/// What has gone wrong so far with one part or one call. Forgotten once it succeeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    pub attempts: u32,
    corrupt: u32,
    expired: u32,
    /// Signatures that the store did not take.
    refused: u32,
    garbled: u32,
    unmarked: u32,
    unreadable: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Once more, after this long.
    Again(Duration),
    /// Whether it was in vain, the store's list tells.
    Ask,
    Stop,
}

/// Judges a failure. `at_store` says that it befell a part on its way from source to store, not a call to the backend: there a
/// refusal is worth one fresh signature, and a source that cannot be read may be back in a while.
/// `dice` is in 0..1: the wait is drawn from the whole range ("full jitter"), so that many clients do not come back at once.
pub fn judge(kind: Kind, at_store: bool, failures: &mut Failures, dice: f64) -> Verdict {
    let exponent = failures.attempts.min(16);
    failures.attempts = failures.attempts.saturating_add(1);
    let backed_off =
        |base: Duration, cap: Duration| base.saturating_mul(1 << exponent).min(cap).mul_f64(dice);
    match kind {
        Kind::Temporary => Verdict::Again(backed_off(BASE, CAP)),
        Kind::Throttled(asked) => {
            let own = backed_off(THROTTLED_BASE, THROTTLED_CAP);
            Verdict::Again(asked.map_or(own, |asked| asked.clamp(own, own + THROTTLED_EXTRA)))
        }
        Kind::UrlExpired => {
            failures.expired += 1;
            let wait = if failures.expired <= EXPIRED_FREE {
                Duration::ZERO
            } else {
                backed_off(BASE, CAP)
            };
            Verdict::Again(wait)
        }
        Kind::Corrupt if failures.corrupt < CORRUPT_MAX => {
            failures.corrupt += 1;
            Verdict::Again(backed_off(BASE, CAP))
        }
        Kind::Io if at_store && failures.unreadable < UNREADABLE_MAX => {
            failures.unreadable += 1;
            Verdict::Again(backed_off(BASE, CAP))
        }
        Kind::Unauthorized | Kind::ClockSkew | Kind::WrongEndpoint
            if at_store && failures.refused == 0 =>
        {
            failures.refused += 1;
            Verdict::Again(Duration::ZERO)
        }
        Kind::UnexpectedServer => Verdict::Again(backed_off(INTERCEPTED_BASE, CAP)),
        Kind::ProtocolError if failures.garbled < GARBLED_MAX => {
            failures.garbled += 1;
            Verdict::Again(backed_off(BASE, CAP))
        }
        Kind::MissingEtag if failures.unmarked < UNMARKED_MAX => {
            failures.unmarked += 1;
            Verdict::Again(backed_off(BASE, CAP))
        }
        Kind::MissingEtag => Verdict::Ask,
        _ => Verdict::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(kind: Kind, times: usize, dice: f64) -> Vec<Verdict> {
        let mut failures = Failures::default();
        (0..times)
            .map(|_| judge(kind, true, &mut failures, dice))
            .collect()
    }

    #[test]
    fn waits_double_up_to_a_cap_and_are_drawn_from_the_whole_range() {
        let seconds = |s: f64| Verdict::Again(Duration::from_secs_f64(s));
        assert_eq!(
            waits(Kind::Temporary, 4, 1.0),
            [seconds(0.5), seconds(1.0), seconds(2.0), seconds(4.0)]
        );
        assert_eq!(waits(Kind::Temporary, 100, 1.0)[99], seconds(30.0));
        assert_eq!(waits(Kind::Temporary, 100, 0.0)[99], seconds(0.0));
    }

    #[test]
    fn a_store_that_asks_for_patience_gets_it_within_reason() {
        let asked = |s| waits(Kind::Throttled(Some(Duration::from_secs(s))), 1, 1.0)[0];
        assert_eq!(asked(0), Verdict::Again(Duration::from_secs(1)));
        assert_eq!(asked(20), Verdict::Again(Duration::from_secs(20)));
        assert_eq!(asked(99_999), Verdict::Again(Duration::from_secs(301)));
    }

    #[test]
    fn an_expired_url_is_signed_again_at_once_but_not_for_ever() {
        let again = waits(Kind::UrlExpired, 4, 1.0);
        assert_eq!(again[..3], [Verdict::Again(Duration::ZERO); 3]);
        assert!(matches!(again[3], Verdict::Again(wait) if wait > Duration::ZERO));
    }

    #[test]
    fn what_answers_in_anothers_place_is_waited_for_and_nonsense_is_not() {
        assert_eq!(
            waits(Kind::UnexpectedServer, 100, 1.0)[99],
            Verdict::Again(CAP)
        );
        assert_eq!(
            waits(Kind::UnexpectedServer, 1, 1.0),
            [Verdict::Again(Duration::from_secs(2))]
        );
        assert_eq!(waits(Kind::ProtocolError, 4, 1.0)[3], Verdict::Stop);
    }

    #[test]
    fn a_success_without_its_mark_is_sent_again_twice_and_then_looked_for() {
        let verdicts = waits(Kind::MissingEtag, 3, 1.0);
        assert!(
            matches!(verdicts[..2], [Verdict::Again(_), Verdict::Again(_)]),
            "{verdicts:?}"
        );
        assert_eq!(verdicts[2], Verdict::Ask);
    }

    #[test]
    fn damage_is_tolerated_three_times_and_a_refusal_once() {
        assert_eq!(waits(Kind::Corrupt, 4, 0.5)[3], Verdict::Stop);
        for kind in [Kind::Unauthorized, Kind::ClockSkew, Kind::WrongEndpoint] {
            assert_eq!(
                waits(kind, 2, 0.5),
                [Verdict::Again(Duration::ZERO), Verdict::Stop],
                "{kind:?}"
            );
        }
        assert_eq!(
            judge(Kind::Unauthorized, false, &mut Failures::default(), 0.5),
            Verdict::Stop
        );
        for kind in [
            Kind::SourceChanged,
            Kind::Gone,
            Kind::LeaseLost,
            Kind::Incompatible,
        ] {
            assert_eq!(
                judge(kind, true, &mut Failures::default(), 0.5),
                Verdict::Stop,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_source_that_cannot_be_read_is_given_some_minutes() {
        let waits = waits(Kind::Io, 21, 0.5);
        let waited: Duration = waits
            .iter()
            .map(|verdict| {
                if let Verdict::Again(wait) = verdict {
                    *wait
                } else {
                    Duration::ZERO
                }
            })
            .sum();
        assert!((200..300).contains(&waited.as_secs()), "{waited:?}");
        assert_eq!(waits[20], Verdict::Stop);
        assert_eq!(
            judge(Kind::Io, false, &mut Failures::default(), 0.5),
            Verdict::Stop
        );
    }
}
