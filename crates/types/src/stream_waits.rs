//! The waits of a stream: those of its producer for the program that uploads it, and those of the
//! program for the producer. The one that waits less is the slower one. Pure.

use std::time::{Duration, Instant};

use serde::Serialize;

/// The work of the thread that reads a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It reads: it waits for the producer.
    Reading,
    /// It waits for room for a part: the producer waits for the network.
    WaitingForRoom,
    /// It computes digests.
    Hashing,
    /// The stream has ended.
    Nothing,
}

/// The times of a thread that reads a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamClock {
    doing: Doing,
    since: Instant,
    reading: Duration,
    waiting: Duration,
    hashing: Duration,
}

impl StreamClock {
    /// A clock that begins with the first [`StreamClock::turn`].
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            doing: Doing::Nothing,
            since: now,
            reading: Duration::ZERO,
            waiting: Duration::ZERO,
            hashing: Duration::ZERO,
        }
    }

    /// Notes what the thread does from now on.
    pub fn turn(&mut self, doing: Doing, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        match self.doing {
            Doing::Reading => self.reading += elapsed,
            Doing::WaitingForRoom => self.waiting += elapsed,
            Doing::Hashing => self.hashing += elapsed,
            Doing::Nothing => {}
        }
        (self.doing, self.since) = (doing, now);
    }

    /// The waits until now. Returns `None` if nothing was read yet.
    #[must_use]
    pub fn waits(mut self, now: Instant) -> Option<StreamWaits> {
        self.turn(Doing::Nothing, now);
        let total = self.reading + self.waiting + self.hashing;
        Some(StreamWaits {
            producer_waits_percent: percent(self.waiting, total)?,
            waits_for_producer_percent: percent(self.reading, total)?,
            total,
        })
    }
}

/// The waits as shares of the time from the first read to the end of the stream, 0 to 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StreamWaits {
    /// There was no room for another part: the network is slower than the producer.
    pub producer_waits_percent: u8,
    /// Nothing was there to read: the producer is slower than the network.
    pub waits_for_producer_percent: u8,
    #[serde(skip)]
    pub total: Duration,
}

fn percent(part: Duration, total: Duration) -> Option<u8> {
    let percent = (part.as_nanos() * 100).checked_div(total.as_nanos())?;
    u8::try_from(percent).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(steps: &[(Doing, u64)]) -> Option<StreamWaits> {
        let start = Instant::now();
        let mut clock = StreamClock::new(start);
        let mut now = start;
        for (doing, millis) in steps {
            clock.turn(*doing, now);
            now += Duration::from_millis(*millis);
        }
        clock.waits(now)
    }

    fn shares(steps: &[(Doing, u64)]) -> (u8, u8) {
        let waits = waits(steps).unwrap();
        (
            waits.producer_waits_percent,
            waits.waits_for_producer_percent,
        )
    }

    #[test]
    fn waits_are_shares_of_the_time_of_reading() {
        use Doing::{Hashing, Nothing, Reading, WaitingForRoom};
        assert_eq!(
            shares(&[(Reading, 900), (Hashing, 70), (WaitingForRoom, 30)]),
            (3, 90)
        );
        assert_eq!(shares(&[(WaitingForRoom, 1000)]), (100, 0));
        // The state that lasts counts too.
        assert_eq!(shares(&[(Hashing, 500), (Reading, 500)]), (0, 50));
        // After the end, neither waits for the other.
        let steps = [(Reading, 100), (Hashing, 100), (Nothing, 9000)];
        assert_eq!(shares(&steps), (0, 50));
        assert_eq!(waits(&steps).unwrap().total, Duration::from_millis(200));
    }

    #[test]
    fn nothing_is_known_before_the_first_read() {
        assert_eq!(waits(&[]), None);
        assert_eq!(waits(&[(Doing::Nothing, 100)]), None);
    }
}
