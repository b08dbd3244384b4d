//! The way in which an object takes a key that its client has chosen.
//!
//! Not here: the operations on the uploads at such a key (`key_usage`).

use super::sql::{self, Row, damaged};
use upload_types::ETag;

/// How an object takes a key that its client has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenKey {
    /// Whether an object of one part is sent by a single PUT, which the store accepts only if there
    /// is no object at the key. Otherwise it is a multipart upload, like objects of several parts.
    pub single_put: bool,
    /// The object that the upload replaces. `None` if there must be no object at the key.
    pub replaces: Option<ETag>,
}

impl ChosenKey {
    /// The value of the column `chosen_key`.
    pub(super) fn transfer(&self) -> &'static str {
        if self.single_put { "put" } else { "parts" }
    }

    /// Reads the columns `chosen_key` and `replaces`. Returns `None` for a key that the gateway has
    /// made.
    pub(super) fn read(row: &Row<'_>, column: usize) -> sql::Result<Option<Self>> {
        let transfer: Option<String> = row.optional(column)?;
        let replaces: Option<String> = row.optional(column + 1)?;
        let single_put = match transfer.as_deref() {
            None => return Ok(None),
            Some("put") => true,
            Some("parts") => false,
            Some(_) => return Err(damaged(column, "not a transfer")),
        };
        let replaces = replaces.map(|etag| etag.parse()).transpose();
        Ok(Some(Self {
            single_put,
            replaces: replaces.map_err(|_| damaged(column + 1, "not an ETag"))?,
        }))
    }
}
