//! What is found by sweeping: uploads that somebody left, and what of them may still be in the store.
//!
//! Border: who takes a row here holds it by its lease, as a client would, so that two sweepers never work on one row; what is
//! done about it is `gateway/service`.

use jiff::Timestamp;

use super::Ledger;
use super::db::values;
use super::uploads::{COLUMNS, Upload, listed, upload};
use crate::error::Result;
use crate::names::UploadId;
use crate::wire::State;

/// The most rows that are taken at a time.
pub const TAKEN: usize = 100;

/// Exactly as the index has it: only then is the index used.
const UNDER_WAY: &str = "state IN ('pending', 'uploading', 'completing', 'aborting')";

impl Ledger {
    /// Takes uploads that are completing although their lease has ended, until `until`.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn take_completing(&self, now: Timestamp, until: Timestamp) -> Result<Vec<Upload>> {
        self.take("lease_until = ?2", "state = 'completing'", now, until).await
    }

    /// Takes, until `until`, uploads whose lease has ended and that have expired, which are aborting from now on, and those that
    /// somebody began to abort. Not those whose form may have been posted and not been looked for.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn take_expired(&self, now: Timestamp, until: Timestamp) -> Result<Vec<Upload>> {
        let expired =
            "(state = 'aborting' OR (state IN ('pending', 'uploading') AND manner <> 'form' AND expires_at <= ?1))";
        self.take("lease_until = ?2, state = 'aborting'", expired, now, until).await
    }

    /// Compare and set in one statement: who renews a lease in time is not among them. What is asked of a row is asked twice, for
    /// the inner question may be older than another gateway's answer to it.
    async fn take(
        &self,
        set: &'static str,
        which: &'static str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Upload>> {
        self.write(move |db| {
            let which = format!("{UNDER_WAY} AND lease_until <= ?1 AND {which}");
            let sql = format!(
                "UPDATE upload SET {set} WHERE {which} AND id IN \
                 (SELECT id FROM upload WHERE {which} ORDER BY lease_until LIMIT {TAKEN}) RETURNING {COLUMNS}"
            );
            db.query(&sql, values![now, until], upload)
        })
        .await
    }

    /// Ends an upload: from one of `from` to `to`, and the store is to be looked at once more; false when it is in none of them.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn end(&self, id: &UploadId, from: &'static [State], to: State, look_again: Timestamp) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            let from = listed(from);
            let sql = format!("UPDATE upload SET state = ?2, look_again = ?3 WHERE id = ?1 AND state IN ({from})");
            Ok(db.execute(&sql, values![id.as_str(), to.name(), look_again])? == 1)
        })
        .await
    }

    /// Has the store looked at for what this upload may have left there.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn look_again(&self, id: &UploadId, at: Timestamp) -> Result<()> {
        let id = id.clone();
        self.write(move |db| {
            let sql = "UPDATE upload SET look_again = ?2 WHERE id = ?1 AND (look_again IS NULL OR look_again > ?2)";
            db.execute(sql, values![id.as_str(), at]).map(drop)
        })
        .await
    }

    /// Takes, until `until`, uploads for which the store is to be looked at now.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn take_to_look_at(&self, now: Timestamp, until: Timestamp) -> Result<Vec<Upload>> {
        self.write(move |db| {
            let sql = format!(
                "UPDATE upload SET look_again = ?2 WHERE look_again <= ?1 AND id IN \
                 (SELECT id FROM upload WHERE look_again <= ?1 ORDER BY look_again LIMIT {TAKEN}) RETURNING {COLUMNS}"
            );
            db.query(&sql, values![now, until], upload)
        })
        .await
    }

    /// Notes that the store was looked at by who took the upload until `until`.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn looked(&self, id: &UploadId, until: Timestamp) -> Result<()> {
        let id = id.clone();
        self.write(move |db| {
            let sql = "UPDATE upload SET look_again = NULL WHERE id = ?1 AND look_again = ?2";
            db.execute(sql, values![id.as_str(), until]).map(drop)
        })
        .await
    }

    /// Those of the keys that no upload has. Where an upload has one and is over, the store is looked at for it `at` that time.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn unknown(&self, keys: Vec<String>, at: Timestamp) -> Result<Vec<String>> {
        self.write(move |db| {
            let over =
                format!("UPDATE upload SET look_again = ?2 WHERE key = ?1 AND look_again IS NULL AND NOT {UNDER_WAY}");
            let mut unknown = Vec::new();
            for key in &keys {
                if db.find("SELECT id FROM upload WHERE key = ?1", values![key], |_| Ok(()))?.is_some() {
                    db.execute(&over, values![key, at])?;
                } else {
                    unknown.push(key.clone());
                }
            }
            Ok(unknown)
        })
        .await
    }
}
