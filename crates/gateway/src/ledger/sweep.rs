//! What is found by sweeping: uploads that somebody left, and what of them may still be in the store.
//!
//! Border: who takes a row here holds it by its lease, as a client would, so that two sweepers never work on one row; what is
//! done about it is `gateway/service`.

use jiff::Timestamp;

use super::Ledger;
use super::db::values;
use super::uploads::{COLUMNS, Upload, listed, upload};
use upload_types::error::Result;
use upload_types::names::UploadId;
use upload_types::wire::UploadState;

/// The most rows that are taken at a time.
pub const TAKEN: usize = 100;

/// Exactly as the index has it: only then is the index used.
const UNDER_WAY: &str = "state IN ('pending', 'uploading', 'completing', 'aborting')";

/// What somebody left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Uploads that are completing although their lease has ended.
    Completing,
    /// Those whose form may have been posted by now.
    Posted,
    /// Those whose lease has ended and that have expired, and those that somebody began to abort. A form is looked for first.
    Expired,
    /// Those for which the store is to be looked at now.
    ToLookAt,
}

impl Left {
    pub const ALL: [Self; 4] = [
        Self::Completing,
        Self::Posted,
        Self::Expired,
        Self::ToLookAt,
    ];

    /// Which rows these are at the time `?1`.
    fn which(self) -> String {
        let also = match self {
            Self::ToLookAt => return "look_again <= ?1".to_owned(),
            // As the index has it.
            Self::Posted => {
                return "manner = 'form' AND state = 'uploading' AND lease_until <= ?1".to_owned();
            }
            Self::Completing => "state = 'completing'",
            Self::Expired => {
                "(state = 'aborting' OR (state IN ('pending', 'uploading') AND manner <> 'form' AND expires_at <= ?1))"
            }
        };
        format!("{UNDER_WAY} AND lease_until <= ?1 AND {also}")
    }

    /// What taking them until `?2` makes of a row, and in which order they are taken.
    fn taken(self) -> (&'static str, &'static str) {
        match self {
            Self::Completing | Self::Posted => ("lease_until = ?2", "lease_until"),
            Self::Expired => ("lease_until = ?2, state = 'aborting'", "lease_until"),
            Self::ToLookAt => ("look_again = ?2", "look_again"),
        }
    }
}

/// A key in the store, as the ledger knows it.
pub enum KnownAs {
    /// No upload has it.
    Stranger,
    /// Its upload is over, and what the store still has there is of no use to anybody.
    Spare(Box<Upload>),
    /// Its upload goes on, or is looked after anyway.
    Ours,
}

impl Ledger {
    /// Takes what was left, until `until`; what has expired is aborting from now on.
    ///
    /// Compare and set in one statement: who renews a lease in time is not among them. What is asked of a row is asked twice, for
    /// the inner question may be older than another gateway's answer to it.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn take_left(
        &self,
        what: Left,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Upload>> {
        self.write(move |db| {
            let (which, (set, order)) = (what.which(), what.taken());
            let sql = format!(
                "UPDATE upload SET {set} WHERE {which} AND id IN \
                 (SELECT id FROM upload WHERE {which} ORDER BY {order} LIMIT {TAKEN}) RETURNING {COLUMNS}"
            );
            db.query(&sql, values![now, until], upload)
        })
        .await
    }

    /// What [`Ledger::take_left`] would take, by id, behind `after`, as many at a time; nothing is taken.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn left(&self, what: Left, now: Timestamp, after: &str) -> Result<Vec<Upload>> {
        let after = after.to_owned();
        self.read(move |db| {
            let which = what.which();
            let sql = format!(
                "SELECT {COLUMNS} FROM upload WHERE {which} AND id > ?2 ORDER BY id LIMIT {TAKEN}"
            );
            db.query(&sql, values![now, &after], upload)
        })
        .await
    }

    /// What [`Ledger::unknown`] would find at each of the keys; nothing is noted.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn known_as(&self, keys: Vec<String>) -> Result<Vec<(String, KnownAs)>> {
        self.read(move |db| {
            let all = format!("SELECT {COLUMNS} FROM upload WHERE key = ?1");
            let spare = format!("{all} AND look_again IS NULL AND NOT {UNDER_WAY}");
            let known_as = |key: &String| {
                if let Some(spare) = db.find(&spare, values![key], upload)? {
                    return Ok((key.clone(), KnownAs::Spare(Box::new(spare))));
                }
                let known =
                    db.find("SELECT id FROM upload WHERE key = ?1", values![key], |_| {
                        Ok(())
                    })?;
                Ok((
                    key.clone(),
                    known.map_or(KnownAs::Stranger, |()| KnownAs::Ours),
                ))
            };
            keys.iter().map(known_as).collect()
        })
        .await
    }

    /// Ends an upload: from one of `from` to `to`, and the store is to be looked at once more; false when it is in none of them.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn end(
        &self,
        id: &UploadId,
        from: &'static [UploadState],
        to: UploadState,
        look_again: Timestamp,
    ) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            let from = listed(from);
            let sql = format!(
                "UPDATE upload SET state = ?2, look_again = ?3 WHERE id = ?1 AND state IN ({from})"
            );
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
