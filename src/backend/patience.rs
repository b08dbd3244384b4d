//! How long nothing may happen on a connection before it is given up. Never how long something may take: what moves may be as
//! slow as it likes.
//!
//! Border: times; who is watched, and what follows, is `http`'s. Pure.

use std::time::Duration;

/// Nothing acknowledged for so long, says the kernel: the peer is dead.
pub const DEAD: Duration = Duration::from_secs(30);
/// From a request's last byte to its answer.
const ANSWER: Duration = Duration::from_mins(1);
/// What the kernel takes into its buffers at once is on its way for a while after that: so many bytes, at so many a second on
/// the slowest line.
const BUFFER: u64 = 4 << 20;
const SLOWEST: u64 = 16 << 10;

/// Limits on standing still.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    /// What was asked for, in place of our own.
    limit: Option<Duration>,
}

impl Patience {
    #[must_use]
    pub fn new(limit: Option<Duration>) -> Self {
        Self { limit }
    }

    /// From the last byte the network took of `len` to the answer's first.
    #[must_use]
    pub fn answer(self, len: u64) -> Duration {
        self.limit.unwrap_or_else(|| ANSWER + Self::drain(len))
    }

    /// Between two bytes that the network takes.
    #[must_use]
    pub fn send(self) -> Duration {
        self.limit.unwrap_or_else(|| DEAD + Self::drain(BUFFER))
    }

    /// Between two pieces of an answer.
    #[must_use]
    pub fn receive(self) -> Duration {
        self.limit.unwrap_or(DEAD)
    }

    fn drain(len: u64) -> Duration {
        Duration::from_secs(len.min(BUFFER) / SLOWEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_lie_in_buffers_is_waited_for() {
        let own = Patience::default();
        assert_eq!(own.answer(0), ANSWER);
        assert_eq!(own.answer(1 << 20), ANSWER + Duration::from_secs(64));
        assert_eq!(own.answer(5 << 30), own.answer(BUFFER));
        assert_eq!(own.send(), Duration::from_secs(286));
        let asked = Patience::new(Some(Duration::from_secs(3)));
        assert_eq!(
            [asked.answer(5 << 30), asked.send(), asked.receive()],
            [Duration::from_secs(3); 3]
        );
    }
}
