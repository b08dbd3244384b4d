//! Process locks: one locked file for each process that drives uploads. Rows of uploads name it.
//! The kernel releases the lock when the process ends or is killed.
//!
//! Not here: processes on other machines, which the lease at the backend excludes.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

/// A file that is locked until this process ends.
#[derive(Debug)]
pub struct ProcessLock {
    _file: File,
    path: PathBuf,
    name: String,
}

impl ProcessLock {
    /// Creates a lock file beside the journal, and removes those of processes that have ended.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] if it cannot be created.
    pub fn acquire(journal: &Path) -> Result<Self> {
        let directory = directory(journal);
        let failed = |error: std::io::Error| {
            let what = format!("could not create a lock in {}", directory.display());
            Error::new(Kind::DatabaseUnusable, what)
                .with_source(error)
                .with_hint("name a journal on another file system with --journal FILE")
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(failed)?;
        remove_stale(&directory);
        loop {
            let name = uuid::Uuid::new_v4().simple().to_string();
            let path = directory.join(&name);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut file = options.open(&path).map_err(failed)?;
            crash::point("journal.process_lock.created");
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            crash::point("journal.process_lock.locked");
            // Between `open` and `try_lock`, another process may have removed the file as stale.
            let is_same = |at_path: Metadata, opened: Metadata| {
                (at_path.dev(), at_path.ino()) == (opened.dev(), opened.ino())
            };
            let is_at_path = fs::metadata(&path)
                .and_then(|at_path| Ok(is_same(at_path, file.metadata()?)))
                .unwrap_or(false);
            if is_at_path {
                write!(file, "{}", std::process::id()).map_err(failed)?;
                crash::point("journal.process_lock.written");
                return Ok(Self {
                    _file: file,
                    path,
                    name,
                });
            }
        }
    }

    /// The name that rows hold.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        // If the file stays, it is harmless: it is not locked.
        let _ = fs::remove_file(&self.path);
        crash::point("journal.process_lock.removed");
    }
}

/// The process id of the process that holds this lock. Returns `None` if it has ended.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] if the lock file cannot be read.
pub fn running_process(journal: &Path, name: &str) -> Result<Option<String>> {
    let path = directory(journal).join(name);
    let failed = |error: std::io::Error| {
        let what = format!("could not read {}", path.display());
        Error::new(Kind::DatabaseUnusable, what)
            .with_source(error)
            .with_hint("check the permissions of the files beside the journal")
    };
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
        Err(TryLockError::WouldBlock) => {
            let mut process_id = String::new();
            // Only for a message. The file may be empty, because a process writes its id after it
            // has taken the lock.
            let _ = file.take(20).read_to_string(&mut process_id);
            Ok(Some(process_id.trim().to_owned()))
        }
    }
}

/// Whether a process holds a lock file beside this journal. This process counts if it has one.
pub fn any_process_runs(journal: &Path) -> bool {
    let entries = fs::read_dir(directory(journal));
    entries.into_iter().flatten().flatten().any(|entry| {
        let locked = File::open(entry.path()).map(|file| file.try_lock_shared());
        matches!(locked, Ok(Err(TryLockError::WouldBlock)))
    })
}

/// The directory of the lock files, beside the journal.
pub fn directory(journal: &Path) -> PathBuf {
    let mut directory = journal.as_os_str().to_owned();
    directory.push(".locks");
    PathBuf::from(directory)
}

/// Removes the lock files of processes that have ended. The lock taken here is shared: because of
/// an exclusive one, [`running_process`] could report that the ended process is running.
fn remove_stale(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if File::open(entry.path()).is_ok_and(|file| file.try_lock_shared().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
