//! The journal's tables, and the steps that lead an older file to them.
//!
//! Border: structure only. A step, once released, is never edited; `user_version` counts the steps taken.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Kind, Result};

/// "upld" in ASCII: tells a journal from any other SQLite file.
pub const APPLICATION_ID: i32 = 0x7570_6c64;

const STEPS: &[&str] = &["
    CREATE TABLE upload (
        row          INTEGER PRIMARY KEY,
        idem         TEXT NOT NULL UNIQUE,
        holder       TEXT NOT NULL,
        backend      TEXT NOT NULL,
        instance_id  TEXT NOT NULL,
        id           TEXT,
        path         BLOB NOT NULL,
        name         TEXT NOT NULL,
        content_type TEXT NOT NULL,
        metadata     TEXT NOT NULL,
        dev          INTEGER NOT NULL,
        ino          INTEGER NOT NULL,
        size         INTEGER NOT NULL,
        mtime_ns     INTEGER NOT NULL,
        ctime_ns     INTEGER NOT NULL,
        part_size    INTEGER NOT NULL,
        state        TEXT NOT NULL,
        receipt      TEXT,
        created_at   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX upload_id ON upload (id);
    CREATE INDEX upload_path ON upload (path);
    CREATE INDEX upload_inode ON upload (dev, ino);

    CREATE TABLE part (
        upload INTEGER NOT NULL REFERENCES upload (row) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        sha256 BLOB NOT NULL,
        etag   TEXT,
        PRIMARY KEY (upload, number)
    ) STRICT, WITHOUT ROWID;
"];

/// Refuses a file that is not a journal, or a newer one.
///
/// # Errors
/// [`Kind::NoJournal`] for another kind of file (an empty one among them: SQLite would take it for a new database, and
/// what it once held would be lost in silence), [`Kind::Config`] for a newer journal.
pub fn check(db: &Connection) -> Result<()> {
    let number = |pragma: &str| {
        db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(|error| Error::new(Kind::NoJournal, "could not read the journal").because(error))
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application != i64::from(APPLICATION_ID) {
        return Err(Error::new(Kind::NoJournal, "the journal is damaged or not a journal")
            .hinting("move it away; a new one is made, and files that were uploading are sent again"));
    }
    if !usize::try_from(version).is_ok_and(|taken| taken <= STEPS.len()) {
        return Err(Error::new(Kind::Config, "a newer version of upload wrote the journal")
            .hinting("use that version, or name another journal with --journal FILE"));
    }
    Ok(())
}

/// Takes the steps that are still to be taken, each in a transaction of its own.
///
/// # Errors
/// [`Kind::NoJournal`] when the file cannot be written.
pub fn step(db: &mut Connection) -> Result<()> {
    let mut steps = || {
        loop {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let taken: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            let Some(sql) = STEPS.get(taken as usize) else { return Ok(()) };
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", taken + 1)?;
            transaction.commit()?;
        }
    };
    steps().map_err(|error: rusqlite::Error| Error::new(Kind::NoJournal, "could not set up the journal").because(error))
}
