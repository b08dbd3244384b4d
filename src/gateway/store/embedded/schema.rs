//! The manifest's database: whose it is, which schema it has, and that it is durable.
//!
//! Border: what happens to a connection before the first row is read.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::failure::Failure;

/// `upst`, in the file's header: what tells our databases from others.
const APPLICATION_ID: i32 = 0x7570_7374;

/// Step n leads from `user_version` n to n + 1. Steps are never changed, only added.
const STEPS: &[&str] = &["
    create table upload(
        id text primary key, key text not null, demands_checksum integer not null, attributes text not null,
        created integer not null
    ) strict, without rowid;
    create index upload_by_key on upload(key, id);

    -- Of an open upload or, under the same id, of the object it became.
    create table part(
        upload text not null, number integer not null, file text not null, size integer not null,
        fingerprint blob not null, created integer not null, primary key(upload, number)
    ) strict, without rowid;

    create table object(
        key text primary key, upload text not null, size integer not null, etag text not null, checksum text,
        attributes text not null, created integer not null
    ) strict, without rowid;
"];

/// The oldest `SQLite` without the bug that can lose a reset WAL.
const SQLITE: i32 = 3_051_003;

/// Opens the database, which must be there, if need be empty.
///
/// # Errors
/// [`Failure::Broken`] for a database that is not ours, is newer than we are, or cannot be made safe.
pub fn open(path: &Path) -> Result<Connection, Failure> {
    if rusqlite::version_number() < SQLITE {
        let version = rusqlite::version();
        return Err(Failure::broken(format!("SQLite {version} may lose what it was given; 3.51.3 is needed")));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = Connection::open_with_flags(path, flags)?;
    prepare(&mut connection)?;
    Ok(connection)
}

/// Checks whose database it is, makes it durable, and brings its schema up to date.
fn prepare(connection: &mut Connection) -> Result<(), Failure> {
    connection.busy_timeout(Duration::from_secs(5))?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let tables: i64 = connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && pragma("application_id")? != APPLICATION_ID {
        return Err(Failure::broken("it is not a store's manifest"));
    }
    let version = pragma("user_version")?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(steps) = STEPS.get(done..) else {
        return Err(Failure::broken(format!("it was written by a newer version (schema {version})")));
    };
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    let synchronous: i32 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if (mode.as_str(), synchronous) != ("wal", 2) {
        return Err(Failure::broken(format!(
            "SQLite will not be durable here (journal {mode}, synchronous {synchronous})"
        )));
    }
    for (step, sql) in (version + 1..).zip(steps) {
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(sql)?;
        change.pragma_update(None, "application_id", APPLICATION_ID)?;
        change.pragma_update(None, "user_version", step)?;
        change.commit()?;
    }
    Ok(())
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::broken(error)
    }
}
