//! One connection to PostgreSQL: a transaction at a time, and the statements it has prepared.
//!
//! Border: speaks to the server and tells how it ended; whether that is tried again is the pool's.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;

use futures_util::FutureExt as _;
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use super::super::db::{self, Db, Failed, Value};
use super::address::Address;
use super::tls::Tls;

/// Statements on their way at the same time.
const AHEAD: usize = 256;

/// What a transaction may do. Each begins in one message with what bounds it: a gateway whose machine died in the middle holds
/// nobody up for longer than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

impl Access {
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

/// How a transaction failed.
pub enum Ended {
    /// Nothing of it is there, and the reason may be gone the next time.
    NotCommitted(Failed),
    /// For good, or nobody knows.
    For(Failed),
}

pub struct Session {
    client: Client,
    handle: Handle,
    statements: RefCell<HashMap<String, Statement>>,
}

impl Session {
    /// # Errors
    /// What the server, TLS or the network said.
    pub fn connect(address: &Address, handle: &Handle) -> db::Result<Self> {
        let address = address.clone();
        // As tasks of its own: both end with the runtime, and who waits here hears of it.
        let connecting = handle.spawn(async move {
            let tls = Tls::new(&address)?;
            let (client, connection) = address.config().connect(tls).await?;
            tokio::spawn(connection);
            db::Result::Ok(client)
        });
        let client = handle.block_on(connecting).map_err(|_| Failed::Gone)??;
        Ok(Self {
            client,
            handle: handle.clone(),
            statements: RefCell::default(),
        })
    }

    pub fn is_lost(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs `job` in a transaction, which is kept if it says so; and whether the connection is good for another.
    pub fn run<T>(
        &self,
        access: Access,
        job: &dyn Fn(&Db<'_>) -> db::Result<(T, bool)>,
    ) -> (Result<T, Ended>, bool) {
        let open = Open {
            session: self,
            access,
            begun: Cell::new(false),
            failed: Cell::new(false),
        };
        let done = job(&Db::Postgres(&open));
        let (begun, failed) = (open.begun.get(), open.failed.get());
        match done {
            Ok((value, keep)) if keep && !failed => match self.commit(access, begun) {
                Ok(()) => (Ok(value), true),
                Err(error) => (Err(error), false),
            },
            // The server has taken all of it back, whatever the work made of what failed.
            Ok((_, true)) => {
                let whole = self.roll_back(begun);
                (
                    Err(Ended::For(Failed::Unfit(
                        "a statement failed, and the work went on".into(),
                    ))),
                    whole,
                )
            }
            Ok((value, false)) => (Ok(value), self.roll_back(begun)),
            Err(error) => {
                let said = match &error {
                    Failed::Postgres(said) => Some(said),
                    _ => None,
                };
                let whole = !said.is_some_and(is_lost) && self.roll_back(begun);
                let again = said.is_some_and(may_pass);
                (
                    Err(if again {
                        Ended::NotCommitted(error)
                    } else {
                        Ended::For(error)
                    }),
                    whole,
                )
            }
        }
    }

    fn commit(&self, access: Access, begun: bool) -> Result<(), Ended> {
        let commit = self.client.batch_execute("COMMIT");
        match access {
            _ if !begun => Ok(()),
            // It is on its way when this returns; whatever becomes of it, what was read was true.
            Access::Read => {
                drop(commit.now_or_never());
                Ok(())
            }
            Access::Write => {
                self.handle
                    .block_on(commit)
                    .map_err(|error| match error.as_db_error() {
                        Some(_) if may_pass(&error) && !is_lost(&error) => {
                            Ended::NotCommitted(error.into())
                        }
                        _ => Ended::For(error.into()),
                    })
            }
        }
    }

    /// Whether the connection is without a transaction afterwards.
    fn roll_back(&self, begun: bool) -> bool {
        !begun
            || self
                .handle
                .block_on(self.client.batch_execute("ROLLBACK"))
                .is_ok()
    }
}

/// A transaction, which begins with its first statement.
pub struct Open<'a> {
    session: &'a Session,
    access: Access,
    begun: Cell<bool>,
    failed: Cell<bool>,
}

impl Open<'_> {
    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> db::Result<u64> {
        let statement = self.statement(sql, values)?;
        self.ask(self.session.client.execute(&statement, &parameters(values)))
    }

    pub fn execute_each<const N: usize>(
        &self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> db::Result<Vec<u64>> {
        let Some(first) = rows.first() else {
            return Ok(Vec::new());
        };
        let statement = self.statement(sql, first)?;
        let client = &self.session.client;
        let mut changed = Vec::with_capacity(rows.len());
        for rows in rows.chunks(AHEAD) {
            let rows: Vec<_> = rows.iter().map(|row| parameters(row)).collect();
            changed.extend(self.ask(try_join_all(
                rows.iter().map(|row| client.execute(&statement, row)),
            ))?);
        }
        Ok(changed)
    }

    pub fn query(&self, sql: &str, values: &[Value<'_>]) -> db::Result<Vec<Row>> {
        let statement = self.statement(sql, values)?;
        self.ask(self.session.client.query(&statement, &parameters(values)))
    }

    /// Runs statements without parameters, as they stand.
    pub fn run(&self, sql: &str) -> db::Result<()> {
        self.ask(self.session.client.batch_execute(sql))
    }

    /// Prepared once for each connection.
    fn statement(&self, sql: &str, values: &[Value<'_>]) -> db::Result<Statement> {
        if let Some(known) = self.session.statements.borrow().get(sql) {
            return Ok(known.clone());
        }
        let types: Vec<Type> = values.iter().map(type_of).collect();
        // Nothing of ours has a question mark elsewhere: texts are parameters.
        let statement = self.ask(
            self.session
                .client
                .prepare_typed(&sql.replace('?', "$"), &types),
        )?;
        self.session
            .statements
            .borrow_mut()
            .insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> db::Result<T> {
        let first = !self.begun.replace(true);
        let answer = self.session.handle.block_on(async {
            if !first {
                return question.await;
            }
            // One behind the other, without waiting in between.
            let begin = self.session.client.batch_execute(self.access.begin());
            let (before, answer) = tokio::join!(biased; begin, question);
            before.and(answer)
        });
        answer.map_err(|error| {
            self.failed.set(true);
            error.into()
        })
    }
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

/// Whether another attempt may succeed, now or on another connection.
fn may_pass(error: &tokio_postgres::Error) -> bool {
    let meetings = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    is_lost(error) || error.code().is_some_and(|code| meetings.contains(code))
}

/// Whether the connection is of no use any more: it is closed, or leads to a server that does not write.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    let ends = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    match error.code() {
        Some(code) => ends.contains(code) || code.code().starts_with("08"),
        None => true,
    }
}
