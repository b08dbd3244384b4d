//! Detects that the machine was suspended, or this process stopped. After that, connections may be
//! broken, and URLs may have expired.
//!
//! Not here: the reaction of the engine (`after_suspend`).

use std::time::Duration;

use tokio::sync::watch;

/// How often the clocks are compared.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A busy machine delays a check by less than this.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// How far the clock that counts suspended time may get ahead of the one that does not.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clocks {
    /// Does not count the time during which the machine is suspended.
    monotonic: Duration,
    /// Counts that time too. On systems without such a clock, equal to `monotonic`.
    boottime: Duration,
}

impl Clocks {
    #[cfg(target_os = "linux")]
    fn now() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        Self {
            monotonic: read(ClockId::Monotonic),
            boottime: read(ClockId::Boottime),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn now() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        let monotonic = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
        Self {
            monotonic,
            boottime: monotonic,
        }
    }

    /// Whether the process did not run between two checks.
    fn was_suspended(self, now: Self) -> bool {
        let monotonic = now.monotonic.saturating_sub(self.monotonic);
        let boottime = now.boottime.saturating_sub(self.boottime);
        boottime.saturating_sub(monotonic) > MAX_CLOCK_DIFFERENCE
            || monotonic > CLOCK_CHECK_INTERVAL + MAX_DELAY
    }
}

/// The time for which this process was stopped, given how long its loop has waited for an event.
/// Some event arrives every [`CLOCK_CHECK_INTERVAL`]. Returns `None` if it was not stopped.
#[must_use]
pub fn pause(waited: Duration) -> Option<Duration> {
    (waited > CLOCK_CHECK_INTERVAL + MAX_DELAY).then_some(waited)
}

/// Changes after each suspension. The checks run in a task of their own: a loop that is held up by
/// a slow disk is not a suspended process.
pub fn watch_suspension() -> watch::Receiver<()> {
    let (sender, receiver) = watch::channel(());
    tokio::spawn(async move {
        let mut before = Clocks::now();
        while !sender.is_closed() {
            tokio::time::sleep(CLOCK_CHECK_INTERVAL).await;
            let now = Clocks::now();
            if before.was_suspended(now) {
                sender.send_replace(());
            }
            before = now;
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_wait_for_an_event_is_a_pause() {
        let most = CLOCK_CHECK_INTERVAL + MAX_DELAY;
        assert_eq!(pause(most), None);
        let stopped = Duration::from_mins(5);
        assert_eq!(pause(stopped), Some(stopped));
    }

    #[test]
    fn suspension_is_a_clock_difference_or_a_late_check() {
        let at = |monotonic: u64, boottime: u64| Clocks {
            monotonic: Duration::from_millis(monotonic),
            boottime: Duration::from_millis(boottime),
        };
        let before = at(5_000, 90_000);
        assert!(!before.was_suspended(at(6_000, 91_000)), "on time");
        assert!(!before.was_suspended(at(16_000, 101_000)), "busy machine");
        assert!(!before.was_suspended(at(6_000, 95_900)), "short suspension");
        assert!(before.was_suspended(at(6_000, 96_100)), "suspended");
        assert!(before.was_suspended(at(16_100, 101_100)), "stopped");
        assert!(!before.was_suspended(at(4_000, 80_000)), "clocks set back");
    }
}
