//! A SQLite file of ours: made whole, known by its application id, brought up to date, durable.
//!
//! Border: what happens before the first row is read; the rows are their owner's (`journal`, `gateway/ledger`, the embedded
//! store). A schema step, once released, is never edited; `user_version` counts the steps taken.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use draft::{Draft, beside};
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

pub mod commits;
mod draft;

/// The first SQLite without the WAL-reset bug, as `sqlite3_libversion_number` counts.
const OLDEST: i32 = 3_051_003;

/// What kind of file it is.
#[derive(Debug)]
pub struct Spec {
    /// For people: "journal", "ledger".
    pub what: &'static str,
    /// In the file's header: a file without it is another kind of file, whatever its name.
    pub application_id: i32,
    /// Step n leads from `user_version` n to n + 1.
    pub steps: &'static [&'static str],
    /// What to do about one that cannot be opened.
    pub hint: &'static str,
}

impl Spec {
    fn cannot_open(&self, path: &Path) -> Error {
        Error::new(
            Kind::DatabaseUnusable,
            format!("could not open the {} {}", self.what, path.display()),
        )
        .with_hint(self.hint)
    }
}

/// Which file a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    dev: u64,
    ino: u64,
}

impl Place {
    /// None where there is none.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|found| Self {
            dev: found.dev(),
            ino: found.ino(),
        })
    }
}

/// How transactions are kept apart and made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// By a write-ahead log, whose index all processes share as memory.
    Shared,
    /// By a rollback journal, and for one process at a time: where memory cannot be shared, as on a network file system.
    Alone,
}

impl Mode {
    /// What a file system takes, known by its number (`statfs`, Linux).
    fn on(file_system: u64) -> Self {
        // NFS, SMB (three of them), AFS, Coda, NCP, 9P, Ceph, Lustre, GPFS, GFS2, OCFS2, FUSE, VirtualBox and VMware folders.
        const NETWORK: [u64; 17] = [
            0x6969,
            0x517B,
            0xFF53_4D42,
            0xFE53_4D42,
            0x5346_414F,
            0x7375_7245,
            0x564C,
            0x0102_1997,
            0x00C3_6400,
            0x0BD0_0BD0,
            0x4750_4653,
            0x0116_1970,
            0x7461_636F,
            0x6573_5546,
            0x786F_4256,
            0xBACB_ACBC,
            0x6B41_4653,
        ];
        if NETWORK.contains(&file_system) {
            Self::Alone
        } else {
            Self::Shared
        }
    }

    #[cfg(target_os = "linux")]
    fn at(path: &Path) -> Self {
        // 32 bits, in a type that has another size and a sign here and there.
        let number =
            |found: rustix::fs::StatFs| u64::try_from(i128::from(found.f_type) & 0xFFFF_FFFF).ok();
        rustix::fs::statfs(path)
            .ok()
            .and_then(number)
            .map_or(Self::Shared, Self::on)
    }

    #[cfg(not(target_os = "linux"))]
    fn at(_path: &Path) -> Self {
        Self::Shared
    }
}

/// Makes the directory (0700) and gives the file's path in it, free of links but for the file itself: SQLite is told to
/// follow none, and those above the file are the user's.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] when there is no such place.
pub fn place(path: &Path, spec: &Spec) -> Result<PathBuf> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    let directory = made.and_then(|()| directory.canonicalize());
    let directory = directory.map_err(|error| spec.cannot_open(path).with_source(error))?;
    path.file_name()
        .map(|name| directory.join(name))
        .ok_or_else(|| spec.cannot_open(path))
}

/// Opens the file, making it (0600, in a directory of 0700) when there is none. Commits are synced (`synchronous = FULL`), foreign
/// keys hold, another process's write is waited for. On a network file system one process at a time has it.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] when it cannot be created, opened or trusted: another kind of file, damaged, or emptied.
/// [`Kind::Config`] when a newer version wrote it, [`Kind::Busy`] when another process keeps it.
pub fn open(path: &Path, spec: &Spec) -> Result<Connection> {
    if rusqlite::version_number() < OLDEST {
        let what = format!(
            "SQLite {} can lose what a {} was promised",
            rusqlite::version(),
            spec.what
        );
        return Err(Error::new(Kind::DatabaseUnusable, what)
            .with_hint("use a build with SQLite 3.51.3 or newer"));
    }
    let path = place(path, spec)?;
    let mode = Mode::at(path.parent().unwrap_or(&path));
    open_in(&path, spec, mode)
}

