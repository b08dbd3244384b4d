//! Names of things: upload ids, object keys and part numbers.
//!
//! Not here: which names an owner may choose. The gateway decides it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checked_text::Invalid;

checked_text! {
    /// The backend's id of an upload: 1 to 128 characters of `[A-Za-z0-9._-]`, not only dots: an id
    /// is a segment of a path, and `..` would lead to another path. The gateway's ids are UUIDs.
    UploadId,
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && text.bytes().any(|b| b != b'.'),
    "an upload id is 1 to 128 letters, digits, dots, dashes or underscores, and not only dots"
}

/// A new upload id or idempotency key: a `UUIDv7` (RFC 9562). Ids that are created at about the
/// same time are neighbours in every index, so a commit of many of them writes few pages. Its 74
/// random bits are new each time, without a counter, because ids are part of object keys: one id
/// must not reveal the next.
#[must_use]
pub fn new_id() -> String {
    Uuid::new_v7(uuid::Timestamp::now(uuid::NoContext)).to_string()
}

checked_text! {
    /// The key of an object in the store: 1 to 1024 bytes, no control character.
    Key,
    |text| (1..=1024).contains(&text.len()) && !text.chars().any(char::is_control),
    "a key is 1 to 1024 bytes without control characters"
}

/// The number of a part: 1 or more. The maximum depends on the store (`Limits::max_parts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct PartNumber(u32);

impl PartNumber {
    pub const FIRST: Self = Self(1);

    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for PartNumber {
    type Error = Invalid;
    fn try_from(number: u32) -> Result<Self, Invalid> {
        if number == 0 {
            Err(Invalid("part numbers begin at 1"))
        } else {
            Ok(Self(number))
        }
    }
}

impl From<PartNumber> for u32 {
    fn from(number: PartNumber) -> Self {
        number.0
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::iter;

    use super::*;

    #[test]
    fn upload_id_is_one_segment_of_a_path() {
        let parsed = |text: &str| text.parse::<UploadId>();
        for id in ["a", "a..b", "..a", "0190-_.x", &"x".repeat(128)] {
            assert!(parsed(id).is_ok(), "{id:?}");
        }
        let long = "x".repeat(10 << 10);
        for id in [
            "", ".", "..", "...", "a/b", "/", "%2e%2e", "..\\", "a?b", "a#b", "\u{202e}", &long,
        ] {
            assert!(parsed(id).is_err(), "{id:?}");
        }
    }

    /// Ids in random order would make each commit write a page of the index for each id.
    #[test]
    fn later_id_sorts_after_earlier_id() {
        let mut last = new_id();
        for _ in 0..20 {
            // The time is the first 48 bits: 12 digits and a dash.
            let next = iter::repeat_with(new_id)
                .find(|id| id[..13] != last[..13])
                .unwrap();
            assert!(last < next, "{last} {next}");
            last = next;
        }
    }

    #[test]
    fn all_bits_of_an_id_except_time_and_version_are_random() {
        let ids: Vec<Uuid> = (0..1000).map(|_| new_id().parse().unwrap()).collect();
        assert!(
            ids.iter()
                .all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122)
        );
        let varying = ids
            .iter()
            .fold(0, |bits, id| bits | (id.as_u128() ^ ids[0].as_u128()));
        assert_eq!((varying & ((1 << 80) - 1)).count_ones(), 74);
        let halves: BTreeSet<u64> = ids.iter().map(|id| id.as_u64_pair().1).collect();
        assert_eq!(halves.len(), ids.len(), "no two ids share the last 64 bits");
    }
}
