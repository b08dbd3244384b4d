//! Part files: one for each part, named by a UUID, never by a key.
//!
//! Border: bytes on disk and when they may be removed. Which files there ought to be is the manifest's knowledge; a file
//! counts once a committed row names it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::lock::Lock;
use upload_types::crash;
use upload_types::sync::lock;

/// How much of a file is read at a time.
const READ: u64 = 256 << 10;
/// Bodies that may come at the same time: each has a thread of the 512 that tokio gives to what blocks, and reading needs some.
const BODIES: usize = 256;
/// Bytes of one file after which the disk is sent for: at the end there is less to wait for.
const STRIDE: u64 = 16 << 20;
/// How long a file that no row names is kept aside.
const LOST: Duration = Duration::from_hours(7 * 24);

/// The name of a part file: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileName(String);

impl FileName {
    fn fresh() -> Self {
        Self(Uuid::now_v7().simple().to_string())
    }

    /// Takes a name that was read somewhere, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 32 && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last two digits, which are random in a version 7 UUID.
    fn shard(&self) -> &str {
        self.0.get(30..).unwrap_or_default()
    }
}

/// The part files of one store.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    remover: mpsc::Sender<PathBuf>,
    flusher: mpsc::Sender<Arc<File>>,
    /// Rows and files may differ: the next start must look around.
    untidy: Arc<AtomicBool>,
    held: Mutex<Held>,
    places: Arc<Semaphore>,
}

/// Objects that are being read, and what is to be removed once they no longer are.
#[derive(Debug, Default)]
struct Held {
    readers: HashMap<String, usize>,
    waiting: HashMap<String, Vec<FileName>>,
}

