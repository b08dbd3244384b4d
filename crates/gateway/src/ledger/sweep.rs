//! The rows that the sweep takes: abandoned uploads, and ended uploads that may have leftovers in
//! the store.
//!
//! The sweep takes a row for a limited time, as a client takes a lease, so that two sweeps never
//! work on the same row.
//!
//! Not here: the actions of the sweep (`service/sweep`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::open_state::IS_OPEN;
use super::parts::delete_parts;
use super::sql::values;
use super::uploads::{COLUMNS, Upload, read_upload, sql_list};
use upload_types::UploadId;
use upload_types::wire::UploadState;

/// The maximum number of rows that the sweep takes at a time.
pub const SWEEP_BATCH_ROWS: usize = 100;

/// The states of [`IS_OPEN`].
const UNFINISHED: [UploadState; 4] = [
    UploadState::Pending,
    UploadState::Uploading,
    UploadState::Completing,
    UploadState::Aborting,
];

/// A set of rows that the sweep works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepTask {
    /// Completing uploads with an ended lease.
    Completing,
    /// Uploads by form that the browser may have posted by now.
    FormPosted,
    /// Aborting and expired uploads with an ended lease. Expired uploads by form are not included:
    /// they are checked as [`SweepTask::FormPosted`] first.
    Expired,
    /// Ended uploads with a cleanup that is due.
    CleanupDue,
}

impl SweepTask {
    pub const ALL: [Self; 4] = [
        Self::Completing,
        Self::FormPosted,
        Self::Expired,
        Self::CleanupDue,
    ];

    /// The SQL condition for the rows at the time `?1`.
    fn condition(self) -> String {
        let condition = match self {
            Self::CleanupDue => return "cleanup_at <= ?1".to_owned(),
            // As in the condition of the index `form_upload_by_lease`, so that SQLite uses it.
            Self::FormPosted => {
                return "kind = 'form_post' AND state = 'uploading' AND lease_until <= ?1"
                    .to_owned();
            }
            Self::Completing => "state = 'completing'",
            Self::Expired => {
                "(state = 'aborting' OR (state IN ('pending', 'uploading') AND kind <> 'form_post' AND expires_at <= ?1))"
            }
        };
        format!("{IS_OPEN} AND lease_until <= ?1 AND {condition}")
    }

    /// The SQL assignments that take a row until `?2`, and the column by which rows are ordered.
    fn assignments_and_order(self) -> (&'static str, &'static str) {
        match self {
            Self::Completing | Self::FormPosted => ("lease_until = ?2", "lease_until"),
            // Zero marks an upload that has expired: the time of another gateway may differ.
            Self::Expired => (
                "lease_until = ?2, expires_at = CASE WHEN state = 'aborting' THEN expires_at ELSE 0 END, \
                 state = 'aborting'",
                "lease_until",
            ),
            Self::CleanupDue => ("cleanup_at = ?2", "cleanup_at"),
        }
    }
}

/// The status of a key of the store in the ledger.
pub enum KeyStatus {
    /// No upload has the key.
    Unknown,
    /// The upload has ended, and no cleanup is scheduled: a multipart upload at the key is a
    /// leftover.
    Leftover(Box<Upload>),
    /// The upload is open, or its cleanup is scheduled.
    InUse,
}

/// The remainder of an upload in the store after its cleanup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remainder {
    Nothing,
    /// An object that may be complete, and is therefore not deleted.
    Object,
}

/// The end of an upload.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    pub now: Timestamp,
    /// When the sweep has to look for leftovers.
    pub cleanup_at: Option<Timestamp>,
    /// Until this time, a request that was signed earlier may create the object.
    pub may_land_until: Option<Timestamp>,
}

/// Now, and the time of the cleanup, of an upload whose object cannot be written late.
impl From<(Timestamp, Timestamp)> for Ending {
    fn from((now, cleanup_at): (Timestamp, Timestamp)) -> Self {
        Self {
            now,
            cleanup_at: Some(cleanup_at),
            may_land_until: None,
        }
    }
}

impl Ledger {
    /// Takes rows of a task until `until`. Expired uploads become `aborting`.
    ///
    /// The condition is repeated in the outer statement: under READ COMMITTED, the subquery may
    /// have seen an older version of a row, for example the one before its lease was renewed.
    pub async fn take_sweep_task(
        &self,
        task: SweepTask,
        now: Timestamp,
        until: Timestamp,
    ) -> LedgerResult<Vec<Upload>> {
        self.write(move |tx| {
            let condition = task.condition();
            let (assignments, order) = task.assignments_and_order();
            let sql = format!(
                "UPDATE upload SET {assignments} WHERE {condition} AND id IN \
                 (SELECT id FROM upload WHERE {condition} ORDER BY {order} LIMIT {SWEEP_BATCH_ROWS}) RETURNING {COLUMNS}"
            );
            tx.query(&sql, values![now, until], read_upload)
        })
        .await
    }

    /// The rows that [`Ledger::take_sweep_task`] would take, a page at a time: in the order of
    /// their ids, beginning after the id `after`.
    pub async fn list_sweep_task(
        &self,
        task: SweepTask,
        now: Timestamp,
        after: &str,
    ) -> LedgerResult<Vec<Upload>> {
        let after = after.to_owned();
        self.read(move |tx| {
            let condition = task.condition();
            let sql = format!(
                "SELECT {COLUMNS} FROM upload WHERE {condition} AND id > ?2 ORDER BY id LIMIT {SWEEP_BATCH_ROWS}"
            );
            tx.query(&sql, values![now, &after], read_upload)
        })
        .await
    }

