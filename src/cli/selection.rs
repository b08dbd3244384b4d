//! The files of `upload put -r`, `--files-from` and `--map`: found by a thread, while the engine
//! uploads those that were found before.
//!
//! Not here: walks, filters and lists (`crate::selection`), the flags of filters (`filter_flags`),
//! and the requests for single files (`put`).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::args::SelectionArgs;
use super::directory_flag::outside;
use super::filter_flags::{filters, walk_options};
use super::set_definition::set_name;
use crate::event::Event;
use crate::journal::SetProgress;
use crate::selection::{
    Base, Filters, Found, Line, PathList, PathMap, Reason, SeenPaths, Selected, Separator, Unnamed,
    Walk, WalkOptions, file_name, relative, relative_to, root_name,
};
use crate::transfer::{IfGone, Incoming, Item, ItemSet, Items, PutRequest, SetCount, vanished};
use upload_types::error::{Error, Kind, Result};

/// The most results that are kept until the engine takes them: some 10 MiB. The total is known once
/// no more files are left than that.
const MAX_WAITING_RESULTS: usize = 50_000;
/// The most results that are requests already.
const MAX_REQUESTS: usize = 256;
/// The most results that become requests at once.
const MAX_RESULTS_PER_BATCH: usize = 64;
/// A set of at most this many files is reported file by file, so the search has to end first…
const MAX_FILES_OF_SMALL_SET: usize = 20;
/// … unless that takes longer than this.
const SMALL_SET_SEARCH_TIME: Duration = Duration::from_millis(250);

/// The files to find.
pub struct Selection {
    name: String,
    paths: Vec<PathBuf>,
    recursive: bool,
    walk: WalkOptions,
    filters: Filters,
    list: Option<PathList>,
    map: Option<PathMap>,
    base: Option<Base>,
    /// Relative paths in lists and maps begin here; `None` for the working directory.
    directory: Option<PathBuf>,
    /// The directory of `-C`, at which the relative paths of files begin.
    relative_from: Option<PathBuf>,
    if_gone: IfGone,
}

/// The files that this program writes during the run.
#[derive(Debug, Default)]
pub struct OwnFiles {
    pub files: Vec<PathBuf>,
    pub directories: Vec<PathBuf>,
}

impl Selection {
    /// Reads the pattern files and opens the lists. Returns `None` if every file is named on the
    /// command line. Ages count from `now`. `paths` begin with the directory of `-C`. Relative
    /// paths in lists begin in `directory`: that of `-C`, or else the working directory of the
    /// `put`.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a pattern or the name of an ignore file is wrong, a pattern file cannot
    /// be read, or a list has Windows line ends; [`Kind::NoSource`] if a list cannot be read, or
    /// its base is no directory.
    pub fn prepare(
        paths: &[PathBuf],
        flags: &SelectionArgs,
        directory: Option<&Path>,
        now: Timestamp,
    ) -> Result<Option<Self>> {
        if let (false, Some(flag)) = (flags.recursive || flags.map.is_some(), flags.first_filter())
        {
            let what = format!("{flag} is for the files below directories");
            let hint = "add -r to upload the files below directories";
            return Err(Error::new(Kind::Usage, what).with_hint(hint));
        }
        if !flags.is_set() {
            return Ok(None);
        }
        let is_path = |name: &&OsString| Path::new(name).file_name() != Some(name.as_os_str());
        if let Some(path) = flags.ignore_file.iter().find(is_path) {
            let what = format!("--ignore-file {} is not the name of a file", path.display());
            let hint = "name the files to read in each directory, such as .uploadignore; to read \
                        one file of patterns, use --exclude-from FILE";
            return Err(Error::new(Kind::Usage, what).with_hint(hint));
        }
        let separator = if flags.null {
            Separator::Nul
        } else {
            Separator::Newline
        };
        let open_list = |list: &PathBuf| PathList::open(list, separator);
        let list = flags.files_from.as_ref().map(open_list).transpose()?;
        let map = flags
            .map
            .as_ref()
            .map(|map| PathMap::open(map))
            .transpose()?;
        let working = directory.map_or_else(working_directory, |given| Ok(given.to_owned()))?;
        let base = flags.base.as_ref().map(|base| open_base(&working, base));
        Ok(Some(Self {
            name: set_name(paths, flags.files_from.as_deref(), flags.map.as_deref()),
            paths: paths.to_vec(),
            recursive: flags.recursive,
            walk: walk_options(flags),
            filters: filters(flags, now)?,
            list,
            map,
            base: base.transpose()?,
            directory: directory.map(Path::to_owned),
            relative_from: flags.directory.clone(),
            if_gone: if flags.ignore_vanished {
                IfGone::Skip
            } else {
                IfGone::FailAsVanished
            },
        }))
    }

