//! Helpers that several targets use.

use serde::Serialize;
use serde::de::DeserializeOwned;
use upload::report::text;
use upload::transfer;
use upload_types::error::Error;
use upload_types::plan::Plan;
use upload_types::wire::StoredPart;
use upload_types::{PartNumber, Sha256};

pub(super) const PART_BYTES: u64 = 5 << 20;

/// Parses a value, and checks that its JSON is stable.
pub(super) fn round_trip<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let json = serde_json::to_string(&value).expect("a parsed value can be serialised");
    let parsed: T = serde_json::from_str(&json).expect("a serialised value can be parsed");
    let json_of_parsed = serde_json::to_string(&parsed).expect("it can be serialised again");
    assert_eq!(json_of_parsed, json);
    Some(value)
}

/// Checks that journal and store agree on a part only if both have the same SHA-256 or, if the
/// store keeps none, the same `ETag`.
pub(super) fn check_agreed_parts(plan: &Plan, stored: &[StoredPart]) {
    let etag_in_journal = "ours";
    let part = |number: PartNumber| upload::journal::Part {
        number,
        sha256: Sha256::of(b"ours"),
        etag: etag_in_journal.parse().ok(),
    };
    let journal: Vec<_> = plan.parts().map(|(number, _)| part(number)).collect();
    for (number, sha256, etag) in transfer::agreed_parts(plan, &journal, stored) {
        let size = plan.range(number).map(|range| range.len);
        let agrees = |part: &StoredPart| {
            let has_same_bytes = match part.sha256 {
                Some(stored) => stored == sha256,
                None => etag.as_str() == etag_in_journal,
            };
            part.number == number && part.etag == etag && Some(part.size) == size && has_same_bytes
        };
        assert!(stored.iter().any(agrees), "{number} of {stored:?}");
    }
}

/// Splits a number of eight bytes off the front; missing bytes are zero.
pub(super) fn split_number(bytes: &[u8]) -> (u64, &[u8]) {
    let (head, rest) = bytes.split_at(bytes.len().min(8));
    let mut number = [0; 8];
    number[..head.len()].copy_from_slice(head);
    (u64::from_le_bytes(number), rest)
}

/// Splits a byte off the front; zero if there is none.
pub(super) fn split_byte(bytes: &[u8]) -> (u8, &[u8]) {
    bytes
        .split_first()
        .map_or((0, bytes), |(first, rest)| (*first, rest))
}

pub(super) fn assert_reportable(error: &Error) {
    assert_printable(&text::safe(&error.to_string()));
    assert!(error.kind().exit_code() > 0);
}

pub(super) fn assert_printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(
        !text.contains(['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{2028}']),
        "{text:?}"
    );
}
