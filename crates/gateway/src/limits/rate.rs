//! The rate limit of calls and signed URLs per owner. A call that signs costs one permit for each
//! URL. Any other call that reads or changes an upload, and each entry of a batch, costs one.
//!
//! Not here: quotas. Each gateway counts the rate in its own memory, since the limit protects one
//! machine.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;

/// After this many calls, the buckets of inactive owners are dropped.
const CALLS_BETWEEN_CLEANUPS: u32 = 4096;

/// The rate of permits per owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_second: NonZeroU32,
    /// The number of permits that may be taken at once after a pause. A call that needs more is never
    /// granted.
    pub burst: NonZeroU32,
}

/// The reason that a call is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateExceeded {
    /// Enough permits are available after this many seconds, at least one.
    RetryAfter { seconds: u64 },
    /// The call needs more permits than the burst.
    MoreThanBurst { burst: u32 },
}

type Buckets<C> = governor::RateLimiter<
    String,
    HashMapStateStore<String>,
    C,
    NoOpMiddleware<<C as Clock>::Instant>,
>;

/// Counts the permits of each owner in this process.
pub struct RateLimiter<C: Clock = DefaultClock> {
    /// `None` if there is no limit.
    buckets: Option<Buckets<C>>,
    clock: C,
    calls: AtomicU32,
}

impl RateLimiter {
    pub fn new(rate: Option<Rate>) -> Self {
        Self::with_clock(rate, DefaultClock::default())
    }
}

impl<C: Clock + Clone> RateLimiter<C> {
    fn with_clock(rate: Option<Rate>, clock: C) -> Self {
        let buckets = rate.map(|rate| {
            let quota = governor::Quota::per_second(rate.per_second).allow_burst(rate.burst);
            governor::RateLimiter::new(quota, HashMapStateStore::default(), clock.clone())
        });
        Self {
            buckets,
            clock,
            calls: AtomicU32::new(0),
        }
    }

    /// Takes `count` permits from the owner's bucket. Takes none if the bucket has fewer.
    pub fn take(&self, owner: &str, count: usize) -> Result<(), RateExceeded> {
        let count = NonZeroU32::new(u32::try_from(count).unwrap_or(u32::MAX));
        let (Some(buckets), Some(count)) = (&self.buckets, count) else {
            return Ok(());
        };
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if calls % CALLS_BETWEEN_CLEANUPS == CALLS_BETWEEN_CLEANUPS - 1 {
            buckets.retain_recent();
        }
        match buckets.check_key_n(&owner.to_owned(), count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(self.clock.now());
                let round_up = u64::from(wait.subsec_nanos() > 0);
                let seconds = wait.as_secs().saturating_add(round_up).max(1);
                Err(RateExceeded::RetryAfter { seconds })
            }
            Err(capacity) => Err(RateExceeded::MoreThanBurst { burst: capacity.0 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn rate_refills_and_is_counted_per_owner() {
        let clock = FakeRelativeClock::default();
        let (per_second, burst) = (
            NonZeroU32::new(100).unwrap(),
            NonZeroU32::new(1000).unwrap(),
        );
        let limiter = RateLimiter::with_clock(Some(Rate { per_second, burst }), clock.clone());
        let retry_after = |seconds| Err(RateExceeded::RetryAfter { seconds });
        assert_eq!(limiter.take("a", 600), Ok(()));
        assert_eq!(limiter.take("a", 401), retry_after(1), "one too many");
        assert_eq!(
            limiter.take("a", 400),
            Ok(()),
            "a rejected call takes no permits"
        );
        assert_eq!(limiter.take("a", 250), retry_after(3));
        assert_eq!(limiter.take("b", 1000), Ok(()));
        clock.advance(Duration::from_millis(2500));
        assert_eq!(limiter.take("a", 250), Ok(()));
        assert_eq!(limiter.take("a", 1), retry_after(1));
        assert_eq!(
            limiter.take("a", 1001),
            Err(RateExceeded::MoreThanBurst { burst: 1000 })
        );
        assert_eq!(limiter.take("a", 0), Ok(()));
        let unlimited = RateLimiter::with_clock(None, clock);
        assert_eq!(unlimited.take("a", usize::MAX), Ok(()));
    }

    #[test]
    fn buckets_of_inactive_owners_are_dropped() {
        let clock = FakeRelativeClock::default();
        let one = NonZeroU32::new(1).unwrap();
        let rate = Rate {
            per_second: one,
            burst: one,
        };
        let limiter = RateLimiter::with_clock(Some(rate), clock.clone());
        for owner in 0..CALLS_BETWEEN_CLEANUPS - 1 {
            limiter.take(&owner.to_string(), 1).unwrap();
        }
        clock.advance(Duration::from_secs(10));
        limiter.take("new", 1).unwrap();
        assert_eq!(limiter.buckets.unwrap().len(), 1);
    }
}