    /// Leaves out what this program writes.
    #[must_use]
    pub fn without(mut self, own: &OwnFiles) -> Self {
        let paths = |paths: &[PathBuf]| paths.iter().filter_map(|path| absolute(path)).collect();
        self.walk.own_files = paths(&own.files);
        self.walk.own_directories = paths(&own.directories);
        self
    }

    /// Starts to find the files. `request` makes a request of each. `recorded` is the row of the
    /// set in the journal, and its progress.
    pub fn start(
        self,
        recorded: Option<(i64, SetProgress)>,
        mut request: impl FnMut(Selected, IfGone) -> Result<PutRequest> + Send + 'static,
    ) -> Items {
        let (found, finds) = mpsc::channel(MAX_WAITING_RESULTS);
        let (requests, incoming) = mpsc::channel(MAX_REQUESTS);
        let count = Arc::new(SetCount::default());
        let name = self.name.clone();
        let counted = Arc::clone(&count);
        let if_gone = self.if_gone;
        // Not joined: it may wait for a disk or for the end of a list.
        thread::spawn(move || {
            let output = FindOutput {
                found,
                count: Arc::clone(&counted),
                if_gone,
            };
            // `None` if the run has ended.
            let _ = self.find(&output);
            counted.complete();
        });
        tokio::spawn(pass_on(finds, requests, move |found| {
            incoming_of(found, if_gone, &mut request)
        }));
        Items::Set(ItemSet {
            name,
            recorded,
            incoming,
            count,
        })
    }

    /// Its directories and lists, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of a file in a list or a map.
    fn listed(&self, path: &Path) -> PathBuf {
        match &self.directory {
            Some(directory) => directory.join(path),
            None => path.to_owned(),
        }
    }

    /// Whether this program writes the file at this path during the run.
    fn writes(&self, path: &Path) -> bool {
        // The name is compared first, because the absolute path takes several system calls.
        self.walk.is_own_name(path)
            && absolute(path).is_some_and(|path| self.walk.is_own_file(&path))
    }

    /// Finds the files. Returns `None` if nothing takes them any more.
    fn find(mut self, output: &FindOutput) -> Option<()> {
        let mut seen = SeenPaths::default();
        for path in std::mem::take(&mut self.paths) {
            if seen.is_new(&place(&path)) {
                let (name, root) = self.relative_names(&path);
                self.find_named(path, name, root, None, output)?;
            }
        }
        if let Some(list) = self.list.take() {
            let list_name = list.name().to_owned();
            for line in list {
                self.find_listed(line, &list_name, &mut seen, output)?;
            }
        }
        if let Some(map) = self.map.take() {
            self.find_mapped(map, output)?;
        }
        for rule in self.filters.unmatched() {
            output.send(Found::Unmatched { rule })?;
        }
        Some(())
    }

    /// For a path of the command line: its relative path as a file, and as a directory the
    /// beginning of the relative paths below it, if they have one.
    fn relative_names(&self, path: &Path) -> (String, Option<String>) {
        if let Some(directory) = &self.relative_from {
            let relative = relative_to(directory, path).unwrap_or_default();
            return (relative.clone(), Some(relative));
        }
        let name = path.file_name().map_or_else(String::new, file_name);
        (name, root_name(path))
    }

    /// Finds a file that is named, or the files below a directory that is. `root` precedes their
    /// relative paths.
    fn find_named(
        &mut self,
        path: PathBuf,
        relative: String,
        root: Option<String>,
        line: Option<&str>,
        output: &FindOutput,
    ) -> Option<()> {
        let metadata = fs::metadata(&path);
        let is_directory = metadata.as_ref().is_ok_and(fs::Metadata::is_dir);
        if is_directory && self.recursive {
            let walk = Walk::new(&path, root, &self.walk, &mut self.filters);
            for found in walk {
                output.send(found)?;
            }
            return Some(());
        }
        if self.writes(&path) {
            return output.send(own_file(path));
        }
        if is_directory {
            let error = Error::new(Kind::NoSource, format!("{} is a directory", path.display()));
            let error = error.with_hint("add -r to upload the files in it");
            return output.fail(path, at_line(line, error));
        }
        let size = match metadata {
            Ok(metadata) => metadata.len(),
            Err(error) => {
                let error = not_found(&path, error);
                return output.fail(path, at_line(line, error));
            }
        };
        output.send(Found::File(Selected {
            path,
            relative,
            size,
            attributes: None,
        }))
    }

