//! The terms of a stream, as the journal keeps them.

use serde::{Deserialize, Serialize};

/// How a source of unknown size is cut into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTerms {
    /// The size that the user expects, in bytes. A repeated request to begin must have it too.
    pub expected_size: Option<u64>,
    /// The part size doubles after each group of this many parts. `None` if all parts have the same
    /// size.
    pub double_after: Option<u32>,
}
