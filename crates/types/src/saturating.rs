//! Conversions of integers for counts and sizes: a number that the target cannot represent becomes
//! the maximum of the target.
//!
//! Not here: numbers of the wire and of the ledger, which are rejected if they are out of range.

/// Returns `u32::MAX` for a number that is negative or too large.
#[must_use]
pub fn to_u32(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

/// Returns `u64::MAX` for a number that is negative or too large.
#[must_use]
pub fn to_u64(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}

/// Returns `usize::MAX` for a number that is negative or too large.
#[must_use]
pub fn to_usize(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}
