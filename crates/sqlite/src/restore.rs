//! Restoring a database file that was removed while it was open.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rusqlite::Connection;

use crate::atomic_create::{self, Locking, TempFile, sibling};
use crate::journal_mode::JournalMode;
use crate::open::prepare_path;
use crate::schema::Schema;
use upload_types::error::{Error, Kind, Result};

/// Writes everything that `connection` can read to a new file at `path`. The connection itself
/// still uses the removed file.
///
/// # Errors
/// [`Kind::Io`] if the file cannot be written, or another file exists at the path.
pub fn restore(connection: &Connection, path: &Path, schema: &Schema) -> Result<()> {
    let path = prepare_path(path, schema)?;
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        let text = format!("could not restore the {} {}", schema.name, path.display());
        Error::new(Kind::Io, text).with_source(error)
    };
    let mode = JournalMode::for_directory(path.parent().unwrap_or(&path));
    let temp =
        TempFile::new(&path, Locking::for_mode(mode)).map_err(|error| failed(error.into()))?;
    connection
        // Bound as bytes: a path need not be UTF-8.
        .execute(
            "VACUUM INTO CAST(?1 AS TEXT)",
            [temp.path().as_os_str().as_bytes()],
        )
        .map_err(|error| failed(error.into()))?;
    // SQLite does not sync the copy.
    File::open(temp.path())
        .and_then(|file| file.sync_all())
        .map_err(|error| failed(error.into()))?;
    // A log that still exists belongs to the removed file.
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(sibling(&path, suffix));
    }
    std::fs::hard_link(temp.path(), &path).map_err(|error| failed(error.into()))?;
    drop(temp);
    atomic_create::sync_directory(&path).map_err(|error| failed(error.into()))
}
