//! The rows of uploads and parts: creating, taking over, finding.
//!
//! Not here: later changes of a row (`record`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, Row, params};
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{Attributes, IfExists, Receipt};
use upload_types::{ETag, PartNumber, Sha256, UploadId};

use super::columns::{damaged, from_json, to_json};
use super::database::{Durability, Journal};
use super::process_lock;
use super::record::Record;
use super::s3_service::S3Service;
use super::state::State;
use super::stream_terms::StreamTerms;
use crate::source::FileVersion;

/// The properties of an upload before the request to begin it.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The name of the backend on the command line.
    pub backend: String,
    /// For an `s3://` backend.
    pub s3_service: Option<S3Service>,
    /// The id that the backend reports.
    pub instance_id: String,
    pub path: PathBuf,
    pub name: String,
    pub content_type: String,
    pub metadata: BTreeMap<String, String>,
    pub attributes: Box<Attributes>,
    /// The key that the client has chosen, below the prefix of the backend; normalised. `None` if
    /// the backend makes it.
    pub key: Option<String>,
    /// What to do about an object at `key`; `None` without a key.
    pub if_exists: Option<IfExists>,
    pub version: FileVersion,
    /// In bytes.
    pub part_size: u64,
    /// For a stream. It has no file version: its fields are 0.
    pub stream: Option<StreamTerms>,
    /// The row of the set with which it was begun.
    pub file_set: Option<i64>,
}

/// An upload of one version of a source.
#[derive(Debug, Clone)]
pub struct Upload {
    pub row: i64,
    /// Sent with the request to begin.
    pub idempotency_key: String,
    /// Names this journal as the holder of leases on the upload.
    pub holder: String,
    /// The backend's id, once the upload has begun.
    pub id: Option<UploadId>,
    /// The state of a backend that keeps none. Holds no secret.
    pub backend_state: Option<String>,
    pub intent: Intent,
    pub state: State,
    pub receipt: Option<Receipt>,
    /// A process may have changed the source through a memory mapping, without a new version,
    /// since its parts were hashed.
    pub may_be_mapped: bool,
    pub created_at: Timestamp,
}

/// A part with a known SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub number: PartNumber,
    pub sha256: Sha256,
    /// Set once the store has acknowledged these bytes.
    pub etag: Option<ETag>,
}

const COLUMNS: &str = "row, idempotency_key, holder, backend, instance_id, id, path, name, \
                       content_type, metadata, dev, ino, size, mtime_ns, ctime_ns, part_size, \
                       state, receipt, created_at, backend_state, s3_service, \
                       may_be_mapped, key, if_exists, stream, attributes, file_set";

impl Journal {
    /// Creates uploads that this process drives, before the requests to begin them. Writes
    /// `records` before them in the same transaction. All of it is on disk on return. An element is
    /// `None` if the source has an unfinished upload already.
    ///
    /// # Errors
    /// [`Kind::Io`] if they cannot be written.
    pub fn intend(
        &mut self,
        records: &[Record],
        intents: Vec<Intent>,
    ) -> Result<Vec<Option<Upload>>> {
        let process = self.process()?;
        self.write(Durability::Full, |db| {
            records.iter().try_for_each(|record| record.write(db))?;
            intents
                .into_iter()
                .map(|intent| insert(db, intent, &process))
                .collect()
        })
    }

    /// Makes this process drive an upload. Returns the current row.
    ///
    /// # Errors
    /// [`Kind::Busy`] if another process drives it.
    pub fn take(&mut self, upload: &Upload) -> Result<Upload> {
        let process = self.process()?;
        let journal = self.path().to_owned();
        let (upload, driver) = self.write(Durability::Lazy, |db| {
            let named = "SELECT process FROM upload WHERE row = ?1";
            let named: Option<String> = db.query_row(named, [upload.row], |row| row.get(0))?;
            let driver = named.map_or(Ok(None), |name| {
                process_lock::running_process(&journal, &name)
            });
            if matches!(driver, Ok(None)) {
                db.execute(
                    "UPDATE upload SET process = ?2 WHERE row = ?1",
                    params![upload.row, process],
                )?;
                crash::point("journal.taken");
            }
            let sql = format!("SELECT {COLUMNS} FROM upload WHERE row = ?1");
            Ok((db.query_row(&sql, [upload.row], Upload::read)?, driver))
        })?;
        match driver? {
            // The process may still drive other uploads.
            Some(process_id) if upload.state.is_unfinished() => {
                let what = format!("this upload is running in another process (pid {process_id})");
                let hint = "wait for that process, or stop it; then run the command again";
                Err(Error::new(Kind::Busy, what).with_hint(hint))
            }
            _ => Ok(upload),
        }
    }

