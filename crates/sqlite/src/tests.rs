//! Tests of files as a whole: created, opened, checked and migrated.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::*;
use crate::atomic_create::{Locking, TempFile, sibling};
use crate::create::create;
use crate::journal_mode::JournalMode;
use crate::open::open_with_mode;
use upload_types::error::Kind;

const DAY: &str = "CREATE TABLE day (n INTEGER) STRICT";
const MOOD: &str = "ALTER TABLE day ADD COLUMN mood TEXT";
const SCHEMA: Schema = Schema {
    name: "diary",
    application_id: 7,
    migrations: &[DAY],
    unreleased_versions: 0,
    incremental_vacuum: false,
    hint: "write less",
};

#[test]
fn file_is_private_and_leaves_no_temp_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/diary.db");
    open(&path, &SCHEMA)
        .unwrap()
        .execute("INSERT INTO day VALUES (1)", [])
        .unwrap();
    let connection = open(&path, &SCHEMA).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(mode(&dir.path().join("new/diary.db-wal")), 0o600);
    assert_eq!(
        connection
            .query_row("SELECT n FROM day", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        1
    );
    let names = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert_eq!(
        names
            .filter(|name| name.to_string_lossy().contains(".new-"))
            .count(),
        0
    );
}

#[test]
fn removed_file_is_restored_at_a_path_that_is_not_utf_8() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("diary.db");
    let connection = open(&path, &SCHEMA).unwrap();
    connection
        .execute("INSERT INTO day VALUES (1)", [])
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    restore(&connection, &path, &SCHEMA).unwrap();
    let restored = open(&path, &SCHEMA).unwrap();
    let rows = restored.query_row("SELECT count(*) FROM day", [], |row| row.get::<_, i64>(0));
    assert_eq!(rows.unwrap(), 1);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// If two connections switch a file to WAL at once, SQLite fails one of them as busy, without
/// waiting.
#[test]
fn new_file_is_in_wal_mode_before_it_is_linked() {
    let dir = tempfile::tempdir().unwrap();
    for (mode, expected) in [
        (JournalMode::Wal, "wal"),
        (JournalMode::Exclusive, "delete"),
    ] {
        let path = dir.path().join(expected);
        create(&path, &SCHEMA, mode).unwrap();
        let connection = Connection::open(&path).unwrap();
        let journal_mode = connection
            .query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))
            .unwrap();
        assert_eq!(journal_mode, expected, "{mode:?}");
    }
}

#[test]
fn free_pages_are_released_in_steps_if_the_schema_requests_it() {
    let dir = tempfile::tempdir().unwrap();
    for (name, incremental_vacuum, expected) in [("without", false, 0), ("with", true, 2)] {
        let schema = Schema {
            incremental_vacuum,
            ..SCHEMA
        };
        let connection = open(&dir.path().join(name), &schema).unwrap();
        // 2 means INCREMENTAL.
        let found = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get::<_, i64>(0));
        assert_eq!(found.unwrap(), expected, "{name}");
    }
}

#[test]
fn statement_is_prepared_once_for_all_limits() {
    let dir = tempfile::tempdir().unwrap();
    let connection = open(&dir.path().join("diary.db"), &SCHEMA).unwrap();
    let mut statement = connection
        .prepare("SELECT n FROM day WHERE n > ?1 ORDER BY n LIMIT ?2")
        .unwrap();
    for limit in 1..10 {
        assert!(
            statement
                .query_map([0, limit], |row| row.get::<_, i64>(0))
                .unwrap()
                .all(|n| n.is_ok())
        );
    }
    assert_eq!(
        statement.get_status(rusqlite::StatementStatus::RePrepare),
        0
    );
}