    fn find_listed(
        &mut self,
        line: Result<Line>,
        list: &str,
        seen: &mut SeenPaths,
        output: &FindOutput,
    ) -> Option<()> {
        let Line { number, path } = match line {
            Ok(line) => line,
            Err(error) => return output.fail(PathBuf::from(list), error),
        };
        if !seen.is_new(&path) {
            return Some(());
        }
        let place = format!("line {number} of the list {list}");
        let relative = relative(&path, self.base.as_ref());
        let listed = path;
        let path = self.listed(&listed);
        let relative = match relative {
            Err(Unnamed::Empty) => Ok(String::new()),
            relative => relative,
        };
        match relative {
            Ok(relative) => {
                let root = Some(relative.clone());
                self.find_named(path, relative, root, Some(&place), output)
            }
            Err(_) if self.relative_from.is_some() => {
                output.fail(path, at_line(Some(&place), outside(&listed)))
            }
            Err(reason) => {
                let error = unnamed(&path, reason);
                output.fail(path, at_line(Some(&place), error))
            }
        }
    }

    fn find_mapped(&self, map: PathMap, output: &FindOutput) -> Option<()> {
        let name = map.name().to_owned();
        for line in map {
            let (Line { number, path }, attributes) = match line {
                Ok(line) => line,
                Err(error) => {
                    output.fail(PathBuf::from(&name), error)?;
                    continue;
                }
            };
            let place = format!("line {number} of the map {name}");
            let relative = relative(&path, None);
            let path = self.listed(&path);
            if self.writes(&path) {
                output.send(own_file(path))?;
                continue;
            }
            let size = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    let what = format!("{} is a directory", path.display());
                    let error = Error::new(Kind::NoSource, what);
                    let error = error.with_hint("name the files in it, each in a line of the map");
                    output.fail(path, at_line(Some(&place), error))?;
                    continue;
                }
                Ok(metadata) => metadata.len(),
                Err(error) => {
                    let error = not_found(&path, error);
                    output.fail(path, at_line(Some(&place), error))?;
                    continue;
                }
            };
            let name_alone = || path.file_name().map_or_else(String::new, file_name);
            let relative = relative.unwrap_or_else(|_| name_alone());
            output.send(Found::File(Selected {
                path,
                relative,
                size,
                attributes: Some(Box::new(attributes)),
            }))?;
        }
        Some(())
    }
}

/// The output of the search.
struct FindOutput {
    found: mpsc::Sender<Found>,
    count: Arc<SetCount>,
    if_gone: IfGone,
}

impl FindOutput {
    /// Passes a result on, when there is room. Returns `None` if the run has ended.
    fn send(&self, found: Found) -> Option<()> {
        match &found {
            Found::File(file) => self.count.add(file.size),
            Found::Failed { .. } => self.count.add(0),
            Found::Vanished { .. } if self.if_gone != IfGone::Skip => self.count.add(0),
            Found::Vanished { .. } | Found::Skipped { .. } | Found::Unmatched { .. } => {}
        }
        self.found.blocking_send(found).ok()
    }

    fn fail(&self, path: PathBuf, error: Error) -> Option<()> {
        self.send(Found::Failed { path, error })
    }
}

/// Passes results on as they are needed. The first wait until it is known whether there are more
/// than a few.
async fn pass_on(
    mut found: mpsc::Receiver<Found>,
    requests: mpsc::Sender<Incoming>,
    mut incoming: impl FnMut(Found) -> Incoming,
) {
    let mut first = Vec::new();
    let collect = async {
        while first.len() <= MAX_FILES_OF_SMALL_SET {
            match found.recv().await {
                Some(next) => first.push(next),
                None => break,
            }
        }
    };
    // The time has passed: the set is large, or its search is slow.
    let _ = timeout(SMALL_SET_SEARCH_TIME, collect).await;
    for found in first {
        if requests.send(incoming(found)).await.is_err() {
            return;
        }
    }
    let mut next = Vec::with_capacity(MAX_RESULTS_PER_BATCH);
    loop {
        let count = tokio::select! {
            count = found.recv_many(&mut next, MAX_RESULTS_PER_BATCH) => count,
            () = requests.closed() => return,
        };
        if count == 0 {
            return;
        }
        let Ok(places) = requests.reserve_many(count).await else {
            return;
        };
        for (place, found) in places.zip(next.drain(..)) {
            place.send(incoming(found));
        }
    }
}

