//! The identity of a file on this machine.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Device and inode of a file: two paths with the same id name the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    dev: u64,
    ino: u64,
}

impl FileId {
    /// The id of the file that a path names; symbolic links are followed. Returns `None` if there
    /// is no such file.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|metadata| Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
        })
    }
}
