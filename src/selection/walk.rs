//! The files below a directory, one after the other: those of a directory before those of its
//! subdirectories, both by name.
//!
//! One directory is open at a time, and at most [`MAX_SORTED_NAMES`] of its names are kept: a
//! larger one is sorted piece by piece. Not here: which files are left out (`filters`,
//! `ignore_files`).

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, Metadata, ReadDir};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::filters::{Above, Filters, LeftOut};
use super::ignore_files::{IgnoreFiles, IgnoreRules};
use super::names;
use super::pattern::PathKind;
use super::selection_results::{FileId, Found, Reason, Selected};
use upload_types::error::{Error, Kind};

/// The most names of a directory that are kept and sorted at a time.
const MAX_SORTED_NAMES: usize = 4096;

/// How symbolic links below a directory are treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Links {
    #[default]
    Skip,
    /// Each directory is read once.
    Follow,
}

/// How directories are walked.
#[derive(Debug, Clone, Default)]
pub struct WalkOptions {
    pub links: Links,
    pub one_file_system: bool,
    pub ignore_files: IgnoreFiles,
    /// Files that are never selected, because this program writes them. Absolute, without symbolic
    /// links.
    pub own_files: Vec<PathBuf>,
    /// Directories that are never read, because this program writes into them; as `own_files`.
    pub own_directories: Vec<PathBuf>,
}

impl WalkOptions {
    /// Whether this program writes the file at `path` (absolute, without symbolic links).
    #[must_use]
    pub fn is_own_file(&self, path: &Path) -> bool {
        let mut own_files = self.own_files.iter();
        own_files.any(|own| own.parent() == path.parent() && has_name_of(own, path))
    }

    /// Whether a file that this program writes has the name of `path`, perhaps in another
    /// directory.
    #[must_use]
    pub fn is_own_name(&self, path: &Path) -> bool {
        self.own_files.iter().any(|own| has_name_of(own, path))
    }
}

/// A walk through one directory.
pub struct Walk<'a> {
    options: &'a WalkOptions,
    filters: &'a mut Filters,
    root: PathBuf,
    /// Absolute, without symbolic links.
    absolute: PathBuf,
    /// The device of the root.
    dev: u64,
    /// Directories that are not read yet; the next one is the last.
    waiting: Vec<Directory>,
    reading: Option<Reading>,
    /// The directories so far, if links are followed.
    visited: HashSet<FileId>,
    /// The error of the root.
    failed: Option<Error>,
}

#[derive(Debug)]
struct Directory {
    /// Below the root; empty for the root.
    below: PathBuf,
    /// As text, with the name of the root.
    relative: String,
    above: Above,
    /// The rules of the directories above it.
    rules: Option<Arc<IgnoreRules>>,
}

/// The directory that is being read.
struct Reading {
    directory: Directory,
    path: PathBuf,
    /// Absolute, without symbolic links.
    absolute: PathBuf,
    entries: Option<ReadDir>,
    names: std::vec::IntoIter<OsString>,
    subdirectories: Vec<Directory>,
    is_empty: bool,
}

impl<'a> Walk<'a> {
    /// A walk through `root`. `name` precedes the relative path of each file.
    pub fn new(
        root: &Path,
        name: Option<String>,
        options: &'a WalkOptions,
        filters: &'a mut Filters,
    ) -> Self {
        // Without a dot at the end, which a path of components leaves out.
        let root: PathBuf = root.components().collect();
        let mut walk = Self {
            options,
            filters,
            absolute: PathBuf::new(),
            dev: 0,
            waiting: Vec::new(),
            reading: None,
            visited: HashSet::new(),
            failed: None,
            root,
        };
        if let Err(error) = walk.start(name) {
            walk.failed = Some(error);
        }
        walk
    }

    fn start(&mut self, name: Option<String>) -> Result<(), Error> {
        let unreadable = |error| unreadable(&self.root, error);
        let metadata = fs::metadata(&self.root).map_err(unreadable)?;
        self.absolute = self.root.canonicalize().map_err(unreadable)?;
        self.dev = metadata.dev();
        self.visited.insert(FileId::from(&metadata));
        self.waiting.push(Directory {
            below: PathBuf::new(),
            relative: name.unwrap_or_default(),
            above: Above::NotIncluded,
            rules: self.options.ignore_files.above(&self.absolute)?,
        });
        Ok(())
    }

