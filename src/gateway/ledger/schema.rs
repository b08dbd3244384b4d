//! The SQLite file behind the ledger: how it is made, checked, opened and brought up to date.
//!
//! Border: tables and pragmas; what the rows mean is `uploads`, `parts` and `owners`.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};

/// "UPLG" in the file's header: a file without it is no ledger, whatever its name.
const APPLICATION_ID: i64 = 0x5550_4C47;
/// The first SQLite without the WAL-reset bug.
const SQLITE_MIN: i32 = 3_051_003;

/// One step for each version of the schema; a step that was released is never changed.
const STEPS: &[&str] = &["
    CREATE TABLE instance (instance_id TEXT NOT NULL) STRICT;
    CREATE TABLE owner (
        subject TEXT PRIMARY KEY,
        segment TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE token (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        hash BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        revoked_at INTEGER
    ) STRICT;
    CREATE TABLE upload (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL REFERENCES owner (segment),
        idempotency_key TEXT NOT NULL,
        digest BLOB NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        content_type TEXT NOT NULL,
        metadata TEXT NOT NULL,
        part_size INTEGER NOT NULL,
        part_count INTEGER NOT NULL,
        key TEXT NOT NULL UNIQUE,
        token TEXT NOT NULL,
        store_upload TEXT,
        state TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        holder TEXT,
        lease_until INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        receipt TEXT,
        UNIQUE (owner, idempotency_key)
    ) STRICT;
    CREATE INDEX upload_by_owner ON upload (owner, created_at);
    CREATE TABLE part (
        upload TEXT NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        size INTEGER NOT NULL,
        sha256 BLOB,
        etag TEXT,
        state TEXT NOT NULL,
        PRIMARY KEY (upload, number)
    ) STRICT, WITHOUT ROWID;
"];

/// Opens the ledger, making it when there is none; gives its instance id too.
pub fn open(path: &Path) -> Result<(Connection, String)> {
    if rusqlite::version_number() < SQLITE_MIN {
        let version = rusqlite::version();
        return Err(Error::new(Kind::Config, format!("SQLite {version} can lose commits; 3.51.3 or newer is needed")));
    }
    if !path.exists() {
        make(path)?;
    }
    let failed = |error| no_ledger(path).because(error);
    let mut connection = connect(path).map_err(failed)?;
    let application: i64 = pragma(&connection, "application_id").map_err(failed)?;
    if application != APPLICATION_ID {
        return Err(Error::new(Kind::NoJournal, format!("{} is not a ledger, or is damaged", path.display()))
            .hinting("restore it from a backup, or name another file"));
    }
    // The switch to WAL and the level of durability can fail without an error; only the answer tells.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    let level: i64 = pragma(&connection, "synchronous").map_err(failed)?;
    if mode != "wal" || level != 2 {
        return Err(no_ledger(path).hinting("its file system must support SQLite's write-ahead log: use a local disk"));
    }
    step_up(&mut connection, path)?;
    let instance_id = connection.query_row("SELECT instance_id FROM instance", [], |row| row.get(0)).map_err(failed)?;
    Ok((connection, instance_id))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    Ok(connection)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Brings an older ledger up to this version's schema; refuses a newer one.
fn step_up(connection: &mut Connection, path: &Path) -> Result<()> {
    let failed = |error| no_ledger(path).because(error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let version = usize::try_from(pragma(&transaction, "user_version").map_err(failed)?).unwrap_or(usize::MAX);
    if version > STEPS.len() {
        let path = path.display();
        return Err(Error::new(Kind::Config, format!("{path} was written by a newer version of this program"))
            .hinting("use that version, or name another ledger"));
    }
    for step in STEPS.get(version..).unwrap_or_default() {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(STEPS.len()).unwrap_or(i64::MAX)).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Makes a whole ledger under another name and then links it into place: a file that was cut to nothing must not pass for a
/// new ledger, so a new one is never seen half made.
fn make(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| no_ledger(path).because(error);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    make_directory(&directory).map_err(failed)?;
    let draft = directory.join(format!(".ledger-{}", Uuid::new_v4().simple()));
    create_private(&draft).map_err(failed)?;
    let made = fill(&draft).map_err(|error| no_ledger(path).because(error)).and_then(|()| {
        match fs::hard_link(&draft, path) {
            // Another process was quicker: its ledger is as good.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) if error.kind() == ErrorKind::Unsupported => fs::rename(&draft, path).map_err(failed),
            other => other.map_err(failed),
        }
    });
    // After a rename there is nothing left to remove.
    let _ = fs::remove_file(&draft);
    made?;
    File::open(&directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn fill(draft: &Path) -> rusqlite::Result<()> {
    let mut connection = connect(draft)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in STEPS {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(STEPS.len()).unwrap_or(i64::MAX))?;
    transaction.execute("INSERT INTO instance (instance_id) VALUES (?1)", [Uuid::new_v4().to_string()])?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

fn make_directory(directory: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn no_ledger(path: &Path) -> Error {
    Error::new(Kind::NoJournal, format!("could not open the ledger {}", path.display()))
        .hinting("name another place for the ledger with --ledger sqlite:FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_private_and_keeps_its_identity() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("new/ledger.db");
        let (connection, first) = open(&path).unwrap();
        drop(connection);
        let (_connection, second) = open(&path).unwrap();
        assert_eq!(first, second);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
            assert_eq!(mode(&place.path().join("new/ledger.db-wal")), 0o600);
        }
        let names = fs::read_dir(path.parent().unwrap()).unwrap();
        let drafts = names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".ledger"));
        assert_eq!(drafts.count(), 0);
    }

    #[test]
    fn what_is_no_ledger_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let empty = place.path().join("empty.db");
        File::create(&empty).unwrap();
        assert_eq!(open(&empty).unwrap_err().kind(), Kind::NoJournal);
        let text = place.path().join("text.db");
        fs::write(&text, "not a database at all, but long enough to look".repeat(40)).unwrap();
        assert_eq!(open(&text).unwrap_err().kind(), Kind::NoJournal);
    }

    #[test]
    fn a_newer_ledger_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ledger.db");
        let (connection, _) = open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        assert_eq!(open(&path).unwrap_err().kind(), Kind::Config);
    }
}
