//! The claims of a token: required ones, and the one that identifies the owner. Pure.
//!
//! The name of a claim may be a path: `realm_access.roles` is the claim `roles` in the object
//! `realm_access`, unless there is a claim with the whole name.

use serde_json::{Map, Number, Value};

use super::glob::glob_matches;
use super::issuer::Issuer;

/// The maximum length of a claim that identifies an owner.
const MAX_OWNER_BYTES: usize = 255;
/// Claims with a list of words in one text (RFC 8693, section 4.2, and its form at Microsoft).
const WORD_LISTS: [&str; 2] = ["scope", "scp"];

/// Checks that each required claim matches one of its globs.
///
/// # Errors
/// The name of the first claim that does not match.
pub(super) fn check_required<'a>(
    required: &'a [(String, String)],
    claims: &Map<String, Value>,
) -> Result<(), &'a str> {
    for (name, _) in required {
        let globs: Vec<&str> = required
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, glob)| glob.as_str())
            .collect();
        if !find(claims, name).is_some_and(|value| is_met(name, value, &globs)) {
            return Err(name);
        }
    }
    Ok(())
}

/// Returns true if the claim has a value, or a list with a value, that the glob matches.
pub(super) fn matches(claims: &Map<String, Value>, name: &str, glob: &str) -> bool {
    find(claims, name).is_some_and(|value| is_met(name, value, &[glob]))
}

/// The value of a claim as text, if it is a text or a whole number.
pub(super) fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    match find(claims, name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => exact(number),
        _ => None,
    }
}

fn is_met(name: &str, value: &Value, globs: &[&str]) -> bool {
    let matches = |text: &str| globs.iter().any(|glob| glob_matches(glob, text));
    match value {
        Value::String(text) => {
            let is_list = WORD_LISTS.contains(&name.rsplit('.').next().unwrap_or(name));
            matches(text) || is_list && text.split(' ').any(matches)
        }
        Value::Bool(value) => matches(&value.to_string()),
        Value::Number(number) => exact(number).is_some_and(|number| matches(&number)),
        Value::Array(values) => values.iter().any(|value| match value {
            Value::String(text) => matches(text),
            Value::Number(number) => exact(number).is_some_and(|number| matches(&number)),
            _ => false,
        }),
        Value::Null | Value::Object(_) => false,
    }
}

/// The subject by which the ledger identifies the owner. It names the issuer, which contains no
/// space, so owners of different issuers differ. The number 1 and the text `1` are different
/// owners.
pub(super) fn subject(issuer: &Issuer, claims: &Map<String, Value>) -> Option<String> {
    let (kind, owner) = match find(claims, &issuer.owner_claim)? {
        Value::String(text) => ("jwt", text.clone()),
        Value::Number(number) => ("jwt-number", exact(number)?),
        _ => return None,
    };
    let is_name =
        !owner.is_empty() && owner.len() <= MAX_OWNER_BYTES && !owner.chars().any(char::is_control);
    is_name.then(|| format!("{kind}:{} {owner}", issuer.issuer))
}

/// A whole number of at most 64 bits. Other numbers are rounded by parsers, so that different ones
/// would be the same.
fn exact(number: &Number) -> Option<String> {
    (number.is_u64() || number.is_i64()).then(|| number.to_string())
}

