//! A transaction on a connection to PostgreSQL, and the statements in it.
//!
//! Not here: its end (`session`).

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};

use crate::ledger::sql::{Result, Row, SqlError, Value};

/// The maximum number of concurrent runs of one statement.
const MAX_STATEMENTS_IN_FLIGHT: usize = 256;

/// The time limit for the response to BEGIN. A server that stands still, or a pooler that has no
/// connection for the transaction, keeps a request no longer.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for any other response. PostgreSQL ends a statement earlier.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(35);

/// How statements are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statements {
    /// Prepared once for each connection.
    Prepared,
    /// Parsed for each run, because the next transaction may have another connection.
    Unnamed,
}

/// The access mode of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Access {
    /// The SQL that begins a transaction and sets its time limits. If a gateway's machine fails
    /// during a transaction, other gateways wait for its locks no longer than these limits.
    fn begin(self) -> &'static str {
        match self {
            Self::Read => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '30s'; \
                 SET LOCAL idle_in_transaction_session_timeout = '15s'"
            }
            Self::Write => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = '30s'; \
                 SET LOCAL lock_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '15s'; \
                 SET LOCAL synchronous_commit = on"
            }
        }
    }
}

/// A transaction. It begins with its first statement.
pub(in crate::ledger) struct PgTransaction<'a> {
    client: &'a ClientWrapper,
    handle: &'a Handle,
    access: Access,
    statements: Statements,
    has_begun: Cell<bool>,
    has_failed: Cell<bool>,
}

impl<'a> PgTransaction<'a> {
    /// `handle` runs the futures of `client`. The transaction must not be used on a thread of that
    /// runtime.
    pub(super) fn new(
        client: &'a ClientWrapper,
        handle: &'a Handle,
        access: Access,
        statements: Statements,
    ) -> Self {
        Self {
            client,
            handle,
            access,
            statements,
            has_begun: Cell::new(false),
            has_failed: Cell::new(false),
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    /// Returns true if a statement has failed. PostgreSQL then rolls the transaction back, even at
    /// a COMMIT.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.get()
    }

    /// Runs a statement that returns no rows. Returns how many rows it changed.
    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        self.run(async {
            let Some(statement) = self.prepare(sql, values).await? else {
                let values = typed_parameters(values);
                return self.client.execute_typed(&dollars(sql), &values).await;
            };
            self.client.execute(&statement, &parameters(values)).await
        })
    }

    /// Runs the statement once with each of `rows`. Returns how many rows each run changed.
    pub fn execute_each<const N: usize>(
        &self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> Result<Vec<u64>> {
        let Some(first) = rows.first() else {
            return Ok(Vec::new());
        };
        self.run(async {
            let statement = self.prepare(sql, first).await?;
            let sql = dollars(sql);
            let mut changed = Vec::with_capacity(rows.len());
            for rows in rows.chunks(MAX_STATEMENTS_IN_FLIGHT) {
                if let Some(statement) = &statement {
                    let rows: Vec<_> = rows.iter().map(|row| parameters(row)).collect();
                    let runs = rows.iter().map(|row| self.client.execute(statement, row));
                    changed.extend(try_join_all(runs).await?);
                } else {
                    let rows: Vec<_> = rows.iter().map(|row| typed_parameters(row)).collect();
                    let runs = rows.iter().map(|row| self.client.execute_typed(&sql, row));
                    changed.extend(try_join_all(runs).await?);
                }
            }
            Ok(changed)
        })
    }

    /// All rows of a query.
    pub fn query<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let rows = self.run(async {
            let Some(statement) = self.prepare(sql, values).await? else {
                let values = typed_parameters(values);
                return self.client.query_typed(&dollars(sql), &values).await;
            };
            self.client.query(&statement, &parameters(values)).await
        })?;
        rows.iter().map(|row| read(&Row::Postgres(row))).collect()
    }

    /// Runs statements without parameters.
    pub(super) fn execute_batch(&self, sql: &str) -> Result<()> {
        self.run(self.client.batch_execute(sql))
    }

    /// Prepares a statement once for each connection. Returns `None` if it must not be prepared.
    async fn prepare(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> std::result::Result<Option<tokio_postgres::Statement>, tokio_postgres::Error> {
        if self.statements == Statements::Unnamed {
            return Ok(None);
        }
        let types: Vec<Type> = values.iter().map(type_of).collect();
        let sql = dollars(sql);
        let prepared = self.client.prepare_typed_cached(&sql, &types).await?;
        Ok(Some(prepared))
    }

    fn run<T>(
        &self,
        statement: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let is_first = !self.has_begun.replace(true);
        let result = self.handle.block_on(async {
            let statement = within(RESPONSE_TIMEOUT, statement);
            if !is_first {
                return statement.await;
            }
            // BEGIN and the first statement share a round trip.
            let begin = self.client.batch_execute(self.access.begin());
            let begin = within(BEGIN_TIMEOUT, begin);
            let ((), value) = tokio::try_join!(biased; begin, statement)?;
            Ok(value)
        });
        if result.is_err() {
            self.has_failed.set(true);
        }
        result
    }
}

/// # Errors
/// [`SqlError::NoResponse`] if the response does not arrive in time.
async fn within<T>(
    limit: Duration,
    response: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> Result<T> {
    let response = timeout(limit, response).await;
    Ok(response.map_err(|_| SqlError::NoResponse)??)
}

/// Every question mark is a parameter: a text that may contain one is passed as a parameter.
fn dollars(sql: &str) -> String {
    sql.replace('?', "$")
}

fn typed_parameters<'a>(values: &'a [Value<'_>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    parameters(values)
        .into_iter()
        .zip(values.iter().map(type_of))
        .collect()
}

fn parameters<'a>(values: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    let parameter = |value: &'a Value<'_>| -> &'a (dyn ToSql + Sync) {
        match value {
            Value::Int(value) => value,
            Value::Text(value) => value,
            Value::Bytes(value) => value,
        }
    };
    values.iter().map(parameter).collect()
}

fn type_of(value: &Value<'_>) -> Type {
    match value {
        Value::Int(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Bytes(_) => Type::BYTEA,
    }
}
