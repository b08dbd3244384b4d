//! The rows of API tokens.
//!
//! Not here: the form and the validity of a token (`auth/tokens`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::{LedgerError, LedgerResult};
use super::sql::{self, Row, damaged, values};
use crate::limits::OwnerLimits;

/// A token to insert. The ledger keeps only the SHA-256 of its text.
pub struct NewToken {
    pub id: String,
    pub name: String,
    pub sha256: [u8; 32],
    pub expires_at: Option<Timestamp>,
    pub limits: OwnerLimits,
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
    pub last_used_at: Option<Timestamp>,
    /// Its own limits.
    pub limits: OwnerLimits,
    /// The segment of its owner. `None` before the first request of the owner.
    pub owner: Option<String>,
}

impl ApiToken {
    /// The subject of its owner.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{TOKEN_SUBJECT_PREFIX}{}", self.name)
    }
}

/// The subject of the owner of a token is [`TOKEN_SUBJECT_PREFIX`] and its name.
const TOKEN_SUBJECT_PREFIX: &str = "token:";

const TABLES: &str = "token LEFT JOIN owner ON subject = 'token:' || name";
/// The columns that [`read_token`] expects, in its order.
const COLUMNS: &str = "id, name, sha256, token.created_at, revoked_at, expires_at, token.last_used_at, \
    limits, segment";

impl Ledger {
    /// Inserts a token. Fails if the id is in use.
    pub async fn insert_token(&self, token: NewToken, now: Timestamp) -> LedgerResult<()> {
        let limits = (!token.limits.is_empty())
            .then(|| serde_json::to_string(&token.limits))
            .transpose()
            .map_err(|error| LedgerError::encode("the limits of a token", error))?;
        self.write(move |tx| {
            let sql = "INSERT INTO token (id, name, sha256, created_at, expires_at, limits) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let row = values![
                &token.id,
                &token.name,
                &token.sha256,
                now,
                token.expires_at,
                limits.as_deref()
            ];
            tx.execute(sql, row).map(drop)
        })
        .await
    }

    /// A token by its id, even if it is revoked or has expired.
    pub async fn token(&self, id: &str) -> LedgerResult<Option<ApiToken>> {
        let id = id.to_owned();
        self.read(move |tx| {
            let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE id = ?1");
            tx.find(&sql, values![&id], read_token)
        })
        .await
    }

    /// All tokens, oldest first.
    pub async fn tokens(&self) -> LedgerResult<Vec<ApiToken>> {
        self.read(|tx| {
            let sql = format!("SELECT {COLUMNS} FROM {TABLES} ORDER BY token.created_at, id");
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
    let limits: Option<String> = row.optional(7)?;
    let limits = limits.map(|json| serde_json::from_str(&json)).transpose();
    let limits = limits.map_err(|_| damaged(7, "not limits"))?;
    Ok(ApiToken {
        id: row.text(0)?,
        name: row.text(1)?,
        sha256: row.sha256_bytes(2)?,
        created_at: row.time(3)?,
        revoked_at: row.optional_time(4)?,
        expires_at: row.optional_time(5)?,
        last_used_at: row.optional_time(6)?,
        limits: limits.unwrap_or_default(),
        owner: row.optional(8)?,
    })
}
