//! Transitions of an upload's state by the holder of its lease.

use super::sql::{self, Row, SqlError, damaged, values};
use super::transaction::Transaction;
use super::uploads::{read_plan, sql_list};
use crate::lease::Renewed;
use upload_types::plan::Plan;
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
    let result = transition_with_plan(tx, id, epoch, renewed, from, to)?;
    Ok(result.err().unwrap_or(TransitionOutcome::Done))
}

/// Like [`transition`]. Returns the plan of the upload if the transition is done, otherwise its
/// outcome.
pub(super) fn transition_with_plan(
    tx: &Transaction<'_>,
    id: &UploadId,
    epoch: u64,
    renewed: Renewed,
    from: &[UploadState],
    to: UploadState,
) -> sql::Result<Result<Plan, TransitionOutcome>> {
    let sql = format!(
        "UPDATE upload SET state = ?2, lease_until = ?3, expires_at = ?4 \
         WHERE id = ?1 AND epoch = ?5 AND state IN ({}) RETURNING size, part_size, double_after",
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
        if let Some(plan) = tx.find(&sql, row, |row| read_plan(row, 0, 2))? {
            return Ok(Ok(plan));
        }
        let (state, current) = state_and_epoch(tx, id)?;
        if !from.contains(&state) {
            return Ok(Err(TransitionOutcome::WrongState(state)));
        }
        if current != epoch {
            return Ok(Err(TransitionOutcome::LeaseLost));
        }
    }
    Ok(Err(TransitionOutcome::LeaseLost))
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
