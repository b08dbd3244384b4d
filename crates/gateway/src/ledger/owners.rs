//! The rows of owners.

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::{SqlError, values};
use upload_types::UploadId;

impl Ledger {
    /// The segment of the owner of an upload.
    pub async fn owner_of(&self, id: &UploadId) -> LedgerResult<Option<String>> {
        let id = id.clone();
        self.read(move |tx| {
            let sql =
                "SELECT segment FROM owner WHERE number = (SELECT owner FROM upload WHERE id = ?1)";
            tx.find(sql, values![id.as_str()], |row| row.text(0))
        })
        .await
    }

    /// The owner's segment, which is a part of the keys of its uploads. A new owner gets
    /// `new_segment`.
    pub async fn owner_segment(&self, subject: &str, new_segment: String) -> LedgerResult<String> {
        let subject = subject.to_owned();
        let now = Timestamp::now();
        self.write(move |tx| {
            let sql = "INSERT INTO owner (subject, segment, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (subject) DO NOTHING";
            tx.execute(sql, values![&subject, &new_segment, now])?;
            let sql = "SELECT segment FROM owner WHERE subject = ?1";
            tx.find(sql, values![&subject], |row| row.text(0))?
                .ok_or(SqlError::MissingRow)
        })
        .await
    }

    /// The subject of an owner, by its segment.
    pub async fn subject(&self, segment: &str) -> LedgerResult<Option<String>> {
        let segment = segment.to_owned();
        self.read(move |tx| {
            let sql = "SELECT subject FROM owner WHERE segment = ?1";
            tx.find(sql, values![&segment], |row| row.text(0))
        })
        .await
    }
}
