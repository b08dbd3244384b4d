//! Deletes the rows of uploads that have ended, after the retention time, in batches.
//!
//! Not here: the rows that may be deleted (`ledger/ended_uploads`).

use jiff::Timestamp;

use super::shared_state::Service;
use crate::problem::{Refusal, ledger_failed};

/// The maximum number of batches in one sweep. The next sweep continues.
const MAX_BATCHES: usize = 50;

impl Service {
    /// Deletes the rows of uploads that ended longer ago than the retention time, and releases
    /// their space.
    ///
    /// # Errors
    /// `unavailable` if the ledger fails.
    pub(super) async fn delete_ended(&self) -> Result<(), Refusal> {
        let Some(keep) = self.config().keep_ended else {
            return Ok(());
        };
        // Nothing is deleted unless both clocks agree.
        let now = self.now().min(Timestamp::now());
        let before = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
        let mut count = 0;
        for _ in 0..MAX_BATCHES {
            let deleted = self.ledger.delete_ended(before).await;
            let (deleted, has_more) = deleted.map_err(ledger_failed)?;
            count += deleted.total();
            if !has_more {
                break;
            }
        }
        if count > 0 {
            tracing::info!(count, "rows of ended uploads deleted from the ledger");
        }
        for _ in 0..MAX_BATCHES {
            if !self
                .ledger
                .release_some_space()
                .await
                .map_err(ledger_failed)?
            {
                break;
            }
        }
        Ok(())
    }
}