    /// Opens the next directory. Returns a failure to do so.
    fn open(&mut self, mut directory: Directory) -> Option<Found> {
        let path = self.path(&directory.below);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != self.root => {
                return Some(Found::Vanished { path });
            }
            Err(error) => {
                let error = unreadable(&path, error);
                return Some(Found::Failed { path, error });
            }
        };
        if self.options.ignore_files.is_used() {
            let absolute = self.absolute.join(&directory.below);
            let rules = directory.rules.take();
            match self.options.ignore_files.in_directory(&absolute, rules) {
                Ok(rules) => directory.rules = rules,
                Err(error) => return Some(Found::Failed { path, error }),
            }
        }
        let absolute = match self.options.links {
            Links::Skip => self.absolute.join(&directory.below),
            Links::Follow => path.canonicalize().unwrap_or_else(|_| path.clone()),
        };
        self.reading = Some(Reading {
            directory,
            path,
            absolute,
            entries: Some(entries),
            names: Vec::new().into_iter(),
            subdirectories: Vec::new(),
            is_empty: true,
        });
        None
    }

    fn path(&self, below: &Path) -> PathBuf {
        if below.as_os_str().is_empty() {
            self.root.clone()
        } else {
            self.root.join(below)
        }
    }

    /// The result of one entry of the directory that is being read. Returns `None` for a directory
    /// that will be read.
    fn entry(&mut self, reading: &mut Reading, name: &OsString) -> Option<Found> {
        let path = reading.path.join(name);
        let below = reading.directory.below.join(name);
        let metadata = match self.metadata(&path) {
            Ok(metadata) => metadata,
            Err(unusable) => {
                let ignored = self.ignored(&reading.directory, &below, PathKind::File);
                let left_out = ignored.or_else(|| self.filters.find_exclude(&below));
                return Some(match (left_out, unusable) {
                    (_, Unusable::Vanished) => Found::Vanished { path },
                    (Some(left_out), _) => skipped(path, left_out.reason, Some(left_out.rule)),
                    (None, Unusable::Skipped(reason)) => skipped(path, reason, None),
                    (None, Unusable::Failed(error)) => Found::Failed { path, error },
                });
            }
        };
        let kind = if metadata.is_dir() {
            PathKind::Directory
        } else {
            PathKind::File
        };
        if let Some(left_out) = self.ignored(&reading.directory, &below, kind) {
            return Some(skipped(path, left_out.reason, Some(left_out.rule)));
        }
        let relative = match reading.directory.relative.as_str() {
            "" => names::file_name(name),
            above => format!("{above}/{}", names::file_name(name)),
        };
        let above = reading.directory.above;
        if kind == PathKind::File {
            let size = metadata.size();
            let mtime_ns =
                i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
            if self.options.is_own_file(&reading.absolute.join(name)) {
                return Some(skipped(path, Reason::Own, None));
            }
            return Some(match self.filters.file(&below, above, size, mtime_ns) {
                Ok(()) => Found::File(Selected {
                    path,
                    relative,
                    size,
                    attributes: None,
                }),
                Err(left_out) => skipped(path, left_out.reason, Some(left_out.rule)),
            });
        }
        let id = FileId::from(&metadata);
        let absolute = reading.absolute.join(name);
        if self.options.own_directories.contains(&absolute) {
            return Some(skipped(path, Reason::Own, None));
        }
        if self.options.one_file_system && metadata.dev() != self.dev {
            return Some(skipped(path, Reason::OtherFileSystem, None));
        }
        let above = match self.filters.directory(&below, above) {
            Ok(above) => above,
            Err(left_out) => return Some(skipped(path, left_out.reason, Some(left_out.rule))),
        };
        if self.options.links == Links::Follow && !self.visited.insert(id) {
            return Some(skipped(path, Reason::Repeated, None));
        }
        reading.subdirectories.push(Directory {
            below,
            relative,
            above,
            rules: reading.directory.rules.clone(),
        });
        None
    }

    /// The metadata of a file or directory.
    fn metadata(&self, path: &Path) -> Result<Metadata, Unusable> {
        let mut metadata = fs::symlink_metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unusable::Vanished,
            _ => Unusable::Failed(unreadable(path, error)),
        })?;
        if metadata.is_symlink() {
            if self.options.links == Links::Skip {
                return Err(Unusable::Skipped(Reason::Link));
            }
            metadata = fs::metadata(path).map_err(|error| {
                let what = format!("could not follow the link {}", path.display());
                let hint = "repair or remove the link, or leave it out with --exclude";
                let error = Error::new(Kind::NoSource, what).with_source(error);
                Unusable::Failed(error.with_hint(hint))
            })?;
        }
        let kind = metadata.file_type();
        let special = match () {
            () if kind.is_file() || kind.is_dir() => return Ok(metadata),
            () if kind.is_fifo() => Reason::Fifo,
            () if kind.is_socket() => Reason::Socket,
            () => Reason::Device,
        };
        Err(Unusable::Skipped(special))
    }

    fn ignored(&self, directory: &Directory, below: &Path, kind: PathKind) -> Option<LeftOut> {
        let ignore_files = &self.options.ignore_files;
        if !ignore_files.is_used() {
            return None;
        }
        if ignore_files.names_git_directory(below) {
            return Some(LeftOut::new(Reason::Ignored, "--gitignore"));
        }
        let rules = directory.rules.as_ref()?;
        rules.left_out(&self.absolute.join(below), kind)
    }

    /// The next names of the directory that is being read. Returns a failure to read them.
    fn read_names(reading: &mut Reading) -> Option<Found> {
        let mut names = Vec::new();
        let mut failure = None;
        while names.len() < MAX_SORTED_NAMES {
            match reading.entries.as_mut().and_then(Iterator::next) {
                Some(Ok(entry)) => names.push(entry.file_name()),
                Some(Err(error)) => {
                    let error = unreadable(&reading.path, error);
                    let path = reading.path.clone();
                    failure = Some(Found::Failed { path, error });
                    reading.entries = None;
                    break;
                }
                None => {
                    reading.entries = None;
                    break;
                }
            }
        }
        names.sort_unstable();
        reading.is_empty &= names.is_empty() && failure.is_none();
        reading.names = names.into_iter();
        failure
    }
}

