//! The receipts in the rows of uploads: their common fields are in a table of their own.
//!
//! Not here: their form (`upload_types::CompactReceipt`).

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use upload_types::wire::Receipt;
use upload_types::{CommonFields, CompactReceipt, RowValues, UploadId};

use super::columns::{damaged, from_json, to_json};

/// The columns that [`read`] expects in this order, of [`TABLES`].
pub(super) const COLUMNS: &str =
    "upload.id, upload.name, upload.key, upload.created_at, receipt_common.fields, upload.receipt";
/// The rows of uploads, each with the fields of its receipt that are in common with others.
pub(super) const TABLES: &str =
    "upload LEFT JOIN receipt_common ON receipt_common.row = upload.receipt_common";

/// The columns that a receipt is read with: the first of [`COLUMNS`].
pub(super) struct OfRow {
    pub(super) id: Option<UploadId>,
    pub(super) name: String,
    pub(super) key: Option<String>,
    pub(super) created_at: Timestamp,
}

impl OfRow {
    fn values(&self) -> RowValues<'_> {
        RowValues {
            id: self.id.as_ref(),
            name: &self.name,
            key: self.key.as_deref(),
            began: self.created_at,
        }
    }
}

/// Reads [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<(OfRow, Option<Receipt>)> {
    let id: Option<String> = row.get(0)?;
    let of_row = OfRow {
        id: id
            .map(|id| id.parse().map_err(|error| damaged(0, error)))
            .transpose()?,
        name: row.get(1)?,
        key: row.get(2)?,
        created_at: Timestamp::from_microsecond(row.get(3)?).map_err(|error| damaged(3, error))?,
    };
    let Some(own) = row.get(5)? else {
        return Ok((of_row, None));
    };
    let common: CommonFields = from_json(row, 4)?;
    let receipt = CompactReceipt { common, own }.receipt(&of_row.values());
    let receipt = receipt.map_err(|error| damaged(5, error))?;
    Ok((of_row, Some(receipt)))
}

/// The receipt of the upload in this row.
pub(super) fn find(db: &Connection, row: i64) -> rusqlite::Result<Option<Receipt>> {
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE upload.row = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    Ok(statement.query_row([row], read)?.1)
}

/// Writes the receipt of the upload in this row.
pub(super) fn write(db: &Connection, row: i64, receipt: &Receipt) -> rusqlite::Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE upload.row = ?1");
    let found = db.prepare_cached(&sql)?.query_row([row], read).optional()?;
    // As for any other record of a row that was deleted.
    let Some((of_row, _)) = found else {
        return Ok(());
    };
    let compact = CompactReceipt::new(receipt, &of_row.values());
    let common = find_or_insert(db, &to_json(&compact.common)?)?;
    db.prepare_cached("UPDATE upload SET receipt_common = ?2, receipt = ?3 WHERE row = ?1")?
        .execute(params![row, common, compact.own])?;
    Ok(())
}

fn find_or_insert(db: &Connection, fields: &str) -> rusqlite::Result<i64> {
    let found = db
        .prepare_cached("SELECT row FROM receipt_common WHERE fields = ?1")?
        .query_row([fields], |row| row.get(0))
        .optional()?;
    if let Some(row) = found {
        return Ok(row);
    }
    db.execute("INSERT INTO receipt_common (fields) VALUES (?1)", [fields])?;
    Ok(db.last_insert_rowid())
}

/// Deletes the fields that no receipt has any more.
pub(super) fn delete_unused(db: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM receipt_common WHERE row NOT IN \
               (SELECT receipt_common FROM upload WHERE receipt_common IS NOT NULL)";
    db.execute(sql, []).map(drop)
}
