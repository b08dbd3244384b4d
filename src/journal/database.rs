//! The connection to the journal's file: opening it, transactions, durability.
//!
//! Not here: rows (`uploads`, `record`).

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

use super::journal_directory_check;
use super::process_lock::{self, ProcessLock};
use super::schema;

/// Pages of 4 KiB after which the write-ahead log is copied into the file.
const WAL_CHECKPOINT_PAGES: u32 = 400;

/// An open journal: the only connection of this process to it.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    path: PathBuf,
    /// The file that was opened, to detect its replacement.
    file: upload_sqlite::FileId,
    has_wal: bool,
    /// Set once this process drives an upload.
    process_lock: Option<ProcessLock>,
    /// The durability for which `synchronous` is set at present.
    durability: Durability,
    /// A write has failed. From then on, the kernel treats pages that could not be synced as clean,
    /// so nothing more is written until the file is opened again.
    failed: bool,
}

/// When a commit must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Before the commit returns.
    Full,
    /// Some time later: a power cut may lose it, a killed process does not.
    Lazy,
}

impl Journal {
    /// Opens the journal. Creates it and its directory if they do not exist.
    ///
    /// # Errors
    /// As [`upload_sqlite::open`]; [`Kind::DatabaseUnusable`] for a directory that other users can
    /// write to.
    pub fn open(path: &Path) -> Result<Self> {
        journal_directory_check::check(path)?;
        let path = upload_sqlite::prepare_path(path, &schema::SCHEMA)?;
        // Another user may have created the directory in the meantime.
        journal_directory_check::check(&path)?;
        let (db, file, has_wal) = connect(&path)?;
        Ok(Self {
            db,
            path,
            file,
            has_wal,
            process_lock: None,
            durability: Durability::Full,
            failed: false,
        })
    }

