//! Texts that are UUIDs, as the 16 bytes of the UUID in columns of databases. Other texts stay as
//! they are.
//!
//! Not here: the texts themselves (`ids`).

use std::borrow::Cow;

use uuid::Uuid;

use crate::checked_text::Invalid;

/// The form of the UUIDs of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UuidForm {
    /// 36 characters, as in RFC 9562.
    Hyphenated,
    /// 32 hexadecimal digits.
    Simple,
}

/// The bytes of a text other than a UUID begin with this byte if they could be those of a UUID. No
/// UTF-8 has it.
const ESCAPE: u8 = 0xFF;

impl UuidForm {
    /// The bytes of a text: 16 if it is a UUID of this form in lower case.
    #[must_use]
    pub fn to_bytes(self, text: &str) -> Cow<'_, [u8]> {
        let uuid = Uuid::parse_str(text).ok().map(Uuid::into_bytes);
        match uuid.filter(|bytes| is_uuid(bytes) && self.text(*bytes) == text) {
            Some(bytes) => Cow::Owned(bytes.to_vec()),
            None if is_uuid(text.as_bytes()) => Cow::Owned([&[ESCAPE], text.as_bytes()].concat()),
            None => Cow::Borrowed(text.as_bytes()),
        }
    }

    /// The text that [`UuidForm::to_bytes`] has converted.
    ///
    /// # Errors
    /// [`Invalid`] if they are neither those of a UUID nor UTF-8.
    pub fn from_bytes(self, bytes: &[u8]) -> Result<String, Invalid> {
        if let Some(uuid) = bytes.try_into().ok().filter(|_| is_uuid(bytes)) {
            return Ok(self.text(uuid));
        }
        let text = bytes.strip_prefix(&[ESCAPE]).unwrap_or(bytes);
        String::from_utf8(text.to_vec()).map_err(|_| Invalid("neither a UUID nor UTF-8"))
    }

    fn text(self, bytes: [u8; 16]) -> String {
        let uuid = Uuid::from_bytes(bytes);
        match self {
            Self::Hyphenated => uuid.hyphenated().to_string(),
            Self::Simple => uuid.simple().to_string(),
        }
    }
}

/// Whether these are the bytes of a UUID with the variant of RFC 9562. Those of ASCII never are.
fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 16 && bytes[8] & 0xC0 == 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uuid_takes_16_bytes() {
        let uuid = Uuid::new_v4();
        let (hyphenated, simple) = (uuid.to_string(), uuid.simple().to_string());
        assert_eq!(
            *UuidForm::Hyphenated.to_bytes(&hyphenated),
            *uuid.as_bytes()
        );
        assert_eq!(*UuidForm::Simple.to_bytes(&simple), *uuid.as_bytes());
        for (form, text) in [
            (UuidForm::Hyphenated, simple),
            (UuidForm::Hyphenated, hyphenated.to_uppercase()),
            (UuidForm::Simple, hyphenated),
            (
                UuidForm::Simple,
                "f".repeat(32)
                    .replace("ffffffffffffffff", "0000000000000000"),
            ),
        ] {
            let bytes = form.to_bytes(&text);
            assert_eq!(form.from_bytes(&bytes).unwrap(), text);
            assert_eq!(*bytes, *text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn text_is_read_as_it_was_written(text in ".{0,20}|[\u{80}-\u{7ff}]{8}|[a-f0-9-]{32,36}") {
            for form in [UuidForm::Hyphenated, UuidForm::Simple] {
                let bytes = form.to_bytes(&text).into_owned();
                prop_assert_eq!(form.from_bytes(&bytes), Ok(text.clone()));
            }
        }

        #[test]
        fn any_bytes_are_read_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = UuidForm::Simple.from_bytes(&bytes);
        }
    }
}
