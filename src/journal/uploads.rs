//! The rows of uploads: creating, taking over, finding.
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
use upload_types::{DEFAULT_CONTENT_TYPE, UploadId, UuidForm};

use super::columns::{damaged, optional_json, to_json};
use super::database::{Durability, Journal};
use super::process_lock;
use super::record::Record;
use super::s3_service::S3Service;
use super::state::State;
use super::stream_terms::StreamTerms;
use super::{backends, receipts};
use crate::source::FileVersion;

/// The properties of an upload before the request to begin it.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The name of the backend on the command line.
    pub backend: String,
    /// The S3 service of an `s3://` backend.
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
    /// The size of each part but the last one, in bytes.
    pub part_size: u64,
    /// The terms of a stream, which has no file version: the fields of `version` are 0.
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

/// Those of [`receipts::COLUMNS`] are first.
const COLUMNS: &str = "upload.row, idempotency_key, holder, backend_state, backend.address, \
                       backend.s3_service, backend.instance_id, path, content_type, metadata, \
                       attributes, if_exists, dev, ino, size, mtime_ns, ctime_ns, part_size, \
                       stream, file_set, state, may_be_mapped";
/// The number of the first of [`COLUMNS`].
const FIRST_COLUMN: usize = 6;

/// A query for uploads that meet a condition.
fn query(condition: &str) -> String {
    format!(
        "SELECT {}, {COLUMNS} FROM {} JOIN backend ON backend.row = upload.backend \
         WHERE {condition} ORDER BY upload.row DESC",
        receipts::COLUMNS,
        receipts::TABLES
    )
}

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
            let sql = query("upload.row = ?1");
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

    /// For each source (object name, path, version): the uploads to this backend that a `put` of it
    /// may continue, newest first. These are uploads with that name of the same path, and of the
    /// same file under another path; and unfinished and completed ones of the same file with
    /// another path and name. Abandoned ones are left out. Their keys may differ.
    pub fn candidates(
        &self,
        instance_id: &str,
        sources: &[(&str, &Path, FileVersion)],
    ) -> Result<Vec<Vec<Upload>>> {
        let sql = query(
            "instance_id = ?1 AND state <> 'abandoned' \
             AND ((path = ?3 AND upload.name = ?2) \
                  OR (dev = ?4 AND ino = ?5 AND size = ?6 AND mtime_ns = ?7 \
                      AND (upload.name = ?2 OR (path <> ?3 \
                           AND state IN ('creating', 'uploading', 'completing', \
                                         'completed')))))",
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
        self.select("substr(upload.id, 1, length(?1)) = ?1", params![prefix])
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
            let mut count = 0;
            for row in rows {
                count += delete.execute([row])?;
            }
            if count > 0 {
                receipts::delete_unused(db)?;
                backends::delete_unused(db)?;
            }
            Ok(count)
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
        self.read(|db: &Connection| {
            db.prepare_cached(&query(condition))?
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
        created_at: in_microseconds(Timestamp::now()),
    };
    let intent = &upload.intent;
    let mut existing = db.prepare_cached(
        "SELECT 1 FROM upload JOIN backend ON backend.row = upload.backend \
         WHERE instance_id = ?1 AND name = ?2 AND path = ?3 AND key IS ?4 \
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
    let backend = backends::find_or_insert(
        db,
        &intent.backend,
        &intent.instance_id,
        intent.s3_service.as_ref(),
    )?;
    let has_type = intent.content_type != DEFAULT_CONTENT_TYPE;
    let metadata = (!intent.metadata.is_empty()).then_some(&intent.metadata);
    let attributes = (!intent.attributes.is_empty()).then_some(&intent.attributes);
    db.prepare_cached(
        "INSERT INTO upload (state, backend, file_set, process, idempotency_key, holder, path, \
         name, content_type, metadata, attributes, key, if_exists, stream, dev, ino, size, \
         mtime_ns, ctime_ns, part_size, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
         ?19, ?20, ?21)",
    )?
    .execute(params![
        upload.state.name(),
        backend,
        intent.file_set,
        process,
        UuidForm::Hyphenated.to_bytes(&upload.idempotency_key),
        UuidForm::Hyphenated.to_bytes(&upload.holder),
        intent.path.as_os_str().as_bytes(),
        intent.name,
        has_type.then_some(&intent.content_type),
        metadata.map(to_json).transpose()?,
        attributes.map(to_json).transpose()?,
        intent.key,
        intent.if_exists.map(IfExists::name),
        intent.stream.as_ref().map(to_json).transpose()?,
        intent.version.dev.cast_signed(),
        intent.version.ino.cast_signed(),
        intent.version.size.cast_signed(),
        intent.version.mtime_ns,
        intent.version.ctime_ns,
        intent.part_size.cast_signed(),
        upload.created_at.as_microsecond(),
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
        let (of_row, receipt) = receipts::read(row)?;
        let column = |number: usize| FIRST_COLUMN + number;
        let unsigned = |number| row.get::<_, i64>(column(number)).map(i64::cast_unsigned);
        let state: String = row.get(column(20))?;
        let state = State::from_name(&state);
        let path: Vec<u8> = row.get(column(7))?;
        let content_type: Option<String> = row.get(column(8))?;
        Ok(Self {
            row: row.get(column(0))?,
            idempotency_key: uuid(row, column(1))?,
            holder: uuid(row, column(2))?,
            id: of_row.id,
            backend_state: row.get(column(3))?,
            intent: Intent {
                backend: row.get(column(4))?,
                s3_service: optional_json(row, column(5))?,
                instance_id: row.get(column(6))?,
                path: OsString::from_vec(path).into(),
                name: of_row.name,
                content_type: content_type.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()),
                metadata: optional_json(row, column(9))?.unwrap_or_default(),
                attributes: optional_json(row, column(10))?.unwrap_or_default(),
                key: of_row.key,
                if_exists: if_exists(row, column(11))?,
                version: FileVersion {
                    dev: unsigned(12)?,
                    ino: unsigned(13)?,
                    size: unsigned(14)?,
                    mtime_ns: row.get(column(15))?,
                    ctime_ns: row.get(column(16))?,
                },
                part_size: unsigned(17)?,
                stream: optional_json(row, column(18))?,
                file_set: row.get(column(19))?,
            },
            state: state.ok_or_else(|| damaged(column(20), FromSqlError::InvalidType))?,
            receipt,
            may_be_mapped: row.get(column(21))?,
            created_at: of_row.created_at,
        })
    }
}

/// The time as a row has it.
fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes: Vec<u8> = row.get(column)?;
    let text = UuidForm::Hyphenated.from_bytes(&bytes);
    text.map_err(|error| damaged(column, error))
}

fn if_exists(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<IfExists>> {
    let name: Option<String> = row.get(column)?;
    let found = name.map(|name| {
        let rule = IfExists::from_name(&name);
        rule.ok_or_else(|| damaged(column, FromSqlError::InvalidType))
    });
    found.transpose()
}
