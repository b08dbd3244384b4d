//! The search for sources that were moved: when it starts, and what follows from its result.
//!
//! The search reads up to 50,000 entries of directories. It is a task: the loop must not wait for a
//! disk.
//!
//! Not here: the search itself (`source`), and the comparison of the content, which follows because
//! moving a file changes its metadata.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use upload_types::error::{Error, Kind, Result};

use super::engine::Engine;
use super::moved_source::renamed;
use super::options::{Item, PutRequest};
use super::task::TaskResult;
use super::whole_file::lacks_whole_sha256;
use crate::event::Event;
use crate::journal::{Record, Upload};
use crate::source::{FileVersion, MovedFiles, SourceFile};

impl Engine<'_> {
    /// Returns the request of an item, unless its source must be searched for first.
    pub(super) fn unless_moved(&mut self, item: usize, request: Item) -> Option<Item> {
        let Item::Resume(upload) = &request else {
            return Some(request);
        };
        let reads_source =
            upload.state.is_unfinished() || (self.options.sha256 && lacks_whole_sha256(upload));
        let version = &upload.intent.version;
        let there = FileVersion::of(&upload.intent.path);
        let is_there = there.is_some_and(|there| there.is_same_file(version));
        if !reads_source || is_there || self.moved.is_searched(item) {
            return Some(request);
        }
        self.moved.add(item, request);
        None
    }

    /// Starts the search for the sources that wait for one.
    pub(super) fn start_search(&mut self) {
        let Some((mut files, wanted)) = self.moved.begin_search() else {
            return;
        };
        let search = move || {
            let found = wanted
                .into_iter()
                .map(|(item, path, version)| (item, files.find(&path, &version)))
                .collect();
            TaskResult::Searched(files, found)
        };
        self.tasks.spawn_blocking(search);
    }

    /// The search has ended: its items start.
    pub(super) fn on_searched(&mut self, files: MovedFiles, found: Vec<(usize, Option<PathBuf>)>) {
        for item in self.moved.end_search(files, found).into_iter().rev() {
            self.pending.push_front(item);
        }
    }

    /// Opens the source of an upload of the journal at `path`, or where it was moved to. If neither
    /// has the recorded file, opens the one at `path`: it may be a copy.
    ///
    /// # Errors
    /// [`Kind::NoSource`] if there is no file at `path` and the recorded one is not found.
    pub(super) fn open_source(
        &mut self,
        item: usize,
        path: &Path,
        upload: &Upload,
    ) -> Result<SourceFile> {
        let version = &upload.intent.version;
        let opened = SourceFile::open(path);
        if let Ok(source) = &opened
            && source.version().is_same_file(version)
        {
            return opened;
        }
        if let Some(moved) = self.moved.take_found(item) {
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

    /// Reports that the source was uploaded before under another name.
    pub(super) fn emit_renamed(
        &mut self,
        item: usize,
        candidates: &[Upload],
        put: &PutRequest,
        source: &SourceFile,
    ) {
        if let Some(earlier) = renamed(candidates, put, source) {
            self.committer.emit(Event::Renamed {
                item,
                upload: earlier.id.clone(),
                old_path: earlier.intent.path.display().to_string(),
                old_name: earlier.intent.name.clone(),
                path: put.path.display().to_string(),
                name: put.name.clone(),
            });
        }
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
