//! The rejection of an upload by a hook.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hooks::{Disposal, Reason};

/// A hook's rejection of an upload, and the disposal of its object. Stored as JSON in the upload's
/// row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    pub hook: String,
    pub reason: Reason,
    pub disposal: Disposal,
    /// Until this time, a request that was signed earlier may create the object again. `None` for
    /// an upload of several parts.
    #[serde(default)]
    pub until: Option<Timestamp>,
}