fn incoming_of(
    found: Found,
    if_gone: IfGone,
    request: &mut impl FnMut(Selected, IfGone) -> Result<PutRequest>,
) -> Incoming {
    match found {
        Found::File(file) => {
            let path = file.path.display().to_string();
            match request(file, if_gone) {
                Ok(request) => Incoming::Item(Item::Put(request)),
                Err(error) => Incoming::Failed { path, error },
            }
        }
        Found::Skipped { path, reason, rule } => Incoming::Event(Event::Skipped {
            path: path.display().to_string(),
            reason: reason.name(),
            rule,
        }),
        Found::Unmatched { rule } => Incoming::Event(Event::Unmatched { rule }),
        Found::Vanished { path } => {
            let path = path.display().to_string();
            match if_gone {
                IfGone::Skip => Incoming::Event(Event::Skipped {
                    path,
                    reason: "vanished",
                    rule: None,
                }),
                IfGone::Fail | IfGone::FailAsVanished => Incoming::Failed {
                    error: vanished(&path),
                    path,
                },
            }
        }
        Found::Failed { path, error } => Incoming::Failed {
            path: path.display().to_string(),
            error,
        },
    }
}

/// # Errors
/// [`Kind::NoSource`] if it was deleted.
pub fn working_directory() -> Result<PathBuf> {
    std::env::current_dir().map_err(|error| {
        Error::new(Kind::NoSource, "could not find the working directory").with_source(error)
    })
}

fn open_base(working: &Path, base: &Path) -> Result<Base> {
    let unusable = |error: io::Error| {
        let what = format!("could not use {} as the base of the list", base.display());
        Error::new(Kind::NoSource, what)
            .with_source(error)
            .with_hint("name a directory with --base DIR")
    };
    if !fs::metadata(base).map_err(unusable)?.is_dir() {
        return Err(unusable(io::ErrorKind::NotADirectory.into()));
    }
    Ok(Base::new(working, base))
}

/// A path in its directory without symbolic links: the same for two spellings of a path, but not
/// for a file and a link to it.
pub fn place(path: &Path) -> PathBuf {
    let placed = path.file_name().and_then(|name| {
        let parent = path.parent()?;
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        Some(parent.canonicalize().ok()?.join(name))
    });
    placed.unwrap_or_else(|| path.canonicalize().unwrap_or_else(|_| path.to_owned()))
}

/// The absolute path without symbolic links. Its last names need not exist yet.
fn absolute(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|above| {
        let rest = path.strip_prefix(above).ok()?;
        Some(above.canonicalize().ok()?.join(rest))
    })
}

/// The error for a path that was named and is not there.
fn not_found(path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::InvalidInput => "if the paths are separated by NUL, add -0",
        _ => "check the path and its permissions",
    };
    Error::new(Kind::NoSource, format!("could not open {}", path.display()))
        .with_source(error)
        .with_hint(hint)
}

/// The error with the line of the list that it is about.
fn at_line(line: Option<&str>, error: Error) -> Error {
    let Some(line) = line else { return error };
    let named = Error::new(error.kind(), format!("{line}: {error}"));
    match error.hint() {
        Some(hint) => named.with_hint(hint),
        None => named,
    }
}

fn own_file(path: PathBuf) -> Found {
    Found::Skipped {
        path,
        reason: Reason::Own,
        rule: None,
    }
}

fn unnamed(path: &Path, reason: Unnamed) -> Error {
    let shown = path.display();
    let (what, hint) = match reason {
        Unnamed::OutsideBase => (
            format!("{shown} is not below the directory of --base"),
            "name a directory above it with --base DIR",
        ),
        Unnamed::NeedsBase | Unnamed::Empty => (
            format!("{shown} is absolute or contains `..`"),
            "name the directory at which relative paths begin with --base DIR",
        ),
    };
    Error::new(Kind::Usage, what).with_hint(hint)
}
