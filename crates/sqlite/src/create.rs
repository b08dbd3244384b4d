//! Creating a database file, and connecting to one.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::atomic_create::{self, Locking, TempFile};
use crate::journal_mode::JournalMode;
use crate::migrate::migrate;
use crate::schema::Schema;
use upload_types::crash;
use upload_types::error::Result;

/// The longest wait of a statement for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Creates a complete file under a temporary name and links it into place. A crash leaves no empty
/// file at the path, which would count as damaged. SQLite gives its side files the same mode.
pub(crate) fn create(path: &Path, schema: &Schema, mode: JournalMode) -> Result<()> {
    let failed = |error: io::Error| schema.cannot_open(path).with_source(error);
    let locking = Locking::for_mode(mode);
    atomic_create::remove_stale(path, locking);
    let temp = TempFile::new(path, locking).map_err(failed)?;
    crash::point("sqlite.create.empty");
    let filled = connect(temp.path()).and_then(|mut connection| {
        if schema.incremental_vacuum {
            // This has no effect once the file has a table.
            connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
        }
        migrate(&mut connection, schema)?;
        if mode == JournalMode::Wal {
            // The processes that open the file must not do this: if two switch the mode at once,
            // one of them fails as busy.
            connection.query_row("PRAGMA journal_mode = wal", [], |_| Ok(()))?;
        }
        connection.close().map_err(|(_, error)| error)
    });
    filled.map_err(|error| schema.cannot_open(path).with_source(error))?;
    crash::point("sqlite.create.filled");
    match std::fs::hard_link(temp.path(), path) {
        // Another process created it first. Its file is equivalent.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        linked => linked.map_err(failed)?,
    }
    crash::point("sqlite.create.linked");
    drop(temp);
    crash::point("sqlite.create.removed");
    // SQLite ignores errors when it syncs a directory. Without the sync, a power cut may lose the
    // file's name.
    atomic_create::sync_directory(path).map_err(failed)
}

/// Connects to an existing file, with synced commits and foreign keys.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    // The "query planner stability guarantee": without it, a statement is prepared again each time
    // its LIMIT is bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}
