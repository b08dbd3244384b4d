//! Who the ledger knows: owners, their segment of every key, and the API tokens.
//!
//! Border: rows; what makes a token valid is `gateway/auth`.

use jiff::Timestamp;

use super::Ledger;
use super::db::{self, Row, values};
use upload_types::error::Result;

/// A token to be kept: its secret is known by its hash alone.
pub struct NewToken {
    pub id: String,
    pub name: String,
    pub hash: [u8; 32],
    pub expires_at: Option<Timestamp>,
}

/// A token as the ledger knows it.
pub struct ApiToken {
    pub id: String,
    pub name: String,
    pub hash: [u8; 32],
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// Good for ever where there is none.
    pub expires_at: Option<Timestamp>,
}

impl Ledger {
    /// The segment of `subject` in its keys; `fresh` becomes it on first sight.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn owner(&self, subject: &str, fresh: String) -> Result<String> {
        let subject = subject.to_owned();
        self.write(move |db| {
            let sql = "INSERT INTO owner (subject, segment) VALUES (?1, ?2) ON CONFLICT (subject) DO NOTHING";
            db.execute(sql, values![&subject, &fresh])?;
            let sql = "SELECT segment FROM owner WHERE subject = ?1";
            db.find(sql, values![&subject], |row| row.text(0))?.ok_or(db::Failed::Missing)
        })
        .await
    }

    /// # Errors
    /// When the ledger fails.
    pub async fn insert_token(&self, token: NewToken, now: Timestamp) -> Result<()> {
        self.write(move |db| {
            let sql = "INSERT INTO token (id, name, hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";
            db.execute(sql, values![&token.id, &token.name, &token.hash, now, token.expires_at]).map(drop)
        })
        .await
    }

    /// A token by its id, revoked or not.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn token(&self, id: &str) -> Result<Option<ApiToken>> {
        let id = id.to_owned();
        self.read(move |db| {
            let sql = "SELECT id, name, hash, created_at, revoked_at, expires_at FROM token WHERE id = ?1";
            db.find(sql, values![&id], token)
        })
        .await
    }

    /// Every token, oldest first.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>> {
        self.read(|db| {
            let sql = "SELECT id, name, hash, created_at, revoked_at, expires_at FROM token ORDER BY created_at, id";
            db.query(sql, &[], token)
        })
        .await
    }

    /// Revokes a token; false when no valid token has that id.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn revoke_token(&self, id: &str, now: Timestamp) -> Result<bool> {
        let id = id.to_owned();
        self.write(move |db| {
            let sql = "UPDATE token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            Ok(db.execute(sql, values![&id, now])? == 1)
        })
        .await
    }
}

fn token(row: &Row<'_>) -> db::Result<ApiToken> {
    Ok(ApiToken {
        id: row.text(0)?,
        name: row.text(1)?,
        hash: row.hash(2)?,
        created_at: row.time(3)?,
        revoked_at: row.optional_time(4)?,
        expires_at: row.optional_time(5)?,
    })
}
