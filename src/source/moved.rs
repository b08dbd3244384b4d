//! The search for sources that were renamed or moved, by device and inode.
//!
//! Not here: whether an upload follows its source (`transfer`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, DirEntry};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::version::FileVersion;

/// The most entries of directories that one run reads.
const MAX_ENTRIES: usize = 50_000;

/// The files near the old paths of the sources so far. Each directory is read once.
#[derive(Debug)]
pub struct MovedFiles {
    by_inode: BTreeMap<(u64, u64), PathBuf>,
    queue: VecDeque<(u64, PathBuf)>,
    seen: BTreeSet<PathBuf>,
    entries_left: usize,
}

impl Default for MovedFiles {
    fn default() -> Self {
        Self {
            by_inode: BTreeMap::new(),
            queue: VecDeque::new(),
            seen: BTreeSet::new(),
            entries_left: MAX_ENTRIES,
        }
    }
}

impl MovedFiles {
    /// The path of the file that was at `old`, which must have the same size and modification time:
    /// a file system gives the inode of a deleted file to a new one. Searches the directory of
    /// `old` with everything below it, then the directory above it, and so on, on one file system.
    /// Returns `None` after 50,000 entries.
    pub fn find(&mut self, old: &Path, version: &FileVersion) -> Option<PathBuf> {
        let mut above = old.parent();
        loop {
            if let Some(path) = self.known(version) {
                return Some(path);
            }
            if self.entries_left == 0 {
                return None;
            }
            let next_below = self.queue.iter().position(|(dev, _)| *dev == version.dev);
            if let Some((dev, below)) = next_below.and_then(|at| self.queue.remove(at)) {
                self.read(&below, dev);
                continue;
            }
            let next = above?;
            above = next.parent().filter(|_| is_on(next, version.dev));
            self.read(next, version.dev);
        }
    }

    fn known(&self, version: &FileVersion) -> Option<PathBuf> {
        let path = self.by_inode.get(&(version.dev, version.ino))?;
        let found = FileVersion::of(path)?;
        let is_same = found.is_same_file(version)
            && found.size == version.size
            && found.mtime_ns == version.mtime_ns;
        is_same.then(|| path.clone())
    }

    /// Reads a directory of the file system `dev`. One that cannot be read has no files.
    fn read(&mut self, directory: &Path, dev: u64) {
        let is_directory = fs::symlink_metadata(directory)
            .is_ok_and(|metadata| metadata.is_dir() && metadata.dev() == dev);
        if !is_directory || !self.seen.insert(directory.to_owned()) {
            return;
        }
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in entries.take(self.entries_left) {
            self.entries_left -= 1;
            self.add(&entry, dev);
        }
    }

    fn add(&mut self, entry: &DirEntry, dev: u64) {
        let Ok(kind) = entry.file_type() else { return };
        if kind.is_dir() {
            self.queue.push_back((dev, entry.path()));
        } else if kind.is_file() {
            let path = entry.path();
            // Of several hard links, the first by name.
            let known = self.by_inode.entry((dev, entry.ino()));
            known
                .and_modify(|known| {
                    if path < *known {
                        known.clone_from(&path);
                    }
                })
                .or_insert(path);
        }
    }
}

/// Whether a directory is on the file system `dev`, or no longer exists.
fn is_on(directory: &Path, dev: u64) -> bool {
    fs::metadata(directory).map_or(true, |metadata| metadata.dev() == dev)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(from: &str, to: &str) -> Option<PathBuf> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(root.join("c")).unwrap();
        fs::write(root.join("a/b/other"), b"other").unwrap();
        let file = root.join("a/b/f");
        fs::write(&file, b"bytes").unwrap();
        let version = FileVersion::of(&file).unwrap();
        fs::rename(root.join(from), root.join(to)).unwrap();
        let found = MovedFiles::default().find(&file, &version);
        found.map(|path| path.strip_prefix(root).unwrap().to_owned())
    }

    #[test]
    fn file_is_found_near_its_old_path() {
        for (from, to, found) in [
            ("a/b/f", "a/b/g", "a/b/g"),
            ("a/b/f", "c/f", "c/f"),
            ("a/b", "a/d", "a/d/f"),
            ("a", "c/e", "c/e/b/f"),
        ] {
            assert_eq!(moved(from, to).as_deref(), Some(Path::new(found)), "{to}");
        }
    }

    #[test]
    fn several_files_are_found_by_one_search() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("a")).unwrap();
        let files = ["1", "2", "3"].map(|name| root.join("a").join(name));
        let versions = files.clone().map(|file| {
            fs::write(&file, b"bytes").unwrap();
            FileVersion::of(&file).unwrap()
        });
        fs::rename(root.join("a"), root.join("b")).unwrap();
        let mut search = MovedFiles::default();
        for (file, version) in files.iter().zip(versions) {
            let found = search.find(file, &version).unwrap();
            assert_eq!(found.file_name(), file.file_name());
        }
    }

    #[test]
    fn inode_of_a_file_with_other_content_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (old, new) = (root.join("old"), root.join("new"));
        fs::write(&old, b"bytes").unwrap();
        let version = FileVersion::of(&old).unwrap();
        let another = FileVersion {
            mtime_ns: version.mtime_ns - 1,
            ..version
        };
        fs::rename(&old, &new).unwrap();
        let mut search = MovedFiles::default();
        assert_eq!(search.find(&old, &another), None);
        assert_eq!(search.find(&old, &version), Some(new));
    }
}
