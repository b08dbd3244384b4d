//! The callback with which a caller counts control calls for its metrics.
//!
//! Not here: the metrics.

use std::time::Duration;

/// Called after each control call with the operation's name in the Amazon S3 API reference, the
/// outcome, and the duration of the call.
pub type Observer = fn(&'static str, CallOutcome, Duration);

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// 200 to 299.
    Ok,
    /// 404: often the expected response.
    Absent,
    /// 300 to 499, except 404 and 429.
    Refused,
    /// 429, and 500 to 599.
    Failed,
    /// No response, or one that cannot be read.
    Lost,
}

impl CallOutcome {
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            404 => Self::Absent,
            429 | 500..=599 => Self::Failed,
            _ => Self::Refused,
        }
    }

    /// The value of the label `outcome` in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// An [`Observer`] for callers without metrics.
pub fn unobserved(_operation: &'static str, _outcome: CallOutcome, _duration: Duration) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_outcome_follows_from_the_status() {
        for (status, outcome) in [
            (200, CallOutcome::Ok),
            (204, CallOutcome::Ok),
            (301, CallOutcome::Refused),
            (403, CallOutcome::Refused),
            (404, CallOutcome::Absent),
            (429, CallOutcome::Failed),
            (503, CallOutcome::Failed),
        ] {
            assert_eq!(CallOutcome::of_status(status), outcome, "{status}");
        }
    }
}
