//! The rows of parts. A declared upload has a row for each part that is pinned to a SHA-256, until
//! the upload ends. Its other parts are known by its plan.
//!
//! Not here: listing the parts in the store (`service/read`). This file records such lists.

use super::database::Ledger;
use super::error::LedgerResult;
use super::sql::{self, Row, TransactionEnd, damaged, values};
use super::transaction::Transaction;
use super::transition::{TransitionOutcome, transition_with_plan};
use super::uploads::{Upload, find};
use crate::lease::Renewed;
use upload_types::plan::Plan;
use upload_types::wire::{CompletePart, PartSpec, StoredPart, UploadState};
use upload_types::{ETag, PartNumber, Sha256, UploadId};

/// The row of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPart {
    pub number: PartNumber,
    pub size: u64,
    /// The SHA-256 to which the part is pinned. `None` for an upload from a browser.
    pub sha256: Option<Sha256>,
    /// `None` until the store has listed the part, or a request to complete has named it.
    pub etag: Option<ETag>,
}

impl Ledger {
    /// Pins each part to its SHA-256, moves a pending upload to `uploading` and renews the lease.
    /// If one part does not match, nothing is written.
    pub async fn pin_parts(
        &self,
        id: &UploadId,
        epoch: u64,
        mut parts: Vec<PartSpec>,
        renewed: Renewed,
    ) -> LedgerResult<TransitionOutcome> {
        let id = id.clone();
        // All operations lock rows in the same order, which avoids deadlocks.
        parts.sort_by_key(|part| part.number);
        self.write_or_roll_back(move |tx| {
            let from = [UploadState::Pending, UploadState::Uploading];
            let to = UploadState::Uploading;
            let plan = match transition_with_plan(tx, &id, epoch, renewed, &from, to)? {
                Ok(plan) => plan,
                Err(outcome) => return Ok((outcome, TransactionEnd::RollBack)),
            };
            let is_planned = |part: &&PartSpec| part_len(&plan, part.number) == Some(part.size);
            if let Some(part) = parts.iter().find(|part| !is_planned(part)) {
                return Ok(mismatch(part.number));
            }
            let sql = "INSERT INTO part (upload, number, size, sha256) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT (upload, number) DO UPDATE SET sha256 = excluded.sha256 \
                       WHERE part.sha256 IS NULL OR part.sha256 = excluded.sha256";
            let rows = parts.iter().map(|part| {
                let (number, sha256) = (part.number.get(), part.sha256.bytes());
                *values![id.as_str(), number, part.size, sha256]
            });
            let changed = tx.execute_each(sql, &rows.collect::<Vec<_>>())?;
            Ok(outcome_of_rows(&parts, |part| part.number, &changed))
        })
        .await
    }

