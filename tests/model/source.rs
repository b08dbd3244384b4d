//! The source of an upload, which is changed in place, and all its versions.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::bucket::Content;
use crate::faults::Edit;
use crate::support::PART;

/// The source and its versions.
pub struct Source {
    pub path: PathBuf,
    serial: u64,
    pub versions: Vec<Content>,
}

impl Source {
    pub fn new(path: PathBuf, size: u64) -> Self {
        File::create(&path).unwrap().set_len(size).unwrap();
        let mut source = Self {
            path,
            serial: 0,
            versions: Vec::new(),
        };
        source.edit(Edit::Overwrite);
        source
    }

    /// Changes the file in place, so that a process that has it open sees the change.
    pub fn edit(&mut self, edit: Edit) {
        self.serial += 1;
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        let size = file.metadata().unwrap().len();
        let size = match edit {
            Edit::Append => size + 1,
            Edit::Truncate => size.saturating_sub(1),
            Edit::Touch | Edit::Overwrite | Edit::FirstAndLast | Edit::First => size,
        };
        if edit != Edit::Touch {
            file.set_len(size).unwrap();
            for start in (0..size).step_by(usize::try_from(PART).unwrap()) {
                let is_kept = match edit {
                    Edit::FirstAndLast => start > 0 && start + PART < size,
                    Edit::First => start > 0,
                    _ => false,
                };
                if is_kept {
                    continue;
                }
                let bytes = self.serial.to_le_bytes();
                let count = bytes.len().min(usize::try_from(size - start).unwrap());
                file.write_all_at(&bytes[..count], start).unwrap();
            }
        }
        // The clock of a file system may be coarse.
        file.set_modified(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.serial),
        )
        .unwrap();
        let content = content(&self.path);
        if self.versions.last() != Some(&content) {
            self.versions.push(content);
        }
    }

    pub fn current(&self) -> Content {
        self.versions.last().unwrap().clone()
    }
}

fn content(path: &Path) -> Content {
    let bytes = std::fs::read(path).unwrap();
    if bytes.is_empty() {
        return vec![(Sha256::digest([]).into(), 0)];
    }
    let parts = bytes.chunks(usize::try_from(PART).unwrap());
    parts
        .map(|part| (Sha256::digest(part).into(), part.len() as u64))
        .collect()
}
