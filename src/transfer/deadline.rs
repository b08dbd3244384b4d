//! The longest time that a run may go without progress. Pure: the clock is an argument.

use std::time::{Duration, Instant};

/// When a run gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    Never,
    After {
        /// The longest time without any response of the backend.
        unanswered: Duration,
        /// The longest time in which the store confirms no byte, once the backend has responded.
        unconfirmed: Duration,
    },
}

/// The thing that a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingFor {
    FirstResponse,
    Progress,
}

impl GiveUp {
    /// The time that is left, given the last progress (or the start). Returns `None` if the run
    /// never gives up.
    #[must_use]
    pub fn left(self, now: Instant, last: Instant, waiting_for: WaitingFor) -> Option<Duration> {
        let Self::After {
            unanswered,
            unconfirmed,
        } = self
        else {
            return None;
        };
        let limit = match waiting_for {
            WaitingFor::FirstResponse => unanswered,
            WaitingFor::Progress => unconfirmed,
        };
        Some(limit.saturating_sub(now.saturating_duration_since(last)))
    }

    #[must_use]
    pub fn is_due(self, now: Instant, last: Instant, waiting_for: WaitingFor) -> bool {
        self.left(now, last, waiting_for) == Some(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_response_has_a_shorter_deadline_than_progress() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let give_up = GiveUp::After {
            unanswered: Duration::from_mins(2),
            unconfirmed: Duration::from_mins(15),
        };
        assert!(!give_up.is_due(at(119), start, WaitingFor::FirstResponse));
        assert!(give_up.is_due(at(120), start, WaitingFor::FirstResponse));
        assert!(!give_up.is_due(at(899), start, WaitingFor::Progress));
        assert!(give_up.is_due(at(900), start, WaitingFor::Progress));
        assert!(!GiveUp::Never.is_due(at(1_000_000), start, WaitingFor::FirstResponse));
    }
}
