//! The rows of parts: one for each part of a plan, from begin on.
//!
//! Border: rows and the compare-and-sets that pin a part or hand all of them to a complete; what the store holds is asked of
//! the store, and these rows follow it.

use super::Ledger;
use super::db::{self, Db, Failed, Row, damaged, values};
use super::uploads::{Upload, find, listed};
use crate::lease::Renewed;
use upload_types::error::Result;
use upload_types::names::{ETag, PartNumber, Sha256, UploadId};
use upload_types::wire::{CompletePart, PartSpec, StoredPart, UploadState};

/// What became of a call that carries an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Committed; the lease is renewed.
    Done,
    /// The epoch is not the lease's any more.
    LeaseLost,
    /// The upload is past the states that allow it.
    Closed(UploadState),
    /// This part was signed with another SHA-256 before.
    Pinned(PartNumber),
}

/// One part's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPart {
    pub number: PartNumber,
    pub size: u64,
    /// What it was first signed for.
    pub sha256: Option<Sha256>,
    /// Once the store was seen to hold it.
    pub etag: Option<ETag>,
}

impl Ledger {
    /// Pins each part to its SHA-256, moves a pending upload to `uploading` and renews the lease: all or nothing.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn pin(
        &self,
        id: &UploadId,
        epoch: u64,
        mut parts: Vec<PartSpec>,
        renewed: Renewed,
    ) -> Result<Signing> {
        let id = id.clone();
        // Rows are locked in one order, whoever asks.
        parts.sort_by_key(|part| part.number);
        self.attempt(move |db| {
            let from = [UploadState::Pending, UploadState::Uploading];
            let opened = open(db, &id, epoch, renewed, &from, UploadState::Uploading)?;
            if opened != Signing::Done {
                return Ok((opened, false));
            }
            let sql = "UPDATE part SET sha256 = ?3 \
                       WHERE upload = ?1 AND number = ?2 AND size = ?4 AND (sha256 IS NULL OR sha256 = ?3)";
            let rows = parts.iter();
            let rows = rows.map(|part| *values![id.as_str(), part.number.get(), part.sha256.bytes(), part.size]);
            let changed = db.execute_each(sql, &rows.collect::<Vec<_>>())?;
            Ok(pinned(parts.iter().map(|part| part.number), &changed))
        })
        .await
    }

    /// Hands the parts to a complete: moves the upload to `completing` (where it may be already) with what the client says of
    /// each part, and renews the lease.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn seal(
        &self,
        id: &UploadId,
        epoch: u64,
        mut parts: Vec<CompletePart>,
        renewed: Renewed,
    ) -> Result<Signing> {
        let id = id.clone();
        parts.sort_by_key(|part| part.number);
        self.attempt(move |db| {
            let from = [
                UploadState::Pending,
                UploadState::Uploading,
                UploadState::Completing,
            ];
            let opened = open(db, &id, epoch, renewed, &from, UploadState::Completing)?;
            if opened != Signing::Done {
                return Ok((opened, false));
            }
            let sql = "UPDATE part SET sha256 = ?3, etag = ?4 \
                       WHERE upload = ?1 AND number = ?2 AND (sha256 IS NULL OR sha256 = ?3)";
            let rows = parts.iter().map(|part| {
                let (sha256, etag) = (part.sha256.bytes(), part.etag.as_str());
                *values![id.as_str(), part.number.get(), sha256, etag]
            });
            let changed = db.execute_each(sql, &rows.collect::<Vec<_>>())?;
            Ok(pinned(parts.iter().map(|part| part.number), &changed))
        })
        .await
    }

    /// Notes parts the store was seen to hold.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn note_stored(&self, id: &UploadId, mut parts: Vec<StoredPart>) -> Result<()> {
        let id = id.clone();
        parts.sort_by_key(|part| part.number);
        self.write(move |db| {
            let sql = "UPDATE part SET state = 'stored', etag = ?3 \
                       WHERE upload = ?1 AND number = ?2 AND (state <> 'stored' OR etag IS DISTINCT FROM ?3)";
            let rows = parts.iter().map(|part| *values![id.as_str(), part.number.get(), part.etag.as_str()]);
            db.execute_each(sql, &rows.collect::<Vec<_>>()).map(drop)
        })
        .await
    }

    /// Rows of parts behind `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn parts(&self, id: &UploadId, after: u32, limit: u32) -> Result<Vec<LedgerPart>> {
        let id = id.clone();
        self.read(move |db| rows(db, &id, after, limit)).await
    }

    /// The owner's upload of that id with the rows of all its parts.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn upload_whole(
        &self,
        owner: &str,
        id: &UploadId,
    ) -> Result<Option<(Upload, Vec<LedgerPart>)>> {
        let (owner, id) = (owner.to_owned(), id.clone());
        self.read(move |db| {
            let Some(upload) = find(db, &owner, &id)? else {
                return Ok(None);
            };
            let parts = rows(db, &id, 0, upload.parts_max())?;
            Ok(Some((upload, parts)))
        })
        .await
    }
}

