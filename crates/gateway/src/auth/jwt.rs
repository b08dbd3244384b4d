//! Verifies JSON Web Tokens: issuer, audience, time, required claims, and the owner.
//!
//! Not here: the issuer's keys (`jwks`) and the signature, which the library verifies. The
//! algorithm is taken from the configuration, never from the token.

use std::sync::Arc;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::glob::glob_matches;
use super::issuer::Issuer;
use super::jwks::KeyCache;
use super::key_refresh::KeyError;
use upload_net::{HttpClient, Network};
use upload_types::error::{Error, Kind, Result};

/// GitHub's tokens have 2 KiB; tokens of directories with many groups are larger.
const MAX_TOKEN_BYTES: usize = 8 << 10;
/// The accepted difference between clocks.
const CLOCK_LEEWAY_SECONDS: u64 = 30;
/// The maximum length of a claim that identifies an owner.
const MAX_OWNER_BYTES: usize = 255;

/// The reason that a token is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JwtError {
    /// The token is invalid. The reason is for the log.
    Invalid(String),
    /// The issuer's keys are unavailable, so the token cannot be verified.
    KeysUnavailable,
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, JwtError> {
    Err(JwtError::Invalid(reason.into()))
}

/// Verifies the tokens of a list of issuers.
pub(super) struct JwtVerifier(Vec<KnownIssuer>);

struct KnownIssuer {
    issuer: Issuer,
    validation: Validation,
    keys: Arc<KeyCache>,
}

impl JwtVerifier {
    /// # Errors
    /// [`Kind::Config`] if the HTTP library cannot be set up.
    pub(super) fn new(issuers: &[Issuer], network: &Network) -> Result<Self> {
        let http = HttpClient::new(network.clone()).map_err(|error| {
            Error::new(Kind::Config, "could not set up HTTP").with_source(error)
        })?;
        let known = |issuer: &Issuer| {
            let mut validation = Validation::new(issuer.algorithm.into());
            validation.leeway = CLOCK_LEEWAY_SECONDS;
            validation.validate_nbf = true;
            validation.set_issuer(&[&issuer.issuer]);
            validation.set_audience(&[&issuer.audience]);
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            KnownIssuer {
                issuer: issuer.clone(),
                validation,
                keys: Arc::new(KeyCache::new(http.clone(), issuer)),
            }
        };
        Ok(Self(issuers.iter().map(known).collect()))
    }

    /// The subject of a valid token, by which the ledger identifies the owner, and its claims.
    pub(super) async fn verify(&self, token: &str) -> Result<Verified, JwtError> {
        if token.len() > MAX_TOKEN_BYTES {
            return invalid("it is too long");
        }
        let Ok(header) = decode_header(token) else {
            return invalid("it does not have the form of a signed token");
        };
        // The claim is not verified yet: it only selects the keys that must verify the token.
        let Ok(UnverifiedClaims { iss }) = insecure_decode_claims(token) else {
            return invalid("it has no issuer");
        };
        let Some(known) = self.0.iter().find(|known| known.issuer.issuer == iss) else {
            return invalid("its issuer is not configured");
        };
        if header.alg != known.issuer.algorithm.into() {
            return invalid(format!(
                "it is signed with {:?}, which is not the configured algorithm",
                header.alg
            ));
        }
        if header.crit.is_some() {
            return invalid("it requires an extension that is not supported");
        }
        let Some(key_id) = header.kid else {
            return invalid("it does not name its key");
        };
        let key = known.keys.get(&key_id).await.map_err(|error| match error {
            KeyError::Unknown => JwtError::Invalid("the issuer has no key of that id".to_owned()),
            KeyError::Unavailable => JwtError::KeysUnavailable,
        })?;
        let claims = decode::<Map<String, Value>>(token, &key, &known.validation)
            .map_err(|error| JwtError::Invalid(reason(error.kind())))?
            .claims;
        check_required_claims(&known.issuer.claims, &claims)?;
        let subject = subject(&known.issuer, &claims)?;
        Ok(Verified { subject, claims })
    }
}

