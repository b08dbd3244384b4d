//! The right to drive an upload: its holder, its epoch, and when it ends. A claim is the request
//! that takes or renews it.
//!
//! Not here: the compare-and-set in the `ledger` that records a decision. Decisions are pure; the
//! clock is an argument.

use std::time::Duration;

use jiff::Timestamp;

use crate::time::after;
use upload_types::wire::ClaimRequest;

/// The lifetimes of leases and unfinished uploads. A call with the current epoch renews both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    pub lease_ttl: Duration,
    pub upload_ttl: Duration,
}

impl LeaseTerms {
    /// The new ends of the lease and of the upload after a call at `now`.
    #[must_use]
    pub fn renewed(self, now: Timestamp) -> Renewed {
        Renewed {
            lease_until: after(now, self.lease_ttl),
            expires_at: after(now, self.upload_ttl),
        }
    }
}

/// When a lease and its upload end, unless another call renews them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    pub lease_until: Timestamp,
    pub expires_at: Timestamp,
}

/// The lease of an upload in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// `None` until the first claim.
    pub holder: Option<String>,
    pub epoch: u64,
    /// From this time on, another holder may claim the upload.
    pub until: Timestamp,
}

/// The outcome of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimDecision {
    /// The requesting holder gets the lease, with this epoch.
    Granted { epoch: u64 },
    /// Another holder has the lease for this many more seconds, at least one.
    Held { seconds: u64 },
    /// The epoch of the request is not the current one.
    Lost,
}

/// Decides a claim. A holder that names its epoch renews its lease; otherwise it gets a new epoch.
/// Other holders must wait for the end of the lease.
#[must_use]
pub fn decide(now: Timestamp, lease: &Lease, request: &ClaimRequest) -> ClaimDecision {
    let is_holder = lease
        .holder
        .as_deref()
        .is_none_or(|holder| holder == request.holder);
    match request.epoch {
        Some(epoch) if is_holder && epoch == lease.epoch => ClaimDecision::Granted { epoch },
        Some(_) => ClaimDecision::Lost,
        None if is_holder || lease.until <= now => ClaimDecision::Granted {
            epoch: lease.epoch.saturating_add(1),
        },
        None => {
            let left_ms = lease.until.duration_since(now).as_millis();
            ClaimDecision::Held {
                seconds: u64::try_from(left_ms).unwrap_or(0).div_ceil(1000).max(1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// Claims an upload. Its lease has epoch 7 and ends at second 60.
    fn claim(now: i64, holder: Option<&str>, claimant: &str, epoch: Option<u64>) -> ClaimDecision {
        let lease = Lease {
            holder: holder.map(str::to_owned),
            epoch: 7,
            until: at(60),
        };
        let request = ClaimRequest {
            holder: claimant.to_owned(),
            epoch,
        };
        decide(at(now), &lease, &request)
    }

    #[test]
    fn holder_renews_or_gets_a_new_epoch() {
        assert_eq!(
            claim(0, Some("a"), "a", Some(7)),
            ClaimDecision::Granted { epoch: 7 }
        );
        assert_eq!(
            claim(900, Some("a"), "a", Some(7)),
            ClaimDecision::Granted { epoch: 7 }
        );
        assert_eq!(
            claim(0, Some("a"), "a", None),
            ClaimDecision::Granted { epoch: 8 }
        );
        assert_eq!(claim(0, Some("a"), "a", Some(6)), ClaimDecision::Lost);
    }

    #[test]
    fn other_holder_waits_for_the_end_of_the_lease() {
        assert_eq!(
            claim(0, Some("a"), "b", None),
            ClaimDecision::Held { seconds: 60 }
        );
        assert_eq!(
            claim(59, Some("a"), "b", None),
            ClaimDecision::Held { seconds: 1 }
        );
        assert_eq!(
            claim(60, Some("a"), "b", None),
            ClaimDecision::Granted { epoch: 8 }
        );
        assert_eq!(claim(0, Some("a"), "b", Some(7)), ClaimDecision::Lost);
    }

    #[test]
    fn unclaimed_upload_can_be_claimed_by_any_holder() {
        assert_eq!(
            claim(0, None, "b", Some(7)),
            ClaimDecision::Granted { epoch: 7 }
        );
        assert_eq!(
            claim(0, None, "b", None),
            ClaimDecision::Granted { epoch: 8 }
        );
    }
}
