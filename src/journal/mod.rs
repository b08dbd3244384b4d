//! The client's memory: what was promised and what is known, in SQLite.
//!
//! Border: rows and their order on disk; no decision is made here. It never holds a URL or a token. One process may hold
//! many uploads, one upload has one process ([`Lock`]). Intents are synced before they return, acknowledgements are not: a
//! crash may lose the latest of them, which costs a re-send and nothing else.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::{Error, Kind, Result};

mod lock;
mod schema;
mod upload;

pub use lock::Lock;
pub use upload::{Intent, Part, State, Upload};

/// The first SQLite without the WAL-reset bug, as `sqlite3_libversion_number` counts.
const SQLITE_MIN: i32 = 3_051_003;

/// An open journal. The one connection of this process to it.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    path: PathBuf,
}

/// How hard a commit is pressed onto the disk.
#[derive(Debug, Clone, Copy)]
enum Durability {
    /// Before an effect that must not be forgotten.
    Full,
    /// After one that can be asked for again.
    Lazy,
}

impl Journal {
    /// Opens the journal, making it and its directory when they are not there yet.
    ///
    /// # Errors
    /// [`Kind::NoJournal`] when it cannot be created, opened or trusted; [`Kind::Config`] when a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        let version = rusqlite::version_number();
        if version < SQLITE_MIN {
            let what = format!("SQLite {} can lose what a journal was promised", rusqlite::version());
            return Err(Error::new(Kind::NoJournal, what).hinting("use a build with SQLite 3.51.3 or newer"));
        }
        let path = place(path)?;
        let fail = |error: rusqlite::Error| no_journal(&path, error);
        create(&path)?;
        let mut db = connect(&path).map_err(fail)?;
        db.pragma_update(None, "foreign_keys", true).map_err(fail)?;
        schema::check(&db)?;
        // It answers with the mode that is in force, and does not fail when that is another one.
        let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(fail)?;
        if mode != "wal" {
            let what = format!("the journal {} cannot be kept in WAL mode (it stays in {mode})", path.display());
            return Err(Error::new(Kind::NoJournal, what));
        }
        schema::step(&mut db)?;
        Ok(Self { db, path })
    }

    /// Runs one writing transaction.
    fn write<T>(&mut self, durability: Durability, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let level = match durability {
            Durability::Full => "FULL",
            Durability::Lazy => "NORMAL",
        };
        let write = || {
            self.db.pragma_update(None, "synchronous", level)?;
            let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = run(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        write().map_err(|error: rusqlite::Error| {
            Error::new(Kind::Io, format!("could not write the journal {}", self.path.display())).because(error)
        })
    }

    fn read<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        run(&self.db).map_err(|error| {
            Error::new(Kind::Io, format!("could not read the journal {}", self.path.display())).because(error)
        })
    }
}

fn no_journal(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::NoJournal, format!("could not open the journal {}", path.display())).because(error)
}

/// Makes the directory (0700) and gives the journal's path in it, free of links but for the file itself: SQLite is told
/// to follow none, and those above the journal are the user's.
fn place(path: &Path) -> Result<PathBuf> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir).and_then(|()| dir.canonicalize());
    let dir = made.map_err(|error| no_journal(path, error))?;
    let name = path.file_name().ok_or_else(|| Error::new(Kind::NoJournal, "the journal has no file name"))?;
    Ok(dir.join(name))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_secs(5))?;
    Ok(db)
}

/// Makes a journal where there is none. It is written under another name and linked into place whole, so that a crash
/// leaves no empty file, which would be taken for a damaged journal. SQLite gives its side files the journal's mode.
fn create(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".new-{}", uuid::Uuid::new_v4()));
    let new = PathBuf::from(new);
    let io = |error: std::io::Error| no_journal(path, error);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(io)?;
    let made = connect(&new).map_err(|error| no_journal(path, error)).and_then(|mut db| schema::step(&mut db));
    let linked = made.and_then(|()| match std::fs::hard_link(&new, path) {
        // Another process was faster, with the same content.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(io),
    });
    std::fs::remove_file(&new).map_err(io)?;
    linked?;
    // SQLite ignores errors when it syncs a directory, and a journal nobody finds again is no journal.
    path.parent().map_or(Ok(()), |dir| File::open(dir).and_then(|dir| dir.sync_all())).map_err(io)
}

#[cfg(test)]
mod tests;
