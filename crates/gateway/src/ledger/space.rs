//! The space of a ledger in a SQLite file: pages that deleted rows have left go back to the file
//! system. PostgreSQL does this itself (autovacuum).
//!
//! Pages are released in short transactions, so that other calls wait only briefly. The file gets
//! smaller at the next checkpoint of SQLite.

use super::database::Ledger;
use super::error::LedgerResult;
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
        if !space.is_wasteful() {
            return Ok(false);
        }
        let after = self.release_pages(BATCH_PAGES).await?;
        Ok(after.free_pages < space.free_pages && after.is_wasteful())
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

/// The pages of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) pages: u64,
    pub(super) free_pages: u64,
    pub(super) page_bytes: u64,
}

impl Space {
    fn is_wasteful(self) -> bool {
        self.free_pages >= MIN_FREE_PAGES && self.free_pages >= self.pages / 4
    }
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
        assert!(space(4096, 1024).is_wasteful());
        assert!(!space(4096, 1023).is_wasteful());
        assert!(!space(100_000, 20_000).is_wasteful());
        assert!(!Space::default().is_wasteful());
    }
}
