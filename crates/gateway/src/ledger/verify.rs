//! The transition to `verified`, or to `ready` if no hooks are configured.
//!
//! Not here: the check that the object matches the upload (`service/complete`), which precedes
//! these operations.

use jiff::Timestamp;

use super::database::Ledger;
use super::error::{LedgerError, LedgerResult};
use super::sql::{self, commit_if, values};
use super::transaction::Transaction;
use super::uploads::{add_stored_bytes, sql_list};
use upload_types::UploadId;
use upload_types::wire::{CompletePart, Receipt, UploadState};

impl Ledger {
    /// Records the receipt of a completing upload, and all its parts as stored. The upload becomes
    /// `verified` with hooks due at `hooks_due`, or `ready` if that is `None`. Returns false if the
    /// upload is not completing.
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
            let sql = "UPDATE part SET state = 'stored', sha256 = ?3, etag = ?4 \
                       WHERE upload = ?1 AND number = ?2 AND (sha256 IS NULL OR sha256 = ?3)";
            let row = values![
                verified.id.as_str(),
                part.number.get(),
                part.sha256.bytes(),
                part.etag.as_str()
            ];
            let succeeded = verified.write(tx, &from, Some(epoch))? && tx.execute(sql, row)? == 1;
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
                let sql = "UPDATE part SET state = 'stored' WHERE upload = ?1";
                tx.execute(sql, values![verified.id.as_str()])?;
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
    receipt: String,
    hooks_due: Option<Timestamp>,
}

impl Verified {
    fn new(receipt: &Receipt, hooks_due: Option<Timestamp>) -> LedgerResult<Self> {
        let json = serde_json::to_string(receipt)
            .map_err(|error| LedgerError::encode("a receipt", error))?;
        Ok(Self {
            id: receipt.id.clone(),
            size: i64::try_from(receipt.size).unwrap_or(i64::MAX),
            receipt: json,
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
        let sql = format!(
            "UPDATE upload SET state = ?2, receipt = ?3, held_bytes = ?5, may_land_until = NULL \
             WHERE id = ?1 AND (?4 IS NULL OR epoch = ?4) AND state IN ({})",
            sql_list(from)
        );
        if tx.execute(
            &sql,
            values![id, to.name(), &self.receipt, epoch, self.size],
        )? != 1
        {
            return Ok(false);
        }
        add_stored_bytes(tx, &self.id, self.size)?;
        if let Some(due) = self.hooks_due {
            let sql = "INSERT INTO pending_hooks (upload, due_at, epoch, accepted, failures, since) VALUES (?1, ?2, 0, '[]', 0, ?2)";
            tx.execute(sql, values![id, due])?;
        }
        Ok(true)
    }
}
