//! The rows of owners.

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::{SqlError, values};
use upload_types::UploadId;

impl Ledger {
    /// The segment of the owner of an upload.
    pub async fn owner_of(&self, id: &UploadId) -> LedgerResult<Option<String>> {
        let id = id.clone();
        self.read(move |tx| {
            let sql = "SELECT owner FROM upload WHERE id = ?1";
            tx.find(sql, values![id.as_str()], |row| row.text(0))
        })
        .await
    }

    /// The owner's segment, which is a part of the keys of its uploads. A new owner gets
    /// `new_segment`.
    pub async fn owner_segment(&self, subject: &str, new_segment: String) -> LedgerResult<String> {
        let subject = subject.to_owned();
        self.write(move |tx| {
            let sql = "INSERT INTO owner (subject, segment) VALUES (?1, ?2) ON CONFLICT (subject) DO NOTHING";
            tx.execute(sql, values![&subject, &new_segment])?;
            let sql = "SELECT segment FROM owner WHERE subject = ?1";
            tx.find(sql, values![&subject], |row| row.text(0))?
                .ok_or(SqlError::MissingRow)
        })
        .await
    }
}
