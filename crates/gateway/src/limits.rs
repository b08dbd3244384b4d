//! How much an owner may have: URLs signed in a second, uploads that are open, bytes.
//!
//! Border: numbers and the decisions on them. Rates are counted here, in this process; what an owner has is counted by the
//! `ledger`, for all gateways together.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{RateLimiter, middleware::NoOpMiddleware};

use crate::problem::Refusal;
use upload_types::wire::Code;

/// Seconds after which uploads of the same owner may have ended.
const ROOM_WAIT: u64 = 10;
/// After so many questions, owners who have been quiet are forgotten.
const FORGET_EVERY: u32 = 4096;

/// How many URLs an owner may have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_second: NonZeroU32,
    /// So many at once, after a rest. Less than a call may ask for would refuse that call for ever.
    pub burst: NonZeroU32,
}

/// How much an owner may have; None is any amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Uploads that have begun and not ended.
    pub open: Option<u64>,
    /// Bytes of those.
    pub outstanding: Option<u64>,
    /// Bytes of those and of what is ready.
    pub total: Option<u64>,
}

/// What an owner has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub open: u64,
    pub outstanding: u64,
    /// Bytes of uploads that are ready.
    pub stored: u64,
}

/// What there would be too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// The end of other uploads makes room.
    ForNow(Limit),
    /// However long it waits.
    ForGood(Limit),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Open(u64),
    Outstanding(u64),
    Total(u64),
}

impl Quota {
    /// What an owner who has so much would have too much of with an upload of `size` bytes more. What no waiting mends comes
    /// first: an open upload may still be aborted, but one that is ready stays.
    pub fn excess(&self, usage: Usage, size: u64) -> Option<Excess> {
        let over = |limit: Option<u64>, amount: u64| limit.filter(|limit| amount > *limit);
        let with = |amount: u64| amount.saturating_add(size);
        if let Some(most) = over(self.total, with(usage.stored)) {
            return Some(Excess::ForGood(Limit::Total(most)));
        }
        if let Some(most) = over(self.outstanding, size) {
            return Some(Excess::ForGood(Limit::Outstanding(most)));
        }
        if let Some(most) = over(self.open, 1) {
            return Some(Excess::ForGood(Limit::Open(most)));
        }
        if let Some(most) = over(
            self.total,
            with(usage.stored.saturating_add(usage.outstanding)),
        ) {
            return Some(Excess::ForNow(Limit::Total(most)));
        }
        if let Some(most) = over(self.outstanding, with(usage.outstanding)) {
            return Some(Excess::ForNow(Limit::Outstanding(most)));
        }
        let most = over(self.open, usage.open.saturating_add(1))?;
        Some(Excess::ForNow(Limit::Open(most)))
    }
}

impl From<Excess> for Refusal {
    fn from(excess: Excess) -> Self {
        let (Excess::ForNow(limit) | Excess::ForGood(limit)) = excess;
        let detail = match limit {
            Limit::Open(most) => format!("at most {most} unfinished uploads; finish or abort some"),
            Limit::Outstanding(most) => {
                format!("at most {most} bytes in unfinished uploads; finish or abort some")
            }
            Limit::Total(most) => format!("at most {most} bytes in all"),
        };
        let retry_after = matches!(excess, Excess::ForNow(_)).then_some(ROOM_WAIT);
        Self {
            code: Code::QuotaExceeded,
            detail: Some(detail),
            retry_after,
        }
    }
}

type Buckets<C> =
    RateLimiter<String, HashMapStateStore<String>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Counts what each owner has signed, in this process.
pub struct Meter<C: Clock = DefaultClock> {
    buckets: Option<Buckets<C>>,
    clock: C,
    asked: AtomicU32,
}

