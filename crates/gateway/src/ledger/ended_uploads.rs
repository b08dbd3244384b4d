//! Deletes the rows of uploads that ended long ago, and returns the space of the file.
//!
//! The bytes that an owner has stored are counted in the owner's row, so they stay counted.
//!
//! Not here: the retention time (`service/ended_uploads`, and `upload serve prune`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::{self, Row, damaged, values};
use super::transaction::Transaction;
use upload_types::error::Result;
use upload_types::wire::UploadState;

/// The maximum number of rows that one transaction deletes, so that it does not delay others.
const BATCH_ROWS: usize = 200;
/// The condition for uploads that ended at `?1` or earlier, and of which nothing is left in the
/// store. SQLite uses the index `upload_by_end` for it.
const HAS_ENDED: &str = "ended_at <= ?1 AND cleanup_at IS NULL";
/// The condition for ready uploads that began at `?1` or earlier.
const IS_READY: &str = "state = 'ready' AND created_at <= ?1 AND cleanup_at IS NULL";

/// The uploads to delete from the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneScope {
    /// Aborted, expired and rejected uploads of which nothing is left in the store.
    Ended,
    /// Also ready uploads. Their objects stay in the store.
    EndedAndReady,
}

/// How many uploads were deleted from the ledger, or would be, by their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrunedUploads {
    pub aborted: u64,
    pub expired: u64,
    pub rejected: u64,
    pub ready: u64,
}

impl PrunedUploads {
    fn add(&mut self, state: UploadState, count: u64) {
        match state {
            UploadState::Aborted => self.aborted += count,
            UploadState::Expired => self.expired += count,
            UploadState::Rejected => self.rejected += count,
            UploadState::Ready => self.ready += count,
            _ => {}
        }
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.aborted + self.expired + self.rejected + self.ready
    }
}

impl Ledger {
    /// Deletes a batch of uploads that ended at `before` or earlier. Returns the states of the
    /// deleted uploads, and whether there may be more.
    pub(crate) async fn delete_ended(
        &self,
        before: Timestamp,
    ) -> LedgerResult<(PrunedUploads, bool)> {
        self.write(move |tx| {
            let sql = format!(
                "DELETE FROM upload WHERE {HAS_ENDED} AND id IN \
                 (SELECT id FROM upload WHERE {HAS_ENDED} ORDER BY ended_at LIMIT {BATCH_ROWS}) RETURNING state"
            );
            let states = tx.query(&sql, values![before], |row| read_state(row, 0))?;
            let mut deleted = PrunedUploads::default();
            for state in &states {
                deleted.add(*state, 1);
            }
            Ok((deleted, states.len() == BATCH_ROWS))
        })
        .await
    }

    /// Deletes a batch of ready uploads that began at `before` or earlier, with ids above `after`.
    /// Returns the number of deleted uploads, and the last id if there may be more.
    async fn delete_ready(
        &self,
        before: Timestamp,
        after: String,
    ) -> LedgerResult<(u64, Option<String>)> {
        self.write(move |tx| {
            let sql = format!(
                "SELECT id FROM upload WHERE {IS_READY} AND id > ?2 ORDER BY id LIMIT {BATCH_ROWS}"
            );
            let ids = tx.query(&sql, values![before, &after], |row| row.text(0))?;
            let sql = format!("DELETE FROM upload WHERE {IS_READY} AND id = ?2");
            let rows = ids.iter().map(|id| *values![before, id]);
            let deleted = tx.execute_each(&sql, &rows.collect::<Vec<_>>())?;
            let last = ids.last().filter(|_| ids.len() == BATCH_ROWS);
            Ok((deleted.iter().sum(), last.cloned()))
        })
        .await
    }

    /// Deletes all uploads of `scope` that are older than `before`. Gateways may run at the same
    /// time.
    ///
    /// # Errors
    /// [`Kind::Io`](upload_types::error::Kind::Io) if the database fails. A repetition is safe.
    pub async fn prune(&self, before: Timestamp, scope: PruneScope) -> Result<PrunedUploads> {
        let mut all = PrunedUploads::default();
        loop {
            let (deleted, has_more) = self.delete_ended(before).await?;
            all.aborted += deleted.aborted;
            all.expired += deleted.expired;
            all.rejected += deleted.rejected;
            if !has_more {
                break;
            }
        }
        let mut after = (scope == PruneScope::EndedAndReady).then(String::new);
        while let Some(id) = after {
            let (deleted, last) = self.delete_ready(before, id).await?;
            all.ready += deleted;
            after = last;
        }
        Ok(all)
    }

    /// The uploads that [`Ledger::prune`] would delete.
    ///
    /// # Errors
    /// As [`Ledger::prune`].
    pub async fn count_prunable(
        &self,
        before: Timestamp,
        scope: PruneScope,
    ) -> Result<PrunedUploads> {
        let counted = self.read(move |tx| {
            let mut counts = PrunedUploads::default();
            count(tx, HAS_ENDED, before, &mut counts)?;
            if scope == PruneScope::EndedAndReady {
                count(tx, IS_READY, before, &mut counts)?;
            }
            Ok(counts)
        });
        Ok(counted.await?)
    }
}

fn count(
    tx: &Transaction<'_>,
    condition: &str,
    before: Timestamp,
    counts: &mut PrunedUploads,
) -> sql::Result<()> {
    let sql = format!("SELECT state, count(*) FROM upload WHERE {condition} GROUP BY state");
    let read = |row: &Row<'_>| Ok((read_state(row, 0)?, row.number(1)?));
    for (state, count) in tx.query(&sql, values![before], read)? {
        counts.add(state, count);
    }
    Ok(())
}

fn read_state(row: &Row<'_>, column: usize) -> sql::Result<UploadState> {
    UploadState::from_name(&row.text(column)?).ok_or(damaged(column, "not a state"))
}
