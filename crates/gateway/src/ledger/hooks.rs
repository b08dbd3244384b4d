//! The pending hooks of verified uploads, and the transitions to `ready` and `rejected`.
//!
//! A gateway takes a row for a limited time, and increments its epoch. If the time runs out and
//! another gateway takes the row, calls of the first gateway have an old epoch and write nothing.
//!
//! Not here: running hooks (`service/hooks`), and the disposal of a rejected object
//! (`service/dispose`).

use jiff::Timestamp;
use serde::Serialize;

use super::database::Ledger;
use super::error::{LedgerError, LedgerResult};
use super::parts::delete_parts;
use super::rejection::Rejection;
use super::sql::{self, Row, SqlError, commit_if, damaged, values};
use super::stored_bytes::release_held_bytes;
use super::transaction::Transaction;
use super::uploads::{COLUMNS, Upload, read_upload};
use crate::hooks::{Disposal, RunningByOwner, Turns};
use upload_types::UploadId;
use upload_types::saturating;

/// The pending hooks of an upload, taken by the caller.
pub struct PendingHooks {
    pub upload: Upload,
    pub epoch: u64,
    /// The names of the hooks that have accepted the upload.
    pub accepted: Vec<String>,
    /// Consecutive failures.
    pub failures: u32,
}

impl Ledger {
    /// Takes the due hooks of at most `limit` uploads until `until`, in turns of their owners.
    pub async fn take_due_hooks(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
        turns: (Turns, RunningByOwner),
    ) -> LedgerResult<Vec<PendingHooks>> {
        self.write(move |tx| {
            let (mut turns, mut running) = turns.clone();
            let mut taken = Vec::new();
            while taken.len() < limit {
                let due = oldest_due_hooks(tx, now)?;
                let owners: Vec<_> = due.iter().map(|(owner, _)| owner.clone()).collect();
                let next = turns.next(&running, &owners);
                let Some(((owner, _), id)) = next.and_then(|index| due.get(index)) else {
                    break;
                };
                // A lease that has ended at once would be taken again.
                if taken
                    .iter()
                    .any(|hooks: &PendingHooks| hooks.upload.id.as_str() == id)
                {
                    break;
                }
                // Another gateway was faster. The next call finds the hooks that are left.
                let Some(hooks) = take_hooks(tx, id, now, until)? else {
                    break;
                };
                turns.record(owner);
                *running.entry(owner.clone()).or_default() += 1;
                taken.push(hooks);
            }
            Ok(taken)
        })
        .await
    }

    /// The earliest time at which hooks are due. This may be the end of another gateway's lease.
    pub async fn next_hooks_due(&self) -> LedgerResult<Option<Timestamp>> {
        self.read(|tx| {
            let read = |row: &Row<'_>| row.optional_time(0);
            let due = tx.find("SELECT min(due_at) FROM pending_hooks", &[], read)?;
            Ok(due.flatten())
        })
        .await
    }

    /// Extends the time for which the caller has taken hooks. Returns false if another gateway has
    /// taken them, or if the upload is ready or rejected.
    pub async fn hold_hooks(
        &self,
        id: &UploadId,
        epoch: u64,
        until: Timestamp,
    ) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE pending_hooks SET due_at = ?3 WHERE upload = ?1 AND epoch = ?2";
            Ok(tx.execute(sql, values![id.as_str(), epoch, until])? == 1)
        })
        .await
    }

    /// Records the hooks that have accepted the upload. Returns false in the same cases as
    /// [`Ledger::hold_hooks`].
    pub async fn record_accepted_hooks(
        &self,
        id: &UploadId,
        epoch: u64,
        accepted: &[String],
    ) -> LedgerResult<bool> {
        let (id, accepted) = (id.clone(), json("the accepted hooks", &accepted)?);
        self.write(move |tx| {
            let sql = "UPDATE pending_hooks SET accepted = ?3, failures = 0 WHERE upload = ?1 AND epoch = ?2";
            Ok(tx.execute(sql, values![id.as_str(), epoch, &accepted])? == 1)
        })
        .await
    }

    /// Records the failure of a hook, and the time at which it is due again. Returns false in the
    /// same cases as [`Ledger::hold_hooks`].
    pub async fn record_hook_failure(
        &self,
        id: &UploadId,
        epoch: u64,
        failures: u32,
        due: Timestamp,
    ) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE pending_hooks SET failures = ?3, due_at = ?4 WHERE upload = ?1 AND epoch = ?2";
            Ok(tx.execute(sql, values![id.as_str(), epoch, failures, due])? == 1)
        })
        .await
    }

    /// Moves an upload that all hooks have accepted from `verified` to `ready`. Returns false in
    /// the same cases as [`Ledger::hold_hooks`].
    pub async fn mark_ready(&self, id: &UploadId, epoch: u64) -> LedgerResult<bool> {
        let id = id.clone();
        self.write_or_roll_back(move |tx| {
            let sql = "UPDATE upload SET state = 'ready' WHERE id = ?1 AND state = 'verified'";
            let succeeded = delete_pending_hooks(tx, &id, epoch)?
                && tx.execute(sql, values![id.as_str()])? == 1;
            Ok((succeeded, commit_if(succeeded)))
        })
        .await
    }

    /// How many uploads wait for hooks, and since when the first of them.
    pub async fn hooks_backlog(&self) -> LedgerResult<(u64, Option<Timestamp>)> {
        self.read(|tx| {
            let sql = "SELECT count(*), min(since) FROM pending_hooks";
            let read = |row: &Row<'_>| Ok((row.number(0)?, row.optional_time(1)?));
            tx.find(sql, &[], read)?.ok_or(SqlError::MissingRow)
        })
        .await
    }

    /// Moves an upload that a hook has rejected from `verified` to `rejected`, at `now`. Other
    /// gateways may dispose of its object from `cleanup_at` on. Unless the object is deleted, its
    /// bytes are held on. Returns false in the same cases as [`Ledger::hold_hooks`].
    pub async fn mark_rejected(
        &self,
        id: &UploadId,
        epoch: u64,
        rejection: &Rejection,
        (now, cleanup_at): (Timestamp, Timestamp),
    ) -> LedgerResult<bool> {
        let is_deleted = rejection.disposal == Disposal::Delete;
        // The row of an object that stays in the store is never deleted.
        let ended_at = is_deleted.then_some(now);
        // A kept object cannot be created again at its key.
        let may_land_until = (rejection.disposal != Disposal::Keep)
            .then_some(rejection.until)
            .flatten();
        let (id, rejection) = (id.clone(), json("a rejection", rejection)?);
        self.write_or_roll_back(move |tx| {
            let sql = "UPDATE upload SET state = 'rejected', rejection = ?2, cleanup_at = ?3, ended_at = ?4, \
                       may_land_until = ?5 WHERE id = ?1 AND state = 'verified'";
            let row = values![id.as_str(), &rejection, cleanup_at, ended_at, may_land_until];
            let succeeded = delete_pending_hooks(tx, &id, epoch)? && tx.execute(sql, row)? == 1;
            if succeeded {
                delete_parts(tx, &id)?;
            }
            if succeeded && is_deleted {
                release_held_bytes(tx, &id)?;
            }
            Ok((succeeded, commit_if(succeeded)))
        })
        .await
    }
}

