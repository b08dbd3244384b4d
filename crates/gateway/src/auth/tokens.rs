//! API tokens, `upl_ID_SECRET`: their form, their creation and their validity.
//!
//! Not here: their rows (`ledger/api_tokens`). The ledger keeps only the SHA-256 of a token, so the
//! caller must show a new token to the operator at once.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::key_templates;
use crate::key_patterns;
use crate::ledger::{ApiToken, Ledger, NewToken};
use crate::limits::OwnerLimits;
use crate::validation;
use upload_types::Token;
use upload_types::error::{Error, Kind, Result};

const PREFIX: &str = "upl_";
const ID_CHARS: usize = 12;
const MAX_NAME_CHARS: usize = 64;

/// The id in `upl_ID_SECRET`.
pub(super) fn id(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    (!id.is_empty() && !secret.is_empty()).then_some(id)
}

pub(super) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Compares in constant time.
pub(super) fn equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

/// Checks that `token` matches the known token and is valid at `now`.
///
/// # Errors
/// The reason, for the log.
pub(super) fn check(known: &ApiToken, token: &str, now: Timestamp) -> Result<(), &'static str> {
    if !equal(&known.sha256, &sha256(token)) {
        Err("its secret is wrong")
    } else if known.revoked_at.is_some() {
        Err("it was revoked")
    } else if known.expires_at.is_some_and(|end| end <= now) {
        Err("it has expired")
    } else {
        Ok(())
    }
}

impl Ledger {
    /// Creates an API token that is valid until it is revoked. Tokens of the same name share their
    /// uploads, so that a new token can replace an old one.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that is empty, longer than 64 characters or not printable; the
    /// error of a failed ledger.
    pub async fn add_token(&self, name: &str) -> Result<Token> {
        self.create_token(name, None, OwnerLimits::default()).await
    }

    /// Like [`Ledger::add_token`], with a token that expires after `lifetime` if that is given, and
    /// with limits of its own.
    ///
    /// # Errors
    /// As [`Ledger::add_token`]; [`Kind::Usage`] for a lifetime that ends after the last possible
    /// timestamp, and for a content type or a pattern of keys that is not a glob.
    pub async fn add_limited_token(
        &self,
        name: &str,
        lifetime: Option<Duration>,
        limits: OwnerLimits,
    ) -> Result<Token> {
        let end = |lifetime| Timestamp::now().saturating_add(lifetime);
        let expires_at = lifetime.map(end).transpose();
        let expires_at = expires_at.map_err(|error| {
            Error::new(
                Kind::Usage,
                "could not calculate when the token would expire",
            )
            .with_hint("use a shorter lifetime")
            .with_source(error)
        })?;
        let is_invalid = |glob: &&String| !validation::is_type_glob(glob);
        if let Some(glob) = limits.allow_types.iter().flatten().find(is_invalid) {
            return Err(Error::new(
                Kind::Usage,
                format!("{glob:?} is not type/subtype, type/* or */*"),
            )
            .with_hint("name one content type in each glob, such as video/mp4 or video/*"));
        }
        let mut patterns = limits.keys.iter().flatten();
        if let Some(pattern) = patterns.find(|pattern| !key_patterns::is_key_pattern(pattern)) {
            let text = format!("{pattern:?} is not a pattern of keys");
            return Err(Error::new(Kind::Usage, text).with_hint(key_patterns::PATTERN_HINT));
        }
        let mut patterns = limits.keys.iter().flatten();
        if let Some(pattern) = patterns.find(|pattern| key_templates::has_claims(pattern)) {
            let text = format!("{pattern:?} names a claim, and an API token has no claims");
            let hint = "write the text without braces, or name claims in [[limits]] of the \
                        configuration file";
            return Err(Error::new(Kind::Usage, text).with_hint(hint));
        }
        self.create_token(name, expires_at, limits).await
    }

    async fn create_token(
        &self,
        name: &str,
        expires_at: Option<Timestamp>,
        limits: OwnerLimits,
    ) -> Result<Token> {
        let length = name.chars().count();
        if length == 0 || length > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            return Err(
                Error::new(Kind::Usage, "could not use the name for a token")
                    .with_hint("use 1 to 64 printable characters"),
            );
        }
        let id: String = Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(ID_CHARS)
            .collect();
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let token = format!("{PREFIX}{id}_{secret}");
        let new = NewToken {
            id,
            name: name.to_owned(),
            sha256: sha256(&token),
            expires_at,
            limits,
        };
        self.insert_token(new, Timestamp::now()).await?;
        Ok(Token::new(token))
    }

    /// Revokes the token with that id, immediately.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such token, or it is revoked already; the error of a
    /// failed ledger.
    pub async fn revoke(&self, id: &str) -> Result<()> {
        if self.revoke_token(id, Timestamp::now()).await? {
            return Ok(());
        }
        Err(Error::new(
            Kind::NotFound,
            format!("could not revoke {id}: it is not the id of a valid token"),
        )
        .with_hint("run `upload serve token list` to see the tokens"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_valid_until_it_is_revoked_or_expires() {
        let now = Timestamp::now();
        let known = |revoked_at, expires_at| ApiToken {
            id: "1".into(),
            name: "ci".into(),
            sha256: sha256("upl_1_secret"),
            created_at: now,
            revoked_at,
            expires_at,
            last_used_at: None,
            limits: OwnerLimits::default(),
            owner: None,
        };
        let (before, after) = (now - Duration::from_secs(1), now + Duration::from_secs(1));
        for valid in [known(None, None), known(None, Some(after))] {
            assert!(check(&valid, "upl_1_secret", now).is_ok());
            assert!(check(&valid, "upl_1_secret2", now).is_err());
        }
        for invalid in [
            known(Some(before), None),
            known(None, Some(now)),
            known(None, Some(before)),
        ] {
            assert!(check(&invalid, "upl_1_secret", now).is_err());
        }
    }

    #[test]
    fn id_is_between_prefix_and_secret() {
        assert_eq!(id("upl_ab_cd_ef"), Some("ab"));
        for other in ["", "upl_", "upl__x", "upl_ab_", "upl_ab", "eyJhbGciOi.x.y"] {
            assert_eq!(id(other), None, "{other}");
        }
    }
}
