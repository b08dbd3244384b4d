//! The recorded key, size and `ETag` of the objects of many uploads.

use std::collections::HashMap;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::{self, Row, Value, damaged};
use upload_types::wire::UploadState;
use upload_types::{CompactReceipt, ETag, Key, UploadId};

/// The maximum number of ids in one statement, so that other operations on a SQLite ledger do not
/// wait long.
const IDS_PER_STATEMENT: usize = 500;

/// The object of a ready upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedObject {
    pub key: Key,
    /// The size in bytes.
    pub size: u64,
    pub etag: ETag,
}

impl Ledger {
    /// The objects of the owner's ready uploads among `ids`, in their order. An element is `None`
    /// if there is no such upload, or if the object of another upload has taken its key.
    pub async fn recorded_objects(
        &self,
        owner: &str,
        ids: &[UploadId],
    ) -> LedgerResult<Vec<Option<RecordedObject>>> {
        let mut objects = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(IDS_PER_STATEMENT) {
            let known = self.objects_by_id(owner, chunk).await?;
            objects.extend(chunk.iter().map(|id| known.get(id).cloned()));
        }
        Ok(objects)
    }

    async fn objects_by_id(
        &self,
        owner: &str,
        ids: &[UploadId],
    ) -> LedgerResult<HashMap<UploadId, RecordedObject>> {
        let (owner, ids) = (owner.to_owned(), ids.to_vec());
        self.read(move |tx| {
            let mut parameters: Vec<Value<'_>> =
                ids.iter().map(|id| Value::from(id.as_str())).collect();
            // Every statement has the same text, so that it is prepared once.
            parameters.resize(IDS_PER_STATEMENT, Value::Text(None));
            let places: Vec<String> = (1..=parameters.len()).map(|n| format!("?{n}")).collect();
            // A condition about the owner could make the database read all rows of the owner.
            let sql = format!(
                "SELECT id, (SELECT segment FROM owner WHERE number = upload.owner), state, is_replaced, key, size, receipt FROM upload \
                 WHERE id IN ({})",
                places.join(", ")
            );
            let rows = tx.query(&sql, &parameters, |row| read_object(row, &owner))?;
            Ok(rows.into_iter().flatten().collect())
        })
        .await
    }
}

/// The id and the object of an upload, if it is ready, belongs to the owner, and has its key.
fn read_object(row: &Row<'_>, owner: &str) -> sql::Result<Option<(UploadId, RecordedObject)>> {
    let is_ready = row.text(1)? == owner && row.text(2)? == UploadState::Ready.name();
    let receipt: Option<Vec<u8>> = row.optional(6)?;
    let Some(receipt) = receipt.filter(|_| is_ready) else {
        return Ok(None);
    };
    if row.number(3)? != 0 {
        return Ok(None);
    }
    let id = row.text(0)?.parse();
    let id = id.map_err(|_| damaged(0, "not an upload id"))?;
    let object = RecordedObject {
        key: row.text(4)?.parse().map_err(|_| damaged(4, "not a key"))?,
        size: row.number(5)?,
        etag: CompactReceipt::etag(&receipt).map_err(|_| damaged(6, "not a receipt"))?,
    };
    Ok(Some((id, object)))
}