    /// The files of the journal: the database, and those that SQLite keeps beside it.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        ["", "-wal", "-shm", "-journal"]
            .iter()
            .map(|suffix| {
                let mut path = self.path.clone().into_os_string();
                path.push(suffix);
                path.into()
            })
            .collect()
    }

    /// The directory of the lock files of processes.
    #[must_use]
    pub fn lock_directory(&self) -> PathBuf {
        process_lock::directory(&self.path)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs one transaction that writes.
    pub(super) fn write<T>(
        &mut self,
        durability: Durability,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        if self.failed {
            let what = "the journal is no longer written, because a write has failed";
            return Err(Error::new(Kind::Io, what)
                .with_hint("free disk space if it is full; then run the command again"));
        }
        self.restore_if_removed()?;
        let synchronous = match durability {
            Durability::Lazy if self.has_wal => "NORMAL",
            // Without a write-ahead log, a commit that is not synced can damage the file.
            Durability::Full | Durability::Lazy => "FULL",
        };
        let is_full = synchronous == "FULL";
        let write = || {
            if self.durability != durability {
                self.db.pragma_update(None, "synchronous", synchronous)?;
                self.durability = durability;
            }
            let transaction = self
                .db
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = run(&transaction)?;
            crash::point(if is_full {
                "journal.full.written"
            } else {
                "journal.lazy.written"
            });
            transaction.commit()?;
            crash::point(if is_full {
                "journal.full.durable"
            } else {
                "journal.lazy.committed"
            });
            Ok(value)
        };
        write().map_err(|error: rusqlite::Error| self.write_error(error))
    }

    /// Runs statements that cannot be in a transaction. All of it is on disk on return.
    pub(super) fn write_without_transaction(
        &mut self,
        run: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<()> {
        self.restore_if_removed()?;
        let full = self.db.pragma_update(None, "synchronous", "FULL");
        self.durability = Durability::Full;
        full.and_then(|()| run(&self.db))
            .map_err(|error| self.write_error(error))
    }

    fn write_error(&mut self, error: rusqlite::Error) -> Error {
        // After a constraint violation, or an error of our own code, the file is intact.
        let is_intact = matches!(
            error.sqlite_error_code(),
            None | Some(ErrorCode::ConstraintViolation)
        );
        let kind = error_kind(&error);
        self.failed |= kind == Kind::Io && !is_intact;
        let what = format!("could not write the journal {}", self.path.display());
        with_lock_hint(Error::new(kind, what)).with_source(error)
    }

    /// Writes the content of the journal to its path again if the file was removed while it was
    /// open.
    fn restore_if_removed(&mut self) -> Result<()> {
        let path = self.path.display();
        match upload_sqlite::FileId::of(&self.path) {
            Some(file) if file == self.file => return Ok(()),
            Some(_) => {
                self.failed = true;
                let what = format!("another file has replaced the journal {path}");
                return Err(Error::new(Kind::Io, what)
                    .with_hint("run the command again: it opens the new file"));
            }
            None => tracing::warn!("the journal {path} was removed: writing it again"),
        }
        upload_sqlite::restore(&self.db, &self.path, &schema::SCHEMA)?;
        // Closing the old connection does not remove the new log: SQLite notices that its file was
        // replaced.
        let (db, file, has_wal) = connect(&self.path)?;
        (self.db, self.file, self.has_wal) = (db, file, has_wal);
        self.durability = Durability::Full;
        // The lock file may have been removed together with the journal.
        if let Some(old) = self.process_lock.take() {
            let new = ProcessLock::acquire(&self.path)?;
            let names = [old.name().to_owned(), new.name().to_owned()];
            self.process_lock = Some(new);
            for rename in [
                "UPDATE upload SET process = ?2 WHERE process = ?1",
                "UPDATE file_set SET process = ?2 WHERE process = ?1",
            ] {
                let renamed = self.db.execute(rename, [&names[0], &names[1]]);
                renamed.map_err(|error| self.write_error(error))?;
            }
        }
        Ok(())
    }

    /// The name of this process in rows.
    pub(super) fn process(&mut self) -> Result<String> {
        let lock = match self.process_lock.take() {
            Some(lock) => lock,
            None => ProcessLock::acquire(&self.path)?,
        };
        Ok(self.process_lock.insert(lock).name().to_owned())
    }

    pub(super) fn read<T>(
        &self,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        run(&self.db).map_err(|error| {
            let what = format!("could not read the journal {}", self.path.display());
            with_lock_hint(Error::new(error_kind(&error), what)).with_source(error)
        })
    }

    #[cfg(test)]
    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.db
    }
}

fn with_lock_hint(error: Error) -> Error {
    match error.kind() {
        Kind::Locked => error.with_hint(
            "end the other program that has the journal open, such as sqlite3 or a backup; then run the command again",
        ),
        _ => error,
    }
}

/// [`Kind::Locked`] if another process has locked the database: that is not a failure of the file.
fn error_kind(error: &rusqlite::Error) -> Kind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Locked,
        _ => Kind::Io,
    }
}

/// Connects. Returns the connection, the identity of the file, and true if it has a write-ahead
/// log.
fn connect(path: &Path) -> Result<(Connection, upload_sqlite::FileId, bool)> {
    let db = upload_sqlite::open(path, &schema::SCHEMA)?;
    let not_opened = || {
        let what = format!("could not open the journal {}", path.display());
        Error::new(Kind::DatabaseUnusable, what).with_hint(schema::SCHEMA.hint)
    };
    let file = upload_sqlite::FileId::of(path).ok_or_else(not_opened)?;
    let has_wal = db.pragma_query_value(None, "journal_mode", |row| {
        Ok(row.get::<_, String>(0)? == "wal")
    });
    let has_wal = has_wal.map_err(|error| not_opened().with_source(error))?;
    db.pragma_update(None, "wal_autocheckpoint", WAL_CHECKPOINT_PAGES)
        .map_err(|error| not_opened().with_source(error))?;
    Ok((db, file, has_wal))
}
