//! Uploads whose source was moved: a source is known by device and inode, not by its path.
//!
//! Not here: the search (`source`), and the comparison of the content, which follows because moving
//! a file changes its metadata.

use std::io::ErrorKind;
use std::path::Path;

use upload_types::error::{Error, Kind, Result};

use super::engine::Engine;
use super::options::PutRequest;
use super::resume;
use crate::event::Event;
use crate::journal::{Record, Upload};
use crate::source::{FileVersion, SourceFile};

/// The candidates that a `put` of this source may continue.
#[must_use]
pub fn usable(candidates: &[Upload], put: &PutRequest, source: &SourceFile) -> Vec<Upload> {
    let is_usable = |upload: &&Upload| {
        let recorded = &upload.intent.path;
        recorded == source.path() || {
            let there = FileVersion::of(recorded);
            let holds_source = there.is_some_and(|there| there.is_same_file(&source.version()));
            resume::follows(upload, put, holds_source)
        }
    };
    candidates.iter().filter(is_usable).cloned().collect()
}

impl Engine<'_> {
    /// Opens the source of an upload of the journal at `path`, or where it was moved to. If neither
    /// has the recorded file, opens the one at `path`: it may be a copy.
    ///
    /// # Errors
    /// [`Kind::NoSource`] if there is no file at `path` and the recorded one is not found.
    pub(super) fn open_source(&mut self, path: &Path, upload: &Upload) -> Result<SourceFile> {
        let version = &upload.intent.version;
        let opened = SourceFile::open(path);
        if let Ok(source) = &opened
            && source.version().is_same_file(version)
        {
            return opened;
        }
        if let Some(moved) = self.moved.find(path, version) {
            return SourceFile::open(&moved);
        }
        let is_gone = path.symlink_metadata().is_err_and(|error| {
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        });
        if !is_gone {
            return opened;
        }
        let what = format!(
            "{} no longer exists, and no directory near it has the file",
            path.display()
        );
        let abort = if upload.id.is_some() {
            "`upload abort ID`"
        } else {
            "`upload abort FILE`"
        };
        let hint = format!(
            "if the file was moved, run `upload resume PATH` with its new path; to end the upload, run {abort}"
        );
        Err(Error::new(Kind::NoSource, what).with_hint(hint))
    }

    /// Records and reports the path of the source, if it differs from that of the journal.
    pub(super) fn record_path(&mut self, item: usize, upload: &mut Upload, path: &Path) {
        if upload.intent.path == path {
            return;
        }
        self.committer.emit(Event::Moved {
            item,
            upload: upload.id.clone(),
            old_path: upload.intent.path.display().to_string(),
            path: path.display().to_string(),
        });
        path.clone_into(&mut upload.intent.path);
        self.committer.record(Record::SourceMoved {
            row: upload.row,
            path: path.to_owned(),
        });
    }
}
