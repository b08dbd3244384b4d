//! The ETag of a part or an object.

use crate::checked_text::Invalid;

checked_text! {
    /// The ETag of a part or an object, without quotes: 1 to 128 visible ASCII characters. Opaque:
    /// it is never interpreted as an MD5.
    ETag,
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"'),
    "an ETag is 1 to 128 visible ASCII characters without quotes"
}

impl ETag {
    /// Reads the value of an `ETag` header: quoted, bare, or weak (`W/"…"`).
    ///
    /// # Errors
    /// [`Invalid`] for an empty, overlong or non-ASCII tag.
    pub fn from_header(value: &str) -> Result<Self, Invalid> {
        let value = value.trim();
        let value = value.strip_prefix("W/").unwrap_or(value);
        value.trim_matches('"').parse()
    }

    /// The form in HTTP headers and in the XML of S3: in quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_bare_and_weak_headers_hold_the_same_etag() {
        for header in ["\"abc-3\"", "abc-3", "W/\"abc-3\"", " \"abc-3\" "] {
            assert_eq!(ETag::from_header(header).unwrap().as_str(), "abc-3");
        }
        for header in ["", "\"\"", "a\nb", "é", &"x".repeat(129)] {
            assert!(ETag::from_header(header).is_err(), "{header:?}");
        }
    }
}
