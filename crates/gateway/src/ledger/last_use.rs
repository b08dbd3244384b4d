//! The times at which tokens and owners were used last.
//!
//! Not here: collecting the uses (`auth/last_uses`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::values;

/// A row whose use is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Used {
    /// A token, by its id.
    Token(String),
    /// An owner, by its segment.
    Owner(String),
}

impl Ledger {
    /// Records the last use of each row in one transaction. An earlier time than the recorded one
    /// changes nothing.
    pub async fn record_last_uses(&self, mut uses: Vec<(Used, Timestamp)>) -> LedgerResult<()> {
        // In one order, so that two gateways do not wait for each other.
        uses.sort();
        self.write(move |tx| {
            let rows = |of_token: bool| {
                let row = move |(used, at): &(Used, Timestamp)| match used {
                    Used::Token(id) if of_token => Some((id.clone(), *at)),
                    Used::Owner(segment) if !of_token => Some((segment.clone(), *at)),
                    Used::Token(_) | Used::Owner(_) => None,
                };
                uses.iter().filter_map(row).collect::<Vec<_>>()
            };
            for (sql, rows) in [
                (
                    "UPDATE token SET last_used_at = ?2 \
                     WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
                    rows(true),
                ),
                (
                    "UPDATE owner SET last_used_at = ?2 \
                     WHERE segment = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
                    rows(false),
                ),
            ] {
                let rows: Vec<_> = rows.iter().map(|(id, at)| *values![id, *at]).collect();
                tx.execute_each(sql, &rows)?;
            }
            Ok(())
        })
        .await
    }
}
