//! Records: the changes of uploads and parts after their creation. Records of one call share one
//! commit.
//!
//! Not here: the order of records and effects (`transfer`).

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use upload_types::crash;
use upload_types::error::Result;
use upload_types::wire::Receipt;
use upload_types::{ETag, PartNumber, Sha256, UploadId};

use super::database::{Durability, Journal};
use super::file_sets::{self, SetProgress};
use super::state::State;
use super::{parts, receipts};
use crate::source::FileVersion;

/// One record. `row` is the row of the upload.
#[derive(Debug, Clone)]
pub enum Record {
    /// The backend has begun the upload, with this id and part size.
    Begun {
        row: i64,
        id: UploadId,
        part_size: u64,
        /// The state of a backend that keeps none.
        backend_state: Option<String>,
    },
    /// A part has this SHA-256. If it differs from the recorded one, the recorded `ETag` is
    /// removed.
    PartHashed {
        row: i64,
        number: PartNumber,
        sha256: Sha256,
    },
    /// The store has acknowledged a part.
    PartStored {
        row: i64,
        number: PartNumber,
        etag: ETag,
    },
    /// The source has another version with the same content.
    SourceTouched {
        row: i64,
        path: PathBuf,
        version: FileVersion,
    },
    /// Whether a process may have changed the source through a memory mapping since its parts were
    /// hashed.
    MayBeMapped { row: i64, may_be_mapped: bool },
    /// The source has other bytes than were recorded for its version: no digest is used again.
    DigestsForgotten { row: i64 },
    /// The source has another path.
    SourceMoved { row: i64, path: PathBuf },
    /// Every part is stored and the source is unchanged: the request to complete is next.
    Completing { row: i64 },
    /// The backend has verified the object, or the receipt has got a SHA-256.
    Completed { row: i64, receipt: Box<Receipt> },
    /// A hook of the backend has rejected the object.
    Rejected { row: i64 },
    /// The upload ends without an object.
    Abandoned { row: i64 },
    /// This process no longer drives the upload.
    Released { row: i64 },
    /// The upload belongs to a set. `row` is the row of the upload.
    JoinedSet { row: i64, file_set: i64 },
    /// How far the run of a set is. `row` is the row of the set.
    SetAdvanced { row: i64, progress: SetProgress },
    /// Parts of the backend's uploads go to this store (`HOST:PORT`).
    StoreLearned {
        instance_id: String,
        authority: String,
    },
}

impl Record {
    /// Intents, and results that are reported to the user, must be on disk. Facts that the client
    /// can request again from backend or store need not be.
    fn durability(&self) -> Durability {
        match self {
            // A backend without state cannot return it again.
            Self::Begun {
                backend_state: Some(_),
                ..
            }
            | Self::SourceTouched { .. }
            | Self::MayBeMapped { .. }
            | Self::DigestsForgotten { .. }
            | Self::SourceMoved { .. }
            | Self::Completing { .. }
            | Self::Completed { .. }
            | Self::Rejected { .. }
            | Self::Abandoned { .. } => Durability::Full,
            Self::Begun { .. }
            | Self::PartHashed { .. }
            | Self::PartStored { .. }
            | Self::Released { .. }
            | Self::JoinedSet { .. }
            | Self::SetAdvanced { .. }
            | Self::StoreLearned { .. } => Durability::Lazy,
        }
    }

    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Begun {
                row,
                id,
                part_size,
                backend_state,
            } => {
                assert_transition(db, *row, State::Uploading);
                db.prepare_cached(
                    "UPDATE upload SET id = ?2, part_size = ?3, state = ?4, backend_state = ?5 \
                     WHERE row = ?1",
                )?
                .execute(params![
                    row,
                    id.as_str(),
                    part_size.cast_signed(),
                    State::Uploading.name(),
                    backend_state
                ])?;
                crash::point("journal.record.begun");
            }
            Self::PartHashed {
                row,
                number,
                sha256,
            } => {
                parts::restore(db, *row)?;
                db.prepare_cached(
                    "INSERT INTO part (upload, number, sha256) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (upload, number) DO UPDATE \
                     SET etag = CASE sha256 WHEN excluded.sha256 THEN etag END, \
                     sha256 = excluded.sha256",
                )?
                .execute(params![row, number.get(), sha256.bytes()])?;
                crash::point("journal.record.part_hashed");
            }
            Self::PartStored { row, number, etag } => {
                parts::restore(db, *row)?;
                db.prepare_cached("UPDATE part SET etag = ?3 WHERE upload = ?1 AND number = ?2")?
                    .execute(params![row, number.get(), etag.as_str()])?;
                crash::point("journal.record.part_stored");
            }
            Self::SourceTouched { row, path, version } => {
                write_version(db, *row, path, version)?;
                forget_unconfirmed_digests(db, *row)?;
                crash::point("journal.record.source_touched");
            }
            Self::MayBeMapped { row, may_be_mapped } => {
                db.prepare_cached("UPDATE upload SET may_be_mapped = ?2 WHERE row = ?1")?
                    .execute(params![row, may_be_mapped])?;
            }
            Self::DigestsForgotten { row } => {
                parts::restore(db, *row)?;
                db.prepare_cached("DELETE FROM part WHERE upload = ?1")?
                    .execute([row])?;
            }
            Self::SourceMoved { row, path } => {
                db.prepare_cached("UPDATE upload SET path = ?2 WHERE row = ?1")?
                    .execute(params![row, path.as_os_str().as_bytes()])?;
            }
            Self::Completing { row } => {
                set_state(db, *row, State::Completing)?;
                crash::point("journal.record.completing");
            }
            Self::Completed { row, receipt } => {
                set_state(db, *row, State::Completed)?;
                receipts::write(db, *row, receipt)?;
                parts::move_to_receipt(db, *row, receipt)?;
                crash::point("journal.record.completed");
            }
            Self::Rejected { row } => {
                set_state(db, *row, State::Rejected)?;
                crash::point("journal.record.rejected");
            }
            Self::Abandoned { row } => {
                set_state(db, *row, State::Abandoned)?;
                crash::point("journal.record.abandoned");
            }
            Self::Released { row } => {
                db.prepare_cached("UPDATE upload SET process = NULL WHERE row = ?1")?
                    .execute([row])?;
                crash::point("journal.record.released");
            }
            Self::JoinedSet { row, file_set } => file_sets::join(db, *row, *file_set)?,
            Self::SetAdvanced { row, progress } => {
                file_sets::write_progress(db, *row, progress)?;
            }
            Self::StoreLearned {
                instance_id,
                authority,
            } => {
                db.prepare_cached(
                    "INSERT OR IGNORE INTO store (instance_id, authority) VALUES (?1, ?2)",
                )?
                .execute([instance_id, authority])?;
            }
        }
        Ok(())
    }
}

