//! Percent-encoding of keys and queries, and the check of keys, as the Amazon S3 API reference
//! and Signature Version 4 require them. Text only.
//!
//! Not here: hosts and buckets, in [`crate::bucket_url`].

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest key that S3 accepts.
const MAX_KEY_BYTES: usize = 1024;
/// All characters except the unreserved ones of RFC 3986, like `UriEncode` of AWS.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Encodes every byte except the unreserved ones; also for `filename*` of RFC 8187.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Encodes a key for the path of a URL; slashes are kept.
pub(crate) fn encode_path(key: &str) -> String {
    utf8_percent_encode(key, RESERVED_IN_PATH).to_string()
}

/// Encodes a query with its `?`. A pair with an empty value becomes a bare name (`?uploads`).
pub(crate) fn encode_query(query: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in query {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.extend(utf8_percent_encode(name, RESERVED));
        if !value.is_empty() {
            text.push('=');
            text.extend(utf8_percent_encode(value, RESERVED));
        }
    }
    text
}

/// Decodes the path of a URL and encodes it again, as a canonical request contains it. Returns
/// `None` if the decoded bytes are not UTF-8.
pub(crate) fn canonical_path(path: &str) -> Option<String> {
    let segments = path
        .split('/')
        .map(|segment| Some(encode(&percent_decode_str(segment).decode_utf8().ok()?)));
    Some(segments.collect::<Option<Vec<_>>>()?.join("/"))
}

/// Rejects keys that HTTP libraries and proxies rewrite, so that a signature for one object never
/// leads to another: keys with a slash at either end, an empty, `.` or `..` segment, a control
/// character, or more than 1024 bytes.
pub(crate) fn check_key(key: &str) -> Result<(), &'static str> {
    if key.len() > MAX_KEY_BYTES {
        return Err("it is longer than 1024 bytes");
    }
    if key.chars().any(char::is_control) {
        return Err("it has a control character");
    }
    if key
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return Err("it has an empty, '.' or '..' segment");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_would_be_rewritten_are_rejected() {
        for key in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "a\0b",
            "a\nb",
            &"k".repeat(1025),
        ] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
        assert!(check_key("..a/b..").is_ok() && check_key(&"k".repeat(1024)).is_ok());
    }
}
