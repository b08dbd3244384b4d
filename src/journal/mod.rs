//! The client's memory: what was promised and what is known, in SQLite.
//!
//! Border: rows and their order on disk; no decision is made here. It never holds a URL or a token. One process may hold
//! many uploads, one upload has one process ([`Lock`]). Intents are synced before they return, acknowledgements are not: a
//! crash may lose the latest of them, which costs a re-send and nothing else.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Kind, Result};
use crate::sqlite;

mod lock;
mod schema;
mod upload;

pub use lock::Lock;
pub use upload::{Intent, Part, State, Upload};

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
    /// As [`sqlite::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let path = sqlite::place(path, &schema::SPEC)?;
        Ok(Self { db: sqlite::open(&path, &schema::SPEC)?, path })
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

#[cfg(test)]
mod tests;
