//! A source with parts of its own content each, and all its versions.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::bucket::{Content, Object};
use crate::faults::Edit;
use crate::support::PART;

/// The content of a source between two changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Version {
    pub(super) parts: Content,
    pub(super) whole: [u8; 32],
}

impl Version {
    pub(super) fn size(&self) -> u64 {
        self.parts.iter().map(|(_, size)| size).sum()
    }

    /// As an object of a single PUT.
    pub(super) fn as_whole(&self) -> Content {
        vec![(self.whole, self.size())]
    }

    pub(super) fn whole_checksum(&self) -> String {
        BASE64.encode(self.whole)
    }

    pub(super) fn is_that_of(&self, object: &Object) -> bool {
        object.content == self.parts || object.content == self.as_whole()
    }
}

/// The number that distinguishes the content of each part from others, and its length.
type Pieces = Vec<(u64, u64)>;

pub(super) struct KeySource {
    pub(super) path: PathBuf,
    pieces: Pieces,
    serial: u64,
    pub(super) versions: Vec<Version>,
}

impl KeySource {
    /// The content of each `number` is different.
    pub(super) fn new(path: PathBuf, number: usize, size: u64) -> Self {
        File::create(&path).unwrap();
        let mut source = Self {
            path,
            pieces: vec![(0, 0)],
            serial: 1 + 100 * number as u64,
            versions: Vec::new(),
        };
        source.resize(size);
        source.write();
        source
    }

    pub(super) fn current(&self) -> Version {
        self.versions.last().unwrap().clone()
    }

    /// Changes the file in place, so that a process that has it open sees the change.
    pub(super) fn edit(&mut self, edit: Edit) {
        let size: u64 = self.pieces.iter().map(|(_, len)| len).sum();
        let last = self.pieces.len() - 1;
        match edit {
            Edit::Touch => {}
            Edit::Overwrite => (0..=last).for_each(|index| self.renew(index)),
            Edit::First => self.renew(0),
            Edit::FirstAndLast => {
                self.renew(0);
                self.renew(last);
            }
            Edit::Append => self.resize(size + 1),
            Edit::Truncate => self.resize(size.saturating_sub(1)),
        }
        self.write();
    }

    /// Gives the file the content of another source.
    pub(super) fn copy_from(&mut self, pieces: Pieces) {
        self.pieces = pieces;
        self.write();
    }

    pub(super) fn pieces(&self) -> Pieces {
        self.pieces.clone()
    }

    pub(super) fn rename(&mut self) {
        self.serial += 1;
        let path = self
            .path
            .with_file_name(format!("film-{}.mov", self.serial));
        std::fs::rename(&self.path, &path).unwrap();
        self.path = path;
    }

    fn renew(&mut self, index: usize) {
        self.serial += 1;
        self.pieces[index].0 = self.serial;
    }

    fn resize(&mut self, size: u64) {
        let count = usize::try_from(size.div_ceil(PART).max(1)).unwrap();
        while self.pieces.len() > count {
            self.pieces.pop();
        }
        while self.pieces.len() < count {
            self.pieces.push((0, 0));
            self.renew(self.pieces.len() - 1);
        }
        for (piece, start) in self.pieces.iter_mut().zip((0..).step_by(PART_LEN)) {
            piece.1 = (size - start).min(PART);
        }
    }

    fn write(&mut self) {
        self.serial += 1;
        let file = OpenOptions::new().write(true).open(&self.path).unwrap();
        file.set_len(self.pieces.iter().map(|(_, len)| len).sum())
            .unwrap();
        for ((id, len), start) in self.pieces.iter().zip((0..).step_by(PART_LEN)) {
            let bytes = id.to_le_bytes();
            let count = bytes.len().min(usize::try_from(*len).unwrap());
            file.write_all_at(&bytes[..count], start).unwrap();
        }
        // The clock of a file system may be coarse.
        file.set_modified(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.serial),
        )
        .unwrap();
        let version = version_of(&self.pieces);
        if self.versions.last() != Some(&version) {
            self.versions.push(version);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "5 MiB")]
const PART_LEN: usize = PART as usize;

/// The digests of these pieces. They are computed once.
fn version_of(pieces: &Pieces) -> Version {
    thread_local!(static KNOWN: RefCell<HashMap<Pieces, Version>> = RefCell::default());
    KNOWN.with_borrow_mut(|known| {
        let version = || {
            let mut whole = Sha256::new();
            let parts = pieces.iter().map(|(id, len)| {
                let mut bytes = vec![0; usize::try_from(*len).unwrap()];
                let count = bytes.len().min(8);
                bytes[..count].copy_from_slice(&id.to_le_bytes()[..count]);
                whole.update(&bytes);
                (Sha256::digest(&bytes).into(), *len)
            });
            Version {
                parts: parts.collect(),
                whole: whole.finalize().into(),
            }
        };
        known.entry(pieces.clone()).or_insert_with(version).clone()
    })
}