    /// The parts of an upload with a known SHA-256, in order.
    pub fn parts(&self, row: i64) -> Result<Vec<Part>> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT number, sha256, etag FROM part WHERE upload = ?1 ORDER BY number",
            )?;
            statement.query_map([row], Part::read)?.collect()
        })
    }

    /// For each source (object name, path, version): the uploads to this backend that a `put` of it
    /// may continue, newest first. These are uploads with that name of the same path, and of the
    /// same file under another path; and unfinished and completed ones of the same file with
    /// another path and name. Abandoned ones are left out. Their keys may differ.
    pub fn candidates(
        &self,
        instance_id: &str,
        sources: &[(&str, &Path, FileVersion)],
    ) -> Result<Vec<Vec<Upload>>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM upload \
             WHERE instance_id = ?1 AND state <> 'abandoned' \
             AND ((path = ?3 AND name = ?2) \
                  OR (dev = ?4 AND ino = ?5 AND size = ?6 AND mtime_ns = ?7 \
                      AND (name = ?2 OR (path <> ?3 \
                           AND state IN ('creating', 'uploading', 'completing', \
                                         'completed'))))) \
             ORDER BY row DESC"
        );
        self.read(|db| {
            // One transaction for all queries: locking for each query would cost more than the
            // query.
            let transaction = db.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached(&sql)?;
            let mut query = |(name, path, version): &(&str, &Path, FileVersion)| {
                let arguments = params![
                    instance_id,
                    name,
                    path.as_os_str().as_bytes(),
                    version.dev.cast_signed(),
                    version.ino.cast_signed(),
                    version.size.cast_signed(),
                    version.mtime_ns
                ];
                statement.query_map(arguments, Upload::read)?.collect()
            };
            sources.iter().map(&mut query).collect()
        })
    }

    /// The uploads with an id that begins with `prefix`, newest first.
    pub fn by_id(&self, prefix: &str) -> Result<Vec<Upload>> {
        self.select("substr(id, 1, length(?1)) = ?1", params![prefix])
    }

    /// The uploads of a path, newest first.
    pub fn by_path(&self, path: &Path) -> Result<Vec<Upload>> {
        self.select("path = ?1", params![path.as_os_str().as_bytes()])
    }

    /// The uploads of a file under any path, newest first. Size and modification time are those of
    /// `version`.
    pub fn by_file(&self, version: &FileVersion) -> Result<Vec<Upload>> {
        self.select(
            "dev = ?1 AND ino = ?2 AND size = ?3 AND mtime_ns = ?4",
            params![
                version.dev.cast_signed(),
                version.ino.cast_signed(),
                version.size.cast_signed(),
                version.mtime_ns
            ],
        )
    }

    /// All uploads, newest first.
    pub fn all(&self) -> Result<Vec<Upload>> {
        self.select("true", params![])
    }

    /// The unfinished uploads of the set in this row, newest first.
    pub fn unfinished_of_set(&self, row: i64) -> Result<Vec<Upload>> {
        let condition = "file_set = ?1 AND state IN ('creating', 'uploading', 'completing')";
        self.select(condition, params![row])
    }

    /// Deletes the uploads in these rows, if they are completed or abandoned. Returns the number of
    /// deleted uploads.
    ///
    /// # Errors
    /// [`Kind::Io`] if the deletion cannot be written.
    pub fn delete(&mut self, rows: &[i64]) -> Result<usize> {
        self.write(Durability::Full, |db| {
            let mut delete = db.prepare(
                "DELETE FROM upload WHERE row = ?1 AND state IN ('completed', 'abandoned')",
            )?;
            rows.iter()
                .try_fold(0, |count, row| Ok(count + delete.execute([row])?))
        })
    }

    /// The stores (`HOST:PORT`) that parts of this backend's uploads went to.
    pub fn stores(&self, instance_id: &str) -> Result<Vec<String>> {
        let sql = "SELECT authority FROM store WHERE instance_id = ?1 ORDER BY authority";
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

/// Inserts an upload. Returns `None` if there is an unfinished one of the same source for the same
/// key.
fn insert(db: &Connection, intent: Intent, process: &str) -> rusqlite::Result<Option<Upload>> {
    let mut upload = Upload {
        row: 0,
        idempotency_key: upload_types::new_id(),
        holder: uuid::Uuid::new_v4().to_string(),
        id: None,
        backend_state: None,
        intent,
        state: State::Creating,
        receipt: None,
        may_be_mapped: false,
        created_at: Timestamp::now(),
    };
    let intent = &upload.intent;
    let mut existing = db.prepare_cached(
        "SELECT 1 FROM upload WHERE instance_id = ?1 AND name = ?2 AND path = ?3 AND key IS ?4 \
         AND state IN ('creating', 'uploading', 'completing')",
    )?;
    if existing.exists(params![
        intent.instance_id,
        intent.name,
        intent.path.as_os_str().as_bytes(),
        intent.key
    ])? {
        return Ok(None);
    }
    db.prepare_cached(
        "INSERT INTO upload (idempotency_key, holder, backend, instance_id, path, name, \
         content_type, metadata, dev, ino, size, mtime_ns, ctime_ns, part_size, state, \
         created_at, process, s3_service, key, if_exists, stream, attributes, file_set) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
         ?19, ?20, ?21, ?22, ?23)",
    )?
    .execute(params![
        upload.idempotency_key,
        upload.holder,
        intent.backend,
        intent.instance_id,
        intent.path.as_os_str().as_bytes(),
        intent.name,
        intent.content_type,
        to_json(&intent.metadata)?,
        intent.version.dev.cast_signed(),
        intent.version.ino.cast_signed(),
        intent.version.size.cast_signed(),
        intent.version.mtime_ns,
        intent.version.ctime_ns,
        intent.part_size.cast_signed(),
        upload.state.name(),
        upload.created_at.to_string(),
        process,
        intent.s3_service.as_ref().map(to_json).transpose()?,
        intent.key,
        intent.if_exists.map(IfExists::name),
        intent.stream.as_ref().map(to_json).transpose()?,
        to_json(&intent.attributes)?,
        intent.file_set,
    ])?;
    upload.row = db.last_insert_rowid();
    crash::point("journal.intended");
    Ok(Some(upload))
}

