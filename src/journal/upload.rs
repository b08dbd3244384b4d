//! The rows of one upload and of its parts, and every statement that touches them.
//!
//! Border: what is written when is the engine's order (`transfer`); here each step is one transaction.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, Row, params};

use super::{Durability, Journal, Lock};
use crate::error::{Error, Kind, Result};
use crate::names::{ETag, Fingerprint, Identity, PartNumber, UploadId};
use crate::wire::Receipt;

/// Where an upload stands, as the client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// About to begin; the backend may or may not know of it.
    Creating,
    /// Begun; its id is known.
    Uploading,
    /// Every part is stored and the source was what it had been; about to complete.
    Completing,
    /// Verified by the backend; there is a receipt.
    Completed,
    /// Given up: aborted, expired, or replaced by a newer generation.
    Abandoned,
}

impl State {
    const ALL: [Self; 5] = [Self::Creating, Self::Uploading, Self::Completing, Self::Completed, Self::Abandoned];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Uploading => "uploading",
            Self::Completing => "completing",
            Self::Completed => "completed",
            Self::Abandoned => "abandoned",
        }
    }

    /// Something is left to do.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Creating | Self::Uploading | Self::Completing)
    }
}

/// What is about to begin.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The backend as configured, and what it calls itself.
    pub backend: String,
    pub instance_id: String,
    pub path: PathBuf,
    pub name: String,
    pub content_type: String,
    pub metadata: BTreeMap<String, String>,
    pub identity: Identity,
    pub part_size: u64,
}

/// One upload of one generation of one source.
#[derive(Debug, Clone)]
pub struct Upload {
    pub row: i64,
    /// The idempotency key of its begin.
    pub idem: String,
    /// Names this journal's copy of the upload in claims.
    pub holder: String,
    /// The backend's id, once it has begun.
    pub id: Option<UploadId>,
    pub intent: Intent,
    pub state: State,
    pub receipt: Option<Receipt>,
    pub created_at: Timestamp,
}

/// What the journal holds of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub number: PartNumber,
    pub fingerprint: Fingerprint,
    /// Present once the store has acknowledged these bytes.
    pub etag: Option<ETag>,
}

const COLUMNS: &str = "row, idem, holder, backend, instance_id, id, path, name, content_type, metadata, dev, ino, size, \
                       mtime_ns, ctime_ns, part_size, state, receipt, created_at";