/// Writes the path and the version of the source.
fn write_version(
    db: &Connection,
    row: i64,
    path: &Path,
    version: &FileVersion,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE upload SET path = ?2, dev = ?3, ino = ?4, mtime_ns = ?5, ctime_ns = ?6 \
         WHERE row = ?1",
    )?
    .execute(params![
        row,
        path.as_os_str().as_bytes(),
        version.dev.cast_signed(),
        version.ino.cast_signed(),
        version.mtime_ns,
        version.ctime_ns
    ])?;
    Ok(())
}

/// Removes the receipt, too. No process drives an upload that has ended.
fn set_state(db: &Connection, row: i64, state: State) -> rusqlite::Result<()> {
    assert_transition(db, row, state);
    parts::restore(db, row)?;
    db.prepare_cached(
        "UPDATE upload SET state = ?2, receipt = NULL, receipt_common = NULL, \
         process = CASE WHEN ?3 THEN process END WHERE row = ?1",
    )?
    .execute(params![row, state.name(), state.is_unfinished()])?;
    Ok(())
}

/// Of an unfinished upload whose source was touched, only parts that the store has acknowledged
/// were hashed again. The others may have changed.
fn forget_unconfirmed_digests(db: &Connection, row: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM part WHERE upload = ?1 AND etag IS NULL \
         AND (SELECT state FROM upload WHERE row = ?1) \
             IN ('creating', 'uploading', 'completing')",
    )?
    .execute([row])?;
    Ok(())
}

/// In debug builds: checks that the table in `state` has the transition.
fn assert_transition(db: &Connection, row: i64, next: State) {
    if cfg!(debug_assertions) {
        let state = "SELECT state FROM upload WHERE row = ?1";
        let state = db.query_row(state, [row], |row| row.get::<_, String>(0));
        let state = state.ok().and_then(|name| State::from_name(&name));
        debug_assert!(
            state.is_none_or(|state| state.can_become(next)),
            "an upload cannot change from {state:?} to {next:?}"
        );
    }
}

impl Journal {
    /// Writes records in their order, all or none. If one of them must be on disk, all of them are
    /// on disk on return.
    ///
    /// # Errors
    /// [`Kind::Io`](upload_types::error::Kind::Io) if they cannot be written.
    pub fn record(&mut self, records: &[Record]) -> Result<()> {
        let must_sync = records
            .iter()
            .any(|record| record.durability() == Durability::Full);
        let durability = if must_sync {
            Durability::Full
        } else {
            Durability::Lazy
        };
        self.write(durability, |db| {
            records.iter().try_for_each(|record| record.write(db))
        })
    }
}
