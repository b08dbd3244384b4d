//! Quotas: how many unfinished uploads and how many bytes an owner may have.
//!
//! Not here: the usage of an owner, which the `ledger` counts for all gateways together.

use serde::{Deserialize, Serialize};

/// The quota of each owner; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Unfinished uploads.
    pub open: Option<u64>,
    /// Bytes of unfinished uploads, and of ended ones that a request signed earlier may still
    /// store.
    pub outstanding: Option<u64>,
    /// The bytes of `outstanding`, and those of stored objects.
    pub total: Option<u64>,
}

/// The usage of one owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Unfinished uploads.
    pub open: u64,
    /// Bytes of unfinished uploads.
    pub outstanding: u64,
    /// Bytes of ended uploads that a request signed earlier may still store.
    pub late_writes: u64,
    /// Bytes of verified and ready uploads, and of rejected objects that are kept.
    pub stored: u64,
}

/// The limit that a further upload would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// The upload fits once other uploads have ended.
    Temporary(Limit),
    /// Waiting does not help.
    Permanent(Limit),
}

/// A limit of the quota, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Open(u64),
    Outstanding(u64),
    Total(u64),
}

impl Quota {
    /// The limit that a further upload of `size` bytes would exceed, if any. Permanent excesses are
    /// reported first: an unfinished upload may still be aborted, but a ready one remains.
    #[must_use]
    pub fn excess(&self, usage: Usage, size: u64) -> Option<Excess> {
        let exceeded = |limit: Option<u64>, amount: u64| limit.filter(|limit| amount > *limit);
        let with_upload = |amount: u64| amount.saturating_add(size);
        if let Some(limit) = exceeded(self.total, with_upload(usage.stored)) {
            return Some(Excess::Permanent(Limit::Total(limit)));
        }
        if let Some(limit) = exceeded(self.outstanding, size) {
            return Some(Excess::Permanent(Limit::Outstanding(limit)));
        }
        if let Some(limit) = exceeded(self.open, 1) {
            return Some(Excess::Permanent(Limit::Open(limit)));
        }
        let outstanding = usage.outstanding.saturating_add(usage.late_writes);
        let all = usage.stored.saturating_add(outstanding);
        if let Some(limit) = exceeded(self.total, with_upload(all)) {
            return Some(Excess::Temporary(Limit::Total(limit)));
        }
        if let Some(limit) = exceeded(self.outstanding, with_upload(outstanding)) {
            return Some(Excess::Temporary(Limit::Outstanding(limit)));
        }
        let limit = exceeded(self.open, usage.open.saturating_add(1))?;
        Some(Excess::Temporary(Limit::Open(limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        open: Some(2),
        outstanding: Some(100),
        total: Some(1000),
    };

    fn excess(open: u64, outstanding: u64, stored: u64, size: u64) -> Option<Excess> {
        let usage = Usage {
            open,
            outstanding,
            late_writes: 0,
            stored,
        };
        QUOTA.excess(usage, size)
    }

    #[test]
    fn quota_may_be_reached_but_not_exceeded() {
        assert_eq!(excess(1, 0, 0, 100), None);
        assert_eq!(excess(1, 99, 900, 1), None);
        assert_eq!(excess(0, 0, 1000, 0), None);
        assert_eq!(excess(2, 0, 0, 0), Some(Excess::Temporary(Limit::Open(2))));
        assert_eq!(
            excess(1, 100, 0, 1),
            Some(Excess::Temporary(Limit::Outstanding(100)))
        );
        assert_eq!(excess(1, 100, 900, 0), None);
        assert_eq!(
            excess(1, 50, 949, 2),
            Some(Excess::Temporary(Limit::Total(1000)))
        );
        let late_writes = Usage {
            late_writes: 100,
            ..Usage::default()
        };
        assert_eq!(
            QUOTA.excess(late_writes, 1),
            Some(Excess::Temporary(Limit::Outstanding(100)))
        );
        let most = Usage {
            open: u64::MAX,
            outstanding: u64::MAX,
            late_writes: u64::MAX,
            stored: u64::MAX,
        };
        assert_eq!(Quota::default().excess(most, u64::MAX), None);
    }

    #[test]
    fn excess_is_permanent_if_waiting_does_not_help() {
        for (open, outstanding, stored, size) in [
            (0, 0, 0, 101),
            (2, 100, 1000, 1),
            (0, 0, 999, 2),
            (0, 0, 0, u64::MAX),
        ] {
            let excess = excess(open, outstanding, stored, size).unwrap();
            assert!(matches!(excess, Excess::Permanent(_)), "{excess:?}");
        }
        let none = Quota {
            open: Some(0),
            ..Quota::default()
        };
        assert_eq!(
            none.excess(Usage::default(), 0),
            Some(Excess::Permanent(Limit::Open(0)))
        );
    }
}
