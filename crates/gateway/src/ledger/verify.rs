//! The transition to `verified`, or to `ready` if no hooks are configured.
//!
//! Not here: the check that the object matches the upload (`service/complete`), which precedes
//! these operations.

use jiff::Timestamp;

use super::database::Ledger;
use super::error::{LedgerError, LedgerResult};
use super::key_usage::mark_replaced;
use super::receipts::StoredReceipt;
use super::sql::{self, Row, TransactionEnd, commit_if, values};
use super::transaction::Transaction;
use super::uploads::{add_stored_bytes, sql_list};
use upload_types::UploadId;
use upload_types::wire::{CompletePart, Receipt, UploadState};

/// The condition for uploads whose parts a browser lists. Their rows are deleted by a cleanup.
const IS_LISTED: &str = "kind = 'multipart'";

impl Ledger {
    /// Records the receipt of a completing upload, and deletes the rows of its parts: the receipt
    /// has the checksum of the object. The rows of a browser's upload stay until the upload would
    /// have expired, since a browser that has lost the response lists the parts again. The upload
    /// becomes `verified` with hooks due at `hooks_due`, or `ready` if that is `None`. Returns
    /// false if the upload is not completing.
    pub async fn mark_verified(
        &self,
        receipt: &Receipt,
        hooks_due: Option<Timestamp>,
    ) -> LedgerResult<bool> {
        self.mark_recovered(receipt, &[UploadState::Completing], hooks_due)
            .await
    }

    /// Like [`Ledger::mark_verified`], for an upload of one part that need not be completing yet.
    /// Checks the epoch and the SHA-256, as [`Ledger::start_completing`] does. Returns false, and
    /// writes nothing, if a check fails.
    pub async fn mark_single_verified(
        &self,
        receipt: &Receipt,
        epoch: u64,
        part: CompletePart,
        hooks_due: Option<Timestamp>,
    ) -> LedgerResult<bool> {
        let verified = Verified::new(receipt, hooks_due)?;
        self.write_or_roll_back(move |tx| {
            let from = [
                UploadState::Pending,
                UploadState::Uploading,
                UploadState::Completing,
            ];
            if !verified.write(tx, &from, Some(epoch))? {
                return Ok((false, TransactionEnd::RollBack));
            }
            let sql = "DELETE FROM part WHERE upload = ?1 RETURNING sha256";
            let id = values![verified.id.as_str()];
            let pinned = tx.query(sql, id, |row| row.optional_sha256(0))?;
            let succeeded = pinned.iter().flatten().all(|sha256| *sha256 == part.sha256);
            Ok((succeeded, commit_if(succeeded)))
        })
        .await
    }

    /// Like [`Ledger::mark_verified`], from one of the states `from`, for an expired upload with an
    /// object that matches.
    pub async fn mark_recovered(
        &self,
        receipt: &Receipt,
        from: &'static [UploadState],
        hooks_due: Option<Timestamp>,
    ) -> LedgerResult<bool> {
        let verified = Verified::new(receipt, hooks_due)?;
        self.write(move |tx| {
            let succeeded = verified.write(tx, from, None)?;
            if succeeded {
                let sql = format!(
                    "DELETE FROM part WHERE upload = ?1 AND NOT EXISTS (SELECT 1 FROM upload WHERE id = ?1 AND {IS_LISTED})"
                );
                tx.execute(&sql, values![verified.id.as_str()])?;
            }
            Ok(succeeded)
        })
        .await
    }
}

/// The columns of a verified upload.
struct Verified {
    id: UploadId,
    size: i64,
    receipt: Receipt,
    hooks_due: Option<Timestamp>,
}

impl Verified {
    fn new(receipt: &Receipt, hooks_due: Option<Timestamp>) -> LedgerResult<Self> {
        let id = receipt.id.clone();
        let unnamed = || serde::ser::Error::custom("it names no upload");
        Ok(Self {
            id: id.ok_or_else(|| LedgerError::encode("a receipt", unnamed()))?,
            size: i64::try_from(receipt.size).unwrap_or(i64::MAX),
            receipt: receipt.clone(),
            hooks_due,
        })
    }

    /// Returns false if the upload is in none of the states `from`, or if `epoch` is given and is
    /// not the epoch of the lease.
    fn write(
        &self,
        tx: &Transaction<'_>,
        from: &[UploadState],
        epoch: Option<u64>,
    ) -> sql::Result<bool> {
        let id = self.id.as_str();
        let to = if self.hooks_due.is_some() {
            UploadState::Verified
        } else {
            UploadState::Ready
        };
        let Some(receipt) = StoredReceipt::new(tx, &self.id, &self.receipt)? else {
            return Ok(false);
        };
        let sql = format!(
            "UPDATE upload SET state = ?2, receipt = ?3, receipt_common = (SELECT number FROM receipt_common WHERE sha256 = ?6), held_bytes = ?5, may_land_until = NULL, ended_at = NULL, \
             cleanup_at = CASE WHEN cleanup_at IS NULL AND {IS_LISTED} THEN expires_at ELSE cleanup_at END \
             WHERE id = ?1 AND (?4 IS NULL OR epoch = ?4) AND state IN ({}) RETURNING receipt_common, key, chosen_key",
            sql_list(from)
        );
        let common = receipt.common_sha256.bytes();
        let row = values![id, to.name(), &*receipt.own, epoch, self.size, common];
        let read = |row: &Row<'_>| {
            let common: Option<i64> = row.optional(0)?;
            let chosen: Option<String> = row.optional(2)?;
            Ok((common.is_some(), row.text(1)?, chosen.is_some()))
        };
        let Some((has_common, key, is_chosen)) = tx.find(&sql, row, read)? else {
            return Ok(false);
        };
        if !has_common {
            receipt.insert_common(tx, &self.id)?;
        }
        if is_chosen {
            mark_replaced(tx, &key, &self.id)?;
        }
        add_stored_bytes(tx, &self.id, self.size)?;
        if let Some(due) = self.hooks_due {
            let sql = "INSERT INTO pending_hooks (upload, owner, due_at, epoch, accepted, failures, since) \
                       SELECT id, segment, ?2, 0, '[]', 0, ?2 FROM upload \
                       JOIN owner ON owner.number = upload.owner WHERE id = ?1";
            tx.execute(sql, values![id, due])?;
        }
        Ok(true)
    }
}
