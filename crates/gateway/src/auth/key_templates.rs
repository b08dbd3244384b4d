//! Patterns of keys with the claims of a token: `app/{repository}/**` permits the keys of the
//! repository that the token names.
//!
//! A name in braces, without a comma, is a claim. Braces with a comma are alternatives of the glob,
//! and braces in a class (`[{]`) are characters.
//!
//! Pure. Not here: whether a key matches (`crate::key_patterns`).

use serde_json::{Map, Value};

use super::claims;
use upload_types::normalised_key;

/// A piece of a pattern.
enum Piece<'a> {
    /// A part of the glob.
    Glob(&'a str),
    /// The name of a claim.
    Claim(&'a str),
}

/// Whether a pattern contains a claim.
#[must_use]
pub fn has_claims(pattern: &str) -> bool {
    let pieces = pieces(pattern);
    pieces.iter().any(|piece| matches!(piece, Piece::Claim(_)))
}

/// The pattern with the values of its claims. Returns `None` if the token lacks one of them, or if
/// its value cannot be a part of a key: then the pattern permits nothing.
#[must_use]
pub fn with_claims(pattern: &str, claims: Option<&Map<String, Value>>) -> Option<String> {
    let mut text = String::with_capacity(pattern.len());
    for piece in pieces(pattern) {
        match piece {
            Piece::Glob(glob) => text.push_str(glob),
            Piece::Claim(name) => {
                let value = claims::text(claims?, name)?;
                // It has no empty segment, no `.` and no `..`.
                let value = normalised_key(&value, 0).ok()?;
                push_escaped(&mut text, &value);
            }
        }
    }
    Some(text)
}

fn pieces(pattern: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    let mut searched = 0;
    while let Some(at) = rest[searched..].find(['{', '\\', '[']) {
        let found = searched + at;
        let (first, after) = rest[found..].split_at(1);
        let claim = match first {
            "{" => claim_name(after),
            _ => None,
        };
        let Some(name) = claim else {
            let skipped = match first {
                "\\" => after.chars().next().map_or(0, char::len_utf8),
                "[" => class_rest_bytes(after),
                _ => 0,
            };
            searched = found + 1 + skipped;
            continue;
        };
        pieces.push(Piece::Glob(&rest[..found]));
        pieces.push(Piece::Claim(name));
        rest = &after[name.len() + 1..];
        searched = 0;
    }
    pieces.push(Piece::Glob(rest));
    pieces
}

/// The length of a class after its opening bracket. A closing bracket is its first character, or
/// its end.
fn class_rest_bytes(text: &str) -> usize {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let end = text[first..].find(']');
    end.map_or(0, |end| first + end + 1)
}

/// The name of a claim at the beginning of a text, before a closing brace.
fn claim_name(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('}')?;
    // Letters, digits and the punctuation of claims and of paths to nested ones.
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || "_-.:/".contains(c);
    (!name.is_empty() && name.chars().all(is_name_char)).then_some(name)
}

/// Adds a text that matches only itself.
fn push_escaped(glob: &mut String, text: &str) {
    for c in text.chars() {
        if "\\*?[]{},".contains(c) {
            glob.push('\\');
        }
        glob.push(c);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::key_patterns::compile;

    fn expanded(pattern: &str, claims: &Value) -> Option<String> {
        with_claims(pattern, claims.as_object())
    }

    fn allows(pattern: &str, claims: &Value, key: &str) -> bool {
        let pattern = expanded(pattern, claims);
        pattern.is_some_and(|pattern| compile(&[pattern]).unwrap().is_match(key))
    }

    #[test]
    fn claims_limit_the_keys_to_their_values() {
        let claims = json!({
            "repository": "acme/app", "run": 7, "ref_name": "v1.2*", "user": {"team": "a,b}"},
        });
        for (pattern, allowed, refused) in [
            (
                "app/{repository}/**",
                "app/acme/app/x/y",
                "app/acme/other/x",
            ),
            (
                "{repository}/{run}/*.gz",
                "acme/app/7/a.gz",
                "acme/app/8/a.gz",
            ),
            ("r/{ref_name}/*", "r/v1.2*/x", "r/v1.2.9/x"),
            ("t/{user.team}/*", "t/a,b}/x", "t/a/x"),
            ("{a,b}/{run}", "b/7", "c/7"),
            ("[{]x/{run}", "{x/7", "x/7"),
            ("[{run}]x/{run}", "nx/7", "7x/7"),
            ("[]{run}]x/{run}", "]x/7", "7x/7"),
            ("\\{run\\}/{run}", "{run}/7", "7/7"),
            ("plain/**", "plain/x", "other/x"),
        ] {
            assert!(allows(pattern, &claims, allowed), "{pattern} {allowed}");
            assert!(!allows(pattern, &claims, refused), "{pattern} {refused}");
        }
        assert!(has_claims("app/{repository}/**") && has_claims("{user.team}"));
        assert!(!has_claims("app/{a,b}/**") && !has_claims("\\{run}") && !has_claims("{"));
    }

    #[test]
    fn pattern_with_an_unusable_claim_permits_nothing() {
        for value in [
            json!(null),
            json!(""),
            json!("/a"),
            json!("a/"),
            json!("a//b"),
            json!(".."),
            json!("a/../b"),
            json!("."),
            json!("a\nb"),
            json!(["a"]),
            json!({"a": "b"}),
            json!(true),
            json!(1.5),
            json!("x".repeat(1025)),
        ] {
            let claims = json!({ "c": value });
            assert_eq!(expanded("a/{c}/**", &claims), None, "{claims}");
        }
        assert_eq!(expanded("a/{absent}/**", &json!({})), None);
        assert_eq!(expanded("a/{c}/**", &Value::Null), None);
        assert_eq!(expanded("a/**", &Value::Null).as_deref(), Some("a/**"));
    }

    proptest! {
        #[test]
        fn any_value_matches_only_itself(
            pattern in proptest::sample::select(vec!["a/{c}/*", "a[x{c}]?/{c}/*", "{b,a}/{c}/*"]),
            value in "[ -~\u{e9}\u{1f600}]{1,12}",
            other in "[ -~]{1,12}",
        ) {
            let claims = json!({ "c": value });
            let Ok(normal) = normalised_key(&value, 0) else {
                prop_assert_eq!(expanded(pattern, &claims), None);
                return Ok(());
            };
            let first = if pattern.contains('[') { "a{y" } else { "a" };
            let own = format!("{first}/{normal}/x");
            prop_assert!(allows(pattern, &claims, &own), "{own}");
            if other != *normal && !other.contains('/') {
                let key = format!("{first}/{other}/x");
                prop_assert!(!allows(pattern, &claims, &key), "{key}");
            }
        }
    }
}