fn open_in(path: &Path, spec: &Spec, mode: Mode) -> Result<Connection> {
    match path.symlink_metadata() {
        Err(_) => make(path, spec, mode)?,
        // A draft that was linked into this place, by a process that died then.
        Ok(found) if found.nlink() > 1 => draft::clear(path, mode == Mode::Shared),
        Ok(_) => {}
    }
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let what = format!("another process uses the {} {}", spec.what, path.display());
            Error::new(Kind::Busy, what).with_source(error)
        }
        _ => spec.cannot_open(path).with_source(error),
    };
    let mut connection = connect(path).map_err(failed)?;
    if mode == Mode::Alone {
        // Before the first look at the file: what is locked for good needs no shared memory, not even to be read.
        connection
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE")
            .map_err(failed)?;
    }
    // SQLite takes an empty file for a new database; what it once held would be lost in silence.
    if pragma(&connection, "application_id").map_err(failed)? != i64::from(spec.application_id) {
        let what = format!("{} is damaged or not a {}", path.display(), spec.what);
        return Err(Error::new(Kind::DatabaseUnusable, what)
            .with_hint(format!("move it away to begin a new one; {}", spec.hint)));
    }
    let version = pragma(&connection, "user_version").map_err(failed)?;
    if !usize::try_from(version).is_ok_and(|taken| taken <= spec.steps.len()) {
        let what = format!(
            "a newer version of this program wrote the {} {}",
            spec.what,
            path.display()
        );
        return Err(
            Error::new(Kind::Config, what).with_hint(format!("use that version; or {}", spec.hint))
        );
    }
    // The switch does not fail where it is impossible: only the answer tells.
    let wanted = if mode == Mode::Shared {
        "wal"
    } else {
        "truncate"
    };
    let is: String = connection
        .query_row(&format!("PRAGMA journal_mode = {wanted}"), [], |row| {
            row.get(0)
        })
        .map_err(failed)?;
    let level = pragma(&connection, "synchronous").map_err(failed)?;
    if is != wanted || level != 2 {
        let what = format!("SQLite will not be durable here (journal {is}, synchronous {level})");
        return Err(spec.cannot_open(path).with_source(what));
    }
    step_up(&mut connection, spec).map_err(failed)?;
    Ok(connection)
}

/// Puts a file that was removed while this connection was open back into its place, with all that the connection knows. The
/// connection stays with what was removed.
///
/// # Errors
/// [`Kind::Io`] when it cannot be written, or another has taken its place meanwhile.
pub fn put_back(connection: &Connection, path: &Path, spec: &Spec) -> Result<()> {
    let path = place(path, spec)?;
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(
            Kind::Io,
            format!("could not put the {} {} back", spec.what, path.display()),
        )
        .with_source(error)
    };
    let shared = Mode::at(path.parent().unwrap_or(&path)) == Mode::Shared;
    let draft = Draft::new(&path, shared).map_err(|error| failed(error.into()))?;
    connection
        .execute("VACUUM INTO ?1", [draft.path().to_string_lossy()])
        .map_err(|error| failed(error.into()))?;
    // SQLite does not sync a copy.
    File::open(draft.path())
        .and_then(|file| file.sync_all())
        .map_err(|error| failed(error.into()))?;
    // A log that was left behind is of the file that is gone.
    for side in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(beside(&path, side));
    }
    std::fs::hard_link(draft.path(), &path).map_err(|error| failed(error.into()))?;
    drop(draft);
    sync_directory(&path).map_err(|error| failed(error.into()))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    // Else a statement is prepared anew each time its LIMIT is bound ("query planner stability guarantee").
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Takes the steps that are still to be taken, all or none.
fn step_up(connection: &mut Connection, spec: &Spec) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let taken = usize::try_from(pragma(&transaction, "user_version")?).unwrap_or(usize::MAX);
    let steps = spec.steps.get(taken..).unwrap_or_default();
    if steps.is_empty() {
        return Ok(());
    }
    for step in steps {
        transaction.execute_batch(step)?;
    }
    crash::point("sqlite.stepping");
    transaction.pragma_update(None, "application_id", spec.application_id)?;
    transaction.pragma_update(
        None,
        "user_version",
        i64::try_from(spec.steps.len()).unwrap_or(i64::MAX),
    )?;
    transaction.commit()
}

