//! The rows of uploads and parts: noted, taken, found.
//!
//! Border: what becomes of them later is written by `note`; here each step is one transaction.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, Row, params};

use super::{Durability, Journal, Note, presence};
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{self, ETag, Identity, PartNumber, Sha256, UploadId};
use upload_types::wire::Receipt;

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
    /// Verified, and then rejected for its content.
    Rejected,
    /// Given up: aborted, expired, or replaced by a newer generation.
    Abandoned,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Creating,
        Self::Uploading,
        Self::Completing,
        Self::Completed,
        Self::Rejected,
        Self::Abandoned,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Uploading => "uploading",
            Self::Completing => "completing",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
        }
    }

    /// It was whole, whatever was said of it then.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected)
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
    /// What its backend has to be reminded of. No secret.
    pub memo: Option<String>,
    pub intent: Intent,
    pub state: State,
    pub receipt: Option<Receipt>,
    pub created_at: Timestamp,
}

/// What the journal holds of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub number: PartNumber,
    pub sha256: Sha256,
    /// Present once the store has acknowledged these bytes.
    pub etag: Option<ETag>,
}

const COLUMNS: &str = "row, idem, holder, backend, instance_id, id, path, name, content_type, metadata, dev, ino, size, \
                       mtime_ns, ctime_ns, part_size, state, receipt, created_at, memo";

impl Journal {
    /// Notes uploads before anything is asked of the backend; this process drives them. Synced. None stands for one that
    /// another process has noted meanwhile. `notes` are written before them in the same transaction: an upload that makes
    /// room for another goes when that one comes.
    ///
    /// # Errors
    /// [`Kind::Io`] when they cannot be written.
    pub fn intend(&mut self, notes: &[Note], intents: Vec<Intent>) -> Result<Vec<Option<Upload>>> {
        let presence = self.presence()?;
        self.write(Durability::Full, |db| {
            notes.iter().try_for_each(|note| note.write(db))?;
            intents
                .into_iter()
                .map(|intent| insert(db, intent, &presence))
                .collect()
        })
    }

    /// Takes an upload that is already there for this process to drive, and reads it again: it may have moved on since.
    ///
    /// # Errors
    /// [`Kind::Busy`] naming the process that drives it.
    pub fn take(&mut self, upload: &Upload) -> Result<Upload> {
        let ours = self.presence()?;
        let journal = self.path.clone();
        let (upload, driver) = self.write(Durability::Lazy, |db| {
            let named = "SELECT presence FROM upload WHERE row = ?1";
            let named: Option<String> = db.query_row(named, [upload.row], |row| row.get(0))?;
            let driver = named.map_or(Ok(None), |name| presence::alive(&journal, &name));
            if matches!(driver, Ok(None)) {
                db.execute(
                    "UPDATE upload SET presence = ?2 WHERE row = ?1",
                    params![upload.row, ours],
                )?;
                crash::point("journal.taken");
            }
            let sql = format!("SELECT {COLUMNS} FROM upload WHERE row = ?1");
            Ok((db.query_row(&sql, [upload.row], Upload::read)?, driver))
        })?;
        match driver? {
            None => Ok(upload),
            Some(pid) => {
                let what = format!(
                    "this upload is already running in another process (pid {})",
                    pid.trim()
                );
                Err(Error::new(Kind::Busy, what))
            }
        }
    }

