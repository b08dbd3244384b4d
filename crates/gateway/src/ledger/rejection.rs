//! Why a hook rejected an upload.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hooks::{Disposal, Reason};

/// A hook's rejection of an upload, and what happens to its object. Kept as JSON in the upload's
/// row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    pub hook: String,
    pub reason: Reason,
    /// What happens to the object.
    pub fate: Disposal,
    /// Until this time, a presigned URL that was issued earlier may still create the object again.
    pub until: Timestamp,
}
