//! The name of a part file.

use uuid::Uuid;

/// 32 hexadecimal digits: a UUID of version 7.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileName(String);

impl FileName {
    pub(super) fn new() -> Self {
        Self(Uuid::now_v7().simple().to_string())
    }

    /// Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 32 && text.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its directory: the last two digits, which are random in a UUID of version 7.
    pub(super) fn shard(&self) -> &str {
        self.0.get(30..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_32_hexadecimal_digits_are_parsed() {
        assert!(FileName::parse(FileName::new().as_str()).is_some());
        for name in [
            "",
            "..",
            "../../../../../../../../etc/pass",
            "0123456789ABCDEF0123456789ABCDEF",
        ] {
            assert!(FileName::parse(name).is_none(), "{name}");
        }
    }
}
