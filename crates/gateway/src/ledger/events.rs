//! What a store's events are about: an upload by its key, and keys that nobody here knows.
//!
//! Border: rows; what an event is worth is `service/confirm`.

use std::time::Duration;

use jiff::Timestamp;

use super::Ledger;
use super::db::values;
use super::uploads::{COLUMNS, Upload, upload};
use upload_types::error::Result;
use upload_types::names::Key;

/// How long a stranger is remembered.
const KEPT: Duration = Duration::from_hours(30 * 24);

impl Ledger {
    /// The upload at a key, whoever owns it.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn upload_at(&self, key: &Key) -> Result<Option<Upload>> {
        let key = key.to_string();
        self.read(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM upload WHERE key = ?1");
            db.find(&sql, values![key.as_str()], upload)
        })
        .await
    }

    /// Counts an event about a key that no upload has, and forgets those of which nothing was heard for 30 days.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn note_stranger(&self, key: &Key, now: Timestamp) -> Result<()> {
        let key = key.to_string();
        let forgotten = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        self.write(move |db| {
            let sql = "INSERT INTO stranger (key, events, first_at, last_at) VALUES (?1, 1, ?2, ?2) \
                       ON CONFLICT (key) DO UPDATE SET events = stranger.events + 1, last_at = excluded.last_at";
            db.execute(sql, values![key.as_str(), now])?;
            db.execute("DELETE FROM stranger WHERE last_at < ?1", values![forgotten]).map(drop)
        })
        .await
    }
}