impl Iterator for Walk<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if let Some(error) = self.failed.take() {
            let path = self.root.clone();
            return Some(Found::Failed { path, error });
        }
        loop {
            let Some(mut reading) = self.reading.take() else {
                let directory = self.waiting.pop()?;
                match self.open(directory) {
                    Some(failure) => return Some(failure),
                    None => continue,
                }
            };
            let found = match reading.names.next() {
                Some(name) => self.entry(&mut reading, &name),
                None if reading.entries.is_some() => Self::read_names(&mut reading),
                None => {
                    let mut subdirectories = reading.subdirectories;
                    subdirectories.sort_unstable_by(|a, b| b.below.cmp(&a.below));
                    self.waiting.append(&mut subdirectories);
                    if reading.is_empty {
                        return Some(skipped(reading.path, Reason::EmptyDirectory, None));
                    }
                    continue;
                }
            };
            self.reading = Some(reading);
            if found.is_some() {
                return found;
            }
        }
    }
}

/// Why an entry is neither a file nor a directory that can be read.
enum Unusable {
    Skipped(Reason),
    Vanished,
    Failed(Error),
}

fn skipped(path: PathBuf, reason: Reason, rule: Option<String>) -> Found {
    Found::Skipped { path, reason, rule }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let what = format!("could not read {}", path.display());
    Error::new(Kind::NoSource, what)
        .with_source(error)
        .with_hint("check the path and its permissions, or leave it out with --exclude")
}

/// Whether `path` has the name of the file `own`, or of a file that this program keeps beside it.
fn has_name_of(own: &Path, path: &Path) -> bool {
    let (Some(own), Some(name)) = (own.file_name(), path.file_name()) else {
        return false;
    };
    let (own, name) = (own.as_bytes(), name.as_bytes());
    let is_beside = |rest: &[u8]| {
        matches!(rest, b"" | b"-wal" | b"-shm" | b"-journal") || rest.starts_with(b".new-")
    };
    // A receipt is written to a hidden file first.
    let visible = name.strip_prefix(b".");
    let hidden = visible.and_then(|name| name.strip_prefix(own));
    name.strip_prefix(own).is_some_and(is_beside)
        || hidden.is_some_and(|rest| rest.starts_with(b".") && rest.ends_with(b".tmp"))
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
