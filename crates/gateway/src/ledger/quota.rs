//! The usage of an owner, counted in the same transaction that adds to it, so that concurrent
//! requests together cannot exceed a quota.
//!
//! Not here: the comparison with the quota (`limits`).

use std::fmt;

use super::database::Ledger;
use super::error::LedgerResult;
use super::key_usage::insert_or_find;
use super::sql::{self, Row, SqlError, TransactionEnd, values};
use super::transaction::Transaction;
use super::uploads::{self, NewUpload, Upload};
use crate::limits::{Excess, Quota, Usage};
use upload_types::UploadId;

/// Why an upload was not begun.
pub enum BeginRefusal {
    Excess(Excess),
    /// This upload, of any owner, is unfinished at the chosen key.
    KeyInUse(Box<Upload>),
}

/// Shows no token.
impl fmt::Debug for BeginRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excess(excess) => f.debug_tuple("Excess").field(excess).finish(),
            Self::KeyInUse(open) => f.debug_tuple("KeyInUse").field(&open.id).finish(),
        }
    }
}

impl Ledger {
    /// Inserts the upload and a row for each part that is pinned, unless its owner has used the
    /// idempotency key before. Returns the upload with that key, and whether it is the new one.
    /// Writes nothing if the owner would exceed the quota, or if another upload is unfinished at
    /// the key. A repetition of an earlier request is not counted.
    pub async fn begin_within_quota(
        &self,
        new: NewUpload,
        quota: Quota,
    ) -> LedgerResult<Result<(Upload, bool), BeginRefusal>> {
        if quota == Quota::default() {
            return self
                .write(move |tx| {
                    let begun = insert_or_find(tx, &new)?;
                    Ok(begun.map_err(BeginRefusal::KeyInUse))
                })
                .await;
        }
        self.write_or_roll_back(move |tx| {
            let (owner, idempotency_key) = (&new.spec.owner, &new.spec.idempotency_key);
            if let Some(upload) = uploads::find_by_idempotency_key(tx, owner, idempotency_key)? {
                return Ok((Ok((upload, false)), TransactionEnd::Commit));
            }
            let usage = usage(tx, &new.spec.owner)?;
            if let Some(excess) = quota.excess(usage, new.spec.plan.size()) {
                return Ok((Err(BeginRefusal::Excess(excess)), TransactionEnd::RollBack));
            }
            let begun = insert_or_find(tx, &new)?;
            Ok((
                begun.map_err(BeginRefusal::KeyInUse),
                TransactionEnd::Commit,
            ))
        })
        .await
    }
}

/// The current usage of an owner. Locks the owner's row, so that concurrent calls for the same
/// owner wait until this transaction ends.
fn usage(tx: &Transaction<'_>, owner: &str) -> sql::Result<Usage> {
    tx.execute(
        "UPDATE owner SET stored_bytes = stored_bytes WHERE segment = ?1",
        values![owner],
    )?;
    // The states are listed as in the condition of the index `open_upload_by_owner`, which contains
    // all columns of this query.
    let sql = "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM upload \
               WHERE owner = (SELECT number FROM owner WHERE segment = ?1) AND state IN ('pending', 'uploading', 'completing', 'aborting')";
    let read = |row: &Row<'_>| Ok((row.number(0)?, row.number(1)?));
    let (open, outstanding) = tx
        .find(sql, values![owner], read)?
        .ok_or(SqlError::MissingRow)?;
    let late_writes = tx.find(
        "SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM upload \
         WHERE owner = (SELECT number FROM owner WHERE segment = ?1) AND may_land_until IS NOT NULL",
        values![owner],
        |row| row.number(0),
    )?;
    let stored = tx.find(
        "SELECT stored_bytes FROM owner WHERE segment = ?1",
        values![owner],
        |row| row.number(0),
    )?;
    Ok(Usage {
        open,
        outstanding,
        late_writes: late_writes.ok_or(SqlError::MissingRow)?,
        stored: stored.ok_or(SqlError::MissingRow)?,
    })
}

/// The limit that the owner of an upload would exceed if the upload had `bytes`. The number of open
/// uploads was checked when the upload began.
pub(super) fn excess_if_size(
    tx: &Transaction<'_>,
    id: &UploadId,
    bytes: u64,
    quota: Quota,
) -> sql::Result<Option<Excess>> {
    let quota = Quota {
        open: None,
        ..quota
    };
    if quota == Quota::default() {
        return Ok(None);
    }
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.number(1)?));
    let sql =
        "SELECT segment, size FROM upload JOIN owner ON owner.number = upload.owner WHERE id = ?1";
    let (owner, counted) = tx
        .find(sql, values![id.as_str()], read)?
        .ok_or(SqlError::MissingRow)?;
    let mut usage = usage(tx, &owner)?;
    usage.outstanding = usage.outstanding.saturating_sub(counted);
    Ok(quota.excess(usage, bytes.max(counted)))
}

/// Raises the size of an upload to at least `bytes`. If its owner would exceed the quota, returns
/// the limit and writes nothing.
pub(super) fn reserve_bytes(
    tx: &Transaction<'_>,
    id: &UploadId,
    bytes: u64,
    quota: Quota,
) -> sql::Result<Option<Excess>> {
    let excess = excess_if_size(tx, id, bytes, quota)?;
    if excess.is_none() {
        let sql = "UPDATE upload SET size = ?2 WHERE id = ?1 AND size < ?2";
        tx.execute(sql, values![id.as_str(), bytes])?;
    }
    Ok(excess)
}
