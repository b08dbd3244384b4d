//! A SQLite file of ours: made whole, known by its application id, brought up to date, durable.
//!
//! Border: what happens before the first row is read; the rows are their owner's (`journal`, `gateway/ledger`, the embedded
//! store). A schema step, once released, is never edited; `user_version` counts the steps taken.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::{Error, Kind, Result};

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
        Error::new(Kind::NoJournal, format!("could not open the {} {}", self.what, path.display())).hinting(self.hint)
    }
}

/// Makes the directory (0700) and gives the file's path in it, free of links but for the file itself: SQLite is told to
/// follow none, and those above the file are the user's.
///
/// # Errors
/// [`Kind::NoJournal`] when there is no such place.
pub fn place(path: &Path, spec: &Spec) -> Result<PathBuf> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    let directory = made.and_then(|()| directory.canonicalize());
    let directory = directory.map_err(|error| spec.cannot_open(path).because(error))?;
    path.file_name().map(|name| directory.join(name)).ok_or_else(|| spec.cannot_open(path))
}

/// Opens the file, making it (0600, in a directory of 0700) when there is none. Commits are synced (`synchronous = FULL`,
/// write-ahead log), foreign keys hold, another process's write is waited for.
///
/// # Errors
/// [`Kind::NoJournal`] when it cannot be created, opened or trusted: another kind of file, damaged, emptied, or on a file
/// system without a write-ahead log. [`Kind::Config`] when a newer version wrote it.
pub fn open(path: &Path, spec: &Spec) -> Result<Connection> {
    if rusqlite::version_number() < OLDEST {
        let what = format!("SQLite {} can lose what a {} was promised", rusqlite::version(), spec.what);
        return Err(Error::new(Kind::NoJournal, what).hinting("use a build with SQLite 3.51.3 or newer"));
    }
    let path = place(path, spec)?;
    if path.symlink_metadata().is_err() {
        make(&path, spec)?;
    }
    let failed = |error: rusqlite::Error| spec.cannot_open(&path).because(error);
    let mut connection = connect(&path).map_err(failed)?;
    // SQLite takes an empty file for a new database; what it once held would be lost in silence.
    if pragma(&connection, "application_id").map_err(failed)? != i64::from(spec.application_id) {
        let what = format!("{} is damaged or not a {}", path.display(), spec.what);
        return Err(
            Error::new(Kind::NoJournal, what).hinting(format!("move it away to begin a new one; {}", spec.hint))
        );
    }
    let version = pragma(&connection, "user_version").map_err(failed)?;
    if !usize::try_from(version).is_ok_and(|taken| taken <= spec.steps.len()) {
        let what = format!("a newer version of this program wrote the {} {}", spec.what, path.display());
        return Err(Error::new(Kind::Config, what).hinting(format!("use that version; or {}", spec.hint)));
    }
    // The switch does not fail where it is impossible: only the answer tells.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    let level = pragma(&connection, "synchronous").map_err(failed)?;
    if mode != "wal" || level != 2 {
        let what = format!("SQLite will not be durable here (journal {mode}, synchronous {level})");
        return Err(spec.cannot_open(&path).because(what));
    }
    step_up(&mut connection, spec).map_err(failed)?;
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
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
    transaction.pragma_update(None, "application_id", spec.application_id)?;
    transaction.pragma_update(None, "user_version", i64::try_from(spec.steps.len()).unwrap_or(i64::MAX))?;
    transaction.commit()
}

/// Makes a whole file under another name and links it into place: a crash leaves no empty file, which would be taken for a
/// damaged one. SQLite gives its side files the same mode.
fn make(path: &Path, spec: &Spec) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".new-{}", uuid::Uuid::new_v4().simple()));
    let draft = PathBuf::from(draft);
    let failed = |error: io::Error| spec.cannot_open(path).because(error);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
    let filled = connect(&draft).and_then(|mut connection| {
        step_up(&mut connection, spec)?;
        connection.close().map_err(|(_, error)| error)
    });
    let filled = filled.map_err(|error| spec.cannot_open(path).because(error));
    let made = filled.and_then(|()| match std::fs::hard_link(&draft, path) {
        // Another process was quicker: its file is as good.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(failed),
    });
    let removed = std::fs::remove_file(&draft);
    made?;
    removed.map_err(failed)?;
    // SQLite ignores errors when it syncs a directory, and a file nobody finds again is none.
    path.parent().map_or(Ok(()), |directory| File::open(directory).and_then(|open| open.sync_all())).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const DAY: &str = "CREATE TABLE day (n INTEGER) STRICT";
    const MOOD: &str = "ALTER TABLE day ADD COLUMN mood TEXT";
    const SPEC: Spec = Spec { what: "diary", application_id: 7, steps: &[DAY], hint: "write less" };

    #[test]
    fn a_file_is_private_and_leaves_no_draft() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("new/diary.db");
        open(&path, &SPEC).unwrap().execute("INSERT INTO day VALUES (1)", []).unwrap();
        let connection = open(&path, &SPEC).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&place.path().join("new/diary.db-wal")), 0o600);
        assert_eq!(connection.query_row("SELECT n FROM day", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        let names = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| name.to_string_lossy().contains(".new-")).count(), 0);
    }

    #[test]
    fn a_file_of_another_kind_is_refused_and_left_alone() {
        let place = tempfile::tempdir().unwrap();
        for (name, bytes) in [("empty", String::new()), ("text", "dear diary, today I uploaded a file. ".repeat(40))] {
            let path = place.path().join(name);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(open(&path, &SPEC).unwrap_err().kind(), Kind::NoJournal, "{name}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bytes);
        }
        let path = place.path().join("other.db");
        drop(open(&path, &Spec { application_id: 8, ..SPEC }).unwrap());
        assert_eq!(open(&path, &SPEC).unwrap_err().kind(), Kind::NoJournal);
    }

    #[test]
    fn an_older_file_is_brought_up_to_date_and_a_newer_one_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("diary.db");
        drop(open(&path, &SPEC).unwrap());

        let newer = Spec { steps: &[DAY, MOOD], ..SPEC };
        open(&path, &newer).unwrap().execute("INSERT INTO day VALUES (1, 'good')", []).unwrap();
        assert_eq!(open(&path, &SPEC).unwrap_err().kind(), Kind::Config);
    }
}