/// A valid token.
pub(super) struct Verified {
    pub subject: String,
    pub claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct UnverifiedClaims {
    iss: String,
}

/// The reason for the library's error, without any text of the token.
fn reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it has another issuer",
        ErrorKind::MissingRequiredClaim(name) => return format!("it has no {name}"),
        _ => "it does not have the form of a signed token",
    }
    .to_owned()
}

/// Checks that each required claim matches one of its globs.
fn check_required_claims(
    required: &[(String, String)],
    claims: &Map<String, Value>,
) -> Result<(), JwtError> {
    for (name, _) in required {
        let globs = required.iter().filter(|(other, _)| other == name);
        let mut globs = globs.map(|(_, glob)| glob);
        if !globs.any(|glob| claim_matches(claims, name, glob)) {
            return invalid(format!("its claim {name} does not match"));
        }
    }
    Ok(())
}

/// Returns true if a claim has a value that the glob matches, or a list with such a text.
pub(super) fn claim_matches(claims: &Map<String, Value>, name: &str, glob: &str) -> bool {
    match claims.get(name) {
        Some(Value::String(text)) => glob_matches(glob, text),
        Some(Value::Bool(value)) => glob_matches(glob, &value.to_string()),
        Some(Value::Number(number)) => glob_matches(glob, &number.to_string()),
        Some(Value::Array(values)) => values
            .iter()
            .filter_map(Value::as_str)
            .any(|text| glob_matches(glob, text)),
        Some(Value::Null | Value::Object(_)) | None => false,
    }
}

/// The subject for these claims. Subjects of different issuers differ, because an issuer contains
/// no space.
fn subject(issuer: &Issuer, claims: &Map<String, Value>) -> Result<String, JwtError> {
    let owner = match claims.get(&issuer.owner_claim) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    if owner.is_empty() || owner.len() > MAX_OWNER_BYTES || owner.chars().any(char::is_control) {
        return invalid(format!(
            "its claim {} does not identify an owner",
            issuer.owner_claim
        ));
    }
    Ok(format!("jwt:{} {owner}", issuer.issuer))
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
        let claims = claims(
            json!({"repository": "acme/app", "ref": "refs/heads/main", "run": 7, "ok": true,
            "groups": ["dev", "ops"], "none": null}),
        );
        for good in [
            &[("repository", "acme/*")][..],
            &[("repository", "other/*"), ("repository", "acme/*")],
            &[("repository", "acme/*"), ("ref", "refs/heads/main")],
            &[("run", "7"), ("ok", "true"), ("groups", "ops")],
        ] {
            let checked = check_required_claims(&required(good), &claims);
            assert_eq!(checked, Ok(()), "{good:?}");
        }
        for bad in [
            &[("repository", "other/*")][..],
            &[("repository", "acme/*"), ("ref", "refs/heads/dev")],
            &[("groups", "admin")],
            &[("none", "**")],
            &[("absent", "**")],
        ] {
            assert!(
                check_required_claims(&required(bad), &claims).is_err(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn subject_is_the_owner_claim_of_one_issuer() {
        let subject_by = |claim: &str, value: Value| {
            let issuer = Issuer {
                issuer: "https://issuer.example".into(),
                audience: "upload".into(),
                jwks: None,
                algorithm: Algorithm::Rs256,
                claims: vec![("sub".into(), "**".into())],
                owner_claim: claim.into(),
            };
            subject(&issuer, &claims(value))
        };
        assert_eq!(
            subject_by("sub", json!({"sub": "repo:a/b:ref:c"})).unwrap(),
            "jwt:https://issuer.example repo:a/b:ref:c"
        );
        assert_eq!(
            subject_by("id", json!({"id": 7})).unwrap(),
            "jwt:https://issuer.example 7"
        );
        for without_owner in [
            json!({}),
            json!({"sub": ""}),
            json!({"sub": ["a"]}),
            json!({"sub": "a\nb"}),
            json!({"sub": "a".repeat(256)}),
        ] {
            assert!(
                subject_by("sub", without_owner.clone()).is_err(),
                "{without_owner}"
            );
        }
    }
}