impl Journal {
    /// Notes an upload before anything is asked of the backend, and locks it. Synced.
    ///
    /// # Errors
    /// [`Kind::Busy`] when another process has noted the same one meanwhile, [`Kind::Io`] when it cannot be written.
    pub fn intend(&mut self, intent: Intent) -> Result<(Upload, Lock)> {
        let path = self.path.clone();
        let mut upload = Upload {
            row: 0,
            idem: uuid::Uuid::new_v4().to_string(),
            holder: uuid::Uuid::new_v4().to_string(),
            id: None,
            intent,
            state: State::Creating,
            receipt: None,
            created_at: Timestamp::now(),
        };
        let intent = &upload.intent;
        let noted = self.write(Durability::Full, |db| {
            let mut same = db.prepare_cached(
                "SELECT 1 FROM upload WHERE instance_id = ?1 AND name = ?2 AND path = ?3 \
                 AND state IN ('creating', 'uploading', 'completing')",
            )?;
            if same.exists(params![intent.instance_id, intent.name, intent.path.as_os_str().as_bytes()])? {
                return Ok(None);
            }
            db.prepare_cached(
                "INSERT INTO upload (idem, holder, backend, instance_id, path, name, content_type, metadata, dev, ino, size, \
                 mtime_ns, ctime_ns, part_size, state, created_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?
            .execute(params![
                upload.idem,
                upload.holder,
                intent.backend,
                intent.instance_id,
                intent.path.as_os_str().as_bytes(),
                intent.name,
                intent.content_type,
                to_json(&intent.metadata)?,
                intent.identity.dev.cast_signed(),
                intent.identity.ino.cast_signed(),
                intent.identity.size.cast_signed(),
                intent.identity.mtime_ns,
                intent.identity.ctime_ns,
                intent.part_size.cast_signed(),
                upload.state.name(),
                upload.created_at.to_string(),
            ])?;
            let row = db.last_insert_rowid();
            // Before the commit: nobody can see the row and take its lock first.
            Ok(Some((row, Lock::take(&path, row))))
        })?;
        let Some((row, lock)) = noted else {
            return Err(Error::new(Kind::Busy, "another process has just begun this upload"));
        };
        upload.row = row;
        Ok((upload, lock?))
    }

    /// Takes the lock of an upload that is already there, and reads it again: it may have moved on since.
    ///
    /// # Errors
    /// [`Kind::Busy`] when another process holds it.
    pub fn lock(&self, upload: &Upload) -> Result<(Upload, Lock)> {
        let lock = Lock::take(&self.path, upload.row)?;
        let upload = self.read(|db| {
            db.query_row(&format!("SELECT {COLUMNS} FROM upload WHERE row = ?1"), [upload.row], Upload::read)
        })?;
        Ok((upload, lock))
    }

    /// The backend has begun it: its id, and the part size it pinned. Synced.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be written, as in every function below.
    pub fn opened(&mut self, row: i64, id: &UploadId, part_size: u64) -> Result<()> {
        self.write(Durability::Full, |db| {
            db.prepare_cached("UPDATE upload SET id = ?2, part_size = ?3, state = ?4 WHERE row = ?1")?
                .execute(params![row, id.as_str(), part_size.cast_signed(), State::Uploading.name()])?;
            Ok(())
        })
    }

    /// These are the fingerprints of these parts; what was acknowledged of other bytes is forgotten.
    pub fn fingerprinted(&mut self, parts: &[(i64, PartNumber, Fingerprint)]) -> Result<()> {
        self.write(Durability::Lazy, |db| {
            let mut statement = db.prepare_cached(
                "INSERT INTO part (upload, number, sha256) VALUES (?1, ?2, ?3) ON CONFLICT (upload, number) DO UPDATE \
                 SET etag = CASE sha256 WHEN excluded.sha256 THEN etag END, sha256 = excluded.sha256",
            )?;
            for (row, number, fingerprint) in parts {
                statement.execute(params![row, number.get(), fingerprint.bytes()])?;
            }
            Ok(())
        })
    }

    /// The store has acknowledged these parts.
    pub fn acknowledged(&mut self, parts: &[(i64, PartNumber, ETag)]) -> Result<()> {
        self.write(Durability::Lazy, |db| {
            let mut statement = db.prepare_cached("UPDATE part SET etag = ?3 WHERE upload = ?1 AND number = ?2")?;
            for (row, number, etag) in parts {
                statement.execute(params![row, number.get(), etag.as_str()])?;
            }
            Ok(())
        })
    }

    /// The source was touched, and holds what it held.
    pub fn touched(&mut self, row: i64, path: &Path, identity: &Identity) -> Result<()> {
        self.write(Durability::Full, |db| {
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
            db.prepare_cached("DELETE FROM part WHERE upload = ?1 AND etag IS NULL")?.execute([row])?;
            Ok(())
        })
    }

    /// Every part is stored and the source is what it was: completing may be asked for. Synced.
    pub fn sealing(&mut self, row: i64) -> Result<()> {
        self.transition(row, State::Completing, None)
    }

    /// The backend has verified it. Synced.
    pub fn completed(&mut self, row: i64, receipt: &Receipt) -> Result<()> {
        self.transition(row, State::Completed, Some(receipt))
    }

    /// Nothing will come of it any more. Synced.
    pub fn abandoned(&mut self, row: i64) -> Result<()> {
        self.transition(row, State::Abandoned, None)
    }

    fn transition(&mut self, row: i64, state: State, receipt: Option<&Receipt>) -> Result<()> {
        self.write(Durability::Full, |db| {
            let receipt = receipt.map(to_json).transpose()?;
            db.prepare_cached("UPDATE upload SET state = ?2, receipt = ?3 WHERE row = ?1")?.execute(params![
                row,
                state.name(),
                receipt
            ])?;
            Ok(())
        })
    }

    /// The parts of an upload that have a fingerprint, in order.
    pub fn parts(&self, row: i64) -> Result<Vec<Part>> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT number, sha256, etag FROM part WHERE upload = ?1 ORDER BY number")?;
            statement.query_map([row], Part::read)?.collect()
        })
    }

    /// Uploads to this backend that a put of this file by this name may go on with, newest first: those of the same path, and
    /// those of the same file under another path. Abandoned ones are left out.
    pub fn candidates(&self, instance_id: &str, name: &str, path: &Path, identity: &Identity) -> Result<Vec<Upload>> {
        self.select(
            "instance_id = ?1 AND name = ?2 AND state <> 'abandoned' \
             AND (path = ?3 OR (dev = ?4 AND ino = ?5 AND size = ?6 AND mtime_ns = ?7))",
            params![
                instance_id,
                name,
                path.as_os_str().as_bytes(),
                identity.dev.cast_signed(),
                identity.ino.cast_signed(),
                identity.size.cast_signed(),
                identity.mtime_ns
            ],
        )
    }

    /// Uploads whose id begins like this, newest first.
    pub fn by_id(&self, prefix: &str) -> Result<Vec<Upload>> {
        self.select("substr(id, 1, length(?1)) = ?1", params![prefix])
    }

    /// Uploads of this path, newest first.
    pub fn by_path(&self, path: &Path) -> Result<Vec<Upload>> {
        self.select("path = ?1", params![path.as_os_str().as_bytes()])
    }

    /// Every upload, newest first.
    pub fn all(&self) -> Result<Vec<Upload>> {
        self.select("true", params![])
    }

    fn select(&self, condition: &str, arguments: impl rusqlite::Params) -> Result<Vec<Upload>> {
        let sql = format!("SELECT {COLUMNS} FROM upload WHERE {condition} ORDER BY row DESC");
        self.read(|db: &Connection| db.prepare(&sql)?.query_map(arguments, Upload::read)?.collect())
    }
}

