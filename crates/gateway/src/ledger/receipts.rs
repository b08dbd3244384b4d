//! The receipts in the rows of uploads: their common fields are in a table of their own.
//!
//! Not here: their form (`upload_types::CompactReceipt`).

use super::sql::{self, Row, damaged, values};
use super::transaction::Transaction;
use upload_types::wire::Receipt;
use upload_types::{CommonFields, CompactReceipt, RowValues, Sha256, UploadId};

/// A receipt as its row has it.
pub(super) struct StoredReceipt {
    pub(super) own: Vec<u8>,
    /// The SHA-256 of the JSON of the fields in common.
    pub(super) common_sha256: Sha256,
    common: String,
}

impl StoredReceipt {
    /// The receipt of this upload. Returns `None` if the upload does not exist.
    pub(super) fn new(
        tx: &Transaction<'_>,
        id: &UploadId,
        receipt: &Receipt,
    ) -> sql::Result<Option<Self>> {
        // These columns never change.
        let sql = "SELECT name, key, created_at FROM upload WHERE id = ?1";
        let read = |row: &Row<'_>| {
            let (name, key) = (row.text(0)?, row.text(1)?);
            let values = RowValues {
                id: Some(id),
                name: &name,
                key: Some(&key),
                began: row.time(2)?,
            };
            let CompactReceipt { common, own } = CompactReceipt::new(receipt, &values);
            let common = serde_json::to_string(&common).map_err(|_| damaged(0, "no JSON"))?;
            Ok(Self {
                own,
                common_sha256: Sha256::of(common.as_bytes()),
                common,
            })
        };
        tx.find(sql, values![id.as_str()], read)
    }

    /// Inserts the fields in common, and refers to them in the row of the upload. For the first
    /// receipt that has them.
    pub(super) fn insert_common(&self, tx: &Transaction<'_>, id: &UploadId) -> sql::Result<()> {
        let sha256 = self.common_sha256.bytes();
        // On PostgreSQL, this waits for another gateway that is inserting the same fields.
        let sql =
            "INSERT INTO receipt_common (sha256, fields) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        tx.execute(sql, values![sha256, &self.common])?;
        let sql = "UPDATE upload SET receipt_common = (SELECT number FROM receipt_common WHERE sha256 = ?2) \
                   WHERE id = ?1";
        tx.execute(sql, values![id.as_str(), sha256]).map(drop)
    }
}

/// Reads the columns with the fields in common and with the own fields of a receipt.
pub(super) fn read_receipt(
    row: &Row<'_>,
    (common, own): (usize, usize),
    values: &RowValues<'_>,
) -> sql::Result<Option<Receipt>> {
    let Some(own_fields) = row.optional(own)? else {
        return Ok(None);
    };
    let fields: CommonFields = serde_json::from_str(&row.text(common)?)
        .map_err(|_| damaged(common, "not fields of receipts"))?;
    let receipt = CompactReceipt {
        common: fields,
        own: own_fields,
    };
    let receipt = receipt.receipt(values);
    receipt.map(Some).map_err(|_| damaged(own, "not a receipt"))
}
