//! The rows of sets: the files of one `put` that walks through directories or reads a list.
//!
//! Not here: what a definition contains (`cli::set_definition`).

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

use super::columns::{damaged, optional_json, to_json};
use super::database::{Durability, Journal};
use super::process_lock;
use super::s3_service::S3Service;

/// The properties of a set before its first run.
#[derive(Debug, Clone)]
pub struct SetIntent {
    /// The name of the backend on the command line.
    pub backend: String,
    /// The S3 service of an `s3://` backend.
    pub s3_service: Option<S3Service>,
    /// Its directories and lists, for messages.
    pub name: String,
    /// Its sources, filters and keys, as JSON. A put with the same ones at the same backend is a
    /// run of the same set.
    pub identity: String,
    /// All that is needed to run it again, as JSON: that of its last put.
    pub definition: String,
}

/// A set in the journal.
#[derive(Debug, Clone)]
pub struct FileSet {
    pub row: i64,
    pub id: String,
    pub intent: SetIntent,
    pub progress: SetProgress,
    /// When the command was run that began it, or began it again.
    pub created_at: Timestamp,
    /// The journal did not have it before the call that returned it.
    pub is_new: bool,
}

/// How many files of a set its last run found, and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetProgress {
    /// The files that were found.
    pub files: u64,
    /// Their size together.
    pub bytes: u64,
    /// The search for files has ended.
    pub is_complete: bool,
    /// The files that are uploaded, or left out because an object is at their key.
    pub done_files: u64,
    pub done_bytes: u64,
    pub failed_files: u64,
}

impl SetProgress {
    /// Returns true if every file is uploaded or left out.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.is_complete && self.failed_files == 0 && self.done_files >= self.files
    }

    /// Returns true if files are left that have not failed.
    #[must_use]
    pub fn has_rest(&self) -> bool {
        !self.is_complete || self.done_files.saturating_add(self.failed_files) < self.files
    }
}

const PROGRESS_COLUMNS: &str = "files, bytes, is_complete, done_files, done_bytes, failed_files";
/// The other columns.
const COLUMNS: &str = "row, id, backend, s3_service, name, identity, definition, created_at";
/// How many there are: those of the progress follow.
const COLUMN_COUNT: usize = 8;

impl Journal {
    /// Begins a run of a set, which this process drives from now on. All of it is on disk on
    /// return.
    ///
    /// # Errors
    /// [`Kind::Busy`] if another process uploads the set; [`Kind::Io`] if it cannot be written.
    pub fn begin_set(&mut self, intent: &SetIntent) -> Result<FileSet> {
        let mut is_new = false;
        let find = |db: &Connection| {
            let (row, is_inserted) = find_or_insert(db, intent)?;
            is_new = is_inserted;
            Ok(row)
        };
        let mut set = self.run_set(find, Some(intent))?;
        set.is_new = is_new;
        // A finished set begins again; an unfinished one goes on.
        if set.progress.is_finished() {
            set.progress = SetProgress::default();
            self.write(Durability::Full, |db| {
                write_progress(db, set.row, &set.progress)
            })?;
        }
        Ok(set)
    }

    /// As [`Journal::begin_set`], for a set of the journal.
    ///
    /// # Errors
    /// As [`Journal::begin_set`].
    pub fn take_set(&mut self, set: &FileSet) -> Result<FileSet> {
        self.run_set(|_| Ok(set.row), None)
    }

    /// Makes this process the one that uploads a set. With a `command`, the set gets its
    /// definition and the present time.
    fn run_set(
        &mut self,
        row: impl FnOnce(&Connection) -> rusqlite::Result<i64>,
        command: Option<&SetIntent>,
    ) -> Result<FileSet> {
        let process = self.process()?;
        let journal = self.path().to_owned();
        let (set, driver) = self.write(Durability::Full, |db| {
            let row = row(db)?;
            let named = "SELECT process FROM file_set WHERE row = ?1";
            let named: Option<String> = db.query_row(named, [row], |row| row.get(0))?;
            let driver = named
                .filter(|name| *name != process)
                .map_or(Ok(None), |name| {
                    process_lock::running_process(&journal, &name)
                });
            if matches!(driver, Ok(None)) {
                let definition = command.map(|intent| &intent.definition);
                let created_at = command.map(|_| Timestamp::now().to_string());
                db.execute(
                    "UPDATE file_set SET process = ?2, definition = coalesce(?3, definition), \
                     created_at = coalesce(?4, created_at) WHERE row = ?1",
                    params![row, process, definition, created_at],
                )?;
                crash::point("journal.sets.taken");
            }
            let sql = format!("SELECT {COLUMNS}, {PROGRESS_COLUMNS} FROM file_set WHERE row = ?1");
            Ok((db.query_row(&sql, [row], FileSet::read)?, driver))
        })?;
        match driver? {
            None => Ok(set),
            Some(process_id) => {
                let what = format!(
                    "{} is being uploaded by another process (pid {process_id})",
                    set.intent.name
                );
                let hint = "wait for that process, or stop it; then run the command again";
                Err(Error::new(Kind::Busy, what).with_hint(hint))
            }
        }
    }