impl Upload {
    /// The backend's id.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if the upload has not begun.
    pub fn begun_id(&self) -> Result<&UploadId> {
        let hint = "run `upload resume` to begin it";
        self.id.as_ref().ok_or_else(|| {
            Error::new(Kind::NotFound, "the upload has not begun yet").with_hint(hint)
        })
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let unsigned = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let state: String = row.get(16)?;
        let state = State::from_name(&state);
        let id: Option<String> = row.get(5)?;
        let path: Vec<u8> = row.get(6)?;
        let receipt: Option<String> = row.get(17)?;
        let s3_service: Option<String> = row.get(20)?;
        let stream: Option<String> = row.get(24)?;
        Ok(Self {
            row: row.get(0)?,
            idempotency_key: row.get(1)?,
            holder: row.get(2)?,
            id: id
                .map(|id| id.parse().map_err(|error| damaged(5, error)))
                .transpose()?,
            backend_state: row.get(19)?,
            intent: Intent {
                backend: row.get(3)?,
                s3_service: s3_service.map(|_| from_json(row, 20)).transpose()?,
                instance_id: row.get(4)?,
                path: OsString::from_vec(path).into(),
                name: row.get(7)?,
                content_type: row.get(8)?,
                metadata: from_json(row, 9)?,
                attributes: from_json(row, 25)?,
                key: row.get(22)?,
                if_exists: if_exists(row, 23)?,
                version: FileVersion {
                    dev: unsigned(10)?,
                    ino: unsigned(11)?,
                    size: unsigned(12)?,
                    mtime_ns: row.get(13)?,
                    ctime_ns: row.get(14)?,
                },
                part_size: unsigned(15)?,
                stream: stream.map(|_| from_json(row, 24)).transpose()?,
                file_set: row.get(26)?,
            },
            state: state.ok_or_else(|| damaged(16, FromSqlError::InvalidType))?,
            receipt: receipt.map(|_| from_json(row, 17)).transpose()?,
            may_be_mapped: row.get(21)?,
            created_at: row
                .get::<_, String>(18)?
                .parse()
                .map_err(|error: jiff::Error| damaged(18, error))?,
        })
    }
}

fn if_exists(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<IfExists>> {
    let name: Option<String> = row.get(column)?;
    let found = name.map(|name| {
        let rule = IfExists::from_name(&name);
        rule.ok_or_else(|| damaged(column, FromSqlError::InvalidType))
    });
    found.transpose()
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
