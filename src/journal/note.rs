//! What became of uploads and parts since the last commit, written down together.
//!
//! Border: how each is written; when they are is the engine's order (`transfer`).

use std::path::PathBuf;

use rusqlite::{Connection, params};

use super::upload::{State, to_json};
use super::{Durability, Journal};
use upload_types::crash;
use upload_types::error::Result;
use upload_types::names::{ETag, Identity, PartNumber, Sha256, UploadId};
use upload_types::wire::Receipt;

/// One thing to remember, mostly of the upload in this row.
#[derive(Debug, Clone)]
pub enum Note {
    /// The backend has begun it: its id, the part size it pinned, and what it has to be reminded of.
    Opened {
        row: i64,
        id: UploadId,
        part_size: u64,
        memo: Option<String>,
    },
    /// The SHA-256 of a part; what was acknowledged of other bytes is forgotten.
    Fingerprinted {
        row: i64,
        number: PartNumber,
        sha256: Sha256,
    },
    /// The store has acknowledged a part.
    Acknowledged {
        row: i64,
        number: PartNumber,
        etag: ETag,
    },
    /// The source was touched, and holds what it held.
    Touched {
        row: i64,
        path: PathBuf,
        identity: Identity,
    },
    /// Every part is stored and the source is what it was: completing is about to be asked for.
    Sealing { row: i64 },
    /// The backend has verified it.
    Completed { row: i64, receipt: Box<Receipt> },
    /// The backend's checks have rejected it.
    Rejected { row: i64 },
    /// Nothing will come of it any more.
    Abandoned { row: i64 },
    /// This process no longer drives it; another may.
    Released { row: i64 },
    /// A store that a backend's parts go to.
    Store { instance_id: String, place: String },
}

impl Note {
    /// Intents, and what the user is told, are synced. What backend or store can be asked for again is not.
    fn durability(&self) -> Durability {
        match self {
            // Who keeps nothing cannot be asked for it again.
            Self::Opened { memo: Some(_), .. }
            | Self::Touched { .. }
            | Self::Sealing { .. }
            | Self::Completed { .. }
            | Self::Rejected { .. }
            | Self::Abandoned { .. } => Durability::Full,
            Self::Opened { .. }
            | Self::Fingerprinted { .. }
            | Self::Acknowledged { .. }
            | Self::Released { .. }
            | Self::Store { .. } => Durability::Lazy,
        }
    }

    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Opened {
                row,
                id,
                part_size,
                memo,
            } => {
                db.prepare_cached("UPDATE upload SET id = ?2, part_size = ?3, state = ?4, memo = ?5 WHERE row = ?1")?
                    .execute(params![row, id.as_str(), part_size.cast_signed(), State::Uploading.name(), memo])?;
                crash::point("journal.note.opened");
            }
            Self::Fingerprinted {
                row,
                number,
                sha256,
            } => {
                db.prepare_cached(
                    "INSERT INTO part (upload, number, sha256) VALUES (?1, ?2, ?3) ON CONFLICT (upload, number) DO UPDATE \
                     SET etag = CASE sha256 WHEN excluded.sha256 THEN etag END, sha256 = excluded.sha256",
                )?
                .execute(params![row, number.get(), sha256.bytes()])?;
                crash::point("journal.note.fingerprinted");
            }
            Self::Acknowledged { row, number, etag } => {
                db.prepare_cached("UPDATE part SET etag = ?3 WHERE upload = ?1 AND number = ?2")?
                    .execute(params![row, number.get(), etag.as_str()])?;
                crash::point("journal.note.acknowledged");
            }
            Self::Touched {
                row,
                path,
                identity,
            } => {
                use std::os::unix::ffi::OsStrExt as _;
                db.prepare_cached(
                    "UPDATE upload SET path = ?2, dev = ?3, ino = ?4, mtime_ns = ?5, ctime_ns = ?6 WHERE row = ?1",
                )?
                .execute(params![
                    row,
                    path.as_os_str().as_bytes(),
                    identity.dev.cast_signed(),
                    identity.ino.cast_signed(),
                    identity.mtime_ns,
                    identity.ctime_ns
                ])?;
                // What was fingerprinted and not acknowledged was not read again: it may be of the generation before.
                db.prepare_cached("DELETE FROM part WHERE upload = ?1 AND etag IS NULL")?
                    .execute([row])?;
                crash::point("journal.note.touched");
            }
            Self::Sealing { row } => {
                transition(db, *row, State::Completing, None)?;
                crash::point("journal.note.sealing");
            }
            Self::Completed { row, receipt } => {
                transition(db, *row, State::Completed, Some(receipt))?;
                crash::point("journal.note.completed");
            }
            Self::Rejected { row } => {
                transition(db, *row, State::Rejected, None)?;
                crash::point("journal.note.rejected");
            }
            Self::Abandoned { row } => {
                transition(db, *row, State::Abandoned, None)?;
                crash::point("journal.note.abandoned");
            }
            Self::Released { row } => {
                db.prepare_cached("UPDATE upload SET presence = NULL WHERE row = ?1")?
                    .execute([row])?;
                crash::point("journal.note.released");
            }
            Self::Store { instance_id, place } => {
                db.prepare_cached(
                    "INSERT OR IGNORE INTO store (instance_id, place) VALUES (?1, ?2)",
                )?
                .execute([instance_id, place])?;
            }
        }
        Ok(())
    }
}

fn transition(
    db: &Connection,
    row: i64,
    state: State,
    receipt: Option<&Receipt>,
) -> rusqlite::Result<()> {
    let receipt = receipt.map(to_json).transpose()?;
    db.prepare_cached("UPDATE upload SET state = ?2, receipt = ?3 WHERE row = ?1")?
        .execute(params![row, state.name(), receipt])?;
    Ok(())
}

impl Journal {
    /// Writes notes in their order: all of them or none, synced if one of them has to be.
    ///
    /// # Errors
    /// [`upload_types::error::Kind::Io`] when they cannot be written.
    pub fn note(&mut self, notes: &[Note]) -> Result<()> {
        let full = notes
            .iter()
            .any(|note| matches!(note.durability(), Durability::Full));
        let durability = if full {
            Durability::Full
        } else {
            Durability::Lazy
        };
        self.write(durability, |db| {
            notes.iter().try_for_each(|note| note.write(db))
        })
    }
}
