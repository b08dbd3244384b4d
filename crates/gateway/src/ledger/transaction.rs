//! A transaction on either database. Each operation of the ledger is written once, for this type.
//!
//! Not here: beginning, ending and repeating a transaction (`database`).

use rusqlite::Connection;

use super::postgres::PgTransaction;
use super::sql::{Result, Row, Value};
use upload_types::saturating;

pub(super) enum Transaction<'a> {
    Sqlite(&'a Connection),
    Postgres(&'a PgTransaction<'a>),
}

impl Transaction<'_> {
    /// Runs a statement that returns no rows. Returns how many rows it changed.
    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        match self {
            Self::Sqlite(connection) => {
                let changed = connection
                    .prepare_cached(sql)?
                    .execute(rusqlite::params_from_iter(values))?;
                Ok(saturating::to_u64(changed))
            }
            Self::Postgres(transaction) => transaction.execute(sql, values),
        }
    }

    /// Runs the statement once with each of `rows`, in order. Returns how many rows each run
    /// changed. On PostgreSQL, many runs share a round trip.
    pub fn execute_each<const N: usize>(
        &self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> Result<Vec<u64>> {
        match self {
            Self::Sqlite(_) => rows.iter().map(|row| self.execute(sql, row)).collect(),
            Self::Postgres(transaction) => transaction.execute_each(sql, rows),
        }
    }

    /// All rows of a query.
    pub fn query<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    all.push(read(&Row::Sqlite(row))?);
                }
                Ok(all)
            }
            Self::Postgres(transaction) => transaction.query(sql, values, read),
        }
    }

    /// The row of a query that returns at most one.
    pub fn find<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.query(sql, values, read)?.pop())
    }
}