    pub async fn key_statuses(&self, keys: Vec<String>) -> LedgerResult<Vec<(String, KeyStatus)>> {
        self.read(move |tx| {
            let leftover = format!(
                "SELECT {COLUMNS} FROM upload WHERE key = ?1 AND cleanup_at IS NULL AND NOT {IS_OPEN}"
            );
            let status = |key: &String| {
                if let Some(upload) = tx.find(&leftover, values![key], read_upload)? {
                    return Ok((key.clone(), KeyStatus::Leftover(Box::new(upload))));
                }
                let sql = "SELECT id FROM upload WHERE key = ?1";
                let known = tx.find(sql, values![key], |_| Ok(()))?;
                let status = known.map_or(KeyStatus::Unknown, |()| KeyStatus::InUse);
                Ok((key.clone(), status))
            };
            keys.iter().map(status).collect()
        })
        .await
    }

    /// Ends an upload: from one of the states `from` to `to`. Returns false if it is in none of the
    /// states `from`.
    ///
    /// The rows of its parts are deleted. Those of an expired upload stay until its cleanup is
    /// finished: until then, its object may turn out to be complete.
    pub async fn end(
        &self,
        id: &UploadId,
        from: &'static [UploadState],
        to: UploadState,
        ending: impl Into<Ending>,
    ) -> LedgerResult<bool> {
        let id = id.clone();
        let Ending {
            now,
            cleanup_at,
            may_land_until,
        } = ending.into();
        self.write(move |tx| {
            let from = sql_list(from);
            let sql = format!(
                "UPDATE upload SET state = ?2, cleanup_at = ?3, ended_at = ?4, may_land_until = ?5 \
                 WHERE id = ?1 AND state IN ({from})"
            );
            let row = values![id.as_str(), to.name(), cleanup_at, now, may_land_until];
            let has_ended = tx.execute(&sql, row)? == 1;
            if has_ended && to != UploadState::Expired {
                delete_parts(tx, &id)?;
            }
            Ok(has_ended)
        })
        .await
    }

    /// Schedules a cleanup of the leftovers of an upload in the store, unless an earlier one is
    /// scheduled.
    pub async fn schedule_cleanup(&self, id: &UploadId, at: Timestamp) -> LedgerResult<()> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE upload SET cleanup_at = ?2 WHERE id = ?1 AND (cleanup_at IS NULL OR cleanup_at > ?2)";
            tx.execute(sql, values![id.as_str(), at]).map(drop)
        })
        .await
    }

    /// Schedules the next cleanup of an upload that the caller has taken until `until`. Returns
    /// false if another caller has taken the upload.
    pub async fn reschedule_cleanup(
        &self,
        id: &UploadId,
        until: Timestamp,
        next: Timestamp,
    ) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE upload SET cleanup_at = ?3 WHERE id = ?1 AND cleanup_at = ?2";
            Ok(tx.execute(sql, values![id.as_str(), until, next])? == 1)
        })
        .await
    }

    /// Like [`Ledger::reschedule_cleanup`], after the last check at a time at which no request may
    /// create the object any more.
    pub async fn record_end_of_writes(
        &self,
        id: &UploadId,
        until: Timestamp,
        next: Timestamp,
    ) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE upload SET cleanup_at = ?3, may_land_until = NULL WHERE id = ?1 AND cleanup_at = ?2";
            Ok(tx.execute(sql, values![id.as_str(), until, next])? == 1)
        })
        .await
    }

    /// Finishes the cleanup of an upload that the caller has taken until `until`. Returns false if
    /// another caller has taken the upload. The rows of the parts of an upload that is complete or
    /// has ended are deleted, except that of an expired upload of one part. The row of an upload
    /// that has left an object in the store is never deleted.
    pub async fn finish_cleanup(
        &self,
        id: &UploadId,
        until: Timestamp,
        remainder: Remainder,
    ) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let ended_at = match remainder {
                Remainder::Nothing => "ended_at",
                Remainder::Object => "NULL",
            };
            let sql = format!(
                "UPDATE upload SET cleanup_at = NULL, ended_at = {ended_at} \
                 WHERE id = ?1 AND cleanup_at = ?2 RETURNING state, part_count"
            );
            let ended = tx.find(&sql, values![id.as_str(), until], |row| {
                Ok((row.text(0)?, row.number(1)?))
            })?;
            let Some((state, part_count)) = ended else {
                return Ok(false);
            };
            let is_open = UNFINISHED.iter().any(|open| open.name() == state);
            // A single PUT that arrives later is compared with its part.
            let may_return = state == UploadState::Expired.name() && part_count == 1;
            if !is_open && !may_return && remainder == Remainder::Nothing {
                delete_parts(tx, &id)?;
            }
            Ok(true)
        })
        .await
    }

    /// Schedules a cleanup at `at` of each ended upload that has one of these keys, unless a
    /// cleanup is scheduled. Returns the keys that no upload has.
    pub async fn schedule_key_cleanup(
        &self,
        keys: Vec<String>,
        at: Timestamp,
    ) -> LedgerResult<Vec<String>> {
        self.write(move |tx| {
            let schedule = format!(
                "UPDATE upload SET cleanup_at = ?2 WHERE key = ?1 AND cleanup_at IS NULL AND NOT {IS_OPEN}"
            );
            let mut unknown = Vec::new();
            for key in &keys {
                let sql = "SELECT id FROM upload WHERE key = ?1";
                if tx.find(sql, values![key], |_| Ok(()))?.is_some() {
                    tx.execute(&schedule, values![key, at])?;
                } else {
                    unknown.push(key.clone());
                }
            }
            Ok(unknown)
        })
        .await
    }
}
