//! The limits of one owner that replace those of the configuration.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::quota::Quota;
use super::rate::Rate;

/// Limits for the requests of an owner. `None` leaves the limit to a less specific source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Globs of content types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateLimit>,
    /// Globs of the keys that the owner may choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
}

/// A rate, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RateLimit {
    Unlimited,
    At {
        per_second: NonZeroU32,
        burst: NonZeroU32,
    },
}

impl RateLimit {
    #[must_use]
    pub fn rate(self) -> Option<Rate> {
        match self {
            Self::Unlimited => None,
            Self::At { per_second, burst } => Some(Rate { per_second, burst }),
        }
    }
}

impl From<Rate> for RateLimit {
    fn from(Rate { per_second, burst }: Rate) -> Self {
        Self::At { per_second, burst }
    }
}

impl OwnerLimits {
    /// These limits, completed by those of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            quota: self.quota.or(other.quota),
            allow_types: self.allow_types.or(other.allow_types),
            rate: self.rate.or(other.rate),
            keys: self.keys.or(other.keys),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_completed_alone() {
        let quota = |open| Quota {
            open: Some(open),
            ..Quota::default()
        };
        let own = OwnerLimits {
            quota: Some(quota(1)),
            ..OwnerLimits::default()
        };
        let other = OwnerLimits {
            quota: Some(quota(2)),
            allow_types: Some(vec!["video/*".into()]),
            rate: Some(RateLimit::Unlimited),
            keys: Some(vec!["app/**".into()]),
        };
        let both = own.clone().or(other.clone());
        assert_eq!(both.quota, own.quota);
        assert_eq!(
            (both.allow_types, both.rate, both.keys),
            (other.allow_types, other.rate, other.keys)
        );
        assert!(OwnerLimits::default().is_empty() && !own.is_empty());
    }
}