/// The processes died before their temporary file was complete, and just after it was linked into
/// place.
#[test]
fn temp_files_of_dead_processes_are_removed_and_of_live_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("diary.db");
    let dead = |n: u32| sibling(&path, &format!(".new-{n:032x}"));
    let journal = sibling(&dead(1), "-journal");
    let unrelated = [
        sibling(&path, ".new-year"),
        dir.path()
            .join("other.db.new-00000000000000000000000000000001"),
    ];
    for file in [
        &dead(1),
        &journal,
        &sibling(&dead(2), "-wal"),
        &unrelated[0],
        &unrelated[1],
    ] {
        std::fs::write(file, "half").unwrap();
    }
    let live = TempFile::new(&path, Locking::Locked).unwrap();
    drop(open(&path, &SCHEMA).unwrap());
    for file in [dead(1), journal, sibling(&dead(2), "-wal")] {
        assert!(!file.exists(), "{} still exists", file.display());
    }
    for file in [live.path(), &unrelated[0], &unrelated[1]] {
        assert!(file.exists(), "{} was removed", file.display());
    }

    std::fs::hard_link(&path, dead(3)).unwrap();
    let connection = open(&path, &SCHEMA).unwrap();
    assert!(!dead(3).exists() && live.path().exists());
    connection
        .execute("INSERT INTO day VALUES (1)", [])
        .unwrap();
}

#[test]
fn file_of_another_kind_is_rejected_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("empty", String::new()),
        ("text", "dear diary, today I uploaded a file. ".repeat(40)),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(
            open(&path, &SCHEMA).unwrap_err().kind(),
            Kind::DatabaseUnusable,
            "{name}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), bytes);
    }
    let path = dir.path().join("other.db");
    let other = Schema {
        application_id: 8,
        ..SCHEMA
    };
    drop(open(&path, &other).unwrap());
    assert_eq!(
        open(&path, &SCHEMA).unwrap_err().kind(),
        Kind::DatabaseUnusable
    );
}

#[test]
fn older_file_is_migrated_and_newer_file_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("diary.db");
    drop(open(&path, &SCHEMA).unwrap());

    let newer = Schema {
        migrations: &[DAY, MOOD],
        ..SCHEMA
    };
    open(&path, &newer)
        .unwrap()
        .execute("INSERT INTO day VALUES (1, 'good')", [])
        .unwrap();
    assert_eq!(open(&path, &SCHEMA).unwrap_err().kind(), Kind::Config);
}

#[test]
fn file_of_a_build_before_the_first_release_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("diary.db");
    let preview = Schema {
        migrations: &[DAY, MOOD],
        ..SCHEMA
    };
    drop(open(&path, &preview).unwrap());
    let released = Schema {
        unreleased_versions: 2,
        ..SCHEMA
    };
    let before = std::fs::read(&path).unwrap();
    let error = open(&path, &released).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("before the first release"));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    // A new file is none of theirs, and it is migrated like any other.
    let path = dir.path().join("new.db");
    drop(open(&path, &released).unwrap());
    let next = Schema {
        migrations: &[DAY, MOOD],
        ..released
    };
    for _ in 0..2 {
        let connection = open(&path, &next).unwrap();
        let version = crate::migrate::int_pragma(&connection, "user_version");
        assert_eq!(version.unwrap(), 4);
        drop(connection);
    }
    assert_eq!(open(&path, &released).unwrap_err().kind(), Kind::Config);
}

#[test]
fn exclusive_mode_admits_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("diary.db");
    let shared = open_with_mode(&path, &SCHEMA, JournalMode::Wal).unwrap();
    shared.execute("INSERT INTO day VALUES (1)", []).unwrap();
    // As after a kill: the log still exists, and must be readable without shared memory.
    let log = std::fs::read(sibling(&path, "-wal")).unwrap();
    shared
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    drop(shared);
    std::fs::remove_file(sibling(&path, "-shm")).unwrap();
    assert_eq!(std::fs::read(sibling(&path, "-wal")).unwrap(), log);

    let exclusive = open_with_mode(&path, &SCHEMA, JournalMode::Exclusive).unwrap();
    exclusive.execute("INSERT INTO day VALUES (2)", []).unwrap();
    assert!(!sibling(&path, "-wal").exists() && !sibling(&path, "-shm").exists());
    let other = Connection::open(&path).unwrap();
    other.busy_timeout(Duration::ZERO).unwrap();
    let busy = other.execute("INSERT INTO day VALUES (3)", []).unwrap_err();
    assert_eq!(busy.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    drop(exclusive);
    let exclusive = open_with_mode(&path, &SCHEMA, JournalMode::Exclusive).unwrap();
    assert_eq!(
        exclusive
            .query_row("SELECT count(*) FROM day", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        2
    );
    drop(exclusive);
    open_with_mode(&path, &SCHEMA, JournalMode::Wal).unwrap();
}
