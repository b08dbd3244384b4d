//! The gateway's memory: which uploads were begun, for whom, and how far they are.
//!
//! Border: plain data in, plain data out; no SQL leaves this folder, and nothing here calls the store or decides what an
//! answer means. `commits` runs the work and makes it durable.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use upload_sqlite::writer::{TransactionEnd, Writer};
use upload_types::error::{Error, Kind, Result};

mod abort;
mod db;
mod events;
mod hooks;
mod owners;
mod parts;
mod postgres;
mod profiles;
mod quota;
mod schema;
mod sweep;
#[cfg(test)]
pub(super) mod tests;
mod unplanned;
mod uploads;
mod verify;

pub use hooks::{Hooked, Rejection};
pub use owners::{ApiToken, NewToken};
pub use parts::{LedgerPart, Signing};
pub use sweep::{KnownAs, Left, TAKEN};
pub use unplanned::Manner;
pub use uploads::{NewUpload, Upload};

pub use postgres::Address;

use db::{Db, Failed};
use postgres::Pool;

/// Where a ledger is kept.
#[derive(Debug, Clone)]
pub enum LedgerConfig {
    /// A file, for the gateways of one machine.
    Sqlite(PathBuf),
    /// A PostgreSQL database, for any number of gateways.
    Postgres(Box<Address>),
}

/// The ledger. Clones share it; what is behind it ends with the last of them.
#[derive(Clone)]
pub struct Ledger {
    database: Arc<Database>,
    instance_id: String,
}

enum Database {
    Sqlite(Writer),
    Postgres(Arc<Pool>),
}

impl Ledger {
    /// Opens the ledger, making it when there is none: a file of 0600, in a directory of 0700, or the tables in a database.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] for a file that is no ledger or cannot be opened, [`Kind::Config`] for one that a newer version
    /// wrote, a SQLite before 3.51.3, or a database that does not let us in, [`Kind::Temporary`] for one that does not answer.
    pub async fn open(config: &LedgerConfig) -> Result<Self> {
        let (database, instance_id) = match config {
            LedgerConfig::Sqlite(path) => {
                let path = path.clone();
                let no_thread = |error| {
                    Error::new(
                        Kind::DatabaseUnusable,
                        "could not start the ledger's thread",
                    )
                    .with_source(error)
                };
                let opened = tokio::task::spawn_blocking(move || schema::open(&path)).await;
                let (connection, instance_id) =
                    opened.map_err(|error| no_thread(error.into()))??;
                (
                    Database::Sqlite(Writer::start("ledger", connection, ()).map_err(no_thread)?),
                    instance_id,
                )
            }
            LedgerConfig::Postgres(address) => {
                let (pool, instance_id) = Pool::open(address).await?;
                (Database::Postgres(pool), instance_id)
            }
        };
        Ok(Self {
            database: Arc::new(database),
            instance_id,
        })
    }

    /// Which ledger this is; made once, with the file.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// Whether the ledger answers, from its own tables.
    ///
    /// # Errors
    /// What its database said.
    pub async fn ping(&self) -> Result<()> {
        self.read(|db| {
            db.query("SELECT instance_id FROM instance", &[], |_| Ok(()))
                .map(drop)
        })
        .await
    }

    /// Runs `job`, which changes nothing, on rows that are durable when it is answered.
    async fn read<T: Send + 'static>(
        &self,
        job: impl Fn(&Db<'_>) -> db::Result<T> + Send + 'static,
    ) -> Result<T> {
        match &*self.database {
            Database::Sqlite(commits) => {
                let job = move |connection: &Connection| job(&Db::Sqlite(connection));
                commits.read(job).await.map_err(failed)?.map_err(failed)
            }
            Database::Postgres(pool) => pool.read(job).await.map_err(failed),
        }
    }

    /// Runs `job` in a transaction and commits it; an error takes back what this job wrote. A database with several
    /// connections may have to run it again from the start, so it changes nothing but rows.
    ///
    /// What it reads may be changed by another gateway before it writes: who decides something by a row says so in the
    /// `WHERE` of the statement that writes, and counts the rows.
    async fn write<T: Send + 'static>(
        &self,
        job: impl Fn(&Db<'_>) -> db::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.attempt(move |db| Ok((job(db)?, true))).await
    }

    /// As [`Ledger::write`], but commits only what `job` says is to be kept.
    async fn attempt<T: Send + 'static>(
        &self,
        job: impl Fn(&Db<'_>) -> db::Result<(T, bool)> + Send + 'static,
    ) -> Result<T> {
        match &*self.database {
            Database::Sqlite(commits) => {
                let job = move |connection: &Connection| match job(&Db::Sqlite(connection)) {
                    Ok((value, true)) => (Ok(value), TransactionEnd::Commit),
                    Ok((value, false)) => (Ok(value), TransactionEnd::RollBack),
                    Err(error) => (Err::<T, Failed>(error), TransactionEnd::RollBack),
                };
                commits.write(job).await.map_err(failed)?.map_err(failed)
            }
            Database::Postgres(pool) => pool.write(job).await.map_err(failed),
        }
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::Io, "could not use the ledger").with_source(error)
}
