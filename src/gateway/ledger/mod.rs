//! The gateway's memory: which uploads were begun, for whom, and how far they are.
//!
//! Border: plain data in, plain data out; no SQL leaves this folder, and nothing here calls the store or decides what an
//! answer means. `commits` runs the work and makes it durable.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};
use crate::gateway::commits::Commits;

mod owners;
mod parts;
mod schema;
mod sweep;
mod uploads;

pub use owners::{ApiToken, NewToken};
pub use parts::{LedgerPart, Signing};
pub use sweep::TAKEN;
pub use uploads::{NewUpload, Upload};

/// The ledger. Clones share it; the thread behind it ends with the last of them.
#[derive(Clone)]
pub struct Ledger {
    commits: Arc<Commits>,
    instance_id: String,
}

impl Ledger {
    /// Opens the SQLite ledger at `path`, making it (0600, in a directory of 0700) when there is none.
    ///
    /// # Errors
    /// [`Kind::NoJournal`] for a file that is no ledger or cannot be opened, [`Kind::Config`] for one that a newer version
    /// wrote, or a SQLite before 3.51.3.
    pub async fn open(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        let no_thread = |error| Error::new(Kind::NoJournal, "could not start the ledger's thread").because(error);
        let opened = tokio::task::spawn_blocking(move || schema::open(&path)).await;
        let (connection, instance_id) = opened.map_err(|error| no_thread(error.into()))??;
        let commits = Commits::start("ledger", connection, ()).map_err(no_thread)?;
        Ok(Self { commits: Arc::new(commits), instance_id })
    }

    /// Which ledger this is; made once, with the file.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// Whether the ledger answers.
    ///
    /// # Errors
    /// What SQLite said.
    pub async fn ping(&self) -> Result<()> {
        self.read(|connection| connection.query_row("SELECT 1", [], |_| Ok(()))).await
    }

    /// Runs `job` on the ledger's thread, on rows that are durable when it is answered.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.commits.read(job).await.map_err(failed)?.map_err(failed)
    }

    /// Runs `job` in a transaction that has the write lock, and commits it, together with what others write meanwhile; an
    /// error takes back what this job wrote.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.attempt(move |connection| Ok((job(connection)?, true))).await
    }

    /// As [`Ledger::write`], but commits only what `job` says is to be kept.
    async fn attempt<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<(T, bool)> + Send + 'static,
    ) -> Result<T> {
        let job = move |connection: &Connection| match job(connection) {
            Ok((value, keep)) => (Ok(value), keep),
            Err(error) => (Err(error), false),
        };
        self.commits.write(job).await.map_err(failed)?.map_err(failed)
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Io, "could not use the ledger").because(error)
}

/// SQLite's integers are signed; nothing the gateway counts comes near their end.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column that holds something else than this program writes there.
fn damaged(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, what.into())
}
