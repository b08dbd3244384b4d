//! Opening a database file: creates it if it is missing, checks its kind and version, and migrates
//! it.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use crate::atomic_create::{self, Locking};
use crate::create::{connect, create};
use crate::directory_check::directory_of;
use crate::journal_mode::JournalMode;
use crate::migrate::{int_pragma, migrate};
use crate::schema::Schema;
use upload_types::error::{Error, Kind, Result};
use upload_types::saturating;

/// The first SQLite without the WAL-reset bug, in the notation of `sqlite3_libversion_number`.
const MIN_SQLITE_VERSION: i32 = 3_051_003;
/// `PRAGMA synchronous` reports FULL as this number.
const SYNCHRONOUS_FULL: i64 = 2;

/// Creates the directory (0700) if it is missing, and returns the path of the file in it. Resolves
/// links in the directory's path, because SQLite is configured to follow none. The file must not be
/// a link.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] if the directory cannot be created or resolved, or the path names no
/// file.
pub fn prepare_path(path: &Path, schema: &Schema) -> Result<PathBuf> {
    let directory = directory_of(path);
    let directory = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| directory.canonicalize())
        .map_err(|error| schema.cannot_open(path).with_source(error))?;
    path.file_name()
        .map(|name| directory.join(name))
        .ok_or_else(|| schema.cannot_open(path))
}

/// Opens the file. Creates it (0600, in a directory of 0700) if it is missing. Commits are synced
/// (`synchronous = FULL`), foreign keys are enforced, and a statement waits for another process's
/// transaction. On a network file system, one process at a time can have the file open.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] if the file cannot be created or opened, is of another kind, damaged,
/// or empty. [`Kind::Config`] if a newer version or a build before the first release wrote it,
/// [`Kind::Locked`] if another process keeps it locked.
pub fn open(path: &Path, schema: &Schema) -> Result<Connection> {
    if rusqlite::version_number() < MIN_SQLITE_VERSION {
        let text = format!(
            "SQLite {} has a bug that can lose committed rows of the {}",
            rusqlite::version(),
            schema.name
        );
        return Err(Error::new(Kind::DatabaseUnusable, text)
            .with_hint("use a build with SQLite 3.51.3 or newer"));
    }
    let path = prepare_path(path, schema)?;
    let mode = JournalMode::for_directory(path.parent().unwrap_or(&path));
    open_with_mode(&path, schema, mode)
}

pub(crate) fn open_with_mode(
    path: &Path,
    schema: &Schema,
    mode: JournalMode,
) -> Result<Connection> {
    match path.symlink_metadata() {
        Err(_) => create(path, schema, mode)?,
        // A process was killed after it linked its temporary file into place, and before it removed
        // the temporary name.
        Ok(metadata) if metadata.nlink() > 1 => {
            atomic_create::remove_stale(path, Locking::for_mode(mode));
        }
        Ok(_) => {}
    }
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let text = format!(
                "another process uses the {} {}",
                schema.name,
                path.display()
            );
            Error::new(Kind::Locked, text)
                .with_source(error)
                .with_hint("wait until that process ends, or stop it; then run the command again")
        }
        _ => schema.cannot_open(path).with_source(error),
    };
    let mut connection = connect(path).map_err(failed)?;
    if mode == JournalMode::Exclusive {
        // This must precede the first read: with a permanent lock, SQLite needs no shared memory,
        // not even to read a log that a killed process has left.
        connection
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE")
            .map_err(failed)?;
    }
    check_header(&connection, path, schema, failed)?;
    // The pragma does not fail if the switch is impossible. It returns the mode that applies.
    let journal_mode: String = connection
        .query_row(
            &format!("PRAGMA journal_mode = {}", mode.pragma()),
            [],
            |row| row.get(0),
        )
        .map_err(failed)?;
    let synchronous = int_pragma(&connection, "synchronous").map_err(failed)?;
    if journal_mode != mode.pragma() || synchronous != SYNCHRONOUS_FULL {
        let text = format!(
            "SQLite does not make commits durable here (journal mode {journal_mode}, synchronous {synchronous})"
        );
        return Err(schema.cannot_open(path).with_source(text));
    }
    migrate(&mut connection, schema).map_err(failed)?;
    Ok(connection)
}

/// Checks that the file is of this kind, and that neither a newer version of the program nor a
/// build before the first release wrote it.
fn check_header(
    connection: &Connection,
    path: &Path,
    schema: &Schema,
    failed: impl Fn(rusqlite::Error) -> Error,
) -> Result<()> {
    // SQLite accepts an empty file as a new database. The loss of its content would go unnoticed.
    let application_id = int_pragma(connection, "application_id").map_err(&failed)?;
    if application_id != i64::from(schema.application_id) {
        let text = format!("{} is damaged or not a {}", path.display(), schema.name);
        return Err(Error::new(Kind::DatabaseUnusable, text).with_hint(format!(
            "move it away to begin a new one; or {}",
            schema.hint
        )));
    }
    let version = int_pragma(connection, "user_version").map_err(&failed)?;
    let version = saturating::to_usize(version);
    let unreleased = schema.unreleased_versions;
    if unreleased > 0 && version <= unreleased {
        let text = format!(
            "a build before the first release wrote the {} {}",
            schema.name,
            path.display()
        );
        return Err(Error::new(Kind::Config, text).with_hint(format!(
            "move it away to begin a new one; or {}",
            schema.hint
        )));
    }
    if version > unreleased + schema.migrations.len() {
        let text = format!(
            "a newer version of this program wrote the {} {}",
            schema.name,
            path.display()
        );
        return Err(Error::new(Kind::Config, text)
            .with_hint(format!("use that version; or {}", schema.hint)));
    }
    Ok(())
}
