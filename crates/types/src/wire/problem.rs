//! Errors of the API.

use serde::{Deserialize, Serialize};

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The stable name of the error.
    pub code: String,
    pub title: String,
    pub status: u16,
    /// What to change in the request. Never contains messages of the store or the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