/// Makes a whole file under another name and links it into place: a crash leaves no empty file, which would be taken for a
/// damaged one. SQLite gives its side files the same mode.
fn make(path: &Path, spec: &Spec, mode: Mode) -> Result<()> {
    let failed = |error: io::Error| spec.cannot_open(path).with_source(error);
    draft::clear(path, mode == Mode::Shared);
    let draft = Draft::new(path, mode == Mode::Shared).map_err(failed)?;
    crash::point("sqlite.make.begun");
    let filled = connect(draft.path()).and_then(|mut connection| {
        step_up(&mut connection, spec)?;
        if mode == Mode::Shared {
            // Not left to those who open it: of two who switch it at the same moment, one is told at once that it is busy.
            connection.query_row("PRAGMA journal_mode = wal", [], |_| Ok(()))?;
        }
        connection.close().map_err(|(_, error)| error)
    });
    filled.map_err(|error| spec.cannot_open(path).with_source(error))?;
    crash::point("sqlite.make.filled");
    match std::fs::hard_link(draft.path(), path) {
        // Another process was quicker: its file is as good.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        linked => linked.map_err(failed)?,
    }
    crash::point("sqlite.make.linked");
    drop(draft);
    crash::point("sqlite.make.removed");
    // SQLite ignores errors when it syncs a directory, and a file nobody finds again is none.
    sync_directory(path).map_err(failed)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rusqlite::config::DbConfig;

    use super::*;

    const DAY: &str = "CREATE TABLE day (n INTEGER) STRICT";
    const MOOD: &str = "ALTER TABLE day ADD COLUMN mood TEXT";
    const SPEC: Spec = Spec {
        what: "diary",
        application_id: 7,
        steps: &[DAY],
        hint: "write less",
    };

    #[test]
    fn a_file_is_private_and_leaves_no_draft() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("new/diary.db");
        open(&path, &SPEC)
            .unwrap()
            .execute("INSERT INTO day VALUES (1)", [])
            .unwrap();
        let connection = open(&path, &SPEC).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&place.path().join("new/diary.db-wal")), 0o600);
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

    /// Of two who switch a file at the same moment, SQLite tells one that it is busy, without waiting.
    #[test]
    fn a_new_file_is_shared_before_anybody_sees_it() {
        let place = tempfile::tempdir().unwrap();
        for (mode, is) in [(Mode::Shared, "wal"), (Mode::Alone, "delete")] {
            let path = place.path().join(is);
            make(&path, &SPEC, mode).unwrap();
            let connection = Connection::open(&path).unwrap();
            let found = connection
                .query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))
                .unwrap();
            assert_eq!(found, is, "{mode:?}");
        }
    }

    #[test]
    fn a_statement_is_prepared_once_whatever_is_bound_to_it() {
        let place = tempfile::tempdir().unwrap();
        let connection = open(&place.path().join("diary.db"), &SPEC).unwrap();
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

    /// By processes that died: before their draft was whole, and just after it was linked into place.
    #[test]
    fn drafts_of_the_dead_are_removed_and_those_of_the_living_are_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("diary.db");
        let dead = |n: u32| beside(&path, &format!(".new-{n:032x}"));
        let log = beside(&dead(1), "-journal");
        let others = [
            beside(&path, ".new-year"),
            place
                .path()
                .join("other.db.new-00000000000000000000000000000001"),
        ];
        for left in [
            &dead(1),
            &log,
            &beside(&dead(2), "-wal"),
            &others[0],
            &others[1],
        ] {
            std::fs::write(left, "half").unwrap();
        }
        let alive = Draft::new(&path, true).unwrap();
        drop(open(&path, &SPEC).unwrap());
        let left = |path: &Path| path.exists();
        assert!(
            !left(&dead(1)) && !left(&log) && !left(&beside(&dead(2), "-wal")),
            "of the dead"
        );
        assert!(
            left(alive.path()) && left(&others[0]) && left(&others[1]),
            "of the living, and of others"
        );

        std::fs::hard_link(&path, dead(3)).unwrap();
        let connection = open(&path, &SPEC).unwrap();
        assert!(!left(&dead(3)) && left(alive.path()));
        connection
            .execute("INSERT INTO day VALUES (1)", [])
            .unwrap();
    }

    #[test]
    fn a_file_of_another_kind_is_refused_and_left_alone() {
        let place = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("empty", String::new()),
            ("text", "dear diary, today I uploaded a file. ".repeat(40)),
        ] {
            let path = place.path().join(name);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(
                open(&path, &SPEC).unwrap_err().kind(),
                Kind::DatabaseUnusable,
                "{name}"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bytes);
        }
        let path = place.path().join("other.db");
        drop(
            open(
                &path,
                &Spec {
                    application_id: 8,
                    ..SPEC
                },
            )
            .unwrap(),
        );
        assert_eq!(
            open(&path, &SPEC).unwrap_err().kind(),
            Kind::DatabaseUnusable
        );
    }

    #[test]
    fn an_older_file_is_brought_up_to_date_and_a_newer_one_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("diary.db");
        drop(open(&path, &SPEC).unwrap());

        let newer = Spec {
            steps: &[DAY, MOOD],
            ..SPEC
        };
        open(&path, &newer)
            .unwrap()
            .execute("INSERT INTO day VALUES (1, 'good')", [])
            .unwrap();
        assert_eq!(open(&path, &SPEC).unwrap_err().kind(), Kind::Config);
    }

    #[test]
    fn file_systems_on_a_network_are_known() {
        // As `statfs(2)` lists them: NFS, CIFS, SMB2, Lustre, GPFS; then ext4, XFS, btrfs, tmpfs, overlayfs, ZFS.
        for number in [0x6969, 0xFF53_4D42, 0xFE53_4D42, 0x0BD0_0BD0, 0x4750_4653] {
            assert_eq!(Mode::on(number), Mode::Alone, "{number:#x}");
        }
        for number in [
            0xEF53,
            0x5846_5342,
            0x9123_683E,
            0x0102_1994,
            0x794C_7630,
            0x2FC1_2FC1,
        ] {
            assert_eq!(Mode::on(number), Mode::Shared, "{number:#x}");
        }
    }

    #[test]
    fn where_memory_is_not_shared_one_process_has_the_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("diary.db");
        let shared = open_in(&path, &SPEC, Mode::Shared).unwrap();
        shared.execute("INSERT INTO day VALUES (1)", []).unwrap();
        // As by a process that was killed: the log stays behind, and is read without shared memory.
        let left = std::fs::read(beside(&path, "-wal")).unwrap();
        shared
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .unwrap();
        drop(shared);
        std::fs::remove_file(beside(&path, "-shm")).unwrap();
        assert_eq!(std::fs::read(beside(&path, "-wal")).unwrap(), left);

        let alone = open_in(&path, &SPEC, Mode::Alone).unwrap();
        alone.execute("INSERT INTO day VALUES (2)", []).unwrap();
        assert!(!beside(&path, "-wal").exists() && !beside(&path, "-shm").exists());
        let other = Connection::open(&path).unwrap();
        other.busy_timeout(Duration::ZERO).unwrap();
        let busy = other.execute("INSERT INTO day VALUES (3)", []).unwrap_err();
        assert_eq!(busy.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
        drop(alone);
        let alone = open_in(&path, &SPEC, Mode::Alone).unwrap();
        assert_eq!(
            alone
                .query_row("SELECT count(*) FROM day", [], |row| row.get::<_, i64>(0))
                .unwrap(),
            2
        );
        drop(alone);
        open_in(&path, &SPEC, Mode::Shared).unwrap();
    }
}
