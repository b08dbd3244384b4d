//! The condition for unfinished uploads.

/// SQLite uses an index whose condition is this text only for exactly this text.
pub(super) const IS_OPEN: &str = "state IN ('pending', 'uploading', 'completing', 'aborting')";
