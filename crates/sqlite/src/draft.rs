//! Drafts: files that are made under another name, and linked into place once they are whole.
//!
//! Border: names, and whose they are; what stands in them is SQLite's. Where files cannot be locked beside SQLite's own locks, as on
//! a network file system, drafts of the dead stay.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Place;

/// Between the name of the file it is to become and a number of its own, in so many digits.
const MARK: &str = ".new-";
const DIGITS: usize = 32;
/// What SQLite has beside a file.
const SIDES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// An empty file (0600) at first. Removed when it is dropped; if its process dies, by the next one.
pub(super) struct Draft {
    path: PathBuf,
    /// Locked: whoever made it lives.
    _held: File,
}

impl Draft {
    /// A new one beside the file it is to become.
    pub(super) fn new(path: &Path, lock: bool) -> io::Result<Self> {
        loop {
            let draft = beside(path, &format!("{MARK}{}", uuid::Uuid::new_v4().simple()));
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&draft)?;
            match if lock { file.try_lock() } else { Ok(()) } {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Somebody who cleared away may have taken it for a dead one's before it was locked.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self {
                    path: draft,
                    _held: file,
                });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // One that stays is found by the next process.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes drafts of this file that are linked into its place, and (where they can be locked) those of the dead. What cannot be
/// removed stays.
pub(super) fn clear(path: &Path, lock: bool) {
    let (Some(directory), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return;
    };
    let own = Place::of(path);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Some(draft) = entry
            .file_name()
            .to_str()
            .and_then(|entry| draft_of(name, entry))
            .map(|name| directory.join(name))
        else {
            continue;
        };
        // A file that SQLite may have open is not opened here: closing it would undo SQLite's locks.
        let linked = own.is_some() && Place::of(&draft) == own;
        let held = if lock && !linked {
            of_the_dead(&draft)
        } else {
            None
        };
        if linked || held.is_some() || (lock && !draft.exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A draft whose maker is dead, locked until it is dropped: who is making it just now, and has not locked it yet, makes another.
fn of_the_dead(draft: &Path) -> Option<File> {
    File::open(draft)
        .ok()
        .filter(|file| file.try_lock_shared().is_ok())
}

/// The draft of the file `name` that the file `entry` is, or stands beside.
fn draft_of<'a>(name: &str, entry: &'a str) -> Option<&'a str> {
    let number = entry.strip_prefix(name)?.strip_prefix(MARK)?;
    let digits = number
        .get(..DIGITS)
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    let side = &number[digits.len()..];
    (side.is_empty() || SIDES.contains(&side)).then(|| &entry[..entry.len() - side.len()])
}

/// The path with something behind its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_away_what_another_is_making() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal.db");
        let draft = Draft::new(&path, true).unwrap();
        assert!(of_the_dead(draft.path()).is_none());
        clear(&path, true);
        assert!(draft.path().exists());

        // Made, and not locked yet, when another looks: that one has it until it is gone.
        let unlocked = beside(&path, &format!("{MARK}{}", "0".repeat(DIGITS)));
        let file = File::create(&unlocked).unwrap();
        let held = of_the_dead(&unlocked).unwrap();
        assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        clear(&path, true);
        assert!(!unlocked.exists() && file.metadata().unwrap().nlink() == 0);
    }
}