impl Files {
    /// Makes the directories, clears away half-written files and what was kept aside long enough, and takes over the lock: it
    /// is released when the last user of these files is gone and all that was to be removed has been.
    pub fn open(dir: &Path, lock: Lock) -> io::Result<Arc<Self>> {
        let tmp = dir.join("tmp");
        let parts = dir.join("parts");
        make_dir(&tmp)?;
        make_dir(&parts)?;
        let made = make_shards(&parts)?;
        for entry in fs::read_dir(&tmp)? {
            fs::remove_file(entry?.path())?;
        }
        crash::point("store.files.made");
        forget_lost(&dir.join("lost"))?;
        // Who made them before may have been killed before this.
        if made || lock.left_behind {
            File::open(&parts)?.sync_all()?;
            File::open(dir)?.sync_all()?;
        }
        let untidy = Arc::new(AtomicBool::new(lock.left_behind));
        let doubt = Arc::clone(&untidy);
        let (remover, removals) = mpsc::channel::<PathBuf>();
        std::thread::Builder::new()
            .name("part-remover".into())
            .spawn(move || {
                for path in removals {
                    crash::point("store.files.removing");
                    match fs::remove_file(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            tracing::warn!("could not remove {}: {error}", path.display());
                            doubt.store(true, Ordering::Relaxed);
                        }
                        _ => {}
                    }
                }
                lock.release(!doubt.load(Ordering::Relaxed));
            })?;
        let (flusher, files) = mpsc::channel::<Arc<File>>();
        std::thread::Builder::new()
            .name("part-flusher".into())
            .spawn(move || {
                for file in files {
                    // Early, and for nobody: whoever publishes syncs for itself, and is told by its own handle what went wrong.
                    let _ = file.sync_data();
                }
            })?;
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
            remover,
            flusher,
            untidy,
            held: Mutex::default(),
            places: Arc::new(Semaphore::new(BODIES)),
        }))
    }

    /// Whether there is any part file under `dir`.
    pub fn any(dir: &Path) -> io::Result<bool> {
        let shards = match fs::read_dir(dir.join("parts")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            shards => shards?,
        };
        for shard in shards {
            if fs::read_dir(shard?.path())?.next().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Puts the part files that no row names aside, under `lost`: of a process that ended between file and row, or row and
    /// removal. They may as well be of rows that were lost with the end of the manifest, which nobody can tell.
    pub fn sweep(&self, known: &HashSet<FileName>) -> io::Result<()> {
        let lost = self.dir.join("lost");
        let mut count = 0_u64;
        for shard in fs::read_dir(self.dir.join("parts"))? {
            for entry in fs::read_dir(shard?.path())? {
                let entry = entry?;
                // What is not named like ours was not made by us.
                let name = entry.file_name().to_str().and_then(FileName::parse);
                if let Some(name) = name.filter(|name| !known.contains(name)) {
                    make_dir(&lost)?;
                    // From now on its age is that of its loss.
                    File::open(entry.path())?.set_modified(SystemTime::now())?;
                    fs::rename(entry.path(), lost.join(name.as_str()))?;
                    crash::point("store.files.aside");
                    count += 1;
                }
            }
        }
        if count > 0 {
            let days = LOST.as_secs() / (24 * 3600);
            tracing::warn!(
                "{count} part files belong to nothing: they are kept in {} for {days} days",
                lost.display()
            );
        }
        self.untidy.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Has the next start look around: what the rows say of the files is not certain.
    pub fn doubt(&self) {
        self.untidy.store(true, Ordering::Relaxed);
    }

    fn path(&self, name: &FileName) -> PathBuf {
        self.dir
            .join("parts")
            .join(name.shard())
            .join(name.as_str())
    }

    /// A place among the bodies that come at the same time, until it is dropped; none when all are taken.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// A new file to write into; gone again unless it is published.
    pub fn draft(self: &Arc<Self>) -> io::Result<Draft> {
        let name = FileName::fresh();
        let path = self.dir.join("tmp").join(name.as_str());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        crash::point("store.draft.made");
        Ok(Draft {
            file,
            twin: None,
            unflushed: 0,
            name,
            path,
            files: Arc::clone(self),
        })
    }

    /// Removes files that no row names any more: those of `owner`, an upload, once nobody reads it.
    pub fn discard(&self, owner: &str, names: Vec<FileName>) {
        let mut held = self.held();
        if held.readers.contains_key(owner) {
            held.waiting
                .entry(owner.to_owned())
                .or_default()
                .extend(names);
        } else {
            self.remove(names);
        }
    }

    fn remove(&self, names: impl IntoIterator<Item = FileName>) {
        for name in names {
            // The remover lives as long as we do; without it, the next start sweeps.
            let _ = self.remover.send(self.path(&name));
        }
    }

    /// Keeps the files of `owner` from removal for as long as the answer lives. To be called in the transaction that read its
    /// rows, which comes before or after any that frees them.
    pub fn hold(self: &Arc<Self>, owner: &str) -> Hold {
        *self.held().readers.entry(owner.to_owned()).or_default() += 1;
        Hold {
            owner: owner.to_owned(),
            files: Arc::clone(self),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

/// See [`Files::hold`].
#[derive(Debug)]
pub struct Hold {
    owner: String,
    files: Arc<Files>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.files.held();
        if let Some(readers) = held.readers.get_mut(&self.owner) {
            *readers -= 1;
            if *readers == 0 {
                held.readers.remove(&self.owner);
                let waiting = held.waiting.remove(&self.owner).unwrap_or_default();
                self.files.remove(waiting);
            }
        }
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct Draft {
    file: File,
    /// The same file, opened again: an error of the disk is told once to each opening, and `file` must not miss it.
    twin: Option<Arc<File>>,
    unflushed: u64,
    name: FileName,
    path: PathBuf,
    files: Arc<Files>,
}

impl Draft {
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        crash::point("store.draft.written");
        self.unflushed += bytes.len() as u64;
        if self.unflushed >= STRIDE {
            self.unflushed = 0;
            self.flush()?;
        }
        Ok(())
    }

    /// Has the disk begin with what it was given, unless it is still at it.
    fn flush(&mut self) -> io::Result<()> {
        let twin = match self.twin.take() {
            Some(twin) => twin,
            None => Arc::new(File::open(&self.path)?),
        };
        if Arc::strong_count(&twin) == 1 {
            // The flusher lives as long as the files do.
            let _ = self.files.flusher.send(Arc::clone(&twin));
        }
        self.twin = Some(twin);
        Ok(())
    }

    /// Makes the file a durable part file: data first, then its name.
    pub fn publish(self) -> io::Result<Fresh> {
        self.file.sync_data()?;
        crash::point("store.publish.synced");
        let path = self.files.path(&self.name);
        let shard = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::rename(&self.path, &path)?;
        crash::point("store.publish.renamed");
        let fresh = Fresh {
            name: self.name.clone(),
            kept: false,
            files: Arc::clone(&self.files),
        };
        File::open(shard)?.sync_all()?;
        crash::point("store.publish.durable");
        Ok(fresh)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Published files are no longer there; others go, at the latest when the store is opened again.
        let _ = fs::remove_file(&self.path);
    }
}

/// A part file that no row names yet; removed when it is dropped like that.
#[derive(Debug)]
pub struct Fresh {
    pub name: FileName,
    kept: bool,
    files: Arc<Files>,
}

impl Fresh {
    /// A committed row names it now.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept {
            self.files.remove([self.name.clone()]);
        }
    }
}

/// Reads `range` of the bytes that `files` (with their sizes) make up one after another.
pub fn read(
    hold: Hold,
    files: Vec<(FileName, u64)>,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let reader = Reader {
        hold,
        rest: pieces(files, range).into_iter(),
        open: None,
    };
    futures_util::stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        // A thread for each piece, so that a client that stops reading holds none.
        let read = tokio::task::spawn_blocking(move || (reader.next(), reader)).await;
        match read {
            Ok((Ok(Some(bytes)), reader)) => Some((Ok(bytes), Some(reader))),
            Ok((Ok(None), _)) => None,
            Ok((Err(error), _)) => {
                tracing::error!("could not read a part file: {error}");
                Some((Err(error), None))
            }
            Err(error) => Some((Err(io::Error::other(error)), None)),
        }
    })
}

/// What of each file lies in `range`.
fn pieces(files: Vec<(FileName, u64)>, range: Range<u64>) -> Vec<(FileName, Range<u64>)> {
    let mut start = 0_u64;
    let mut pieces = Vec::new();
    for (name, size) in files {
        let end = start.saturating_add(size);
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            pieces.push((name, from - start..to - start));
        }
        start = end;
    }
    pieces
}

