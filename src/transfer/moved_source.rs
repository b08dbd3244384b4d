//! Uploads whose source was moved: a source is known by device and inode, not by its path.
//!
//! Not here: when a search starts (`moved_source_search`), and the search itself (`source`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::options::{Item, NameOrigin, PutRequest};
use super::resume;
use crate::journal::{State, Upload};
use crate::source::{FileVersion, MovedFiles, SourceFile};

/// The candidates that a `put` of this source may continue: with the same key.
#[must_use]
pub fn usable<'a>(
    candidates: &'a [Upload],
    put: &PutRequest,
    source: &SourceFile,
) -> Vec<&'a Upload> {
    let is_usable = |upload: &&Upload| {
        let holds_source = || holds(&upload.intent.path, source);
        let has_key = upload.intent.key == put.key;
        has_key
            && (upload.intent.path == source.path() || resume::follows(upload, put, holds_source()))
    };
    candidates.iter().filter(is_usable).collect()
}

/// The upload of this source under another name, which the request does not ask for, from a path
/// that no longer has it. Returns `None` if another path still has it, as one of several hard
/// links.
#[must_use]
pub fn renamed<'a>(
    candidates: &'a [Upload],
    put: &PutRequest,
    source: &SourceFile,
) -> Option<&'a Upload> {
    let is_expected = put.force || put.name_origin == NameOrigin::Requested;
    let is_earlier =
        |upload: &&Upload| upload.intent.name != put.name && upload.state == State::Completed;
    let has_link = || {
        let mut earlier = candidates.iter().filter(is_earlier);
        earlier.any(|upload| holds(&upload.intent.path, source))
    };
    let earlier = candidates.iter().find(is_earlier);
    earlier.filter(|_| !is_expected && !has_link())
}

/// Whether a path has this source.
fn holds(path: &Path, source: &SourceFile) -> bool {
    FileVersion::of(path).is_some_and(|there| there.is_same_file(&source.version()))
}

/// The sources that are not where the journal says, and the search for them.
pub struct MovedSources {
    /// The files that were seen so far. `None` while a search runs.
    files: Option<MovedFiles>,
    /// Items to search for.
    waiting: Vec<(usize, Item)>,
    /// Items that the running search is for.
    searched: Vec<(usize, Item)>,
    /// The result for each item.
    found: BTreeMap<usize, Option<PathBuf>>,
}

impl Default for MovedSources {
    fn default() -> Self {
        Self {
            files: Some(MovedFiles::default()),
            waiting: Vec::new(),
            searched: Vec::new(),
            found: BTreeMap::new(),
        }
    }
}

impl MovedSources {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.searched.is_empty()
    }

    /// Takes the items that wait, and gives up the running search.
    pub fn take_all(&mut self) -> Vec<(usize, Item)> {
        let mut all = std::mem::take(&mut self.searched);
        all.append(&mut self.waiting);
        self.files.get_or_insert_default();
        all
    }

    /// Adds an item to search for.
    pub fn add(&mut self, item: usize, request: Item) {
        self.waiting.push((item, request));
    }

    /// Whether the search for this item has ended.
    pub fn is_searched(&self, item: usize) -> bool {
        self.found.contains_key(&item)
    }

    /// Takes the result for an item.
    pub fn take_found(&mut self, item: usize) -> Option<PathBuf> {
        self.found.remove(&item).flatten()
    }

    /// Begins a search for the items that wait. Returns `None` if none waits, or if a search runs.
    pub fn begin_search(&mut self) -> Option<(MovedFiles, Vec<Wanted>)> {
        if self.waiting.is_empty() {
            return None;
        }
        let files = self.files.take()?;
        self.searched = std::mem::take(&mut self.waiting);
        let wanted = self.searched.iter().filter_map(|(item, request)| {
            let Item::Resume(upload) = request else {
                return None;
            };
            let intent = &upload.intent;
            Some((*item, intent.path.clone(), intent.version))
        });
        Some((files, wanted.collect()))
    }

    /// Records the results of a search. Returns its items.
    pub fn end_search(
        &mut self,
        files: MovedFiles,
        found: Vec<(usize, Option<PathBuf>)>,
    ) -> Vec<(usize, Item)> {
        self.files = Some(files);
        self.found.extend(found);
        std::mem::take(&mut self.searched)
    }
}

/// An item, and the path and version of its source in the journal.
pub type Wanted = (usize, PathBuf, FileVersion);
