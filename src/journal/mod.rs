//! The client's memory: what was promised and what is known, in SQLite.
//!
//! Border: rows and their order on disk; no decision is made here. It never holds a URL or a token. One process may drive
//! many uploads, one upload has one process. Intents are synced before they return, acknowledgements are not: a
//! power cut may lose the latest of them, which costs a question or a re-send and nothing else.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Kind, Result};
use crate::sqlite;
use presence::Presence;

mod note;
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
    /// Once this process drives an upload.
    presence: Option<Presence>,
    /// What the connection's next commit is set to.
    durability: Durability,
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
    /// As [`sqlite::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let path = sqlite::place(path, &schema::SPEC)?;
        let db = sqlite::open(&path, &schema::SPEC)?;
        let small = db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES);
        small.map_err(|error| {
            Error::new(Kind::NoJournal, format!("could not open the journal {}", path.display())).because(error)
        })?;
        Ok(Self { db, path, presence: None, durability: Durability::Full })
    }

    /// Runs one writing transaction.
    fn write<T>(&mut self, durability: Durability, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let level = match durability {
            Durability::Full => "FULL",
            Durability::Lazy => "NORMAL",
        };
        let write = || {
            if self.durability != durability {
                self.db.pragma_update(None, "synchronous", level)?;
                self.durability = durability;
            }
            let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = run(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        write().map_err(|error: rusqlite::Error| {
            Error::new(Kind::Io, format!("could not write the journal {}", self.path.display())).because(error)
        })
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
            Error::new(Kind::Io, format!("could not read the journal {}", self.path.display())).because(error)
        })
    }
}

#[cfg(test)]
mod tests;
