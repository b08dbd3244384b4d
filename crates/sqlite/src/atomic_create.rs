//! Atomic creation of files: a file is completed under a temporary name, then linked to its final
//! name.
//!
//! Not here: the content, which SQLite writes. On a network file system, a file cannot have a lock
//! in addition to SQLite's own locks, so the temporary files of dead processes are not removed
//! there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::file_id::FileId;
use crate::journal_mode::JournalMode;

/// The name of a temporary file is the final name, this infix, and [`RANDOM_DIGITS`] hexadecimal
/// digits.
const TEMP_INFIX: &str = ".new-";
const RANDOM_DIGITS: usize = 32;
/// The suffixes of SQLite's side files.
const SIDE_FILE_SUFFIXES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The locking of temporary files. A lock shows that the process that created the file is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locking {
    Locked,
    Unlocked,
}

impl Locking {
    pub(crate) fn for_mode(mode: JournalMode) -> Self {
        match mode {
            JournalMode::Wal => Self::Locked,
            JournalMode::Exclusive => Self::Unlocked,
        }
    }
}

/// A temporary file (0600), empty at first. Dropping it removes the file. If its process dies, the
/// next process that creates or opens the final file removes it.
pub(crate) struct TempFile {
    path: PathBuf,
    /// Holds the lock until it is dropped or the process ends.
    _file: File,
}

impl TempFile {
    /// A new temporary file beside `final_path`.
    pub(crate) fn new(final_path: &Path, locking: Locking) -> io::Result<Self> {
        loop {
            let suffix = format!("{TEMP_INFIX}{}", uuid::Uuid::new_v4().simple());
            let path = sibling(final_path, &suffix);
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            let locked = match locking {
                Locking::Locked => file.try_lock(),
                Locking::Unlocked => Ok(()),
            };
            match locked {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Another process may have removed the file as abandoned before it was locked.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self { path, _file: file });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // If this fails, the next process removes it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes temporary files that are already linked to `final_path`, and, with locking, those of
/// dead processes. Errors are ignored: a file that cannot be removed is kept.
pub(crate) fn remove_stale(final_path: &Path, locking: Locking) {
    let (Some(directory), Some(name)) = (
        final_path.parent(),
        final_path.file_name().and_then(|name| name.to_str()),
    ) else {
        return;
    };
    let final_id = FileId::of(final_path);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Some(temp) = entry
            .file_name()
            .to_str()
            .and_then(|entry| temp_file_of(name, entry))
            .map(|name| directory.join(name))
        else {
            continue;
        };
        // A file that SQLite may have open must not be opened here: closing it would release
        // SQLite's locks.
        let is_linked = final_id.is_some() && FileId::of(&temp) == final_id;
        let is_locked = locking == Locking::Locked;
        let abandoned = if is_locked && !is_linked {
            lock_if_abandoned(&temp)
        } else {
            None
        };
        if is_linked || abandoned.is_some() || (is_locked && !temp.exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Locks the temporary file of a dead process. Returns `None` if its process is alive. A process
/// that has created the file but not yet locked it will find it locked, and creates another.
fn lock_if_abandoned(temp: &Path) -> Option<File> {
    File::open(temp)
        .ok()
        .filter(|file| file.try_lock_shared().is_ok())
}

/// The name of the temporary file for `final_name` to which a directory entry belongs: the file
/// itself or one of its side files.
fn temp_file_of<'a>(final_name: &str, entry: &'a str) -> Option<&'a str> {
    let rest = entry.strip_prefix(final_name)?.strip_prefix(TEMP_INFIX)?;
    let digits = rest
        .get(..RANDOM_DIGITS)
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    let suffix = &rest[digits.len()..];
    (suffix.is_empty() || SIDE_FILE_SUFFIXES.contains(&suffix))
        .then(|| &entry[..entry.len() - suffix.len()])
}

/// The path with a suffix appended to the file name.
pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes the names in the directory of `path` durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temp_file_of_a_live_process_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let temp = TempFile::new(&path, Locking::Locked).unwrap();
        assert!(lock_if_abandoned(temp.path()).is_none());
        remove_stale(&path, Locking::Locked);
        assert!(temp.path().exists());

        // Another process examines a file that is created and not locked yet. It keeps the lock
        // until it has removed the file.
        let unlocked = sibling(&path, &format!("{TEMP_INFIX}{}", "0".repeat(RANDOM_DIGITS)));
        let file = File::create(&unlocked).unwrap();
        let lock = lock_if_abandoned(&unlocked).unwrap();
        assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        drop(lock);
        remove_stale(&path, Locking::Locked);
        assert!(!unlocked.exists() && file.metadata().unwrap().nlink() == 0);
    }
}
