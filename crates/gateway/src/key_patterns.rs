//! The keys that clients may choose: their form, and the patterns of owners, which are
//! globs (`--keys`). Pure.
//!
//! Not here: the choice of the patterns for an owner (`auth`), and whether there is an object at a
//! key (`service/chosen_key`).

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use unicode_normalization::UnicodeNormalization as _;

use upload_types::{Invalid, Key, KeyForm};

/// The folder of the keys that gateways make, those of probes included.
pub const MADE_KEYS_FOLDER: &str = "uploads";

/// The keys of this gateway that clients may choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientKeys {
    /// None: the gateway makes every key.
    #[default]
    None,
    /// Those that match a pattern of the owner.
    ByPattern,
    /// All: the owner has the credentials of the store.
    All,
}

impl ClientKeys {
    /// The form of the keys. Patterns are matched with normalised keys. A client with the
    /// credentials of the store decides itself.
    #[must_use]
    pub fn form(self) -> KeyForm {
        match self {
            Self::None | Self::ByPattern => KeyForm::Normalised,
            Self::All => KeyForm::AsGiven,
        }
    }
}

/// How to write a pattern.
pub const PATTERN_HINT: &str = "write a glob of keys without a slash at its beginning, such as app/** or builds/*/x.tar.gz; \
     [a-z] is possible, [!a-z], [^a-z] and [[:alpha:]] are not";

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// It has no valid form.
    Invalid(&'static str),
    /// The gateway uses it itself.
    Reserved,
}

/// A key that a client asks for, in this form, if it is valid and in none of the `reserved`
/// folders. `prefix_bytes` is the length of the prefix of the gateway with its slash.
///
/// # Errors
/// [`KeyError`].
pub fn usable_key(
    key: &str,
    prefix_bytes: usize,
    form: KeyForm,
    reserved: &[&str],
) -> Result<Key, KeyError> {
    let key = upload_types::usable_key(key, prefix_bytes, form);
    let key = key.map_err(|Invalid(reason)| KeyError::Invalid(reason))?;
    let is_below = |folder: &&str| {
        let rest = key.strip_prefix(*folder);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if reserved.iter().any(is_below) {
        return Err(KeyError::Reserved);
    }
    key.parse()
        .map_err(|_| KeyError::Invalid("a key must have 1 to 1024 bytes"))
}

/// Compiles patterns: globs of keys, in which `*` and `?` do not match `/`, and `**` does.
///
/// # Errors
/// The first pattern that is not a glob.
pub fn compile(patterns: &[String]) -> Result<GlobSet, &str> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let normal: String = pattern.nfc().collect();
        let glob = GlobBuilder::new(&normal)
            .literal_separator(true)
            .backslash_escape(true)
            .build();
        set.add(glob.map_err(|_| pattern.as_str())?);
    }
    set.build()
        .map_err(|_| patterns.first().map_or("", String::as_str))
}

/// Returns false for a text that is not a glob, for a glob that is empty or begins with a slash (it
/// would match no key), and for a glob with a class that is negated (it would match a slash) or has
/// a name.
#[must_use]
pub fn is_key_pattern(pattern: &str) -> bool {
    let unescaped = pattern.replace(r"\\", "").replace(r"\[", "");
    let has_other_class = ["[!", "[^", "[[:"]
        .iter()
        .any(|class| unescaped.contains(class));
    !pattern.is_empty()
        && !pattern.starts_with('/')
        && !has_other_class
        && compile(&[pattern.to_owned()]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(key: &str) -> Result<String, KeyError> {
        let reserved = [MADE_KEYS_FOLDER, "quarantine"];
        usable_key(key, 5, KeyForm::Normalised, &reserved).map(|key| key.to_string())
    }

    #[test]
    fn key_is_normalised_and_has_plain_segments() {
        for key in [
            "a",
            "app/1.2.3/x.tar.gz",
            "a b+c%2F..%00",
            "a/...",
            ".a/..b",
            "uploadsX",
            "Uploads/x",
            "😀/é",
        ] {
            assert_eq!(normalised(key).as_deref(), Ok(key));
        }
        assert_eq!(normalised("e\u{301}/x").as_deref(), Ok("é/x"));
        for key in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "a/..", "../a", "a\n",
            "a\u{7f}", "a\u{85}",
        ] {
            assert!(
                matches!(normalised(key), Err(KeyError::Invalid(_))),
                "{key:?}"
            );
        }
        for key in [
            "uploads",
            "uploads/x",
            "uploads/probe/x",
            "quarantine",
            "quarantine/uploads/x",
        ] {
            assert_eq!(normalised(key), Err(KeyError::Reserved), "{key:?}");
        }
    }

    #[test]
    fn key_may_have_1024_bytes_with_the_prefix() {
        assert!(normalised(&"x".repeat(1019)).is_ok());
        assert!(normalised(&"x".repeat(1020)).is_err());
        // The normal form counts: two characters of 3 bytes become one of 2.
        assert!(normalised(&"e\u{301}".repeat(509)).is_ok());
        assert!(normalised(&"é".repeat(510)).is_err());
    }

    #[test]
    fn patterns_match_whole_keys_by_segments() {
        let matches =
            |pattern: &str, key: &str| compile(&[pattern.to_owned()]).unwrap().is_match(key);
        for (pattern, key) in [
            ("app/**", "app/x"),
            ("app/**", "app/x/y"),
            ("app/*", "app/x"),
            ("**", "a/b"),
            ("*.tar.gz", "x.tar.gz"),
            ("app/v?/**", "app/v1/x"),
            ("app/{a,b}/*", "app/b/x"),
            ("e\u{301}/*", "é/x"),
            ("a/\\*", "a/*"),
        ] {
            assert!(matches(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in [
            ("app/**", "app"),
            ("app/**", "apps/x"),
            ("app/**", "App/x"),
            ("app/**", "other/app/x"),
            ("app/*", "app/x/y"),
            ("*", "a/b"),
            ("app/v?/**", "app/v/x"),
            ("app?x", "app/x"),
            ("app[+-9]x", "app/x"),
            ("a/\\*", "a/x"),
        ] {
            assert!(!matches(pattern, key), "{pattern} {key}");
        }
        for pattern in [
            "",
            "/a",
            "a/[b",
            "app[!x]",
            "app[^x]",
            "app[[:alpha:]]",
            "app[a][!x]",
            r"a\\[!x]",
        ] {
            assert!(!is_key_pattern(pattern), "{pattern}");
        }
        for pattern in ["app/**", "v[0-9]/*", "a[x!]", r"a\[!x"] {
            assert!(is_key_pattern(pattern), "{pattern}");
        }
    }
}
