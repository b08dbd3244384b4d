//! Waking up: the machine was suspended, or this process stopped, and who was talked to has hung up since.
//!
//! Border: whether we slept (pure: the clocks are an argument), and what is done about it. No attempt is counted for it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::budget::Budget;
use super::flight::Stage;
use super::outbox::Outbox;
use super::waits::Waiting;
use super::{Engine, Fate};

/// How often the clocks are looked at.
const TICK: Duration = Duration::from_secs(1);
/// A look that comes later than this was held up by more than a busy machine.
const LATE: Duration = Duration::from_secs(10);
/// So far may the clock that runs in a suspended machine get ahead of the one that does not.
const SUSPENDED: Duration = Duration::from_secs(5);

/// What the clocks show, from some moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clocks {
    /// Stands still while the machine is suspended.
    running: Duration,
    /// Does not.
    always: Duration,
}

impl Clocks {
    #[cfg(target_os = "linux")]
    fn now() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        Self {
            running: read(ClockId::Monotonic),
            always: read(ClockId::Boottime),
        }
    }

    /// Where there is one such clock, only a look that comes late tells.
    #[cfg(not(target_os = "linux"))]
    fn now() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        let running = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
        Self {
            running,
            always: running,
        }
    }

    /// Whether there was a sleep between two looks that are one tick apart.
    fn slept(self, now: Self) -> bool {
        let running = now.running.saturating_sub(self.running);
        let always = now.always.saturating_sub(self.always);
        always.saturating_sub(running) > SUSPENDED || running > TICK + LATE
    }
}

/// Shows a change after each sleep. It looks from a thread of its own: what holds up the loop, a slow disk for one, is no
/// sleep.
pub fn watch() -> watch::Receiver<()> {
    let (sender, receiver) = watch::channel(());
    tokio::spawn(async move {
        let mut before = Clocks::now();
        while !sender.is_closed() {
            tokio::time::sleep(TICK).await;
            let now = Clocks::now();
            if before.slept(now) {
                sender.send_replace(());
            }
            before = now;
        }
    });
    receiver
}

impl Engine<'_> {
    /// Lets go of every connection and asks again where each upload stands, as after a crash; what was under way for its parts
    /// the store's list tells. A URL signed before the sleep is not used after it.
    pub(super) fn wake(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        tracing::info!("woke up: connecting anew");
        match self.backend.with_new_connections() {
            Ok(backend) => self.backend = backend.into(),
            Err(error) => tracing::warn!(%error, "going on with the connections there are"),
        }
        // What has ended and was not taken in yet goes too: it is asked for again.
        self.units = JoinSet::new();
        self.posts.clear();
        self.outbox = Outbox::default();
        self.last_success = std::time::Instant::now();
        self.budget = Budget::default();
        self.waits.iter_mut().for_each(Waiting::ask_anew);
        let flights = std::mem::take(&mut self.flights);
        for mut flight in flights {
            let fate = match flight.stage {
                Stage::Sending => self.move_to(&mut flight, Stage::Rejoining),
                Stage::Preparing => {
                    flight.ground();
                    self.set_out(&mut flight)
                }
                stage => self.move_to(&mut flight, stage),
            };
            let last = self.flights.len();
            self.settle_fate(last, flight, fate.map(|_| Fate::Flying));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_got_ahead_or_a_look_that_came_late_is_a_sleep() {
        let at = |running: u64, always: u64| Clocks {
            running: Duration::from_millis(running),
            always: Duration::from_millis(always),
        };
        let before = at(5_000, 90_000);
        assert!(!before.slept(at(6_000, 91_000)), "a tick");
        assert!(!before.slept(at(16_000, 101_000)), "a busy machine");
        assert!(!before.slept(at(6_000, 95_900)), "a blink");
        assert!(before.slept(at(6_000, 96_100)), "suspended");
        assert!(before.slept(at(16_100, 101_100)), "stopped");
        assert!(!before.slept(at(4_000, 80_000)), "clocks that go back");
    }
}
