//! The treatment of objects that a hook has rejected.
//!
//! Not here: carrying it out (`service`).

use serde::{Deserialize, Serialize};

/// The configured treatment of rejected objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OnReject {
    #[default]
    Delete,
    /// The object stays at its key. The gateway gives out no URL for it.
    Keep,
    /// The object moves below this prefix.
    Quarantine(String),
}

/// The treatment of one rejected object, as it was decided. Stored in the ledger as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposal {
    Delete,
    Keep,
    /// The object moves to this key.
    Quarantine(String),
}
