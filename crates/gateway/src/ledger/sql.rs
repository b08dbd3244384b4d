//! The SQL types that both databases share: values, rows, and errors.
//!
//! The SQL of the ledger is portable: parameters are written `?1`, and each has one type only; a
//! question mark has no other use; columns are integers, texts and blobs; times are in
//! milliseconds; a `sum` is written `CAST(… AS BIGINT)`.
//!
//! Not here: running statements (`transaction`).

use std::fmt;

use jiff::Timestamp;
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

pub(super) use upload_sqlite::TransactionEnd;
use upload_types::{Sha256, UuidForm};

/// The value of a parameter. Its type is known even if it is NULL.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Int(Option<i64>),
    Text(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
}

/// The parameters of one statement: `values![id, 7, now]`.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::ledger::sql::Value::from($value)),*] };
}
pub(super) use values;

/// The failure of an operation. All its changes are rolled back.
#[derive(Debug)]
pub(super) enum SqlError {
    Sqlite(rusqlite::Error),
    Postgres(tokio_postgres::Error),
    /// Connecting to the database failed recently, and the next attempt is not due yet. The reason
    /// of the failure, if it is known.
    Backoff(Option<&'static str>),
    /// The name of the database's host could not be resolved.
    Resolve(std::io::Error),
    /// No server of the database accepts writes.
    ReadOnly,
    /// The database did not respond in time.
    NoResponse,
    /// The thread or task that runs operations has ended.
    Stopped,
    /// The configuration cannot be used.
    Config(String),
    /// A statement failed, and the operation ignored its error. The database has rolled the
    /// transaction back.
    IgnoredFailure,
    /// A column, by its index, has a value that this program does not write there.
    Damaged(usize, &'static str),
    /// A row that must exist is missing.
    MissingRow,
}

pub(super) type Result<T> = std::result::Result<T, SqlError>;

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            // The detail of the error is omitted, since it contains values of rows.
            Self::Postgres(error) => match error.as_db_error() {
                Some(error) => write!(
                    f,
                    "{}: {} ({})",
                    error.severity(),
                    error.message(),
                    error.code().code()
                ),
                None => error.fmt(f),
            },
            Self::Backoff(reason) => {
                f.write_str("could not connect to the database a moment ago")?;
                reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::Resolve(_) => f.write_str("could not resolve the name of the database's host"),
            Self::ReadOnly => f.write_str("no server of the database accepts writes"),
            Self::NoResponse => f.write_str("the database did not respond in time"),
            Self::Stopped => f.write_str("the gateway is shutting down"),
            Self::Config(reason) => f.write_str(reason),
            Self::IgnoredFailure => f.write_str("an earlier statement of the transaction failed"),
            Self::Damaged(column, reason) => write!(f, "column {column} of a row is {reason}"),
            Self::MissingRow => f.write_str("a row is missing"),
        }
    }
}

impl std::error::Error for SqlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Postgres(error) if error.as_db_error().is_none() => {
                std::error::Error::source(error)
            }
            Self::Sqlite(error) => Some(error),
            Self::Resolve(error) => Some(error),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for SqlError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The error for a column that has an unexpected value. `reason` follows "column 3 of a row is".
pub(super) fn damaged(column: usize, reason: &'static str) -> SqlError {
    SqlError::Damaged(column, reason)
}

/// Commits if a compare-and-set succeeded, and rolls back otherwise.
pub(super) fn commit_if(succeeded: bool) -> TransactionEnd {
    if succeeded {
        TransactionEnd::Commit
    } else {
        TransactionEnd::RollBack
    }
}

/// A row. Columns are counted from 0.
pub(super) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

/// A type that both databases can read from a column.
pub(super) trait Column:
    rusqlite::types::FromSql + for<'a> tokio_postgres::types::FromSql<'a>
{
}
impl Column for i64 {}
impl Column for String {}
impl Column for Vec<u8> {}

impl Row<'_> {
    /// Returns `None` for NULL.
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
            .map(|milliseconds| time(column, milliseconds))
            .transpose()
    }

    /// A text that is stored as [`UuidForm::to_bytes`]. Returns `None` for NULL.
    pub fn optional_uuid(&self, column: usize, form: UuidForm) -> Result<Option<String>> {
        let bytes: Option<Vec<u8>> = self.optional(column)?;
        let text = bytes.map(|bytes| form.from_bytes(&bytes)).transpose();
        text.map_err(|_| damaged(column, "neither a UUID nor UTF-8"))
    }

    pub fn uuid(&self, column: usize, form: UuidForm) -> Result<String> {
        let text = self.optional_uuid(column, form)?;
        text.ok_or(damaged(column, "NULL"))
    }

    pub fn sha256_bytes(&self, column: usize) -> Result<[u8; 32]> {
        sha256_bytes(column, self.get(column)?)
    }

    pub fn optional_sha256(&self, column: usize) -> Result<Option<Sha256>> {
        Ok(self
            .optional(column)?
            .map(|bytes| sha256_bytes(column, bytes))
            .transpose()?
            .map(Sha256::new))
    }
}

fn time(column: usize, milliseconds: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| damaged(column, "not a time"))
}

fn sha256_bytes(column: usize, bytes: Vec<u8>) -> Result<[u8; 32]> {
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

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

/// Integers of both databases are signed. The gateway's counts stay far below the maximum.
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

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'a> From<Option<&'a [u8]>> for Value<'a> {
    fn from(value: Option<&'a [u8]>) -> Self {
        Self::Bytes(value)
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
