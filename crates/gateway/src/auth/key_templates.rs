//! Patterns of keys with the claims of a token: `app/{repository}/**` permits the keys of the
//! repository that the token names.
//!
//! A name in braces, without a comma, is a claim. Braces with a comma are alternatives of the glob.
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
    while let Some(open) = rest[searched..].find(['{', '\\']).map(|at| searched + at) {
        if rest[open..].starts_with('\\') {
            let escaped = rest[open + 1..].chars().next().map_or(0, char::len_utf8);
            searched = open + 1 + escaped;
            continue;
        }
        let inner = rest[open + 1..].split_once('}').map(|(inner, _)| inner);
        let Some(name) = inner.filter(|inner| is_claim_name(inner)) else {
            searched = open + 1;
            continue;
        };
        pieces.push(Piece::Glob(&rest[..open]));
        pieces.push(Piece::Claim(name));
        rest = &rest[open + name.len() + 2..];
        searched = 0;
    }
    pieces.push(Piece::Glob(rest));
    pieces
}

/// Letters, digits and the punctuation of claims and of paths to nested ones.
fn is_claim_name(text: &str) -> bool {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || "_-.:/".contains(c);
    !text.is_empty() && text.chars().all(is_name_char)
}

/// Adds a text that matches only itself.
fn push_escaped(glob: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_ascii_punctuation() && c != '/' {
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
        fn any_value_matches_only_itself(value in "[ -~\u{e9}\u{1f600}]{1,12}", other in "[ -~]{1,12}") {
            let claims = json!({ "c": value });
            let Ok(normal) = normalised_key(&value, 0) else {
                prop_assert_eq!(expanded("a/{c}/*", &claims), None);
                return Ok(());
            };
            let own = format!("a/{normal}/x");
            prop_assert!(allows("a/{c}/*", &claims, &own), "{own}");
            if other != *normal && !other.contains('/') {
                let key = format!("a/{other}/x");
                prop_assert!(!allows("a/{c}/*", &claims, &key), "{key}");
            }
        }
    }
}
