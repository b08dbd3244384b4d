//! The sizes and ranges of parts, and the reasons why a size is not possible.

use std::fmt;

/// The part size if the caller requests none.
pub const DEFAULT_PART_BYTES: u64 = 8 << 20;

/// The bytes of a part in its source: `start..start + len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    pub start: u64,
    pub len: u64,
}

impl ByteRange {
    #[must_use]
    pub fn end(self) -> u64 {
        self.start + self.len
    }
}

/// The reason why there is no plan. All sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanError {
    /// The source is larger than any object in the store may be.
    TooLarge { size: u64, max_size: u64 },
    /// The requested part size is zero, or outside the range of the store.
    PartSizeOutOfRange { part_size: u64, min: u64, max: u64 },
    /// A part size of zero, or more parts than a `u32` can count.
    Indivisible { size: u64, part_size: u64 },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { size, max_size } => {
                write!(
                    f,
                    "{size} bytes exceed the limit of {max_size} bytes for one upload"
                )
            }
            Self::PartSizeOutOfRange {
                part_size,
                min,
                max,
            } => write!(
                f,
                "a part size of {part_size} bytes is outside the range of the store ({min} to {max} bytes)"
            ),
            Self::Indivisible { size, part_size } => {
                write!(
                    f,
                    "{size} bytes cannot be cut into parts of {part_size} bytes"
                )
            }
        }
    }
}

impl std::error::Error for PlanError {}