fn rows(db: &Db<'_>, id: &UploadId, after: u32, limit: u32) -> db::Result<Vec<LedgerPart>> {
    let sql = "SELECT number, size, sha256, etag FROM part WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
    db.query(sql, values![id.as_str(), after, limit], part)
}

fn part(row: &Row<'_>) -> db::Result<LedgerPart> {
    let number = u32::try_from(row.number(0)?)
        .ok()
        .and_then(|number| number.try_into().ok());
    let etag: Option<String> = row.optional(3)?;
    Ok(LedgerPart {
        number: number.ok_or(damaged(0, "not a part number"))?,
        size: row.number(1)?,
        sha256: row.optional_fingerprint(2)?,
        etag: etag
            .map(|etag| etag.parse())
            .transpose()
            .map_err(|_| damaged(3, "not an ETag"))?,
    })
}

/// What became of parts whose rows were to be changed, and whether that is to be kept.
fn pinned(numbers: impl Iterator<Item = PartNumber>, changed: &[u64]) -> (Signing, bool) {
    let left = numbers.zip(changed).find(|(_, changed)| **changed != 1);
    left.map_or((Signing::Done, true), |(number, _)| {
        (Signing::Pinned(number), false)
    })
}

/// Moves an upload from one of `from` to `to` and renews its lease, if the epoch is the lease's. From then on the row is held
/// until the transaction ends.
pub(super) fn open(
    db: &Db<'_>,
    id: &UploadId,
    epoch: u64,
    renewed: Renewed,
    from: &[UploadState],
    to: UploadState,
) -> db::Result<Signing> {
    let sql = format!(
        "UPDATE upload SET state = ?2, lease_until = ?3, expires_at = ?4 WHERE id = ?1 AND epoch = ?5 AND state IN ({})",
        listed(from)
    );
    let row = values![
        id.as_str(),
        to.name(),
        renewed.lease_until,
        renewed.expires_at,
        epoch
    ];
    // Once more for what another gateway changed back between the two statements.
    for _ in 0..3 {
        if db.execute(&sql, row)? == 1 {
            return Ok(Signing::Done);
        }
        let is = |row: &Row<'_>| {
            Ok((
                UploadState::from_name(&row.text(0)?).ok_or(damaged(0, "not a state"))?,
                row.number(1)?,
            ))
        };
        let found = db.find(
            "SELECT state, epoch FROM upload WHERE id = ?1",
            values![id.as_str()],
            is,
        )?;
        let (state, current) = found.ok_or(Failed::Missing)?;
        if !from.contains(&state) {
            return Ok(Signing::Closed(state));
        }
        if current != epoch {
            return Ok(Signing::LeaseLost);
        }
    }
    Ok(Signing::LeaseLost)
}
