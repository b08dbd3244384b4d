//! One way to speak SQL to a database of the ledger: each operation is written once, for all of them.
//!
//! Border: values in, rows out, inside a transaction that somebody else begins and ends. Portable SQL alone: parameters
//! `?1`, each used with one type, and no other question mark; integers, text and blobs; times in milliseconds; a `sum` is
//! `CAST(… AS BIGINT)`.

use std::fmt;

use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};

use super::postgres::Open;
use upload_types::names::Sha256;

/// What is said in place of a parameter. Its type is known even where it is NULL.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Int(Option<i64>),
    Text(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
}

/// Parameters of one statement, whatever they are: `values![id, 7, now]`.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::ledger::db::Value::from($value)),*] };
}
pub(super) use values;

/// Why an operation did not come to its end; whatever it wrote is taken back.
#[derive(Debug)]
pub(super) enum Failed {
    Sqlite(rusqlite::Error),
    Postgres(tokio_postgres::Error),
    /// The database did not let us in a moment ago, and is not asked again yet.
    Away,
    /// What does the work has ended.
    Gone,
    /// The configuration does not do.
    Unfit(String),
    /// A column holds something else than this program writes there.
    Damaged(usize, &'static str),
    /// A row that has to be there is not.
    Missing,
}

pub(super) type Result<T> = std::result::Result<T, Failed>;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            // Not its detail, which holds rows.
            Self::Postgres(error) => match error.as_db_error() {
                Some(said) => write!(
                    f,
                    "{}: {} ({})",
                    said.severity(),
                    said.message(),
                    said.code().code()
                ),
                None => error.fmt(f),
            },
            Self::Away => f.write_str("the database could not be connected to a moment ago"),
            Self::Gone => f.write_str("what does its work has ended"),
            Self::Unfit(why) => f.write_str(why),
            Self::Damaged(column, what) => write!(f, "column {column} of a row is {what}"),
            Self::Missing => f.write_str("a row is missing"),
        }
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Postgres(error) if error.as_db_error().is_none() => {
                std::error::Error::source(error)
            }
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// A column that holds something else than this program writes there.
pub(super) fn damaged(column: usize, what: &'static str) -> Failed {
    Failed::Damaged(column, what)
}

/// A connection within its transaction.
pub(super) enum Db<'a> {
    Sqlite(&'a Connection),
    Postgres(&'a Open<'a>),
}

impl Db<'_> {
    /// Runs a statement that gives no rows; how many rows it changed.
    pub fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        match self {
            Self::Sqlite(connection) => {
                let changed = connection
                    .prepare_cached(sql)?
                    .execute(rusqlite::params_from_iter(values))?;
                Ok(u64::try_from(changed).unwrap_or(u64::MAX))
            }
            Self::Postgres(open) => open.execute(sql, values),
        }
    }

    /// Runs the statement once with each of `rows`, in order; how many rows each changed. One way to the database and back
    /// serves many of them.
    pub fn execute_each<const N: usize>(
        &self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> Result<Vec<u64>> {
        match self {
            Self::Sqlite(_) => rows.iter().map(|row| self.execute(sql, row)).collect(),
            Self::Postgres(open) => open.execute_each(sql, rows),
        }
    }

    /// Every row that the statement gives.
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
            Self::Postgres(open) => open
                .query(sql, values)?
                .iter()
                .map(|row| read(&Row::Postgres(row)))
                .collect(),
        }
    }

    /// The row of a statement that gives one or none.
    pub fn find<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.query(sql, values, read)?.pop())
    }
}

/// A row, its columns counted from 0.
pub(super) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

/// What a column holds as the databases have it.
pub(super) trait Column:
    rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a>
{
}
impl Column for i64 {}
impl Column for String {}
impl Column for Vec<u8> {}

impl Row<'_> {
    /// None for NULL.
    pub fn optional<T: Column>(&self, column: usize) -> Result<Option<T>> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(row) => row
                .try_get(column)
                .map_err(|_| damaged(column, "of another type")),
        }
    }

    pub fn get<T: Column>(&self, column: usize) -> Result<T> {
        self.optional(column)?.ok_or(damaged(column, "NULL"))
    }

    pub fn text(&self, column: usize) -> Result<String> {
        self.get(column)
    }

    pub fn number(&self, column: usize) -> Result<u64> {
        u64::try_from(self.get::<i64>(column)?).map_err(|_| damaged(column, "negative"))
    }

    pub fn time(&self, column: usize) -> Result<Timestamp> {
        time(column, self.get(column)?)
    }

    pub fn optional_time(&self, column: usize) -> Result<Option<Timestamp>> {
        self.optional(column)?
            .map(|millisecond| time(column, millisecond))
            .transpose()
    }

    pub fn hash(&self, column: usize) -> Result<[u8; 32]> {
        hash(column, self.get(column)?)
    }

    pub fn optional_fingerprint(&self, column: usize) -> Result<Option<Sha256>> {
        Ok(self
            .optional(column)?
            .map(|bytes| hash(column, bytes))
            .transpose()?
            .map(Sha256::new))
    }
}

fn time(column: usize, millisecond: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(millisecond).map_err(|_| damaged(column, "not a time"))
}

fn hash(column: usize, bytes: Vec<u8>) -> Result<[u8; 32]> {
    bytes
        .try_into()
        .map_err(|_| damaged(column, "not 32 bytes"))
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match *self {
            Self::Int(value) => value.map(ValueRef::Integer),
            Self::Text(value) => value.map(|text| ValueRef::Text(text.as_bytes())),
            Self::Bytes(value) => value.map(ValueRef::Blob),
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

/// Databases count with a sign; nothing the gateway counts comes near their end.
impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<Option<u64>> for Value<'_> {
    fn from(value: Option<u64>) -> Self {
        value.map_or(Self::Int(None), Self::from)
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.as_millisecond()))
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Int(value.map(Timestamp::as_millisecond))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8; 32]> for Value<'a> {
    fn from(value: &'a [u8; 32]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'a> From<Option<&'a [u8; 32]>> for Value<'a> {
    fn from(value: Option<&'a [u8; 32]>) -> Self {
        Self::Bytes(value.map(|bytes| &bytes[..]))
    }
}