impl Meter {
    pub fn of(rate: Option<Rate>) -> Self {
        Self::new(rate, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Meter<C> {
    fn new(rate: Option<Rate>, clock: C) -> Self {
        let buckets = rate.map(|rate| {
            let quota = governor::Quota::per_second(rate.per_second).allow_burst(rate.burst);
            RateLimiter::new(quota, HashMapStateStore::default(), clock.clone())
        });
        Self {
            buckets,
            clock,
            asked: AtomicU32::new(0),
        }
    }

    /// Takes `count` signatures from what the owner has left: all or none.
    ///
    /// # Errors
    /// `rate_limited`, with the seconds after which there is enough.
    pub fn take(&self, owner: &str, count: usize) -> Result<(), Refusal> {
        let count = NonZeroU32::new(u32::try_from(count).unwrap_or(u32::MAX));
        let (Some(buckets), Some(count)) = (&self.buckets, count) else {
            return Ok(());
        };
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            buckets.retain_recent();
        }
        match buckets.check_key_n(&owner.to_owned(), count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(early)) => {
                let wait = early.wait_time_from(self.clock.now());
                let seconds = wait
                    .as_secs()
                    .saturating_add(u64::from(wait.subsec_nanos() > 0))
                    .max(1);
                Err(Refusal::later(Code::RateLimited, seconds))
            }
            Err(most) => Err(Refusal::saying(
                Code::RateLimited,
                format!("at most {} parts at a time", most.0),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    const QUOTA: Quota = Quota {
        open: Some(2),
        outstanding: Some(100),
        total: Some(1000),
    };

    fn excess(open: u64, outstanding: u64, stored: u64, size: u64) -> Option<Excess> {
        QUOTA.excess(
            Usage {
                open,
                outstanding,
                stored,
            },
            size,
        )
    }

    #[test]
    fn a_quota_is_full_when_it_is_reached_and_not_before() {
        assert_eq!(excess(1, 0, 0, 100), None);
        assert_eq!(excess(1, 99, 900, 1), None);
        assert_eq!(excess(0, 0, 1000, 0), None);
        assert_eq!(excess(2, 0, 0, 0), Some(Excess::ForNow(Limit::Open(2))));
        assert_eq!(
            excess(1, 100, 0, 1),
            Some(Excess::ForNow(Limit::Outstanding(100)))
        );
        assert_eq!(excess(1, 100, 900, 0), None);
        assert_eq!(
            excess(1, 50, 949, 2),
            Some(Excess::ForNow(Limit::Total(1000)))
        );
        assert_eq!(
            Quota::default().excess(
                Usage {
                    open: u64::MAX,
                    outstanding: u64::MAX,
                    stored: u64::MAX
                },
                u64::MAX
            ),
            None
        );
    }

    #[test]
    fn waiting_is_asked_for_only_where_it_helps() {
        for (open, outstanding, stored, size) in [
            (0, 0, 0, 101),
            (2, 100, 1000, 1),
            (0, 0, 999, 2),
            (0, 0, 0, u64::MAX),
        ] {
            let excess = excess(open, outstanding, stored, size).unwrap();
            assert!(matches!(excess, Excess::ForGood(_)), "{excess:?}");
            assert_eq!(Refusal::from(excess).retry_after, None);
        }
        assert_eq!(
            Refusal::from(Excess::ForNow(Limit::Open(2))).retry_after,
            Some(ROOM_WAIT)
        );
        let nobody = Quota {
            open: Some(0),
            ..Quota::default()
        };
        assert_eq!(
            nobody.excess(Usage::default(), 0),
            Some(Excess::ForGood(Limit::Open(0)))
        );
    }

    #[test]
    fn a_rate_refills_and_is_each_owners_own() {
        let clock = FakeRelativeClock::default();
        let (per_second, burst) = (
            NonZeroU32::new(100).unwrap(),
            NonZeroU32::new(1000).unwrap(),
        );
        let meter = Meter::new(Some(Rate { per_second, burst }), clock.clone());
        let wait = |owner: &str, count| {
            meter
                .take(owner, count)
                .err()
                .map(|refusal| refusal.retry_after)
        };
        assert_eq!(wait("a", 600), None);
        assert_eq!(wait("a", 401), Some(Some(1)), "one is missing");
        assert_eq!(wait("a", 400), None, "what was refused was not taken");
        assert_eq!(wait("a", 250), Some(Some(3)));
        assert_eq!(wait("b", 1000), None);
        clock.advance(Duration::from_millis(2500));
        assert_eq!(wait("a", 250), None);
        assert_eq!(wait("a", 1), Some(Some(1)));
        assert_eq!(wait("a", 1001), Some(None), "no waiting helps");
        assert_eq!(wait("a", 0), None);
        let free = Meter::new(None, clock);
        assert!(free.take("a", usize::MAX).is_ok());
    }

    #[test]
    fn owners_who_are_quiet_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let one = NonZeroU32::new(1).unwrap();
        let meter = Meter::new(
            Some(Rate {
                per_second: one,
                burst: one,
            }),
            clock.clone(),
        );
        for owner in 0..FORGET_EVERY - 1 {
            meter.take(&owner.to_string(), 1).unwrap();
        }
        clock.advance(Duration::from_secs(10));
        meter.take("new", 1).unwrap();
        assert_eq!(meter.buckets.unwrap().len(), 1);
    }
}
