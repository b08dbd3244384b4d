//! The transition to `aborting`.
//!
//! Not here: removing the upload from the store (`service/abort`), and the final state (`sweep`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::values;
use super::transition::{TransitionOutcome, state_and_epoch};
use upload_types::UploadId;

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
}
