//! The client's memory: what was promised and what is known, in SQLite.
//!
//! Border: rows and their order on disk; no decision is made here. It never holds a URL or a token. One process may drive
//! many uploads, one upload has one process. Intents are synced before they return, acknowledgements are not: a
//! power cut may lose the latest of them, which costs a question or a re-send and nothing else.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use presence::Presence;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

mod note;
mod place;
mod presence;
mod schema;
mod upload;

pub use note::Note;
pub use upload::{Intent, Part, State, Upload};

/// Pages of 4 KiB after which the write-ahead log goes into the file: a journal stays small beside what it tells of.
const LOG_PAGES: u32 = 400;

/// An open journal. The one connection of this process to it.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    path: PathBuf,
    /// Which file it was when it was opened.
    place: upload_sqlite::FileId,
    /// It has a write-ahead log.
    logs: bool,
    /// Once this process drives an upload.
    presence: Option<Presence>,
    /// What the connection's next commit is set to.
    durability: Durability,
    /// A write has failed. What the kernel was given before may be lost though it says it is not (a page that could not be
    /// written counts as clean from then on), so that nothing is promised any more until the file is opened again.
    failed: bool,
}

/// How hard a commit is pressed onto the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// As [`upload_sqlite::open`]; [`Kind::DatabaseUnusable`] for a place that others can write to.
    pub fn open(path: &Path) -> Result<Self> {
        place::check(path)?;
        let path = upload_sqlite::prepare_path(path, &schema::SPEC)?;
        let (db, place, logs) = connect(&path)?;
        Ok(Self {
            db,
            path,
            place,
            logs,
            presence: None,
            durability: Durability::Full,
            failed: false,
        })
    }

    /// Runs one writing transaction.
    fn write<T>(
        &mut self,
        durability: Durability,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        if self.failed {
            return Err(Error::new(
                Kind::Io,
                "the journal takes nothing any more, since a write to it failed",
            ));
        }
        self.stay()?;
        let level = match durability {
            Durability::Lazy if self.logs => "NORMAL",
            // Without a write-ahead log, a file that is not synced may be damaged, and not merely behind.
            Durability::Full | Durability::Lazy => "FULL",
        };
        let write = || {
            if self.durability != durability {
                self.db.pragma_update(None, "synchronous", level)?;
                self.durability = durability;
            }
            let transaction = self
                .db
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = run(&transaction)?;
            crash::point(if level == "FULL" {
                "journal.full.written"
            } else {
                "journal.lazy.written"
            });
            transaction.commit()?;
            crash::point(if level == "FULL" {
                "journal.full.durable"
            } else {
                "journal.lazy.committed"
            });
            Ok(value)
        };
        write().map_err(|error: rusqlite::Error| self.unwritten(error))
    }

    fn unwritten(&mut self, error: rusqlite::Error) -> Error {
        // Refused by a constraint, or by us: the file is as good as before.
        let refused = matches!(
            error.sqlite_error_code(),
            None | Some(ErrorCode::ConstraintViolation)
        );
        let kind = kind(&error);
        self.failed |= kind == Kind::Io && !refused;
        Error::new(
            kind,
            format!("could not write the journal {}", self.path.display()),
        )
        .with_source(error)
    }

    /// Sees to it that what is written can be found again: where the file was removed under our hands, what it held is put
    /// there once more.
    fn stay(&mut self) -> Result<()> {
        match upload_sqlite::FileId::of(&self.path) {
            Some(place) if place == self.place => return Ok(()),
            Some(_) => {
                self.failed = true;
                let what = format!(
                    "another file was put in the place of the journal {}",
                    self.path.display()
                );
                return Err(Error::new(Kind::Io, what));
            }
            None => tracing::warn!(
                "the journal {} was removed; it is made again",
                self.path.display()
            ),
        }
        upload_sqlite::restore(&self.db, &self.path, &schema::SPEC)?;
        // The connection to what was removed takes no log with it when it is dropped: SQLite looks whether its file was moved.
        let (db, place, logs) = connect(&self.path)?;
        (self.db, self.place, self.logs, self.durability) = (db, place, logs, Durability::Full);
        // The file that says we live may be gone, too.
        if let Some(before) = self.presence.take() {
            let now = Presence::begin(&self.path)?;
            let renamed = "UPDATE upload SET presence = ?2 WHERE presence = ?1";
            let renamed = self.db.execute(renamed, [before.name(), now.name()]);
            self.presence = Some(now);
            renamed.map_err(|error| self.unwritten(error))?;
        }
        Ok(())
    }

    /// How rows name this process.
    fn presence(&mut self) -> Result<String> {
        let presence = match self.presence.take() {
            Some(presence) => presence,
            None => Presence::begin(&self.path)?,
        };
        Ok(self.presence.insert(presence).name().to_owned())
    }

    fn read<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        run(&self.db).map_err(|error| {
            Error::new(
                kind(&error),
                format!("could not read the journal {}", self.path.display()),
            )
            .with_source(error)
        })
    }
}

/// Another process that keeps the file is no failure of it.
fn kind(error: &rusqlite::Error) -> Kind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Busy,
        _ => Kind::Io,
    }
}

/// The connection, which file it is of, and whether that has a write-ahead log.
fn connect(path: &Path) -> Result<(Connection, upload_sqlite::FileId, bool)> {
    let db = upload_sqlite::open(path, &schema::SPEC)?;
    let cannot = || {
        Error::new(
            Kind::DatabaseUnusable,
            format!("could not open the journal {}", path.display()),
        )
    };
    let place = upload_sqlite::FileId::of(path).ok_or_else(cannot)?;
    let logs = db.pragma_query_value(None, "journal_mode", |row| {
        Ok(row.get::<_, String>(0)? == "wal")
    });
    let logs = logs.map_err(|error| cannot().with_source(error))?;
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)
        .map_err(|error| cannot().with_source(error))?;
    Ok((db, place, logs))
}

#[cfg(test)]
mod tests;
