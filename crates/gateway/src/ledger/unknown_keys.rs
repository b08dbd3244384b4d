//! Keys that the store's events named and that no upload has.

use std::time::Duration;

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::values;
use upload_types::Key;

/// A key is deleted this long after its last event.
const UNKNOWN_KEY_RETENTION: Duration = Duration::from_hours(30 * 24);

impl Ledger {
    /// Counts an event about a key that no upload has. Deletes keys that had no event within the
    /// retention time.
    pub async fn record_unknown_key(&self, key: &Key, now: Timestamp) -> LedgerResult<()> {
        let key = key.to_string();
        let oldest = now
            .checked_sub(UNKNOWN_KEY_RETENTION)
            .unwrap_or(Timestamp::MIN);
        self.write(move |tx| {
            let sql = "INSERT INTO unknown_key (key, events, first_seen_at, last_seen_at) VALUES (?1, 1, ?2, ?2) \
                       ON CONFLICT (key) DO UPDATE \
                       SET events = unknown_key.events + 1, last_seen_at = excluded.last_seen_at";
            tx.execute(sql, values![key.as_str(), now])?;
            let sql = "DELETE FROM unknown_key WHERE last_seen_at < ?1";
            tx.execute(sql, values![oldest]).map(drop)
        })
        .await
    }
}