struct Reader {
    hold: Hold,
    rest: std::vec::IntoIter<(FileName, Range<u64>)>,
    /// The file being read and what is left to read of it.
    open: Option<(File, u64)>,
}

impl Reader {
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let (mut file, left) = match self.open.take() {
            Some(open) => open,
            None => match self.rest.next() {
                None => return Ok(None),
                Some((name, range)) => {
                    let mut file = File::open(self.hold.files.path(&name))?;
                    file.seek(SeekFrom::Start(range.start))?;
                    (file, range.end - range.start)
                }
            },
        };
        let now = left.min(READ);
        let mut bytes = Vec::with_capacity(usize::try_from(now).unwrap_or_default());
        if (&mut file).take(now).read_to_end(&mut bytes)? as u64 != now {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a part file is shorter than its row says",
            ));
        }
        if left > now {
            self.open = Some((file, left - now));
        }
        Ok(Some(bytes.into()))
    }
}

/// Removes the files of ours that were put aside longer ago than [`LOST`].
fn forget_lost(lost: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(lost) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let ours = entry
            .file_name()
            .to_str()
            .and_then(FileName::parse)
            .is_some();
        // A time to come is no age.
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if ours && age > LOST {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes the shards that are missing; true when any were. All from the start: a file's way to the root is durable when its
/// shard is.
fn make_shards(parts: &Path) -> io::Result<bool> {
    let there = fs::read_dir(parts)?.map(|entry| entry.map(|entry| entry.file_name()));
    let there = there.collect::<io::Result<HashSet<_>>>()?;
    let shards = (0..=u8::MAX).map(|shard| format!("{shard:02x}"));
    let mut missing = shards
        .filter(|shard| !there.contains(OsStr::new(shard)))
        .peekable();
    let any = missing.peek().is_some();
    for shard in missing {
        make_dir(&parts.join(shard))?;
    }
    Ok(any)
}

/// Makes a directory for us alone, if it is not there.
fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_at_the_files_edges() {
        let names: Vec<FileName> = (0..3).map(|_| FileName::fresh()).collect();
        let files = || names.iter().cloned().zip([5, 0, 3]).collect::<Vec<_>>();
        let of = |range: Range<u64>| {
            pieces(files(), range)
                .into_iter()
                .map(|(name, range)| (names.iter().position(|n| *n == name).unwrap(), range))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(0..8), [(0, 0..5), (2, 0..3)]);
        assert_eq!(of(4..6), [(0, 4..5), (2, 0..1)]);
        assert_eq!(of(5..5), []);
    }

    #[test]
    fn only_our_own_names_are_file_names() {
        assert!(FileName::parse(FileName::fresh().as_str()).is_some());
        for name in [
            "",
            "..",
            "../../../../../../../../etc/pass",
            "0123456789ABCDEF0123456789ABCDEF",
        ] {
            assert!(FileName::parse(name).is_none(), "{name}");
        }
    }
}
