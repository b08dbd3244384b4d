//! The user metadata of an object: its size, and the time at which its source was modified. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::encoded_words::encode_words;

/// S3's limit for the metadata of an object: keys and values together.
pub const MAX_METADATA_BYTES: usize = 2 << 10;
/// The key of the time at which the source was modified, as in rclone.
pub const MTIME_KEY: &str = "mtime";

/// The length of keys and encoded values, which [`MAX_METADATA_BYTES`] limits.
#[must_use]
pub fn metadata_bytes(metadata: &BTreeMap<String, String>) -> usize {
    metadata
        .iter()
        .map(|(key, value)| key.len() + encode_words(value).len())
        .sum()
}

/// The value of [`MTIME_KEY`]: seconds since 1970, with as many decimals as needed.
#[must_use]
pub fn mtime_text(time: Timestamp) -> String {
    let nanoseconds = time.as_nanosecond();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let nanoseconds = nanoseconds.unsigned_abs();
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let text = format!("{sign}{seconds}.{rest:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The time of which `text` is the [`mtime_text`]. Returns `None` for other texts.
#[must_use]
pub fn mtime_of_text(text: &str) -> Option<Timestamp> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (seconds, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let rest: i64 = format!("{decimals:0<9}").parse().ok()?;
    let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    let time = Timestamp::from_nanosecond(sign * nanoseconds).ok()?;
    (mtime_text(time) == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_count_as_they_are_sent() {
        let bytes = |value: &str| metadata_bytes(&BTreeMap::from([("k".into(), value.into())]));
        assert_eq!(bytes("a b"), 4);
        assert_eq!(bytes("\u{e9}"), 1 + "=?UTF-8?B?w6k=?=".len());
    }

    #[test]
    fn mtime_has_as_many_decimals_as_needed() {
        for (nanoseconds, expected) in [
            (1_700_000_000_500_000_000, "1700000000.5"),
            (1_700_000_000_123_456_789, "1700000000.123456789"),
            (1_700_000_000_000_000_000, "1700000000"),
            (100_000_000_000, "100"),
            (0, "0"),
            (-1_500_000_000, "-1.5"),
        ] {
            let time = Timestamp::from_nanosecond(nanoseconds).unwrap();
            assert_eq!(mtime_of_text(expected), Some(time));
            assert_eq!(mtime_text(time), expected);
        }
    }

    #[test]
    fn text_that_is_no_mtime_is_rejected() {
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "1.50",
            "01",
            "+1",
            "-0",
            "1e3",
            "1.-5",
            "1.+5",
            "1.2.3",
            "1.0000000001",
            "99999999999999999999",
            "mine",
            "1 ",
        ] {
            assert_eq!(mtime_of_text(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn mtime_is_read_from_its_text(
            nanoseconds in Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond(),
        ) {
            let time = Timestamp::from_nanosecond(nanoseconds).unwrap();
            prop_assert_eq!(mtime_of_text(&mtime_text(time)), Some(time));
        }
    }
}
