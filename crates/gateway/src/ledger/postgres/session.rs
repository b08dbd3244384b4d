//! A connection taken from the pool: runs one transaction and reports how it ended.
//!
//! Not here: the repetition of a failed transaction (`pool`).

use std::sync::Arc;

use deadpool::managed::Object;
use deadpool_postgres::ClientWrapper;
use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connector::Connector;
use super::failure::{is_connection_lost, may_succeed_later};
use super::transaction::{Access, PgTransaction, RESPONSE_TIMEOUT, Statements};
use crate::ledger::sql::{self, SqlError, TransactionEnd};

/// The failure of a transaction.
pub(super) enum Failure {
    /// Nothing was committed, and a repetition may succeed.
    Repeatable(SqlError),
    /// A repetition would fail too, or it is unknown whether the transaction was committed.
    Final(SqlError),
}

/// A connection taken from the pool. On drop, it returns to the pool if it certainly has no open
/// transaction, and is closed otherwise: even if an operation panics, no connection of the pool has
/// an open transaction.
pub(super) struct Session {
    connection: Option<Object<Connector>>,
    is_reusable: bool,
    handle: Handle,
    /// Notified when the connection was returned to the pool, or closed.
    returned: Arc<Notify>,
}

impl Session {
    pub(super) fn new(
        connection: Object<Connector>,
        handle: Handle,
        returned: Arc<Notify>,
    ) -> Self {
        Self {
            connection: Some(connection),
            is_reusable: false,
            handle,
            returned,
        }
    }

    /// Runs `operation` in a transaction, ends it as the operation requires, and returns the
    /// connection to the pool. Must not be called on a thread of the runtime.
    pub(super) fn run<T>(
        mut self,
        access: Access,
        statements: Statements,
        operation: &dyn Fn(&PgTransaction<'_>) -> sql::Result<(T, TransactionEnd)>,
    ) -> Result<T, Failure> {
        let Some(connection) = &self.connection else {
            return Err(Failure::Final(SqlError::Stopped));
        };
        let client: &ClientWrapper = connection;
        let transaction = PgTransaction::new(client, &self.handle, access, statements);
        let result = operation(&transaction);
        let (has_begun, has_failed) = (transaction.has_begun(), transaction.has_failed());
        let (result, is_reusable) = match result {
            Ok((value, TransactionEnd::Commit)) if !has_failed => {
                let committed = commit(client, &self.handle, access, has_begun);
                let is_reusable = committed.is_ok();
                (committed.map(|()| value), is_reusable)
            }
            Ok((_, TransactionEnd::Commit)) => {
                let error = Failure::Final(SqlError::IgnoredFailure);
                (Err(error), roll_back(client, &self.handle, has_begun))
            }
            Ok((value, TransactionEnd::RollBack)) => {
                (Ok(value), roll_back(client, &self.handle, has_begun))
            }
            Err(error) => {
                let is_reusable =
                    !is_connection_lost(&error) && roll_back(client, &self.handle, has_begun);
                let failure = if may_succeed_later(&error) {
                    Failure::Repeatable(error)
                } else {
                    Failure::Final(error)
                };
                (Err(failure), is_reusable)
            }
        };
        self.is_reusable = is_reusable;
        result
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            if self.is_reusable {
                drop(connection);
            } else {
                drop(Object::take(connection));
            }
        }
        self.returned.notify_waiters();
    }
}

fn commit(
    client: &ClientWrapper,
    handle: &Handle,
    access: Access,
    has_begun: bool,
) -> Result<(), Failure> {
    let commit = client.batch_execute("COMMIT");
    match access {
        _ if !has_begun => Ok(()),
        // The response is not awaited: the values that were read are valid even if it is an error.
        Access::Read => {
            drop(commit.now_or_never());
            Ok(())
        }
        Access::Write => match handle.block_on(async { timeout(RESPONSE_TIMEOUT, commit).await }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let was_rolled_back = error.as_db_error().is_some();
                let error = SqlError::from(error);
                if was_rolled_back && may_succeed_later(&error) && !is_connection_lost(&error) {
                    Err(Failure::Repeatable(error))
                } else {
                    // The response was lost, and the transaction may be committed: it must not be
                    // repeated.
                    Err(Failure::Final(error))
                }
            }
            Err(_) => Err(Failure::Final(SqlError::NoResponse)),
        },
    }
}

/// Returns true if the connection certainly has no open transaction afterwards.
fn roll_back(client: &ClientWrapper, handle: &Handle, has_begun: bool) -> bool {
    let roll_back = async { timeout(RESPONSE_TIMEOUT, client.batch_execute("ROLLBACK")).await };
    !has_begun || matches!(handle.block_on(roll_back), Ok(Ok(())))
}
