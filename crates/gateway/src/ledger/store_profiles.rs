//! The results of probes, shared by all gateways of a ledger.
//!
//! Not here: the content of a profile, and its validity (`store_check`).

use std::time::Duration;

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::values;

/// A profile is deleted this long after its probe.
const PROFILE_RETENTION: Duration = Duration::from_hours(90 * 24);

impl Ledger {
    /// The profile of a store, and the time of its probe.
    pub async fn store_profile(&self, store: &str) -> LedgerResult<Option<(String, Timestamp)>> {
        let store = store.to_owned();
        self.read(move |tx| {
            let sql = "SELECT profile, probed_at FROM store_profile WHERE store = ?1";
            tx.find(sql, values![&store], |row| Ok((row.text(0)?, row.time(1)?)))
        })
        .await
    }

    /// Replaces the profile of a store, unless the ledger has a newer one. Deletes profiles that
    /// are older than the retention time.
    pub async fn set_store_profile(
        &self,
        store: &str,
        profile: String,
        now: Timestamp,
    ) -> LedgerResult<()> {
        let store = store.to_owned();
        let oldest = now.checked_sub(PROFILE_RETENTION).unwrap_or(Timestamp::MIN);
        self.write(move |tx| {
            let sql = "INSERT INTO store_profile (store, profile, probed_at) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (store) DO UPDATE SET profile = excluded.profile, probed_at = excluded.probed_at \
                       WHERE store_profile.probed_at <= excluded.probed_at";
            tx.execute(sql, values![&store, &profile, now])?;
            let sql = "DELETE FROM store_profile WHERE probed_at < ?1";
            tx.execute(sql, values![oldest]).map(drop)
        })
        .await
    }
}