/// The claim with this name or path.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        name.match_indices('.').find_map(|(dot, _)| {
            let (outer, inner) = (name.get(..dot)?, name.get(dot + 1..)?);
            find(claims.get(outer)?.as_object()?, inner)
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::issuer::Algorithm;

    fn claims(value: Value) -> Map<String, Value> {
        let Value::Object(claims) = value else {
            panic!("not an object")
        };
        claims
    }

    #[test]
    fn each_required_claim_must_match_one_of_its_globs() {
        let required = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(name, glob)| ((*name).to_owned(), (*glob).to_owned()))
                .collect()
        };
        let claims = claims(json!({
            "repository": "acme/app", "ref": "refs/heads/main", "run": 7, "ok": true,
            "groups": ["dev", "ops", 12], "none": null, "big": 18_446_744_073_709_551_617.0,
            "realm_access": {"roles": ["uploader"], "scope": "read write"},
            "https://x.example/roles": ["admin"], "scope": "openid upload:write",
            "resource_access": {"my.client": {"roles": ["sender"]}}, "name": "mallory admin",
            "a.b": "whole", "a": {"b": "nested"},
        }));
        for good in [
            &[("repository", "acme/*")][..],
            &[("repository", "other/*"), ("repository", "acme/*")],
            &[("repository", "acme/*"), ("ref", "refs/heads/main")],
            &[("run", "7"), ("ok", "true"), ("groups", "ops")],
            &[("groups", "12")],
            &[("realm_access.roles", "uploader")],
            &[("realm_access.scope", "write")],
            &[("resource_access.my.client.roles", "sender")],
            &[("https://x.example/roles", "admin")],
            &[("scope", "upload:write")],
            &[("scope", "openid upload:write")],
            &[("a.b", "whole")],
        ] {
            let required = required(good);
            let checked = check_required(&required, &claims);
            assert_eq!(checked, Ok(()), "{good:?}");
        }
        for bad in [
            &[("repository", "other/*")][..],
            &[("repository", "acme/*"), ("ref", "refs/heads/dev")],
            &[("groups", "admin")],
            &[("none", "**")],
            &[("absent", "**")],
            &[("big", "**")],
            &[("realm_access", "**")],
            &[("realm_access.role", "**")],
            &[("realm_access.roles.0", "**")],
            &[("scope", "upload")],
            // Words of other claims are not a list.
            &[("name", "admin")],
            &[("a.b", "nested")],
            &[(".", "**")],
        ] {
            assert!(check_required(&required(bad), &claims).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn subject_is_the_owner_claim_of_one_issuer() {
        let subject_by = |claim: &str, value: Value| {
            let issuer = Issuer {
                issuer: "https://issuer.example".into(),
                audiences: vec!["upload".into()],
                jwks: None,
                algorithms: vec![Algorithm::Rs256],
                claims: vec![("sub".into(), "**".into())],
                owner_claim: claim.into(),
            };
            subject(&issuer, &claims(value))
        };
        for (claim, value, expected) in [
            (
                "sub",
                json!({"sub": "repo:a/b:ref:c"}),
                "jwt:https://issuer.example repo:a/b:ref:c",
            ),
            ("id", json!({"id": "7"}), "jwt:https://issuer.example 7"),
            (
                "id",
                json!({"id": 7}),
                "jwt-number:https://issuer.example 7",
            ),
            (
                "id",
                json!({"id": -7}),
                "jwt-number:https://issuer.example -7",
            ),
            (
                "id",
                json!({"id": u64::MAX}),
                "jwt-number:https://issuer.example 18446744073709551615",
            ),
            (
                "user.id",
                json!({"user": {"id": "u"}}),
                "jwt:https://issuer.example u",
            ),
        ] {
            assert_eq!(subject_by(claim, value).as_deref(), Some(expected));
        }
        for without_owner in [
            "{}".to_owned(),
            r#"{"sub": ""}"#.to_owned(),
            r#"{"sub": ["a"]}"#.to_owned(),
            r#"{"sub": "a\nb"}"#.to_owned(),
            format!("{{\"sub\": \"{}\"}}", "a".repeat(256)),
            // Both are the same number once they are rounded.
            r#"{"sub": 18446744073709551617}"#.to_owned(),
            r#"{"sub": 18446744073709551618}"#.to_owned(),
            r#"{"sub": -9223372036854775809}"#.to_owned(),
            r#"{"sub": 1.0}"#.to_owned(),
            r#"{"sub": 1e2}"#.to_owned(),
        ] {
            let value = serde_json::from_str(&without_owner).unwrap();
            assert_eq!(subject_by("sub", value), None, "{without_owner}");
        }
    }
}
