//! The pool of connections: runs operations, and repeats those that were not committed.
//!
//! `deadpool` limits and keeps the connections. If the database accepts only some of them, because
//! other programs use its connections too, `deadpool` fails. [`Pool::session`] then waits until an
//! operation returns a connection, and `connector` pauses between attempts to connect.
//!
//! Not here: making connections (`connector`) and the end of a transaction (`session`).

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use deadpool::managed::{self, PoolError};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::address::PostgresAddress;
use super::connector::Connector;
use super::failure::cannot_open;
use super::migrate::migrate;
use super::session::{Failure, Session};
use super::transaction::{Access, PgTransaction};
use crate::ledger::schema::POSTGRES_MIGRATIONS;
use crate::ledger::sql::{self, SqlError, TransactionEnd};
use upload_types::backoff::Backoff;
use upload_types::error::{Error, Kind};

/// The maximum number of connections of one gateway. They are made when operations need them.
pub(super) const MAX_CONNECTIONS: usize = 8;
const MAX_ATTEMPTS: u32 = 5;
/// The pause before a repetition. It is random, so that two transactions that conflicted do not
/// conflict again.
const REPEAT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(160));

pub(in crate::ledger) struct Pool {
    connections: managed::Pool<Connector>,
    handle: Handle,
    /// Notified when a connection was returned to the pool, or closed.
    returned: Arc<Notify>,
}

impl Pool {
    /// Connects, migrates the tables, and returns the ledger's instance id.
    ///
    /// # Errors
    /// [`Kind::Config`] for a database that rejects the connection, or that a newer version
    /// migrated. [`Kind::Temporary`] for one that does not respond.
    pub async fn open(
        address: &PostgresAddress,
    ) -> upload_types::error::Result<(Arc<Self>, String)> {
        let pool = Arc::new(Self::new(address).map_err(cannot_open)?);
        let instance_id = pool
            .write(|tx| Ok((migrate(tx, POSTGRES_MIGRATIONS)?, TransactionEnd::Commit)))
            .await
            .map_err(cannot_open)?;
        let instance_id = instance_id.ok_or_else(|| {
            Error::new(
                Kind::Config,
                "a newer version of this program wrote the ledger",
            )
            .with_hint("use that version; or name another database with --ledger")
        })?;
        Ok((pool, instance_id))
    }

    fn new(address: &PostgresAddress) -> sql::Result<Self> {
        let connector = Connector::new(address)?;
        let on_counted = connector.on_counted();
        let connections = managed::Pool::builder(connector)
            .max_size(MAX_CONNECTIONS)
            .queue_mode(managed::QueueMode::Lifo)
            .post_create(on_counted)
            .build()
            .map_err(|error| SqlError::Config(error.to_string()))?;
        Ok(Self {
            connections,
            handle: Handle::current(),
            returned: Arc::default(),
        })
    }

    /// Runs `operation`, which must not write, in a transaction that sees one state of the
    /// database.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        operation: impl Fn(&PgTransaction<'_>) -> sql::Result<T> + Send + 'static,
    ) -> sql::Result<T> {
        self.run(Access::Read, move |tx| {
            Ok((operation(tx)?, TransactionEnd::Commit))
        })
        .await
    }

    /// Runs `operation` in a transaction, and ends it as the operation requires.
    pub async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        operation: impl Fn(&PgTransaction<'_>) -> sql::Result<(T, TransactionEnd)> + Send + 'static,
    ) -> sql::Result<T> {
        self.run(Access::Write, operation).await
    }

    /// Waits for a connection. From then on, the operation runs to its end, even if the future is
    /// dropped.
    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        access: Access,
        operation: impl Fn(&PgTransaction<'_>) -> sql::Result<(T, TransactionEnd)> + Send + 'static,
    ) -> sql::Result<T> {
        let session = self.session().await?;
        let pool = Arc::clone(self);
        tokio::task::spawn_blocking(move || pool.attempt(session, access, &operation))
            .await
            .map_err(|_| SqlError::Stopped)?
    }

    fn attempt<T>(
        &self,
        mut session: Session,
        access: Access,
        operation: &dyn Fn(&PgTransaction<'_>) -> sql::Result<(T, TransactionEnd)>,
    ) -> sql::Result<T> {
        let mut attempts = 1;
        loop {
            match session.run(access, operation) {
                Ok(value) => return Ok(value),
                Err(Failure::Repeatable(error)) if attempts < MAX_ATTEMPTS => {
                    tracing::debug!(%error, attempts, "operation of the ledger is repeated");
                    thread::sleep(REPEAT_BACKOFF.full_jitter(attempts, fastrand::f64()));
                    attempts += 1;
                }
                Err(Failure::Repeatable(error) | Failure::Final(error)) => return Err(error),
            }
            session = self.handle.block_on(self.session())?;
        }
    }

    /// A connection: an idle one, a new one, or, if no further one can be made, the next one that
    /// an operation returns.
    ///
    /// # Errors
    /// The reason that no connection can be made, if there is no other connection to wait for.
    async fn session(&self) -> sql::Result<Session> {
        loop {
            // Created before the attempt, so that no connection that is returned from now on is
            // missed.
            let returned = self.returned.notified();
            let error = match self.connections.get().await {
                Ok(connection) => {
                    let returned = Arc::clone(&self.returned);
                    return Ok(Session::new(connection, self.handle.clone(), returned));
                }
                Err(PoolError::Backend(error)) => error,
                Err(_) => return Err(SqlError::Stopped),
            };
            let open = self.connections.status().size;
            let connector = self.connections.manager();
            if open == 0 && !connector.is_connecting() {
                return Err(error);
            }
            if !matches!(error, SqlError::Backoff) && connector.must_report() {
                tracing::warn!(%error, open, "the ledger's database rejects further connections");
            }
            tokio::select! {
                () = returned => {}
                () = tokio::time::sleep(connector.pause_remaining()) => {}
            }
        }
    }
}
