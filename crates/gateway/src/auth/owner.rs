//! The owner of a request.

use std::sync::Arc;

use crate::limits::OwnerLimits;

/// An owner, identified by its segment, which is a part of the keys of its uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(pub String, Arc<Details>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Details {
    subject: String,
    limits: OwnerLimits,
}

impl Owner {
    /// An owner with the limits of the configuration.
    #[must_use]
    pub fn new(segment: String) -> Self {
        Self(segment, Arc::default())
    }

    /// An owner with limits of its own.
    #[cfg(test)]
    #[must_use]
    pub fn with_limits(segment: String, limits: OwnerLimits) -> Self {
        Self::of_request(segment, String::new(), limits)
    }

    /// The owner of a request, with the limits that apply to this request.
    #[must_use]
    pub(super) fn of_request(segment: String, subject: String, limits: OwnerLimits) -> Self {
        Self(segment, Arc::new(Details { subject, limits }))
    }

    /// The text by which the ledger identifies the owner; empty unless it is the owner of a
    /// request.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.1.subject
    }

    /// The limits that replace those of the configuration.
    #[must_use]
    pub fn limits(&self) -> &OwnerLimits {
        &self.1.limits
    }
}
