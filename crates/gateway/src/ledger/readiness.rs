//! The check that the ledger accepts writes. Each gateway has a row of its own, so that gateways do
//! not wait for each other.
//!
//! Reads succeed while the disk of a SQLite file is full, and on a PostgreSQL server that is
//! read-only. Only a write shows that calls can be served.

use std::time::Duration;

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::values;

/// The row of a gateway is deleted this long after its last check.
const RETENTION: Duration = Duration::from_hours(24);

impl Ledger {
    /// Writes the time of this check.
    pub async fn check_writes(&self, now: Timestamp) -> LedgerResult<()> {
        let gateway = self.gateway_id().to_owned();
        let oldest = now.checked_sub(RETENTION).unwrap_or(Timestamp::MIN);
        self.write(move |tx| {
            let sql = "INSERT INTO readiness (gateway, checked_at) VALUES (?1, ?2) \
                       ON CONFLICT (gateway) DO UPDATE SET checked_at = excluded.checked_at";
            tx.execute(sql, values![&gateway, now])?;
            let sql = "DELETE FROM readiness WHERE checked_at < ?1";
            tx.execute(sql, values![oldest]).map(drop)
        })
        .await
    }
}
