//! The rate limit of calls and signed URLs per owner. A call that signs costs one permit for each
//! part, copied or not. Any other call that reads or changes an upload, and each entry of a batch,
//! costs one; so do 256 uploads that are looked for in the listing together.
//!
//! Not here: quotas. Each gateway counts the rate in its own memory, since the limit protects one
//! machine.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;

use upload_types::saturating;
use upload_types::sync::lock;

/// After this many calls, the buckets of inactive owners are dropped.
const CALLS_BETWEEN_CLEANUPS: u32 = 4096;
/// More rates than a configuration has. Rates of earlier configurations are dropped.
const MAX_RATES: usize = 256;

/// The rate of permits per owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    pub per_second: NonZeroU32,
    /// The number of permits that may be taken at once after a pause. A call that needs more is
    /// never granted.
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
    /// The buckets of the owners that have the same rate.
    buckets: Mutex<HashMap<Rate, Arc<Buckets<C>>>>,
    clock: C,
    calls: AtomicU32,
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self::with_clock(DefaultClock::default())
    }
}

impl<C: Clock + Clone> RateLimiter<C> {
    fn with_clock(clock: C) -> Self {
        Self {
            buckets: Mutex::default(),
            clock,
            calls: AtomicU32::new(0),
        }
    }

    /// Takes `count` permits from the owner's bucket. Takes none if the bucket has fewer. Without a
    /// rate, there is no limit.
    pub fn take(&self, rate: Option<Rate>, owner: &str, count: usize) -> Result<(), RateExceeded> {
        let count = NonZeroU32::new(saturating::to_u32(count));
        let (Some(rate), Some(count)) = (rate, count) else {
            return Ok(());
        };
        let buckets = self.buckets(rate);
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if calls % CALLS_BETWEEN_CLEANUPS == CALLS_BETWEEN_CLEANUPS - 1 {
            for buckets in lock(&self.buckets).values() {
                buckets.retain_recent();
            }
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

    fn buckets(&self, rate: Rate) -> Arc<Buckets<C>> {
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= MAX_RATES && !buckets.contains_key(&rate) {
            buckets.clear();
        }
        let new = || {
            let quota = governor::Quota::per_second(rate.per_second).allow_burst(rate.burst);
            let state = HashMapStateStore::default();
            Arc::new(governor::RateLimiter::new(quota, state, self.clock.clone()))
        };
        Arc::clone(buckets.entry(rate).or_insert_with(new))
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
        let limiter = RateLimiter::with_clock(clock.clone());
        let rate = Some(Rate { per_second, burst });
        let take = |owner: &str, count| limiter.take(rate, owner, count);
        let retry_after = |seconds| Err(RateExceeded::RetryAfter { seconds });
        assert_eq!(take("a", 600), Ok(()));
        assert_eq!(take("a", 401), retry_after(1), "one too many");
        assert_eq!(take("a", 400), Ok(()), "a rejected call takes no permits");
        assert_eq!(take("a", 250), retry_after(3));
        assert_eq!(take("b", 1000), Ok(()));
        clock.advance(Duration::from_millis(2500));
        assert_eq!(take("a", 250), Ok(()));
        assert_eq!(take("a", 1), retry_after(1));
        assert_eq!(
            take("a", 1001),
            Err(RateExceeded::MoreThanBurst { burst: 1000 })
        );
        assert_eq!(take("a", 0), Ok(()));
        assert_eq!(limiter.take(None, "a", usize::MAX), Ok(()));
        let twice = NonZeroU32::new(200).unwrap();
        let faster = Rate {
            per_second: twice,
            burst,
        };
        assert_eq!(limiter.take(Some(faster), "a", 1000), Ok(()));
    }

    #[test]
    fn buckets_of_inactive_owners_are_dropped() {
        let clock = FakeRelativeClock::default();
        let one = NonZeroU32::new(1).unwrap();
        let rate = Rate {
            per_second: one,
            burst: one,
        };
        let limiter = RateLimiter::with_clock(clock.clone());
        for owner in 0..CALLS_BETWEEN_CLEANUPS - 1 {
            limiter.take(Some(rate), &owner.to_string(), 1).unwrap();
        }
        clock.advance(Duration::from_secs(10));
        limiter.take(Some(rate), "new", 1).unwrap();
        assert_eq!(limiter.buckets(rate).len(), 1);
    }
}
