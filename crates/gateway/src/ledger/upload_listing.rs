//! The uploads of all owners, for the operator.

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::receipts::read_receipt;
use super::sql::{self, Row, damaged, values};
use super::uploads::read_content_type;
use upload_types::RowValues;
use upload_types::wire::{Receipt, UploadState};

/// Conditions for the uploads of a listing; `None` accepts every upload.
#[derive(Debug, Clone, Default)]
pub struct UploadFilter {
    /// The owner's segment.
    pub owner: Option<String>,
    pub state: Option<UploadState>,
    /// Uploads that began at this time or later.
    pub since: Option<Timestamp>,
}

/// An upload of any owner.
#[derive(Debug, Clone)]
pub struct ListedUpload {
    pub id: String,
    /// The owner's segment.
    pub owner: String,
    pub subject: String,
    pub state: UploadState,
    /// The planned size in bytes. An upload from a browser has 0 until it is complete.
    pub size: u64,
    pub name: String,
    pub content_type: String,
    /// Without the prefix of the store.
    pub key: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub receipt: Option<Receipt>,
}

impl Ledger {
    /// A page of at most `limit` uploads in the order in which they began, after the one with the
    /// id `after`.
    pub async fn upload_listing(
        &self,
        filter: &UploadFilter,
        after: Option<&str>,
        limit: u32,
    ) -> LedgerResult<Vec<ListedUpload>> {
        let (filter, after) = (filter.clone(), after.unwrap_or_default().to_owned());
        self.read(move |tx| {
            // Ids begin with the time (UUID version 7).
            let sql = "SELECT upload.id, owner.segment, owner.subject, upload.state, upload.size, upload.name, \
                       upload.content_type, upload.key, upload.created_at, upload.expires_at, upload.receipt, \
                       receipt_common.fields FROM upload JOIN owner ON owner.number = upload.owner \
                       LEFT JOIN receipt_common ON receipt_common.number = upload.receipt_common WHERE upload.id > ?1 \
                       AND (?2 IS NULL OR owner.segment = ?2) AND (?3 IS NULL OR upload.state = ?3) \
                       AND (?4 IS NULL OR upload.created_at >= ?4) ORDER BY upload.id LIMIT ?5";
            let state = filter.state.map(UploadState::name);
            let owner = filter.owner.as_deref();
            tx.query(sql, values![&after, owner, state, filter.since, limit], read)
        })
        .await
    }

    /// The segment of the owner that a text names: by segment, by subject, or by the name of its
    /// tokens.
    pub async fn find_owner(&self, text: &str) -> LedgerResult<Option<String>> {
        let text = text.to_owned();
        self.read(move |tx| {
            let sql = "SELECT segment FROM owner WHERE segment = ?1 OR subject = ?1 OR subject = 'token:' || ?1 \
                       ORDER BY segment = ?1 DESC, subject = ?1 DESC";
            let found = tx.query(sql, values![&text], |row| row.text(0))?;
            Ok(found.into_iter().next())
        })
        .await
    }
}

fn read(row: &Row<'_>) -> sql::Result<ListedUpload> {
    let (id, name, key) = (row.text(0)?, row.text(5)?, row.text(7)?);
    let created_at = row.time(8)?;
    let upload_id = id.parse().map_err(|_| damaged(0, "not an upload id"))?;
    let values = RowValues {
        id: Some(&upload_id),
        name: &name,
        key: Some(&key),
        began: created_at,
    };
    let receipt = read_receipt(row, (11, 10), &values)?;
    Ok(ListedUpload {
        id,
        owner: row.text(1)?,
        subject: row.text(2)?,
        state: UploadState::from_name(&row.text(3)?).ok_or(damaged(3, "not a state"))?,
        size: row.number(4)?,
        name,
        content_type: read_content_type(row, 6)?,
        key,
        created_at,
        expires_at: row.time(9)?,
        receipt,
    })
}
