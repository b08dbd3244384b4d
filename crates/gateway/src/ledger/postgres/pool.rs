//! The pool of connections: runs operations, and repeats those that were not committed.
//!
//! `deadpool` limits and keeps the connections. If the database accepts only some of them, because
//! other programs use its connections too, `deadpool` fails or waits. [`Pool::session`] then waits
//! until an operation returns a connection, and `connector` pauses between attempts to connect.
//!
//! Not here: making connections (`connector`) and the end of a transaction (`session`).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use deadpool::managed::{self, PoolError};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::address::PostgresAddress;
use super::connector::{Connector, SLOW_CONNECT_AFTER};
use super::failure::{cannot_open, is_server_unusable, is_statement_lost};
use super::migrate::{WrongVersion, migrate};
use super::pooler;
use super::session::{Failure, Session};
use super::transaction::{Access, PgTransaction, Statements};
use crate::ledger::schema::POSTGRES_MIGRATIONS;
use crate::ledger::sql::{self, SqlError, TransactionEnd};
use upload_types::backoff::Backoff;
use upload_types::error::{Error, Kind};

/// The maximum number of connections of one gateway. They are made when operations need them.
pub(super) const MAX_CONNECTIONS: usize = 8;
const MAX_ATTEMPTS: u32 = 5;
/// A connection that was not used for this long is closed, so that other gateways can have it if a
/// server or a pooler limits connections.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long an operation waits for a connection in addition to the time for making one.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// The shortest wait for a connection between two attempts to make one.
const MIN_WAIT: Duration = Duration::from_millis(20);
/// The time limit for the search for a pooler.
const POOLER_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a repetition. It is random, so that two transactions that conflicted do not
/// conflict again.
const REPEAT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(160));

pub(in crate::ledger) struct Pool {
    connections: managed::Pool<Connector>,
    handle: Handle,
    /// Notified when a connection was returned to the pool, or closed.
    returned: Arc<Notify>,
    /// Whether a pooler gives each transaction another connection to the server.
    is_shared: AtomicBool,
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
        Box::pin(pool.find_pooler()).await.map_err(cannot_open)?;
        let instance_id = pool
            .write(|tx| Ok((migrate(tx, POSTGRES_MIGRATIONS)?, TransactionEnd::Commit)))
            .await
            .map_err(cannot_open)?;
        let instance_id = instance_id.map_err(|wrong| match wrong {
            WrongVersion::Newer => Error::new(
                Kind::Config,
                "a newer version of this program wrote the ledger",
            )
            .with_hint("use that version; or name another database with --ledger"),
            WrongVersion::Unreleased => Error::new(
                Kind::Config,
                "a build before the first release wrote the ledger",
            )
            .with_hint("name another database with --ledger"),
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
            is_shared: AtomicBool::new(false),
        })
    }

    /// Finds out whether a pooler is between this gateway and the server.
    async fn find_pooler(&self) -> sql::Result<()> {
        let one = self.connections.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            _ => SqlError::Stopped,
        })?;
        // Without a second connection, no statement can come from another client.
        let Ok(Ok(other)) = tokio::time::timeout(POOLER_TIMEOUT, self.connections.get()).await
        else {
            return Ok(());
        };
        let check = pooler::shares_connections(&one, &other);
        match tokio::time::timeout(POOLER_TIMEOUT, check).await {
            Ok(Ok(false)) => return Ok(()),
            Ok(Ok(true)) => self.on_shared(),
            // Operations report a failure with its reason, if there still is one.
            Ok(Err(_)) | Err(_) => {}
        }
        // One of them may have an open transaction.
        drop((managed::Object::take(one), managed::Object::take(other)));
        Ok(())
    }

    fn on_shared(&self) {
        if !self.is_shared.swap(true, Ordering::SeqCst) {
            tracing::info!(
                "a pooler gives each transaction another connection: statements are not prepared"
            );
        }
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
        tokio::task::spawn_blocking(move || {
            let result = pool.attempt(session, access, &operation);
            pool.close_idle(IDLE_TIMEOUT);
            result
        })
        .await
        .map_err(|_| SqlError::Stopped)?
    }

    /// Closes the connections that were not used for so long.
    fn close_idle(&self, unused_for: Duration) {
        let closed = self
            .connections
            .retain(|_, metrics| metrics.last_used() < unused_for);
        if !closed.removed.is_empty() {
            tracing::debug!(
                connections = closed.removed.len(),
                "unused connections are closed"
            );
        }
    }

    fn attempt<T>(
        &self,
        mut session: Session,
        access: Access,
        operation: &dyn Fn(&PgTransaction<'_>) -> sql::Result<(T, TransactionEnd)>,
    ) -> sql::Result<T> {
        let mut attempts = 1;
        loop {
            let statements = if self.is_shared.load(Ordering::SeqCst) {
                Statements::Unnamed
            } else {
                Statements::Prepared
            };
            let result = session.run(access, statements, operation);
            if let Err(Failure::Repeatable(error) | Failure::Final(error)) = &result {
                self.on_failed(error);
            }
            match result {
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

    /// Draws conclusions for the other connections.
    fn on_failed(&self, error: &SqlError) {
        if is_server_unusable(error) {
            self.close_idle(Duration::ZERO);
        }
        if is_statement_lost(error) {
            self.on_shared();
            self.close_idle(Duration::ZERO);
        }
    }

    /// A connection: an idle one, a new one, or, if no further one can be made, the next one that
    /// an operation returns.
    ///
    /// # Errors
    /// The reason that no connection can be made, if there is no other connection to wait for.
    async fn session(&self) -> sql::Result<Session> {
        let limit = self.connections.manager().time_limit() + SESSION_TIMEOUT;
        tokio::time::timeout(limit, Box::pin(self.wait_for_session()))
            .await
            .unwrap_or(Err(SqlError::NoResponse))
    }

    async fn wait_for_session(&self) -> sql::Result<Session> {
        loop {
            // Created before the attempt, so that no connection that is returned from now on is
            // missed.
            let returned = self.returned.notified();
            let Some(result) = self.get_or_give_way().await else {
                continue;
            };
            let error = match result {
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
            if !matches!(error, SqlError::Backoff(_)) && connector.must_report() {
                tracing::warn!(%error, open, "the ledger's database refuses further connections");
            }
            tokio::select! {
                () = returned => {}
                () = tokio::time::sleep(connector.pause_remaining().max(MIN_WAIT)) => {}
            }
        }
    }

    /// A connection of the pool. Returns `None` if making one takes long and another one was
    /// returned meanwhile: a pooler may accept a connection long before it serves it.
    async fn get_or_give_way(
        &self,
    ) -> Option<Result<managed::Object<Connector>, PoolError<SqlError>>> {
        let mut get = pin!(self.connections.get());
        if let Ok(result) = tokio::time::timeout(SLOW_CONNECT_AFTER, &mut get).await {
            return Some(result);
        }
        loop {
            tokio::select! {
                biased;
                result = &mut get => return Some(result),
                () = self.returned.notified() => {
                    if self.connections.manager().is_connecting() {
                        return None;
                    }
                }
            }
        }
    }
}