/// The upload of each owner whose hooks have been due longest, with the owner and that time.
fn oldest_due_hooks(
    tx: &Transaction<'_>,
    now: Timestamp,
) -> sql::Result<Vec<((String, Timestamp), String)>> {
    // Each step finds the next owner by the index, however many rows an owner has.
    let sql = "WITH RECURSIVE owners (owner) AS ( \
                 SELECT min(owner) FROM pending_hooks \
                 UNION ALL \
                 SELECT (SELECT min(owner) FROM pending_hooks WHERE owner > owners.owner) \
                 FROM owners WHERE owners.owner IS NOT NULL) \
               SELECT owner, due_at, upload FROM ( \
                 SELECT owners.owner AS owner, \
                   (SELECT min(due_at) FROM pending_hooks WHERE owner = owners.owner) AS due_at, \
                   (SELECT upload FROM pending_hooks WHERE owner = owners.owner AND due_at <= ?1 \
                    ORDER BY due_at LIMIT 1) AS upload \
                 FROM owners WHERE owners.owner IS NOT NULL) AS oldest \
               WHERE upload IS NOT NULL";
    tx.query(sql, values![now], |row| {
        Ok(((row.text(0)?, row.time(1)?), row.text(2)?))
    })
}

/// Takes the hooks of an upload until `until`. Returns `None` if they are not due at `now`: another
/// gateway may have taken them since they were read.
fn take_hooks(
    tx: &Transaction<'_>,
    id: &str,
    now: Timestamp,
    until: Timestamp,
) -> sql::Result<Option<PendingHooks>> {
    let sql = "UPDATE pending_hooks SET due_at = ?2, epoch = epoch + 1 \
               WHERE upload = ?1 AND due_at <= ?3 RETURNING epoch, accepted, failures";
    let read = |row: &Row<'_>| {
        let accepted =
            serde_json::from_str(&row.text(1)?).map_err(|_| damaged(1, "not a list of hooks"))?;
        let failures = saturating::to_u32(row.number(2)?);
        Ok((row.number(0)?, accepted, failures))
    };
    let Some((epoch, accepted, failures)) = tx.find(sql, values![id, until, now], read)? else {
        return Ok(None);
    };
    let find = format!("SELECT {COLUMNS} FROM upload WHERE id = ?1");
    let upload = tx.find(&find, values![id], read_upload)?;
    Ok(Some(PendingHooks {
        upload: upload.ok_or(SqlError::MissingRow)?,
        epoch,
        accepted,
        failures,
    }))
}

/// Deletes the pending hooks of an upload. Returns false if the caller no longer holds them.
fn delete_pending_hooks(tx: &Transaction<'_>, id: &UploadId, epoch: u64) -> sql::Result<bool> {
    let sql = "DELETE FROM pending_hooks WHERE upload = ?1 AND epoch = ?2";
    Ok(tx.execute(sql, values![id.as_str(), epoch])? == 1)
}

fn json(name: &str, value: &impl Serialize) -> LedgerResult<String> {
    serde_json::to_string(value).map_err(|error| LedgerError::encode(name, error))
}
