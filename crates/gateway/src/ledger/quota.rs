//! What an owner has, counted where it is written: of many who begin at the same moment, none gets past a quota.
//!
//! Border: counts; what is too much is `gateway/limits`.

use super::Ledger;
use super::db::{self, Db, Failed, Row, values};
use super::uploads::{self, NewUpload, Upload};
use crate::limits::{Excess, Quota, Usage};
use upload_types::error::Result;

impl Ledger {
    /// As [`Ledger::begin`], unless the owner would have more than the quota: then nothing is written. A repeat is no new upload.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn begin_within(
        &self,
        new: NewUpload,
        quota: Quota,
    ) -> Result<Result<(Upload, bool), Excess>> {
        if quota == Quota::default() {
            return self.begin(new).await.map(Ok);
        }
        self.attempt(move |db| {
            if let Some(upload) = uploads::seen(db, &new)? {
                return Ok((Ok((upload, false)), true));
            }
            if let Some(excess) = quota.excess(usage(db, &new.owner)?, new.plan.size()) {
                return Ok((Err(excess), false));
            }
            let begun = match uploads::insert(db, &new)? {
                Some(upload) => (upload, true),
                None => (uploads::seen(db, &new)?.ok_or(Failed::Missing)?, false),
            };
            Ok((Ok(begun), true))
        })
        .await
    }
}

/// What the owner has now. Whoever asks for this owner at the same time waits here until this is committed.
pub(super) fn usage(db: &Db<'_>, owner: &str) -> db::Result<Usage> {
    db.execute(
        "UPDATE owner SET stored = stored WHERE segment = ?1",
        values![owner],
    )?;
    // As the index has it, which holds all that is asked for.
    let open = "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM upload \
                WHERE owner = ?1 AND state IN ('pending', 'uploading', 'completing', 'aborting')";
    let both = |row: &Row<'_>| Ok((row.number(0)?, row.number(1)?));
    let (open, outstanding) = db
        .find(open, values![owner], both)?
        .ok_or(Failed::Missing)?;
    let stored = db.find(
        "SELECT stored FROM owner WHERE segment = ?1",
        values![owner],
        |row| row.number(0),
    )?;
    Ok(Usage {
        open,
        outstanding,
        stored: stored.ok_or(Failed::Missing)?,
    })
}