impl Upload {
    /// Its id.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it has not begun yet.
    pub fn begun(&self) -> Result<&UploadId> {
        self.id.as_ref().ok_or_else(|| Error::new(Kind::NotFound, "the upload has not begun yet"))
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let unsigned = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let state: String = row.get(16)?;
        let state = State::ALL.into_iter().find(|known| known.name() == state);
        let id: Option<String> = row.get(5)?;
        let path: Vec<u8> = row.get(6)?;
        let receipt: Option<String> = row.get(17)?;
        Ok(Self {
            row: row.get(0)?,
            idem: row.get(1)?,
            holder: row.get(2)?,
            id: id.map(|id| id.parse().map_err(|error| damaged(5, error))).transpose()?,
            intent: Intent {
                backend: row.get(3)?,
                instance_id: row.get(4)?,
                path: OsString::from_vec(path).into(),
                name: row.get(7)?,
                content_type: row.get(8)?,
                metadata: from_json(row, 9)?,
                identity: Identity {
                    dev: unsigned(10)?,
                    ino: unsigned(11)?,
                    size: unsigned(12)?,
                    mtime_ns: row.get(13)?,
                    ctime_ns: row.get(14)?,
                },
                part_size: unsigned(15)?,
            },
            state: state.ok_or_else(|| damaged(16, FromSqlError::InvalidType))?,
            receipt: receipt.map(|_| from_json(row, 17)).transpose()?,
            created_at: row.get::<_, String>(18)?.parse().map_err(|error: jiff::Error| damaged(18, error))?,
        })
    }
}

impl Part {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let etag: Option<String> = row.get(2)?;
        Ok(Self {
            number: row.get::<_, u32>(0)?.try_into().map_err(|error| damaged(0, error))?,
            fingerprint: Fingerprint::new(row.get(1)?),
            etag: etag.map(|etag| etag.parse().map_err(|error| damaged(2, error))).transpose()?,
        })
    }
}

fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn from_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|error| damaged(column, error))
}
