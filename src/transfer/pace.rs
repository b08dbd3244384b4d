//! How much at once, how fast, and for how long without success. Pure: the clock is an argument.
//!
//! Border: the run as a whole; what becomes of one failed attempt is [`super::retry`].

use std::time::{Duration, Instant};

/// How long a run may go without a confirmed byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    Never,
    After {
        /// Before the backend has answered at all.
        unanswered: Duration,
        /// Since the last confirmed byte, or the first answer.
        unconfirmed: Duration,
    },
}

impl GiveUp {
    /// How long it may go on, `last` being the last sign of success (or the start); None is for ever.
    #[must_use]
    pub fn left(self, now: Instant, last: Instant, answered: bool) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After {
                unanswered,
                unconfirmed,
            } => {
                let limit = if answered { unconfirmed } else { unanswered };
                Some(limit.saturating_sub(now.saturating_duration_since(last)))
            }
        }
    }

    /// Whether to give up.
    #[must_use]
    pub fn is_due(self, now: Instant, last: Instant, answered: bool) -> bool {
        self.left(now, last, answered) == Some(Duration::ZERO)
    }
}

/// What may be started now, given what is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Parts to be read and fingerprinted.
    pub hash: usize,
    /// Parts to be signed.
    pub sign: usize,
    /// Parts to be put.
    pub put: usize,
}

/// What is under way over all uploads, in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    pub hashing: usize,
    /// Fingerprinted, not yet signed for.
    pub hashed: usize,
    pub signing: usize,
    /// Signed, about to go.
    pub signed: usize,
    pub putting: usize,
}

impl Load {
    /// With this much more under way.
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        Self {
            hashing: self.hashing + more.hashing,
            hashed: self.hashed + more.hashed,
            signing: self.signing + more.signing,
            signed: self.signed + more.signed,
            putting: self.putting + more.putting,
        }
    }

    /// Without a share that was counted in.
    #[must_use]
    pub fn without(self, share: Self) -> Self {
        Self {
            hashing: self.hashing - share.hashing,
            hashed: self.hashed - share.hashed,
            signing: self.signing - share.signing,
            signed: self.signed - share.signed,
            putting: self.putting - share.putting,
        }
    }
}

/// Keeps `jobs` parts on the wire, as many signed behind them, and as many fingerprinted behind those, `hashers` of them at
/// a time: neither hashing nor sending waits for the other, and no URL waits long.
#[must_use]
pub fn room(load: Load, jobs: usize, hashers: usize) -> Room {
    let leased = load.signing + load.signed + load.putting;
    let ahead = load.hashing + load.hashed;
    Room {
        hash: hashers
            .saturating_sub(load.hashing)
            .min(jobs.saturating_sub(ahead)),
        sign: (2 * jobs).saturating_sub(leased),
        put: jobs.saturating_sub(load.putting),
    }
}

/// Bytes per second of late: an average that forgets half of the past every two seconds.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    at: Instant,
    bytes: u64,
    value: f64,
}

impl Rate {
    const HALF_LIFE: f64 = 2.0;

    #[must_use]
    pub fn new(now: Instant, bytes: u64) -> Self {
        Self {
            at: now,
            bytes,
            value: 0.0,
        }
    }

    /// Takes the bytes there are in all by now, and gives the rate in bytes per second.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is shown with three digits"
    )]
    pub fn update(&mut self, now: Instant, bytes: u64) -> u64 {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        if seconds > 0.0 {
            let latest = bytes.saturating_sub(self.bytes) as f64 / seconds;
            let weight = 0.5_f64.powf(seconds / Self::HALF_LIFE);
            self.value = self.value * weight + latest * (1.0 - weight);
            (self.at, self.bytes) = (now, bytes);
        }
        self.value as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_up_waits_for_the_first_answer_less_long() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let policy = GiveUp::After {
            unanswered: Duration::from_mins(2),
            unconfirmed: Duration::from_mins(15),
        };
        assert!(!policy.is_due(at(119), start, false));
        assert!(policy.is_due(at(120), start, false));
        assert!(!policy.is_due(at(899), start, true));
        assert!(policy.is_due(at(900), start, true));
        assert!(!GiveUp::Never.is_due(at(1_000_000), start, false));
    }

    #[test]
    fn no_more_than_jobs_are_on_the_wire() {
        let idle = room(Load::default(), 4, 2);
        assert_eq!(
            idle,
            Room {
                hash: 2,
                sign: 8,
                put: 4
            }
        );
        let busy = Load {
            hashing: 1,
            hashed: 3,
            signing: 0,
            signed: 4,
            putting: 4,
        };
        assert_eq!(
            room(busy, 4, 2),
            Room {
                hash: 0,
                sign: 0,
                put: 0
            }
        );
    }

    #[test]
    fn a_steady_stream_has_its_own_rate() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 0);
        let last = (1..=300_u64)
            .map(|i| rate.update(start + Duration::from_millis(100 * i), i * 1000))
            .last();
        assert!((9_990..=10_000).contains(&last.unwrap()), "{last:?}");
    }
}
