//! Making the journal's file smaller after rows were deleted.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use upload_types::error::Result;

use super::database::Journal;
use super::process_lock;

/// The longest time for a compaction: other processes cannot write the journal during it, and wait
/// for at most five seconds.
const COMPACTION_LIMIT: Duration = Duration::from_secs(3);

impl Journal {
    /// Gives unused space of the file back to the file system, and returns the number of bytes.
    /// Does nothing while a process drives uploads, if less than a tenth of the file is
    /// unused, and if it takes longer than three seconds.
    ///
    /// # Errors
    /// [`Kind::Io`](upload_types::error::Kind::Io) if the file cannot be written. Its content is
    /// unchanged then.
    pub fn compact(&mut self) -> Result<u64> {
        if process_lock::any_process_runs(self.path()) {
            return Ok(0);
        }
        let number = |db: &Connection, pragma: &str| {
            db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
        };
        let (pages, free) =
            self.read(|db| Ok((number(db, "page_count")?, number(db, "freelist_count")?)))?;
        if free == 0 || free.saturating_mul(10) < pages {
            return Ok(0);
        }
        let page_bytes = self.read(|db| number(db, "page_size"))?;
        self.write_without_transaction(|db| {
            if !vacuum(db, COMPACTION_LIMIT)? {
                return Ok(());
            }
            // Otherwise the file would stay as large as before until the last connection is closed.
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        })?;
        let left = self.read(|db| number(db, "page_count"))?;
        let freed = pages.saturating_sub(left).saturating_mul(page_bytes);
        Ok(u64::try_from(freed).unwrap_or(0))
    }
}

/// Rewrites the database without its unused pages. Returns false, with an unchanged database, if
/// that took longer than `limit` or another process used the database.
fn vacuum(db: &Connection, limit: Duration) -> rusqlite::Result<bool> {
    let interrupt = db.get_interrupt_handle();
    let (done, is_done) = mpsc::channel::<()>();
    let vacuumed = thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let vacuumed = db.execute_batch("VACUUM");
        drop(done);
        vacuumed
    });
    match vacuumed {
        Ok(()) => Ok(true),
        Err(error) => match error.sqlite_error_code() {
            Some(
                ErrorCode::OperationInterrupted
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked,
            ) => Ok(false),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A journal from which about 1 MiB of rows was deleted.
    fn pruned_journal(path: &std::path::Path) -> Journal {
        let mut journal = Journal::open(path).unwrap();
        let db = journal.connection();
        db.execute_batch(
            "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 9000)
             INSERT INTO store SELECT printf('%0100d', n), 'store.test:443' FROM number;
             DELETE FROM store;",
        )
        .unwrap();
        journal
    }

    #[test]
    fn compaction_shrinks_the_file_and_keeps_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let mut journal = pruned_journal(&path);
        let keep = "INSERT INTO store VALUES ('kept', 'store.test:443')";
        journal.connection().execute(keep, []).unwrap();
        let freed = journal.compact().unwrap();
        assert!(freed > 500_000, "{freed}");
        assert!(fs::metadata(&path).unwrap().len() < 200_000);
        assert_eq!(journal.stores("kept").unwrap(), ["store.test:443"]);
        assert_eq!(journal.compact().unwrap(), 0);
    }

    #[test]
    fn journal_of_a_running_upload_is_not_compacted() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = pruned_journal(&dir.path().join("journal.db"));
        journal.process().unwrap();
        assert_eq!(journal.compact().unwrap(), 0);
    }
}
