//! The rows of API tokens.
//!
//! Not here: the form and the validity of a token (`auth/tokens`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::{self, Row, values};

/// A token to insert. The ledger keeps only the SHA-256 of its text.
pub struct NewToken {
    pub id: String,
    pub name: String,
    pub sha256: [u8; 32],
    pub expires_at: Option<Timestamp>,
}

/// The row of a token.
pub struct ApiToken {
    pub id: String,
    pub name: String,
    pub sha256: [u8; 32],
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// `None` if the token does not expire.
    pub expires_at: Option<Timestamp>,
}

/// The columns that [`read_token`] expects, in its order.
const COLUMNS: &str = "id, name, sha256, created_at, revoked_at, expires_at";

impl Ledger {
    /// Inserts a token. Fails if the id is in use.
    pub async fn insert_token(&self, token: NewToken, now: Timestamp) -> LedgerResult<()> {
        self.write(move |tx| {
            let sql = "INSERT INTO token (id, name, sha256, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";
            let row = values![&token.id, &token.name, &token.sha256, now, token.expires_at];
            tx.execute(sql, row).map(drop)
        })
        .await
    }

    /// A token by its id, even if it is revoked or has expired.
    pub async fn token(&self, id: &str) -> LedgerResult<Option<ApiToken>> {
        let id = id.to_owned();
        self.read(move |tx| {
            let sql = format!("SELECT {COLUMNS} FROM token WHERE id = ?1");
            tx.find(&sql, values![&id], read_token)
        })
        .await
    }

    /// All tokens, oldest first.
    pub async fn tokens(&self) -> LedgerResult<Vec<ApiToken>> {
        self.read(|tx| {
            let sql = format!("SELECT {COLUMNS} FROM token ORDER BY created_at, id");
            tx.query(&sql, &[], read_token)
        })
        .await
    }

    /// Revokes a token. Returns false if no token has that id, or if it is revoked already.
    pub async fn revoke_token(&self, id: &str, now: Timestamp) -> LedgerResult<bool> {
        let id = id.to_owned();
        self.write(move |tx| {
            let sql = "UPDATE token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            Ok(tx.execute(sql, values![&id, now])? == 1)
        })
        .await
    }
}

fn read_token(row: &Row<'_>) -> sql::Result<ApiToken> {
    Ok(ApiToken {
        id: row.text(0)?,
        name: row.text(1)?,
        sha256: row.sha256_bytes(2)?,
        created_at: row.time(3)?,
        revoked_at: row.optional_time(4)?,
        expires_at: row.optional_time(5)?,
    })
}
