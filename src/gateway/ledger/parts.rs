//! The rows of parts: one for each part of a plan, from begin on.
//!
//! Border: rows and the compare-and-sets that pin a part or hand all of them to a complete; what the store holds is asked of
//! the store, and these rows follow it.

use rusqlite::{Connection, params};

use super::{Ledger, damaged, int};
use crate::error::Result;
use crate::gateway::lease::Renewed;
use crate::names::{ETag, Fingerprint, PartNumber, UploadId};
use crate::wire::{CompletePart, PartSpec, State, StoredPart};

/// What became of a call that carries an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Committed; the lease is renewed.
    Done,
    /// The epoch is not the lease's any more.
    LeaseLost,
    /// The upload is past the states that allow it.
    Closed(State),
    /// This part was signed with another fingerprint before.
    Pinned(PartNumber),
}

/// One part's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPart {
    pub number: PartNumber,
    pub size: u64,
    /// What it was first signed for.
    pub sha256: Option<Fingerprint>,
    /// Once the store was seen to hold it.
    pub etag: Option<ETag>,
}

impl Ledger {
    /// Pins each part to its fingerprint, moves a pending upload to `uploading` and renews the lease: all or nothing.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn pin(&self, id: &UploadId, epoch: u64, parts: Vec<PartSpec>, renewed: Renewed) -> Result<Signing> {
        let id = id.clone();
        self.attempt(move |tx| {
            let refused = open(tx, &id, epoch, renewed, &[State::Pending, State::Uploading], State::Uploading)?;
            if refused != Signing::Done {
                return Ok((refused, false));
            }
            let sql = "UPDATE part SET sha256 = ?3 \
                       WHERE upload = ?1 AND number = ?2 AND size = ?4 AND (sha256 IS NULL OR sha256 = ?3)";
            let mut pin = tx.prepare_cached(sql)?;
            for part in &parts {
                let row = params![id.as_str(), part.number.get(), part.sha256.bytes(), int(part.size)];
                if pin.execute(row)? != 1 {
                    return Ok((Signing::Pinned(part.number), false));
                }
            }
            Ok((Signing::Done, true))
        })
        .await
    }

    /// Hands the parts to a complete: moves the upload to `completing` (where it may be already) with what the client says of
    /// each part, and renews the lease.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn seal(&self, id: &UploadId, epoch: u64, parts: Vec<CompletePart>, renewed: Renewed) -> Result<Signing> {
        let id = id.clone();
        self.attempt(move |tx| {
            let from = [State::Pending, State::Uploading, State::Completing];
            let refused = open(tx, &id, epoch, renewed, &from, State::Completing)?;
            if refused != Signing::Done {
                return Ok((refused, false));
            }
            let sql = "UPDATE part SET sha256 = ?3, etag = ?4 \
                       WHERE upload = ?1 AND number = ?2 AND (sha256 IS NULL OR sha256 = ?3)";
            let mut seal = tx.prepare_cached(sql)?;
            for part in &parts {
                let row = params![id.as_str(), part.number.get(), part.sha256.bytes(), part.etag.as_str()];
                if seal.execute(row)? != 1 {
                    return Ok((Signing::Pinned(part.number), false));
                }
            }
            Ok((Signing::Done, true))
        })
        .await
    }

    /// Notes parts the store was seen to hold.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn note_stored(&self, id: &UploadId, parts: Vec<StoredPart>) -> Result<()> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "UPDATE part SET state = 'stored', etag = ?3 \
                       WHERE upload = ?1 AND number = ?2 AND (state <> 'stored' OR etag IS NOT ?3)";
            let mut note = tx.prepare_cached(sql)?;
            for part in &parts {
                note.execute(params![id.as_str(), part.number.get(), part.etag.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    /// Rows of parts behind `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn parts(&self, id: &UploadId, after: u32, limit: u32) -> Result<Vec<LedgerPart>> {
        let id = id.clone();
        self.read(move |connection| {
            let sql = "SELECT number, size, sha256, etag FROM part WHERE upload = ?1 AND number > ?2 \
                       ORDER BY number LIMIT ?3";
            let mut rows = connection.prepare_cached(sql)?;
            let rows = rows.query_map(params![id.as_str(), after, limit], |row| {
                let etag: Option<String> = row.get(3)?;
                Ok(LedgerPart {
                    number: row.get::<_, u32>(0)?.try_into().map_err(|_| damaged(0, "not a part number"))?,
                    size: row.get::<_, i64>(1)?.try_into().map_err(|_| damaged(1, "negative"))?,
                    sha256: row.get::<_, Option<[u8; 32]>>(2)?.map(Fingerprint::new),
                    etag: etag.map(|etag| etag.parse()).transpose().map_err(|_| damaged(3, "not an ETag"))?,
                })
            })?;
            rows.collect()
        })
        .await
    }
}

/// Moves an upload from one of `from` to `to` and renews its lease, if the epoch is the lease's.
fn open(
    tx: &Connection,
    id: &UploadId,
    epoch: u64,
    renewed: Renewed,
    from: &[State],
    to: State,
) -> rusqlite::Result<Signing> {
    let mut row = tx.prepare_cached("SELECT state, epoch FROM upload WHERE id = ?1")?;
    let (state, current): (String, i64) = row.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let state = State::from_name(&state).ok_or_else(|| damaged(0, "not a state"))?;
    if !from.contains(&state) {
        return Ok(Signing::Closed(state));
    }
    if current != int(epoch) {
        return Ok(Signing::LeaseLost);
    }
    let sql =
        "UPDATE upload SET state = ?2, lease_until = ?3, expires_at = ?4 WHERE id = ?1 AND state = ?5 AND epoch = ?6";
    let (until, expires) = (renewed.lease_until.as_millisecond(), renewed.expires_at.as_millisecond());
    let row = params![id.as_str(), to.name(), until, expires, state.name(), current];
    let changed = tx.prepare_cached(sql)?.execute(row)?;
    Ok(if changed == 1 { Signing::Done } else { Signing::LeaseLost })
}
