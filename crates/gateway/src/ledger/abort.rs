//! The transition to `aborting`.
//!
//! Not here: removing the upload from the store (`service/abort`), and the final state (`sweep`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::open_state::IS_OPEN;
use super::sql::values;
use super::stored_bytes::release_held_bytes;
use super::transition::{TransitionOutcome, state_and_epoch};
use super::uploads::sql_list;
use upload_types::UploadId;
use upload_types::wire::UploadState;

impl Ledger {
    /// Moves a pending or uploading upload to `aborting`, and takes it until `until`. If `epoch` is
    /// given, it must be the epoch of the lease.
    pub async fn start_aborting(
        &self,
        id: &UploadId,
        epoch: Option<u64>,
        until: Timestamp,
    ) -> LedgerResult<TransitionOutcome> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE upload SET state = 'aborting', lease_until = ?2 \
                       WHERE id = ?1 AND state IN ('pending', 'uploading') AND (?3 IS NULL OR epoch = ?3)";
            if tx.execute(sql, values![id.as_str(), until, epoch])? == 1 {
                return Ok(TransitionOutcome::Done);
            }
            let (state, current) = state_and_epoch(tx, &id)?;
            if epoch.is_some_and(|epoch| epoch != current) {
                return Ok(TransitionOutcome::LeaseLost);
            }
            Ok(TransitionOutcome::WrongState(state))
        })
        .await
    }

    /// Moves an upload with an object from one of the states `from` to `aborting`, and takes it
    /// until `until`. Its bytes are not held any more, and its hooks are not run any more. It no
    /// longer counts as expired, so that no sweep finds its object again. Returns false if the
    /// upload is in none of these states, or if another upload is unfinished at its chosen key.
    pub async fn start_removing(
        &self,
        id: &UploadId,
        from: &'static [UploadState],
        until: Timestamp,
    ) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = format!(
                "UPDATE upload SET state = 'aborting', lease_until = ?2, cleanup_at = NULL, ended_at = NULL, rejection = NULL, \
                 may_land_until = NULL, expires_at = CASE WHEN expires_at = 0 THEN created_at ELSE expires_at END \
                 WHERE id = ?1 AND state IN ({}) AND (chosen_key IS NULL OR NOT EXISTS \
                 (SELECT 1 FROM upload other WHERE other.key = upload.key AND other.chosen_key IS NOT NULL AND other.{IS_OPEN}))",
                sql_list(from)
            );
            if tx.execute(&sql, values![id.as_str(), until])? != 1 {
                return Ok(false);
            }
            tx.execute("DELETE FROM pending_hooks WHERE upload = ?1", values![id.as_str()])?;
            release_held_bytes(tx, &id)?;
            Ok(true)
        })
        .await
    }
}
