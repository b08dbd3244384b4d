//! The rows of parts. The row of a part that is a whole object is deleted once the receipt has the
//! same SHA-256 and the same `ETag`.
//!
//! Not here: the steps of a part (`transfer`).

use rusqlite::{Connection, Row, params};
use upload_types::error::Result;
use upload_types::wire::Receipt;
use upload_types::{ETag, PartNumber, Sha256};

use super::columns::damaged;
use super::database::Journal;
use super::receipts;

/// A part with a known SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub number: PartNumber,
    pub sha256: Sha256,
    /// Set once the store has acknowledged these bytes.
    pub etag: Option<ETag>,
}

impl Journal {
    /// The parts of an upload with a known SHA-256, in order.
    pub fn parts(&self, row: i64) -> Result<Vec<Part>> {
        self.read(|db| {
            let parts = select(db, row)?;
            if !parts.is_empty() {
                return Ok(parts);
            }
            Ok(in_receipt(db, row)?.into_iter().collect())
        })
    }
}

/// Deletes the row of the only part if the receipt, which is in the row of the upload, has all of
/// it.
pub(super) fn move_to_receipt(
    db: &Connection,
    row: i64,
    receipt: &Receipt,
) -> rusqlite::Result<()> {
    let Some(part) = of_receipt(receipt) else {
        return Ok(());
    };
    if select(db, row)? != [part] {
        return Ok(());
    }
    db.prepare_cached("DELETE FROM part WHERE upload = ?1")?
        .execute([row])?;
    db.prepare_cached("UPDATE upload SET part_in_receipt = 1 WHERE row = ?1")?
        .execute([row])?;
    Ok(())
}

/// Inserts the row of a part again that [`move_to_receipt`] has deleted, before parts or the
/// receipt change.
pub(super) fn restore(db: &Connection, row: i64) -> rusqlite::Result<()> {
    let Some(part) = in_receipt(db, row)? else {
        return Ok(());
    };
    db.prepare_cached("UPDATE upload SET part_in_receipt = 0 WHERE row = ?1")?
        .execute([row])?;
    db.prepare_cached("INSERT INTO part (upload, number, sha256, etag) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            row,
            part.number.get(),
            part.sha256.bytes(),
            part.etag.as_ref().map(ETag::as_str)
        ])?;
    Ok(())
}

fn select(db: &Connection, row: i64) -> rusqlite::Result<Vec<Part>> {
    db.prepare_cached("SELECT number, sha256, etag FROM part WHERE upload = ?1 ORDER BY number")?
        .query_map([row], Part::read)?
        .collect()
}

/// The part whose row is deleted because the receipt has it.
fn in_receipt(db: &Connection, row: i64) -> rusqlite::Result<Option<Part>> {
    let mut moved = db.prepare_cached("SELECT 1 FROM upload WHERE row = ?1 AND part_in_receipt")?;
    if !moved.exists([row])? {
        return Ok(None);
    }
    Ok(receipts::find(db, row)?.as_ref().and_then(of_receipt))
}

/// The part that is the whole object of a receipt.
fn of_receipt(receipt: &Receipt) -> Option<Part> {
    if receipt.parts != 1 {
        return None;
    }
    let of_checksum = || {
        let checksum = receipt.checksum.as_ref()?;
        Sha256::from_base64(checksum.as_str()).ok()
    };
    Some(Part {
        number: PartNumber::FIRST,
        sha256: receipt.sha256.or_else(of_checksum)?,
        etag: Some(receipt.etag.clone()),
    })
}

impl Part {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let etag: Option<String> = row.get(2)?;
        Ok(Self {
            number: row
                .get::<_, u32>(0)?
                .try_into()
                .map_err(|error| damaged(0, error))?,
            sha256: Sha256::new(row.get(1)?),
            etag: etag
                .map(|etag| etag.parse().map_err(|error| damaged(2, error)))
                .transpose()?,
        })
    }
}
