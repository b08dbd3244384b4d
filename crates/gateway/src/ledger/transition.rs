//! Transitions of an upload's state by the holder of its lease.

use super::sql::{self, Row, SqlError, damaged, values};
use super::transaction::Transaction;
use super::uploads::sql_list;
use crate::lease::Renewed;
use upload_types::wire::UploadState;
use upload_types::{PartNumber, UploadId};

/// The result of an operation that requires an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransitionOutcome {
    /// Committed. The lease is renewed.
    Done,
    /// The lease has another epoch.
    LeaseLost,
    /// The upload is in this state, which does not permit the operation.
    WrongState(UploadState),
    /// The ledger has another SHA-256 or size for this part, or no such part.
    PartMismatch(PartNumber),
}

/// The maximum number of attempts at a transition. The UPDATE may fail although the row that is
/// read after it permits the transition: another gateway may have changed the row and changed it
/// back.
const MAX_ATTEMPTS: u32 = 3;

/// Moves an upload from one of the states `from` to `to` and renews its lease, if the lease has
/// this epoch. The row is locked until the transaction ends.
pub(super) fn transition(
    tx: &Transaction<'_>,
    id: &UploadId,
    epoch: u64,
    renewed: Renewed,
    from: &[UploadState],
    to: UploadState,
) -> sql::Result<TransitionOutcome> {
    let sql = format!(
        "UPDATE upload SET state = ?2, lease_until = ?3, expires_at = ?4 WHERE id = ?1 AND epoch = ?5 AND state IN ({})",
        sql_list(from)
    );
    let row = values![
        id.as_str(),
        to.name(),
        renewed.lease_until,
        renewed.expires_at,
        epoch
    ];
    for _ in 0..MAX_ATTEMPTS {
        if tx.execute(&sql, row)? == 1 {
            return Ok(TransitionOutcome::Done);
        }
        let (state, current) = state_and_epoch(tx, id)?;
        if !from.contains(&state) {
            return Ok(TransitionOutcome::WrongState(state));
        }
        if current != epoch {
            return Ok(TransitionOutcome::LeaseLost);
        }
    }
    Ok(TransitionOutcome::LeaseLost)
}

/// The current state and epoch of an upload that must exist.
pub(super) fn state_and_epoch(
    tx: &Transaction<'_>,
    id: &UploadId,
) -> sql::Result<(UploadState, u64)> {
    let read = |row: &Row<'_>| {
        let state = UploadState::from_name(&row.text(0)?).ok_or(damaged(0, "not a state"))?;
        Ok((state, row.number(1)?))
    };
    let sql = "SELECT state, epoch FROM upload WHERE id = ?1";
    tx.find(sql, values![id.as_str()], read)?
        .ok_or(SqlError::MissingRow)
}
