//! The space of a ledger in a SQLite file: pages that deleted rows have left go back to the file
//! system. PostgreSQL does this itself (autovacuum).
//!
//! Pages are released in short transactions, so that other calls wait only briefly. The file gets
//! smaller when SQLite writes its log into the file.

use super::database::{Ledger, LedgerConfig};
use super::error::LedgerResult;
use super::sqlite::{self, Space};
use upload_types::error::Result;

/// The maximum number of pages that one transaction releases.
const BATCH_PAGES: u64 = 512;
/// Fewer free pages are kept for new rows.
const MIN_FREE_PAGES: u64 = 1024;

impl Ledger {
    /// Releases one batch of pages if a quarter of the file or more is free. Returns true if there
    /// may be more.
    pub(crate) async fn release_some_space(&self) -> LedgerResult<bool> {
        let space = self.space().await?;
        if !is_wasteful(space) {
            return Ok(false);
        }
        let after = self.release_pages(BATCH_PAGES).await?;
        Ok(after.free_pages < space.free_pages && is_wasteful(after))
    }

    /// Releases all free pages. Returns their bytes; 0 on PostgreSQL.
    ///
    /// # Errors
    /// [`Kind::Io`](upload_types::error::Kind::Io) if the database fails.
    pub async fn release_space(&self) -> Result<u64> {
        let mut space = self.space().await?;
        let before = space.pages;
        loop {
            let after = self.release_pages(BATCH_PAGES).await?;
            if after.free_pages == 0 || after.free_pages >= space.free_pages {
                return Ok(before.saturating_sub(after.pages) * after.page_bytes);
            }
            space = after;
        }
    }
}

/// Writes the log of SQLite into the file, which then has its new size. While other processes use
/// the file, it may get that size later.
pub async fn write_log_into_file(config: &LedgerConfig) {
    let LedgerConfig::Sqlite(path) = config else {
        return;
    };
    let path = path.clone();
    let written = tokio::task::spawn_blocking(move || sqlite::checkpoint(&path)).await;
    if let Ok(Err(error)) = written {
        tracing::debug!(%error, "could not write the log of the ledger into its file");
    }
}

/// Returns true if so much of a file is free that it is worth releasing.
fn is_wasteful(space: Space) -> bool {
    space.free_pages >= MIN_FREE_PAGES && space.free_pages >= space.pages / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_free_pages_are_kept_for_new_rows() {
        let space = |pages, free_pages| Space {
            pages,
            free_pages,
            page_bytes: 4096,
        };
        assert!(is_wasteful(space(4096, 1024)));
        assert!(!is_wasteful(space(4096, 1023)));
        assert!(!is_wasteful(space(100_000, 20_000)));
        assert!(!is_wasteful(Space::default()));
    }
}
