//! An upload becomes verified: with its receipt, its parts stored, its bytes counted; and ready, unless hooks are due for it.
//!
//! Border: one compare-and-set that tells whether it won; that the object is what was uploaded is `gateway/service`'s to know.

use jiff::Timestamp;

use super::Ledger;
use super::db::{self, Db, values};
use super::uploads::{count, listed};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::UploadId;
use upload_types::wire::{CompletePart, Receipt, UploadState};

impl Ledger {
    /// Verifies an upload that is completing; false when it was not. Without `hooks_due` it is ready at once.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn verify(&self, receipt: &Receipt, hooks_due: Option<Timestamp>) -> Result<bool> {
        let verified = Verified::new(receipt, hooks_due)?;
        self.write(move |db| {
            let sql = "UPDATE part SET state = 'stored' WHERE upload = ?1";
            let won = verified.write(db, &[UploadState::Completing], None)?;
            if won {
                db.execute(sql, values![verified.id.as_str()])?;
            }
            Ok(won)
        })
        .await
    }

    /// Verifies an upload of one part, whose object was seen before anybody took the upload to `completing`: what that would have
    /// checked is checked here. False when it does not hold; nothing is written then.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn verify_single(
        &self,
        receipt: &Receipt,
        epoch: u64,
        part: CompletePart,
        hooks_due: Option<Timestamp>,
    ) -> Result<bool> {
        let verified = Verified::new(receipt, hooks_due)?;
        self.attempt(move |db| {
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
            let won = verified.write(db, &from, Some(epoch))? && db.execute(sql, row)? == 1;
            Ok((won, won))
        })
        .await
    }
}

/// What is written of it.
struct Verified {
    id: UploadId,
    size: i64,
    receipt: String,
    hooks_due: Option<Timestamp>,
}

impl Verified {
    fn new(receipt: &Receipt, hooks_due: Option<Timestamp>) -> Result<Self> {
        let json = serde_json::to_string(receipt).map_err(|error| {
            Error::new(Kind::Other, "could not write a receipt").with_source(error)
        })?;
        let size = i64::try_from(receipt.size).unwrap_or(i64::MAX);
        Ok(Self {
            id: receipt.id.clone(),
            size,
            receipt: json,
            hooks_due,
        })
    }

    /// False when the upload is in none of the states `from`, or its lease has another epoch than is asked for.
    fn write(&self, db: &Db<'_>, from: &[UploadState], epoch: Option<u64>) -> db::Result<bool> {
        let id = self.id.as_str();
        let to = if self.hooks_due.is_some() {
            UploadState::Verified
        } else {
            UploadState::Ready
        };
        let sql = format!(
            "UPDATE upload SET state = ?2, receipt = ?3 WHERE id = ?1 AND (?4 IS NULL OR epoch = ?4) AND state IN ({})",
            listed(from)
        );
        if db.execute(&sql, values![id, to.name(), &self.receipt, epoch])? != 1 {
            return Ok(false);
        }
        count(db, &self.id, self.size)?;
        if let Some(due) = self.hooks_due {
            let sql = "INSERT INTO hooked (upload, due, fence, accepted, failures) VALUES (?1, ?2, 0, '[]', 0)";
            db.execute(sql, values![id, due])?;
        }
        Ok(true)
    }
}
