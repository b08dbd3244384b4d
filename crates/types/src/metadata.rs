//! The size of the user metadata of an object. Pure.

use std::collections::BTreeMap;

use crate::encoded_words::encode_words;

/// S3's limit for the metadata of an object: keys and values together.
pub const MAX_METADATA_BYTES: usize = 2 << 10;

/// The length of keys and encoded values, which [`MAX_METADATA_BYTES`] limits.
#[must_use]
pub fn metadata_bytes(metadata: &BTreeMap<String, String>) -> usize {
    metadata
        .iter()
        .map(|(key, value)| key.len() + encode_words(value).len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_count_as_they_are_sent() {
        let bytes = |value: &str| metadata_bytes(&BTreeMap::from([("k".into(), value.into())]));
        assert_eq!(bytes("a b"), 4);
        assert_eq!(bytes("\u{e9}"), 1 + "=?UTF-8?B?w6k=?=".len());
    }
}