    /// The parts of an upload that have a SHA-256, in order.
    pub fn parts(&self, row: i64) -> Result<Vec<Part>> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT number, sha256, etag FROM part WHERE upload = ?1 ORDER BY number",
            )?;
            statement.query_map([row], Part::read)?.collect()
        })
    }

    /// For each source (its name, its path, what it is): the uploads to this backend that a put of it may go on with, newest
    /// first: those of the same path, and those of the same file under another path. Abandoned ones are left out.
    pub fn candidates(
        &self,
        instance_id: &str,
        sources: &[(&str, &Path, Identity)],
    ) -> Result<Vec<Vec<Upload>>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM upload WHERE instance_id = ?1 AND name = ?2 AND state <> 'abandoned' \
             AND (path = ?3 OR (dev = ?4 AND ino = ?5 AND size = ?6 AND mtime_ns = ?7)) ORDER BY row DESC"
        );
        self.read(|db| {
            // One transaction: taking and giving back its lock costs more than a look.
            let transaction = db.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached(&sql)?;
            let mut look = |(name, path, identity): &(&str, &Path, Identity)| {
                let arguments = params![
                    instance_id,
                    name,
                    path.as_os_str().as_bytes(),
                    identity.dev.cast_signed(),
                    identity.ino.cast_signed(),
                    identity.size.cast_signed(),
                    identity.mtime_ns
                ];
                statement.query_map(arguments, Upload::read)?.collect()
            };
            sources.iter().map(&mut look).collect()
        })
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

    /// Forgets those of the uploads that are still finished or given up; how many there were.
    ///
    /// # Errors
    /// [`Kind::Io`] when that cannot be written.
    pub fn forget(&mut self, rows: &[i64]) -> Result<usize> {
        self.write(Durability::Full, |db| {
            let mut forget = db.prepare(
                "DELETE FROM upload WHERE row = ?1 AND state IN ('completed', 'abandoned')",
            )?;
            rows.iter()
                .try_fold(0, |count, row| Ok(count + forget.execute([row])?))
        })
    }

    /// The stores that parts of this backend's uploads went to.
    pub fn stores(&self, instance_id: &str) -> Result<Vec<String>> {
        let sql = "SELECT place FROM store WHERE instance_id = ?1 ORDER BY place";
        self.read(|db: &Connection| {
            db.prepare_cached(sql)?
                .query_map([instance_id], |row| row.get(0))?
                .collect()
        })
    }

    fn select(&self, condition: &str, arguments: impl rusqlite::Params) -> Result<Vec<Upload>> {
        let sql = format!("SELECT {COLUMNS} FROM upload WHERE {condition} ORDER BY row DESC");
        self.read(|db: &Connection| {
            db.prepare_cached(&sql)?
                .query_map(arguments, Upload::read)?
                .collect()
        })
    }
}

/// Writes an intent down, unless there is one of this source already.
fn insert(db: &Connection, intent: Intent, presence: &str) -> rusqlite::Result<Option<Upload>> {
    let mut upload = Upload {
        row: 0,
        idem: names::new_id(),
        holder: uuid::Uuid::new_v4().to_string(),
        id: None,
        memo: None,
        intent,
        state: State::Creating,
        receipt: None,
        created_at: Timestamp::now(),
    };
    let intent = &upload.intent;
    let mut same = db.prepare_cached(
        "SELECT 1 FROM upload WHERE instance_id = ?1 AND name = ?2 AND path = ?3 \
         AND state IN ('creating', 'uploading', 'completing')",
    )?;
    if same.exists(params![
        intent.instance_id,
        intent.name,
        intent.path.as_os_str().as_bytes()
    ])? {
        return Ok(None);
    }
    db.prepare_cached(
        "INSERT INTO upload (idem, holder, backend, instance_id, path, name, content_type, metadata, dev, ino, size, \
         mtime_ns, ctime_ns, part_size, state, created_at, presence) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
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
        presence,
    ])?;
    upload.row = db.last_insert_rowid();
    crash::point("journal.intended");
    Ok(Some(upload))
}

impl Upload {
    /// Its id.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it has not begun yet.
    pub fn begun(&self) -> Result<&UploadId> {
        self.id
            .as_ref()
            .ok_or_else(|| Error::new(Kind::NotFound, "the upload has not begun yet"))
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
            id: id
                .map(|id| id.parse().map_err(|error| damaged(5, error)))
                .transpose()?,
            memo: row.get(19)?,
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
            created_at: row
                .get::<_, String>(18)?
                .parse()
                .map_err(|error: jiff::Error| damaged(18, error))?,
        })
    }
}

impl Part {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let etag: Option<String> = row.get(2)?;
        Ok(Self {
            number: row
                .get::<_, u32>(0)?
                .try_into()
                .map_err(|error| damaged(0, error))?,
            sha256: Sha256::new(row.get(1)?),
            etag: etag
                .map(|etag| etag.parse().map_err(|error| damaged(2, error)))
                .transpose()?,
        })
    }
}

fn damaged(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

pub(super) fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn from_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|error| damaged(column, error))
}
