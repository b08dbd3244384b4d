//! The step into aborting: by whoever holds the upload, or in nobody's name.
//!
//! Border: one compare-and-set; what is taken out of the store, and how the upload ends, is `gateway/service`.

use jiff::Timestamp;

use super::db::{Failed, Row, Value, damaged, values};
use super::{Ledger, Signing};
use upload_types::error::Result;
use upload_types::names::UploadId;
use upload_types::wire::UploadState;

impl Ledger {
    /// Moves an upload that nobody finished to aborting, held until `until`, if `epoch` is the lease's or is not named.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn give_up(
        &self,
        id: &UploadId,
        epoch: Option<u64>,
        until: Timestamp,
    ) -> Result<Signing> {
        let id = id.clone();
        self.write(move |db| {
            // None ever comes near the end of either.
            let epoch = epoch.map(|epoch| i64::try_from(epoch).unwrap_or(i64::MAX));
            let sql = "UPDATE upload SET state = 'aborting', lease_until = ?2 \
                       WHERE id = ?1 AND state IN ('pending', 'uploading') AND (?3 IS NULL OR epoch = ?3)";
            if db.execute(sql, values![id.as_str(), until, Value::Int(epoch)])? == 1 {
                return Ok(Signing::Done);
            }
            let row = |row: &Row<'_>| Ok((row.text(0)?, row.get::<i64>(1)?));
            let found = db.find("SELECT state, epoch FROM upload WHERE id = ?1", values![id.as_str()], row)?;
            let (state, current) = found.ok_or(Failed::Missing)?;
            if epoch.is_some_and(|epoch| epoch != current) {
                return Ok(Signing::LeaseLost);
            }
            Ok(Signing::Closed(UploadState::from_name(&state).ok_or(damaged(0, "not a state"))?))
        })
        .await
    }
}
