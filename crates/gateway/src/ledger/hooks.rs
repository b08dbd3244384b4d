//! What hooks are still due for: uploads that are verified and not yet ready, and how they become ready or rejected.
//!
//! Border: who takes a row holds it until its time, and by a fence that grows with each taking: of two who believe they hold it, one
//! decides. Running hooks, and what a rejection entails, is `gateway/service`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::db::{self, Db, Failed, Row, damaged, values};
use super::uploads::{COLUMNS, Upload, count, upload};
use crate::hooks::{Disposal, Reason};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::UploadId;

/// Why and how an upload was rejected by a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    pub hook: String,
    pub reason: Reason,
    /// What becomes of the object.
    pub fate: Disposal,
    /// Until then a URL may live that brings the object back.
    pub until: Timestamp,
}

/// An upload that somebody took to run hooks for it.
pub struct Hooked {
    pub upload: Upload,
    pub fence: u64,
    /// Names of the hooks that have accepted it.
    pub accepted: Vec<String>,
    /// Failures in a row.
    pub failures: u32,
}

impl Ledger {
    /// Takes, until `until`, at most `limit` uploads whose hooks are due.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn take_hooked(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Hooked>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.write(move |db| {
            let sql = "UPDATE hooked SET due = ?2, fence = fence + 1 WHERE due <= ?1 AND upload IN \
                       (SELECT upload FROM hooked WHERE due <= ?1 ORDER BY due LIMIT ?3) \
                       RETURNING upload, fence, accepted, failures";
            let taken = db.query(sql, values![now, until, limit], |row| {
                let accepted = serde_json::from_str(&row.text(2)?)
                    .map_err(|_| damaged(2, "not a list of hooks"))?;
                let failures = u32::try_from(row.number(3)?).unwrap_or(u32::MAX);
                Ok((row.text(0)?, row.number(1)?, accepted, failures))
            })?;
            let find = format!("SELECT {COLUMNS} FROM upload WHERE id = ?1");
            let hooked = taken.into_iter().map(|(id, fence, accepted, failures)| {
                let upload = db
                    .find(&find, values![&id], upload)?
                    .ok_or(Failed::Missing)?;
                Ok(Hooked {
                    upload,
                    fence,
                    accepted,
                    failures,
                })
            });
            hooked.collect()
        })
        .await
    }

    /// When the next hooks are due, or those that were taken may be taken by another.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn next_hooked(&self) -> Result<Option<Timestamp>> {
        self.read(|db| {
            let due = |row: &Row<'_>| row.optional_time(0);
            Ok(db.find("SELECT min(due) FROM hooked", &[], due)?.flatten())
        })
        .await
    }

    /// Holds what was taken until another time; false when somebody else has taken it, or it is decided.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn hold_hooked(&self, id: &UploadId, fence: u64, until: Timestamp) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            let sql = "UPDATE hooked SET due = ?3 WHERE upload = ?1 AND fence = ?2";
            Ok(db.execute(sql, values![id.as_str(), fence, until])? == 1)
        })
        .await
    }

    /// Notes which hooks have accepted an upload; false as [`Ledger::hold_hooked`].
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn hooks_accepted(
        &self,
        id: &UploadId,
        fence: u64,
        accepted: &[String],
    ) -> Result<bool> {
        let (id, accepted) = (id.clone(), json(&accepted)?);
        self.write(move |db| {
            let sql =
                "UPDATE hooked SET accepted = ?3, failures = 0 WHERE upload = ?1 AND fence = ?2";
            Ok(db.execute(sql, values![id.as_str(), fence, &accepted])? == 1)
        })
        .await
    }

    /// Notes that a hook could not tell, and when it is to be asked again; false as [`Ledger::hold_hooked`].
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn hook_failed(
        &self,
        id: &UploadId,
        fence: u64,
        failures: u32,
        due: Timestamp,
    ) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            let sql = "UPDATE hooked SET failures = ?3, due = ?4 WHERE upload = ?1 AND fence = ?2";
            Ok(db.execute(sql, values![id.as_str(), fence, failures, due])? == 1)
        })
        .await
    }

    /// All hooks have accepted it: `verified → ready`; false as [`Ledger::hold_hooked`].
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn release(&self, id: &UploadId, fence: u64) -> Result<bool> {
        let id = id.clone();
        self.attempt(move |db| {
            let sql = "UPDATE upload SET state = 'ready' WHERE id = ?1 AND state = 'verified'";
            let won = settled(db, &id, fence)? && db.execute(sql, values![id.as_str()])? == 1;
            Ok((won, won))
        })
        .await
    }

    /// A hook has rejected it: `verified → rejected`, and `look_again` says when somebody else may see to its object; false as
    /// [`Ledger::hold_hooked`].
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn reject(
        &self,
        id: &UploadId,
        fence: u64,
        rejection: &Rejection,
        look_again: Timestamp,
    ) -> Result<bool> {
        let (id, rejection) = (id.clone(), json(rejection)?);
        self.attempt(move |db| {
            let sql = "UPDATE upload SET state = 'rejected', rejection = ?2, look_again = ?3 \
                       WHERE id = ?1 AND state = 'verified'";
            let row = values![id.as_str(), &rejection, look_again];
            let won = settled(db, &id, fence)? && db.execute(sql, row)? == 1;
            if won {
                let size = db.find(
                    "SELECT size FROM upload WHERE id = ?1",
                    values![id.as_str()],
                    |row| row.get(0),
                )?;
                count(db, &id, -size.unwrap_or(0_i64))?;
            }
            Ok((won, won))
        })
        .await
    }

    /// Puts off, or with None ends, looking after an upload's object for who holds that `until` the time given; false when
    /// another does.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn look_later(
        &self,
        id: &UploadId,
        until: Timestamp,
        next: Option<Timestamp>,
    ) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            let sql = "UPDATE upload SET look_again = ?3 WHERE id = ?1 AND look_again = ?2";
            Ok(db.execute(sql, values![id.as_str(), until, next])? == 1)
        })
        .await
    }
}

/// Takes the hooks of an upload that is decided off the list, for who holds it.
fn settled(db: &Db<'_>, id: &UploadId, fence: u64) -> db::Result<bool> {
    Ok(db.execute(
        "DELETE FROM hooked WHERE upload = ?1 AND fence = ?2",
        values![id.as_str(), fence],
    )? == 1)
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Error::new(Kind::Other, "could not write down what hooks said").with_source(error)
    })
}
