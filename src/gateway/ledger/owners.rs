//! Who the ledger knows: owners, their segment of every key, and the API tokens.
//!
//! Border: rows; what makes a token valid is `gateway/auth`.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Ledger, damaged};
use crate::error::Result;

/// A token to be kept: its secret is known by its hash alone.
pub struct NewToken {
    pub id: String,
    pub name: String,
    pub hash: [u8; 32],
}

/// A token as the ledger knows it.
pub struct ApiToken {
    pub id: String,
    pub name: String,
    pub hash: [u8; 32],
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Ledger {
    /// The segment of `subject` in its keys; `fresh` becomes it on first sight.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn owner(&self, subject: &str, fresh: String) -> Result<String> {
        let subject = subject.to_owned();
        self.write(move |tx| {
            let sql = "INSERT INTO owner (subject, segment) VALUES (?1, ?2) ON CONFLICT (subject) DO NOTHING";
            tx.prepare_cached(sql)?.execute([&subject, &fresh])?;
            tx.query_row("SELECT segment FROM owner WHERE subject = ?1", [&subject], |row| row.get(0))
        })
        .await
    }

    /// # Errors
    /// When the ledger fails.
    pub async fn insert_token(&self, token: NewToken, now: Timestamp) -> Result<()> {
        self.write(move |tx| {
            let sql = "INSERT INTO token (id, name, hash, created_at) VALUES (?1, ?2, ?3, ?4)";
            tx.prepare_cached(sql)?.execute(params![token.id, token.name, token.hash, now.as_millisecond()]).map(drop)
        })
        .await
    }

    /// A token by its id, revoked or not.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn token(&self, id: &str) -> Result<Option<ApiToken>> {
        let id = id.to_owned();
        self.read(move |connection| {
            let sql = "SELECT id, name, hash, created_at, revoked_at FROM token WHERE id = ?1";
            connection.prepare_cached(sql)?.query_row([&id], token).optional()
        })
        .await
    }

    /// Every token, oldest first.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>> {
        self.read(|connection| {
            let sql = "SELECT id, name, hash, created_at, revoked_at FROM token ORDER BY created_at, id";
            connection.prepare_cached(sql)?.query_map([], token)?.collect()
        })
        .await
    }

    /// Revokes a token; false when no valid token has that id.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn revoke_token(&self, id: &str, now: Timestamp) -> Result<bool> {
        let id = id.to_owned();
        self.write(move |tx| {
            let sql = "UPDATE token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            Ok(tx.prepare_cached(sql)?.execute(params![id, now.as_millisecond()])? == 1)
        })
        .await
    }
}

fn token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    let time =
        |column, millisecond| Timestamp::from_millisecond(millisecond).map_err(|_| damaged(column, "not a time"));
    Ok(ApiToken {
        id: row.get(0)?,
        name: row.get(1)?,
        hash: row.get(2)?,
        created_at: time(3, row.get(3)?)?,
        revoked_at: row.get::<_, Option<i64>>(4)?.map(|at| time(4, at)).transpose()?,
    })
}
