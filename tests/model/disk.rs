//! The source of an upload, changed in place, and all it has ever been.
//!
//! Border: the file and its generations, hashed by means of the tests' own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::bucket::Content;
use crate::faults::Edit;
use crate::support::PART;

/// The source, and all it has ever been.
pub struct Disk {
    pub path: PathBuf,
    serial: u64,
    pub generations: Vec<Content>,
}

impl Disk {
    pub fn new(path: PathBuf, size: u64) -> Self {
        File::create(&path).unwrap().set_len(size).unwrap();
        let mut disk = Self {
            path,
            serial: 0,
            generations: Vec::new(),
        };
        disk.edit(Edit::Overwrite);
        disk
    }

    /// Changes it in place, so that who has it open sees it too.
    pub fn edit(&mut self, edit: Edit) {
        self.serial += 1;
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        let size = file.metadata().unwrap().len();
        let size = match edit {
            Edit::Append => size + 1,
            Edit::Truncate => size.saturating_sub(1),
            Edit::Touch | Edit::Overwrite | Edit::Ends => size,
        };
        if edit != Edit::Touch {
            file.set_len(size).unwrap();
            for start in (0..size).step_by(usize::try_from(PART).unwrap()) {
                if edit == Edit::Ends && start > 0 && start + PART < size {
                    continue;
                }
                let stamp = self.serial.to_le_bytes();
                let room = stamp.len().min(usize::try_from(size - start).unwrap());
                file.write_all_at(&stamp[..room], start).unwrap();
            }
        }
        // The clock of a file system may be coarse.
        file.set_modified(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.serial),
        )
        .unwrap();
        let content = content(&self.path);
        if self.generations.last() != Some(&content) {
            self.generations.push(content);
        }
    }

    pub fn now(&self) -> Content {
        self.generations.last().unwrap().clone()
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
