//! Who may drive an upload: a holder, its epoch, and how long its silence is borne.
//!
//! Border: the decision alone, with the clock as an argument; the compare-and-set that makes it true is `ledger`.

use std::time::Duration;

use jiff::Timestamp;

use upload_types::wire::ClaimRequest;

/// How long silence is borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A lease ages out after this long without a call that carries its epoch.
    pub lease: Duration,
    /// An upload that is not finished expires after this long without such a call.
    pub upload: Duration,
}

impl Terms {
    /// What a call at `now` makes of both.
    #[must_use]
    pub fn renewed(self, now: Timestamp) -> Renewed {
        let end = |life| now.checked_add(life).unwrap_or(Timestamp::MAX);
        Renewed {
            lease_until: end(self.lease),
            expires_at: end(self.upload),
        }
    }
}

/// When a lease and its upload end, unless another call renews them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    pub lease_until: Timestamp,
    pub expires_at: Timestamp,
}

/// The right to drive one upload, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// None until the first claim.
    pub holder: Option<String>,
    pub epoch: u64,
    /// From here on anybody may take it.
    pub until: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The lease goes to the holder who asks, with this epoch.
    Granted { epoch: u64 },
    /// Somebody else has it for this many more seconds, at least one.
    Held { seconds: u64 },
    /// The epoch named is no longer the lease's.
    Lost,
}

/// Decides a claim: the holder renews with its epoch, gets a new one without it, and others wait until its life is
/// over.
#[must_use]
pub fn decide(now: Timestamp, lease: &Lease, request: &ClaimRequest) -> Decision {
    let same = lease
        .holder
        .as_deref()
        .is_none_or(|holder| holder == request.holder);
    match request.epoch {
        Some(epoch) if same && epoch == lease.epoch => Decision::Granted { epoch },
        Some(_) => Decision::Lost,
        None if same || lease.until <= now => Decision::Granted {
            epoch: lease.epoch.saturating_add(1),
        },
        None => {
            let left = lease.until.duration_since(now).as_millis();
            Decision::Held {
                seconds: u64::try_from(left).unwrap_or(0).div_ceil(1000).max(1),
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

    fn claim(now: i64, holder: Option<&str>, by: &str, epoch: Option<u64>) -> Decision {
        let lease = Lease {
            holder: holder.map(str::to_owned),
            epoch: 7,
            until: at(60),
        };
        decide(
            at(now),
            &lease,
            &ClaimRequest {
                holder: by.to_owned(),
                epoch,
            },
        )
    }

    #[test]
    fn the_holder_renews_or_starts_anew() {
        assert_eq!(
            claim(0, Some("a"), "a", Some(7)),
            Decision::Granted { epoch: 7 }
        );
        assert_eq!(
            claim(900, Some("a"), "a", Some(7)),
            Decision::Granted { epoch: 7 }
        );
        assert_eq!(
            claim(0, Some("a"), "a", None),
            Decision::Granted { epoch: 8 }
        );
        assert_eq!(claim(0, Some("a"), "a", Some(6)), Decision::Lost);
    }

    #[test]
    fn another_waits_for_silence() {
        assert_eq!(
            claim(0, Some("a"), "b", None),
            Decision::Held { seconds: 60 }
        );
        assert_eq!(
            claim(59, Some("a"), "b", None),
            Decision::Held { seconds: 1 }
        );
        assert_eq!(
            claim(60, Some("a"), "b", None),
            Decision::Granted { epoch: 8 }
        );
        assert_eq!(claim(0, Some("a"), "b", Some(7)), Decision::Lost);
    }

    #[test]
    fn an_upload_nobody_claimed_is_anybodys() {
        assert_eq!(claim(0, None, "b", Some(7)), Decision::Granted { epoch: 7 });
        assert_eq!(claim(0, None, "b", None), Decision::Granted { epoch: 8 });
    }
}
