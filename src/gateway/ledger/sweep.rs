//! What is found by sweeping: uploads that somebody left, and what of them may still be in the store.
//!
//! Border: who takes a row here holds it by its lease, as a client would, so that two sweepers never work on one row; what is
//! done about it is `gateway/service`.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Ledger;
use super::uploads::{COLUMNS, Upload, upload};
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
    /// somebody began to abort.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn take_expired(&self, now: Timestamp, until: Timestamp) -> Result<Vec<Upload>> {
        let expired = "(state = 'aborting' OR (state IN ('pending', 'uploading') AND expires_at <= ?1))";
        self.take("lease_until = ?2, state = 'aborting'", expired, now, until).await
    }

    /// Compare and set in one statement: who renews a lease in time is not among them.
    async fn take(
        &self,
        set: &'static str,
        which: &'static str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Upload>> {
        self.write(move |tx| {
            let sql = format!(
                "UPDATE upload SET {set} WHERE id IN (SELECT id FROM upload \
                 WHERE {UNDER_WAY} AND lease_until <= ?1 AND {which} ORDER BY lease_until LIMIT {TAKEN}) RETURNING {COLUMNS}"
            );
            let times = [now.as_millisecond(), until.as_millisecond()];
            tx.prepare_cached(&sql)?.query_map(times, upload)?.collect()
        })
        .await
    }

    /// Moves an upload that nobody finished to aborting, held until `until`; false when it is past that.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn set_aborting(&self, id: &UploadId, until: Timestamp) -> Result<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE upload SET state = 'aborting', lease_until = ?2 \
                       WHERE id = ?1 AND state IN ('pending', 'uploading')";
            Ok(tx.prepare_cached(sql)?.execute(params![id.as_str(), until.as_millisecond()])? == 1)
        })
        .await
    }

    /// Ends an upload: from one of `from` to `to`, and the store is to be looked at once more; false when it is in none of them.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn end(&self, id: &UploadId, from: &'static [State], to: State, look_again: Timestamp) -> Result<bool> {
        let id = id.clone();
        self.write(move |tx| {
            for state in from {
                let sql = "UPDATE upload SET state = ?3, look_again = ?4 WHERE id = ?1 AND state = ?2";
                let row = params![id.as_str(), state.name(), to.name(), look_again.as_millisecond()];
                if tx.prepare_cached(sql)?.execute(row)? == 1 {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }

    /// Has the store looked at for what this upload may have left there.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn look_again(&self, id: &UploadId, at: Timestamp) -> Result<()> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE upload SET look_again = min(ifnull(look_again, ?2), ?2) WHERE id = ?1";
            tx.prepare_cached(sql)?.execute(params![id.as_str(), at.as_millisecond()]).map(drop)
        })
        .await
    }

    /// Takes, until `until`, uploads for which the store is to be looked at now.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn take_to_look_at(&self, now: Timestamp, until: Timestamp) -> Result<Vec<Upload>> {
        self.write(move |tx| {
            let sql = format!(
                "UPDATE upload SET look_again = ?2 WHERE id IN (SELECT id FROM upload WHERE look_again <= ?1 \
                 ORDER BY look_again LIMIT {TAKEN}) RETURNING {COLUMNS}"
            );
            let times = [now.as_millisecond(), until.as_millisecond()];
            tx.prepare_cached(&sql)?.query_map(times, upload)?.collect()
        })
        .await
    }

    /// Notes that the store was looked at by who took the upload until `until`.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn looked(&self, id: &UploadId, until: Timestamp) -> Result<()> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE upload SET look_again = NULL WHERE id = ?1 AND look_again = ?2";
            tx.prepare_cached(sql)?.execute(params![id.as_str(), until.as_millisecond()]).map(drop)
        })
        .await
    }

    /// Those of the keys that no upload has. Where an upload has one and is over, the store is looked at for it `at` that time.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn unknown(&self, keys: Vec<String>, at: Timestamp) -> Result<Vec<String>> {
        self.write(move |tx| {
            let over =
                format!("UPDATE upload SET look_again = ?2 WHERE key = ?1 AND look_again IS NULL AND NOT {UNDER_WAY}");
            let mut unknown = Vec::new();
            for key in keys {
                if is_known(tx, &key)? {
                    tx.prepare_cached(&over)?.execute(params![key, at.as_millisecond()])?;
                } else {
                    unknown.push(key);
                }
            }
            Ok(unknown)
        })
        .await
    }
}

fn is_known(tx: &Connection, key: &str) -> rusqlite::Result<bool> {
    let mut known = tx.prepare_cached("SELECT 1 FROM upload WHERE key = ?1")?;
    Ok(known.query_row([key], |_| Ok(())).optional()?.is_some())
}