    /// All sets, newest first.
    pub fn file_sets(&self) -> Result<Vec<FileSet>> {
        let sql = format!("SELECT {COLUMNS}, {PROGRESS_COLUMNS} FROM file_set ORDER BY row DESC");
        self.read(|db| {
            db.prepare_cached(&sql)?
                .query_map([], FileSet::read)?
                .collect()
        })
    }

    /// The progress of a set; `None` if it is not in the journal any more.
    pub fn set_progress(&self, row: i64) -> Result<Option<SetProgress>> {
        let sql = format!("SELECT {PROGRESS_COLUMNS} FROM file_set WHERE row = ?1");
        self.read(|db| {
            db.query_row(&sql, [row], |row| SetProgress::read(row, 0))
                .optional()
        })
    }

    /// Deletes sets. Their uploads stay.
    ///
    /// # Errors
    /// [`Kind::Io`] if the deletion cannot be written.
    pub fn delete_sets(&mut self, rows: &[i64]) -> Result<usize> {
        self.write(Durability::Full, |db| {
            let mut delete = db.prepare("DELETE FROM file_set WHERE row = ?1")?;
            rows.iter()
                .try_fold(0, |count, row| Ok(count + delete.execute([row])?))
        })
    }
}

/// The row of the set with this identity, and whether this call has inserted it.
fn find_or_insert(db: &Connection, intent: &SetIntent) -> rusqlite::Result<(i64, bool)> {
    let s3_service = intent.s3_service.as_ref().map(to_json).transpose()?;
    let existing = db
        .query_row(
            "SELECT row FROM file_set WHERE backend = ?1 AND s3_service IS ?2 AND identity = ?3",
            params![intent.backend, s3_service, intent.identity],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(row) = existing {
        return Ok((row, false));
    }
    db.execute(
        "INSERT INTO file_set (id, backend, s3_service, name, identity, definition, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            upload_types::new_id(),
            intent.backend,
            s3_service,
            intent.name,
            intent.identity,
            intent.definition,
            Timestamp::now().to_string()
        ],
    )?;
    Ok((db.last_insert_rowid(), true))
}

/// Makes an upload one of a set.
pub(super) fn join(db: &Connection, upload: i64, file_set: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE upload SET file_set = ?2 WHERE row = ?1")?
        .execute([upload, file_set])?;
    Ok(())
}

/// Writes the progress of a set.
pub(super) fn write_progress(
    db: &Connection,
    row: i64,
    progress: &SetProgress,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE file_set SET files = ?2, bytes = ?3, is_complete = ?4, done_files = ?5, \
         done_bytes = ?6, failed_files = ?7 WHERE row = ?1",
    )?
    .execute(params![
        row,
        progress.files.cast_signed(),
        progress.bytes.cast_signed(),
        progress.is_complete,
        progress.done_files.cast_signed(),
        progress.done_bytes.cast_signed(),
        progress.failed_files.cast_signed()
    ])?;
    crash::point("journal.sets.advanced");
    Ok(())
}

impl SetProgress {
    /// Reads [`PROGRESS_COLUMNS`], of which the first is number `first`.
    fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let unsigned = |column: usize| row.get::<_, i64>(first + column).map(i64::cast_unsigned);
        Ok(Self {
            files: unsigned(0)?,
            bytes: unsigned(1)?,
            is_complete: row.get(first + 2)?,
            done_files: unsigned(3)?,
            done_bytes: unsigned(4)?,
            failed_files: unsigned(5)?,
        })
    }
}

impl FileSet {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get(0)?,
            id: row.get(1)?,
            intent: SetIntent {
                backend: row.get(2)?,
                s3_service: optional_json(row, 3)?,
                name: row.get(4)?,
                identity: row.get(5)?,
                definition: row.get(6)?,
            },
            progress: SetProgress::read(row, COLUMN_COUNT)?,
            created_at: row
                .get::<_, String>(7)?
                .parse()
                .map_err(|error: jiff::Error| damaged(7, error))?,
            is_new: false,
        })
    }
}
