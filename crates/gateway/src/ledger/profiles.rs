//! What probes have found out about stores, for every gateway of this ledger.
//!
//! Border: rows; what a profile says, and how long it is believed, is not known here.

use std::time::Duration;

use jiff::Timestamp;

use super::Ledger;
use super::db::values;
use upload_types::error::Result;

/// How long a store is remembered that nobody probes any more.
const KEPT: Duration = Duration::from_hours(90 * 24);

impl Ledger {
    /// The profile of a store, and when it was probed.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn profile(&self, store: &str) -> Result<Option<(String, Timestamp)>> {
        let store = store.to_owned();
        self.read(move |db| {
            let sql = "SELECT profile, probed_at FROM store_profile WHERE store = ?1";
            db.find(sql, values![&store], |row| Ok((row.text(0)?, row.time(1)?)))
        })
        .await
    }

    /// Keeps the profile of a store, in the place of an earlier one, and forgets those that are older than 90 days.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn set_profile(&self, store: &str, profile: String, now: Timestamp) -> Result<()> {
        let store = store.to_owned();
        let forgotten = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        self.write(move |db| {
            let sql = "INSERT INTO store_profile (store, profile, probed_at) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (store) DO UPDATE SET profile = excluded.profile, probed_at = excluded.probed_at \
                       WHERE store_profile.probed_at <= excluded.probed_at";
            db.execute(sql, values![&store, &profile, now])?;
            db.execute("DELETE FROM store_profile WHERE probed_at < ?1", values![forgotten]).map(drop)
        })
        .await
    }
}
