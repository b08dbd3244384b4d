//! The bytes that the quota counts for objects: `held_bytes` of an upload, and their sum, which is
//! `stored_bytes` of its owner.

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::{self, values};
use super::transaction::Transaction;
use super::uploads::add_stored_bytes;
use upload_types::UploadId;

impl Ledger {
    /// Replaces the held bytes `old` of an upload with `new`. Returns false if they have changed,
    /// or if `new` is more and the upload is being removed or was removed.
    pub async fn set_held_bytes(&self, id: &UploadId, old: u64, new: u64) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE upload SET held_bytes = ?3 WHERE id = ?1 AND held_bytes = ?2 \
                       AND (?3 < ?2 OR state IN ('verified', 'ready', 'rejected'))";
            if tx.execute(sql, values![id.as_str(), old, new])? != 1 {
                return Ok(false);
            }
            let (old, new) = (signed(old), signed(new));
            add_stored_bytes(tx, &id, new - old)?;
            Ok(true)
        })
        .await
    }

    /// Sets the held bytes of an upload to zero.
    pub async fn free_held_bytes(&self, id: &UploadId) -> LedgerResult<()> {
        let id = id.clone();
        self.write(move |tx| release_held_bytes(tx, &id)).await
    }
}

/// Sets the held bytes of an upload to zero, and subtracts them from those of its owner.
pub(super) fn release_held_bytes(tx: &Transaction<'_>, id: &UploadId) -> sql::Result<()> {
    // Locks the row before it reads.
    let sql = "UPDATE upload SET held_bytes = held_bytes WHERE id = ?1 AND held_bytes > 0 RETURNING held_bytes";
    let held = tx.find(sql, values![id.as_str()], |row| row.get(0))?;
    let held: i64 = held.unwrap_or(0);
    if held == 0 {
        return Ok(());
    }
    let sql = "UPDATE upload SET held_bytes = 0 WHERE id = ?1";
    tx.execute(sql, values![id.as_str()])?;
    add_stored_bytes(tx, id, -held)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
