//! API tokens, `upl_ID_SECRET`: made, shown once, and told from any other text.
//!
//! Border: the ledger keeps the SHA-256 of the whole and the dates; nobody keeps the token.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::ledger::{ApiToken, Ledger, NewToken};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::Token;

/// The id in `upl_ID_SECRET`.
pub fn id(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix("upl_")?.split_once('_')?;
    (!id.is_empty() && !secret.is_empty()).then_some(id)
}

pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Compares in a time that does not tell where two hashes differ.
pub fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

/// Whether `token` is the one the ledger knows, and may be used `now`; why not is for the log.
pub fn judge(known: &ApiToken, token: &str, now: Timestamp) -> Result<(), &'static str> {
    if !same(&known.sha256, &digest(token)) {
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
    /// Makes an API token for `name`, good until it is revoked. Tokens of one name share their uploads, so that a new one takes
    /// an old one's place. What it gives is shown once and kept nowhere.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that is empty, longer than 64 characters or not printable; else when the ledger fails.
    pub async fn add_token(&self, name: &str) -> Result<Token> {
        self.make_token(name, None).await
    }

    /// As [`Ledger::add_token`], good for `life` at most.
    ///
    /// # Errors
    /// As [`Ledger::add_token`].
    pub async fn add_token_for(&self, name: &str, life: Duration) -> Result<Token> {
        let end = Timestamp::now().saturating_add(life);
        let end = end.map_err(|error| {
            Error::new(Kind::Usage, "could not tell when the token ends").with_source(error)
        })?;
        self.make_token(name, Some(end)).await
    }

    async fn make_token(&self, name: &str, expires_at: Option<Timestamp>) -> Result<Token> {
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            return Err(Error::new(
                Kind::Usage,
                "a token's name has 1 to 64 printable characters",
            ));
        }
        let id: String = Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(12)
            .collect();
        let token = format!(
            "upl_{id}_{}{}",
            Uuid::new_v4().simple(),
            Uuid::new_v4().simple()
        );
        let new = NewToken {
            id,
            name: name.to_owned(),
            sha256: digest(&token),
            expires_at,
        };
        self.insert_token(new, Timestamp::now()).await?;
        Ok(Token::new(token))
    }

    /// Revokes the token of that id, at once.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no valid token of that id; else when the ledger fails.
    pub async fn revoke(&self, id: &str) -> Result<()> {
        if self.revoke_token(id, Timestamp::now()).await? {
            return Ok(());
        }
        Err(
            Error::new(Kind::NotFound, format!("there is no valid token {id}"))
                .with_hint("`upload serve token list` shows the tokens"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_until_it_is_revoked_or_ends() {
        let now = Timestamp::now();
        let known = |revoked_at, expires_at| ApiToken {
            id: "1".into(),
            name: "ci".into(),
            sha256: digest("upl_1_secret"),
            created_at: now,
            revoked_at,
            expires_at,
        };
        let (before, after) = (now - Duration::from_secs(1), now + Duration::from_secs(1));
        for good in [known(None, None), known(None, Some(after))] {
            assert!(judge(&good, "upl_1_secret", now).is_ok());
            assert!(judge(&good, "upl_1_secret2", now).is_err());
        }
        for over in [
            known(Some(before), None),
            known(None, Some(now)),
            known(None, Some(before)),
        ] {
            assert!(judge(&over, "upl_1_secret", now).is_err());
        }
    }

    #[test]
    fn an_id_stands_between_marks() {
        assert_eq!(id("upl_ab_cd_ef"), Some("ab"));
        for other in ["", "upl_", "upl__x", "upl_ab_", "upl_ab", "eyJhbGciOi.x.y"] {
            assert_eq!(id(other), None, "{other}");
        }
    }
}
