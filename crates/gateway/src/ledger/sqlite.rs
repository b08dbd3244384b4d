//! Opening a ledger in a SQLite file.
//!
//! Not here: the tables (`schema`) and the thread that runs operations (`upload_sqlite::Writer`).

use std::path::Path;

use rusqlite::Connection;
use uuid::Uuid;

use super::schema::SQLITE;
use upload_types::error::{Error, Kind, Result};

/// Opens the file, or creates it. Returns the connection and the ledger's instance id, which is
/// chosen once.
///
/// # Errors
/// As [`upload_sqlite::open`]; [`Kind::DatabaseUnusable`] for a directory that other users control.
pub(super) fn open(path: &Path) -> Result<(Connection, String)> {
    check_place(path)?;
    let path = &upload_sqlite::prepare_path(path, &SQLITE)?;
    // Another user may have created the directory in the meantime.
    check_place(path)?;
    let connection = upload_sqlite::open(path, &SQLITE)?;
    let insert =
        "INSERT INTO instance (instance_id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM instance)";
    let instance_id = connection
        .execute(insert, [Uuid::new_v4().to_string()])
        .and_then(|_| {
            connection.query_row("SELECT instance_id FROM instance", [], |row| row.get(0))
        })
        .map_err(|error| {
            let text = format!("could not read the ledger {}", path.display());
            Error::new(Kind::DatabaseUnusable, text)
                .with_hint(SQLITE.hint)
                .with_source(error)
        })?;
    Ok((connection, instance_id))
}

/// The pages of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) pages: u64,
    pub(super) free_pages: u64,
    pub(super) page_bytes: u64,
}

pub(super) fn space(connection: &Connection) -> rusqlite::Result<Space> {
    let number = |name| -> rusqlite::Result<u64> {
        let value: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
        Ok(u64::try_from(value).unwrap_or(0))
    };
    Ok(Space {
        pages: number("page_count")?,
        free_pages: number("freelist_count")?,
        page_bytes: number("page_size")?,
    })
}

/// Releases at most `max` free pages.
pub(super) fn release_pages(connection: &Connection, max: u64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({max})"))?;
    let mut rows = statement.query([])?;
    // Each step releases a page.
    while rows.next()?.is_some() {}
    Ok(())
}

/// Writes the log into the file and empties it, if no other process prevents that.
pub(super) fn checkpoint(path: &Path) -> Result<()> {
    let (connection, _) = open(path)?;
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .map_err(|error| {
            let text = format!("could not write to the ledger {}", path.display());
            Error::new(Kind::Io, text).with_source(error)
        })
}

fn check_place(ledger: &Path) -> Result<()> {
    let hint = "create a directory with `mkdir -m 700 DIR`, and name a ledger in it: \
                --ledger sqlite:DIR/gateway.db";
    upload_sqlite::check_directory(upload_sqlite::directory_of(ledger), "the ledger", hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_id_survives_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let (connection, first) = open(&path).unwrap();
        drop(connection);
        assert_eq!(open(&path).unwrap().1, first);
    }
}
