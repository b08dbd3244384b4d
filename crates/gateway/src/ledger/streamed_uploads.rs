//! Uploads of streams: the bytes of their parts are counted when they are signed, and their size
//! is set when they become `completing`.
//!
//! Not here: the schedule of the parts, and the plan of the whole stream (`service/stream`).

use super::database::Ledger;
use super::error::LedgerResult;
use super::parts::outcome_of_rows;
use super::quota::reserve_bytes;
use super::sql::{TransactionEnd, values};
use super::transition::{TransitionOutcome, transition};
use crate::lease::Renewed;
use crate::limits::{Excess, Quota};
use upload_types::UploadId;
use upload_types::plan::Plan;
use upload_types::wire::{CompletePart, PartSpec, UploadState};

impl Ledger {
    /// Pins parts to their size and SHA-256, also parts that were pinned to another SHA-256; raises
    /// the size of the upload to at least `bytes`; moves it to `uploading`, and renews the lease.
    /// Writes nothing if the owner would exceed the quota.
    pub async fn pin_stream(
        &self,
        id: &UploadId,
        epoch: u64,
        mut parts: Vec<PartSpec>,
        (bytes, quota): (u64, Quota),
        renewed: Renewed,
    ) -> LedgerResult<Result<TransitionOutcome, Excess>> {
        let id = id.clone();
        // All operations lock rows in the same order, which avoids deadlocks.
        parts.sort_by_key(|part| part.number);
        self.write_or_roll_back(move |tx| {
            let from = [UploadState::Pending, UploadState::Uploading];
            let outcome = transition(tx, &id, epoch, renewed, &from, UploadState::Uploading)?;
            if outcome != TransitionOutcome::Done {
                return Ok((Ok(outcome), TransactionEnd::RollBack));
            }
            if let Some(excess) = reserve_bytes(tx, &id, bytes, quota)? {
                return Ok((Err(excess), TransactionEnd::RollBack));
            }
            let sql = "INSERT INTO part (upload, number, size, sha256) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT (upload, number) DO UPDATE \
                       SET size = excluded.size, sha256 = excluded.sha256, etag = NULL \
                       WHERE part.sha256 IS DISTINCT FROM excluded.sha256 OR part.size <> excluded.size";
            let rows = parts.iter().map(|part| {
                let (number, sha256) = (part.number.get(), part.sha256.bytes());
                *values![id.as_str(), number, part.size, sha256]
            });
            tx.execute_each(sql, &rows.collect::<Vec<_>>())?;
            Ok((Ok(TransitionOutcome::Done), TransactionEnd::Commit))
        })
        .await
    }

    /// Moves an upload to `completing`, which may be its state already, with the plan of the whole
    /// stream; records the `ETag` of each part, and renews the lease. Parts of an earlier reading
    /// of the stream that was longer are deleted. If the SHA-256 of one part does not match,
    /// nothing is written.
    pub async fn start_completing_stream(
        &self,
        id: &UploadId,
        epoch: u64,
        plan: Plan,
        mut parts: Vec<CompletePart>,
        renewed: Renewed,
    ) -> LedgerResult<TransitionOutcome> {
        let id = id.clone();
        parts.sort_by_key(|part| part.number);
        self.write_or_roll_back(move |tx| {
            let from = [
                UploadState::Pending,
                UploadState::Uploading,
                UploadState::Completing,
            ];
            let outcome = transition(tx, &id, epoch, renewed, &from, UploadState::Completing)?;
            if outcome != TransitionOutcome::Done {
                return Ok((outcome, TransactionEnd::RollBack));
            }
            tx.execute(
                "UPDATE upload SET size = ?2, part_count = ?3 WHERE id = ?1",
                values![id.as_str(), plan.size(), plan.count()],
            )?;
            tx.execute(
                "DELETE FROM part WHERE upload = ?1 AND number > ?2",
                values![id.as_str(), plan.count()],
            )?;
            let sql = "UPDATE part SET etag = ?4 \
                       WHERE upload = ?1 AND number = ?2 AND sha256 = ?3";
            let rows = parts.iter().map(|part| {
                let (number, sha256) = (part.number.get(), part.sha256.bytes());
                *values![id.as_str(), number, sha256, part.etag.as_str()]
            });
            let changed = tx.execute_each(sql, &rows.collect::<Vec<_>>())?;
            Ok(outcome_of_rows(&parts, |part| part.number, &changed))
        })
        .await
    }
}
