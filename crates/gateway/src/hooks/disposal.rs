//! The disposal of objects that a hook has rejected.
//!
//! Not here: its execution (`service/dispose`).

use serde::{Deserialize, Serialize};

/// The configured disposal of rejected objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OnReject {
    #[default]
    Delete,
    /// The object stays at its key. The gateway signs no URL to read it.
    Keep,
    /// The object moves below this prefix.
    Quarantine(String),
}

/// The disposal of one rejected object. Stored in the ledger as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposal {
    Delete,
    Keep,
    /// The object moves to this key.
    Quarantine(String),
}

impl Disposal {
    /// The name in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Keep => "keep",
            Self::Quarantine(_) => "quarantine",
        }
    }
}
