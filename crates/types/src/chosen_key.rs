//! Keys that a client chooses: their form, and their normalisation.
//!
//! Pure. Not here: which keys an owner may choose. The gateway decides it.

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::checked_text::Invalid;

/// The longest key that S3 accepts, in bytes ("Naming Amazon S3 objects" in its user guide).
pub const MAX_KEY_BYTES: usize = 1024;

/// The form in which a key that a client chooses is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyForm {
    /// NFC (UAX #15): a name that macOS has decomposed is the same key everywhere.
    #[default]
    Normalised,
    /// The bytes of the name.
    AsGiven,
}

impl KeyForm {
    #[must_use]
    pub fn is_normalised(&self) -> bool {
        *self == Self::Normalised
    }
}

/// [`usable_key`] in the form [`KeyForm::Normalised`].
///
/// # Errors
/// As [`usable_key`].
pub fn normalised_key(text: &str, prefix_bytes: usize) -> Result<String, Invalid> {
    usable_key(text, prefix_bytes, KeyForm::Normalised)
}

/// A key that a client chooses below the prefix of a gateway, in this form. `prefix_bytes` is the
/// length of that prefix with its slash.
///
/// # Errors
/// The form that a key must have.
pub fn usable_key(text: &str, prefix_bytes: usize, form: KeyForm) -> Result<String, Invalid> {
    let key: String = if form == KeyForm::AsGiven || is_nfc(text) {
        text.to_owned()
    } else {
        text.nfc().collect()
    };
    if key.starts_with('/') {
        return Err(Invalid("a key must not begin with a slash"));
    }
    if key.chars().any(char::is_control) {
        return Err(Invalid("a key must not contain control characters"));
    }
    if key
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return Err(Invalid(
            "a key must not be empty, and no segment between its slashes may be empty, `.` or `..`",
        ));
    }
    if prefix_bytes + key.len() > MAX_KEY_BYTES {
        return Err(Invalid(
            "a key must have at most 1024 bytes, with the prefix of the backend",
        ));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_normalised_and_otherwise_kept() {
        for (text, key) in [
            ("app.tar.gz", "app.tar.gz"),
            ("a b+c%d/ü=&'\"*.x", "a b+c%d/ü=&'\"*.x"),
            ("u\u{308}", "\u{fc}"),
            ("a/...", "a/..."),
        ] {
            assert_eq!(normalised_key(text, 0).as_deref(), Ok(key));
        }
    }

    #[test]
    fn key_as_given_is_kept_and_checked() {
        let key = |text| usable_key(text, 0, KeyForm::AsGiven);
        assert_eq!(key("u\u{308}").as_deref(), Ok("u\u{308}"));
        assert!(key("/u\u{308}").is_err());
        assert!(key("a\n").is_err());
        assert!(key(&"u\u{308}".repeat(512)).is_err());
    }

    #[test]
    fn keys_that_a_store_or_a_file_system_takes_for_another_are_rejected() {
        for text in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "../a", "a/..", "a\nb", "\u{7f}",
        ] {
            assert!(normalised_key(text, 0).is_err(), "{text:?}");
        }
    }

    #[test]
    fn length_counts_bytes_after_normalising_with_the_prefix() {
        let longest = "ü".repeat(512);
        assert!(normalised_key(&longest, 0).is_ok());
        assert!(normalised_key(&"u\u{308}".repeat(512), 0).is_ok());
        assert!(normalised_key(&format!("{longest}x"), 0).is_err());
        assert!(normalised_key(&"x".repeat(1021), 3).is_ok());
        assert!(normalised_key(&"x".repeat(1022), 3).is_err());
    }
}
