//! The ledger itself: opens its database, SQLite or PostgreSQL, and runs operations in
//! transactions.
//!
//! Not here: the operations. Each is an `impl Ledger` in the file of its subject.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use uuid::Uuid;

use super::error::{LedgerError, LedgerResult};
use super::postgres::{self, Pool, PostgresAddress};
use super::sql::{self, SqlError, TransactionEnd};
use super::sqlite::{self, Space};
use super::transaction::Transaction;
use upload_sqlite::Writer;
use upload_types::DiskFailure;
use upload_types::error::{Error, Kind, Result};

/// The location of a ledger.
#[derive(Debug, Clone)]
pub enum LedgerConfig {
    /// A file, for the gateways of one machine.
    Sqlite(PathBuf),
    /// A PostgreSQL database, for any number of gateways.
    Postgres(Box<PostgresAddress>),
}

/// An open ledger. Clones share its database connections, which close with the last clone.
#[derive(Clone)]
pub struct Ledger {
    database: Arc<Database>,
    instance_id: String,
    /// A random name of this gateway.
    gateway_id: String,
    disk_failure: DiskFailure,
}

enum Database {
    Sqlite(Writer),
    Postgres(Arc<Pool>),
}

impl Ledger {
    /// Opens the ledger. Creates it if it is missing: a file of mode 0600 in a directory of mode
    /// 0700, or tables in a database.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] for a file that is not a ledger or cannot be opened.
    /// [`Kind::Config`] for a ledger that a newer version wrote, or a database that rejects the
    /// connection. [`Kind::Temporary`] for a database that does not respond.
    pub async fn open(config: &LedgerConfig) -> Result<Self> {
        let (database, instance_id) = match config {
            LedgerConfig::Sqlite(path) => {
                let path = path.clone();
                let opened = tokio::task::spawn_blocking(move || sqlite::open(&path)).await;
                let (connection, instance_id) =
                    opened.map_err(|error| cannot_start_thread(error.into()))??;
                let writer =
                    Writer::start("ledger", connection, ()).map_err(cannot_start_thread)?;
                (Database::Sqlite(writer), instance_id)
            }
            LedgerConfig::Postgres(address) => {
                // On the heap: callers nest this future deeply.
                let (pool, instance_id) = Box::pin(Pool::open(address)).await?;
                (Database::Postgres(pool), instance_id)
            }
        };
        Ok(Self {
            database: Arc::new(database),
            instance_id,
            gateway_id: Uuid::new_v4().simple().to_string(),
            disk_failure: DiskFailure::default(),
        })
    }

    /// Reports a failure of the disk of a SQLite ledger to `disk_failure`.
    #[must_use]
    pub fn reporting(self, disk_failure: DiskFailure) -> Self {
        Self {
            disk_failure,
            ..self
        }
    }

    /// The identity of the ledger, chosen when it was created.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    pub(super) fn gateway_id(&self) -> &str {
        &self.gateway_id
    }

    /// Runs `operation`, which must not write. All rows that it has read are durable when this
    /// returns.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: impl Fn(&Transaction<'_>) -> sql::Result<T> + Send + 'static,
    ) -> LedgerResult<T> {
        match &*self.database {
            Database::Sqlite(writer) => {
                let run =
                    move |connection: &Connection| operation(&Transaction::Sqlite(connection));
                let value = writer.read(run).await.map_err(LedgerError::new)?;
                value.map_err(LedgerError::new)
            }
            Database::Postgres(pool) => pool
                .read(move |tx| operation(&Transaction::Postgres(tx)))
                .await
                .map_err(postgres_failed),
        }
    }

    /// Runs `operation` in a transaction and commits it, or rolls it back if it fails. On
    /// PostgreSQL, it may run more than once, so it must have no effects outside of its rows.
    ///
    /// Another gateway may change rows between a read and a write of the operation. A decision that
    /// depends on a row therefore belongs in the `WHERE` of the statement that writes, which
    /// reports how many rows it changed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: impl Fn(&Transaction<'_>) -> sql::Result<T> + Send + 'static,
    ) -> LedgerResult<T> {
        self.write_or_roll_back(move |tx| Ok((operation(tx)?, TransactionEnd::Commit)))
            .await
    }

    /// Like [`Ledger::write`], for an operation that returns how its transaction ends.
    pub(super) async fn write_or_roll_back<T: Send + 'static>(
        &self,
        operation: impl Fn(&Transaction<'_>) -> sql::Result<(T, TransactionEnd)> + Send + 'static,
    ) -> LedgerResult<T> {
        match &*self.database {
            Database::Sqlite(writer) => {
                let run = move |connection: &Connection| match operation(&Transaction::Sqlite(
                    connection,
                )) {
                    Ok((value, end)) => (Ok(value), end),
                    Err(error) => (Err::<T, SqlError>(error), TransactionEnd::RollBack),
                };
                let value = writer.write(run).await;
                let value = value.map_err(|error| self.sqlite_failed(error))?;
                value.map_err(|error| self.sqlite_failed(error))
            }
            Database::Postgres(pool) => pool
                .write(move |tx| operation(&Transaction::Postgres(tx)))
                .await
                .map_err(postgres_failed),
        }
    }
}

impl Ledger {
    /// The pages of a SQLite file; no pages on PostgreSQL.
    pub(super) async fn space(&self) -> LedgerResult<Space> {
        match &*self.database {
            Database::Sqlite(writer) => {
                let space = writer.read(sqlite::space).await.map_err(LedgerError::new)?;
                space.map_err(LedgerError::new)
            }
            Database::Postgres(_) => Ok(Space::default()),
        }
    }

    /// Releases at most `max` free pages of a SQLite file. Returns the pages that are left.
    pub(super) async fn release_pages(&self, max: u64) -> LedgerResult<Space> {
        if let Database::Sqlite(writer) = &*self.database {
            let release = move |connection: &Connection| {
                let released = sqlite::release_pages(connection, max);
                (released, TransactionEnd::Commit)
            };
            let released = writer.write(release).await;
            let released = released.map_err(|error| self.sqlite_failed(error))?;
            released.map_err(|error| self.sqlite_failed(error))?;
        }
        self.space().await
    }

    fn sqlite_failed(&self, error: impl std::error::Error + Send + Sync + 'static) -> LedgerError {
        if upload_sqlite::is_disk_failure(&error) {
            self.disk_failure.report(|| format!("the ledger: {error}"));
        }
        LedgerError::new(error)
    }
}

fn postgres_failed(error: SqlError) -> LedgerError {
    let reason = postgres::reason(&error);
    LedgerError::with_reason(error, reason)
}

fn cannot_start_thread(error: std::io::Error) -> Error {
    Error::new(
        Kind::DatabaseUnusable,
        "could not start the ledger's thread",
    )
    .with_hint("raise the limit on processes (ulimit -u), or free memory")
    .with_source(error)
}
