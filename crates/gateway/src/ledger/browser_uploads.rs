//! Uploads from browsers: neither their size nor a SHA-256 is declared when they begin.
//!
//! When such an upload becomes `completing`, the parts that the store lists are inserted as rows.
//! They are deleted when it ends.
//!
//! Not here: requests to the store (`service/browser_upload`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::parts::delete_parts;
use super::quota::{excess_if_size, reserve_bytes};
use super::sql::{TransactionEnd, values};
use super::transition::{TransitionOutcome, transition};
use crate::lease::Renewed;
use crate::limits::{Excess, Quota};
use upload_types::UploadId;
use upload_types::plan::Plan;
use upload_types::saturating;
use upload_types::wire::{StoredPart, UploadState};

impl Ledger {
    /// Moves an upload to `uploading`, raises its size to at least `bytes`, and renews its lease,
    /// unless its owner would exceed the quota.
    pub async fn reserve_size(
        &self,
        id: &UploadId,
        epoch: u64,
        bytes: u64,
        quota: Quota,
        renewed: Renewed,
    ) -> LedgerResult<Result<TransitionOutcome, Excess>> {
        let id = id.clone();
        self.write_or_roll_back(move |tx| {
            let from = [UploadState::Pending, UploadState::Uploading];
            let to = UploadState::Uploading;
            let outcome = transition(tx, &id, epoch, renewed, &from, to)?;
            if outcome != TransitionOutcome::Done {
                return Ok((Ok(outcome), TransactionEnd::RollBack));
            }
            if let Some(excess) = reserve_bytes(tx, &id, bytes, quota)? {
                return Ok((Err(excess), TransactionEnd::RollBack));
            }
            Ok((Ok(TransitionOutcome::Done), TransactionEnd::Commit))
        })
        .await
    }

    /// Moves an upload to `completing`, with the parts that the store lists and their plan, unless
    /// its owner would exceed the quota.
    pub async fn start_completing_listed(
        &self,
        id: &UploadId,
        epoch: u64,
        plan: Plan,
        parts: Vec<StoredPart>,
        quota: Quota,
        renewed: Renewed,
    ) -> LedgerResult<Result<TransitionOutcome, Excess>> {
        let id = id.clone();
        self.write_or_roll_back(move |tx| {
            let from = [UploadState::Pending, UploadState::Uploading];
            let to = UploadState::Completing;
            let outcome = transition(tx, &id, epoch, renewed, &from, to)?;
            if outcome != TransitionOutcome::Done {
                return Ok((Ok(outcome), TransactionEnd::RollBack));
            }
            if let Some(excess) = excess_if_size(tx, &id, plan.size(), quota)? {
                return Ok((Err(excess), TransactionEnd::RollBack));
            }
            let sql = "UPDATE upload SET size = ?2, part_size = ?3, part_count = ?4 WHERE id = ?1";
            let count = saturating::to_u64(parts.len());
            tx.execute(
                sql,
                values![id.as_str(), plan.size(), plan.part_size(), count],
            )?;
            delete_parts(tx, &id)?;
            let sql = "INSERT INTO part (upload, number, size, etag) VALUES (?1, ?2, ?3, ?4)";
            let rows = parts.iter().map(|part| {
                *values![
                    id.as_str(),
                    part.number.get(),
                    part.size,
                    part.etag.as_str()
                ]
            });
            tx.execute_each(sql, &rows.collect::<Vec<_>>())?;
            Ok((Ok(TransitionOutcome::Done), TransactionEnd::Commit))
        })
        .await
    }

    /// Renews the lease of an upload that is completing.
    pub async fn renew_completing(
        &self,
        id: &UploadId,
        epoch: u64,
        renewed: Renewed,
    ) -> LedgerResult<TransitionOutcome> {
        let id = id.clone();
        self.write(move |tx| {
            let from = [UploadState::Completing];
            transition(tx, &id, epoch, renewed, &from, UploadState::Completing)
        })
        .await
    }

    /// Sets the time of the next check for a posted form. `until` is the time until which the
    /// caller has taken the upload. If that time has changed, nothing is written.
    pub async fn postpone_form_check(
        &self,
        id: &UploadId,
        until: Timestamp,
        next: Timestamp,
    ) -> LedgerResult<()> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE upload SET lease_until = ?3 WHERE id = ?1 AND lease_until = ?2 AND state = 'uploading'";
            tx.execute(sql, values![id.as_str(), until, next]).map(drop)
        })
        .await
    }
}