    /// Moves a declared upload to `completing`, which may be its state already; records the
    /// client's SHA-256 and `ETag` of each part, and renews the lease.
    pub async fn start_completing(
        &self,
        id: &UploadId,
        epoch: u64,
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
            let to = UploadState::Completing;
            let plan = match transition_with_plan(tx, &id, epoch, renewed, &from, to)? {
                Ok(plan) => plan,
                Err(outcome) => return Ok((outcome, TransactionEnd::RollBack)),
            };
            let sql = "INSERT INTO part (upload, number, size, sha256, etag) VALUES (?1, ?2, ?3, ?4, ?5) \
                       ON CONFLICT (upload, number) DO UPDATE SET sha256 = excluded.sha256, etag = excluded.etag \
                       WHERE part.sha256 IS NULL OR part.sha256 = excluded.sha256";
            let mut rows = Vec::with_capacity(parts.len());
            for part in &parts {
                let Some(len) = part_len(&plan, part.number) else {
                    return Ok(mismatch(part.number));
                };
                let (number, sha256) = (part.number.get(), part.sha256.bytes());
                rows.push(*values![id.as_str(), number, len, sha256, part.etag.as_str()]);
            }
            let changed = tx.execute_each(sql, &rows)?;
            Ok(outcome_of_rows(&parts, |part| part.number, &changed))
        })
        .await
    }

    /// Records the ETags of pinned parts that the store has listed.
    pub async fn record_stored_parts(
        &self,
        id: &UploadId,
        mut parts: Vec<StoredPart>,
    ) -> LedgerResult<()> {
        let id = id.clone();
        parts.sort_by_key(|part| part.number);
        self.write(move |tx| {
            let sql = "UPDATE part SET etag = ?3 \
                       WHERE upload = ?1 AND number = ?2 AND etag IS DISTINCT FROM ?3";
            let rows = parts
                .iter()
                .map(|part| *values![id.as_str(), part.number.get(), part.etag.as_str()]);
            tx.execute_each(sql, &rows.collect::<Vec<_>>()).map(drop)
        })
        .await
    }

    /// At most `limit` rows of parts with numbers above `after`, in order.
    pub async fn parts(
        &self,
        id: &UploadId,
        after: u32,
        limit: u32,
    ) -> LedgerResult<Vec<LedgerPart>> {
        let id = id.clone();
        self.read(move |tx| query_parts(tx, &id, after, limit))
            .await
    }

    /// An upload by its owner and id, with at most `limit` rows of its parts, in order.
    pub async fn upload_with_parts(
        &self,
        owner: &str,
        id: &UploadId,
        limit: u32,
    ) -> LedgerResult<Option<(Upload, Vec<LedgerPart>)>> {
        let (owner, id) = (owner.to_owned(), id.clone());
        self.read(move |tx| {
            let Some(upload) = find(tx, &owner, &id)? else {
                return Ok(None);
            };
            let parts = query_parts(tx, &id, 0, limit)?;
            Ok(Some((upload, parts)))
        })
        .await
    }
}

/// Deletes the rows of all parts of an upload.
pub(super) fn delete_parts(tx: &Transaction<'_>, id: &UploadId) -> sql::Result<()> {
    tx.execute("DELETE FROM part WHERE upload = ?1", values![id.as_str()])
        .map(drop)
}

/// The size of a part in bytes. `None` if the plan has no such part.
fn part_len(plan: &Plan, number: PartNumber) -> Option<u64> {
    plan.range(number).map(|range| range.len)
}

fn query_parts(
    tx: &Transaction<'_>,
    id: &UploadId,
    after: u32,
    limit: u32,
) -> sql::Result<Vec<LedgerPart>> {
    let sql = "SELECT number, size, sha256, etag FROM part WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    tx.query(sql, values![id.as_str(), after, limit], read_part)
}

fn read_part(row: &Row<'_>) -> sql::Result<LedgerPart> {
    let number = u32::try_from(row.number(0)?)
        .ok()
        .and_then(|number| number.try_into().ok());
    let etag: Option<String> = row.optional(3)?;
    Ok(LedgerPart {
        number: number.ok_or(damaged(0, "not a part number"))?,
        size: row.number(1)?,
        sha256: row.optional_sha256(2)?,
        etag: etag
            .map(|etag| etag.parse())
            .transpose()
            .map_err(|_| damaged(3, "not an ETag"))?,
    })
}

/// Commits if the statement changed one row for each part. Otherwise reports the first part without
/// a matching row.
pub(super) fn outcome_of_rows<P>(
    parts: &[P],
    number: impl Fn(&P) -> PartNumber,
    changed: &[u64],
) -> (TransitionOutcome, TransactionEnd) {
    match parts
        .iter()
        .zip(changed)
        .find(|(_, changed)| **changed != 1)
    {
        None => (TransitionOutcome::Done, TransactionEnd::Commit),
        Some((part, _)) => mismatch(number(part)),
    }
}

fn mismatch(number: PartNumber) -> (TransitionOutcome, TransactionEnd) {
    let outcome = TransitionOutcome::PartMismatch(number);
    (outcome, TransactionEnd::RollBack)
}
