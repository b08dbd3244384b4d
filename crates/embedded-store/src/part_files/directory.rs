//! The directories of the part files: creation, removal, and files that no row names.
//!
//! Not here: reading and writing files, in [`mod@super::read`] and [`super::draft`].

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use upload_types::crash;
use upload_types::fair_share::{FairShare, Share};
use upload_types::sync::lock;

use super::background::{start_flusher, start_remover};
use super::name::FileName;
use crate::lock::StoreLock;

/// Each body blocks one of tokio's 512 threads for blocking work; readers need the others. One
/// directory may have a half of the bodies: in the keys of a gateway, each owner has its own.
const MAX_CONCURRENT_BODIES: usize = 256;
/// A file that no row names is removed after this time.
const LOST_FILE_RETENTION: Duration = Duration::from_hours(7 * 24);
/// The most missing files that the log names.
const MAX_REPORTED_FILES: usize = 10_000;

/// The part files of one store.
#[derive(Debug)]
pub struct PartFiles {
    dir: PathBuf,
    remover: mpsc::Sender<PathBuf>,
    flusher: mpsc::Sender<Arc<File>>,
    /// Rows and files may differ: the next process must compare them.
    needs_sweep: Arc<AtomicBool>,
    readers: Mutex<Readers>,
    bodies: Arc<FairShare>,
    /// Lost files that the log names.
    reported: Mutex<HashSet<FileName>>,
}

/// The keys of both maps are the upload ids in the rows of the files.
#[derive(Debug, Default)]
struct Readers {
    counts: HashMap<String, usize>,
    /// Files to remove when the count falls to zero.
    deferred: HashMap<String, Vec<FileName>>,
}

impl PartFiles {
    /// Creates the directories; removes drafts and expired lost files. Keeps the lock until the
    /// last user of these files is dropped and all removals are done.
    pub fn open(dir: &Path, lock: StoreLock) -> io::Result<Arc<Self>> {
        let tmp = dir.join("tmp");
        let parts = dir.join("parts");
        create_private_dir(&tmp)?;
        create_private_dir(&parts)?;
        let created = create_shards(&parts)?;
        for entry in fs::read_dir(&tmp)? {
            fs::remove_file(entry?.path())?;
        }
        crash::point("store.files.created");
        remove_expired_lost_files(&dir.join("lost"))?;
        // A process that created them earlier may have been killed before this sync.
        if created || lock.is_after_crash() {
            File::open(&parts)?.sync_all()?;
            File::open(dir)?.sync_all()?;
        }
        let needs_sweep = Arc::new(AtomicBool::new(lock.is_after_crash()));
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
            remover: start_remover(lock, Arc::clone(&needs_sweep))?,
            flusher: start_flusher()?,
            needs_sweep,
            readers: Mutex::default(),
            bodies: FairShare::new(MAX_CONCURRENT_BODIES),
            reported: Mutex::default(),
        }))
    }

    /// Returns true if `dir` contains any part file.
    pub fn any_in(dir: &Path) -> io::Result<bool> {
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

    /// Moves the part files that are not `known` to `lost`. A process was killed before the commit
    /// of their row, or between the deletion of their row and their removal. They are not removed
    /// at once, because the manifest may have lost its last commits, and their rows with them.
    pub fn set_aside_unknown(&self, known: &HashSet<FileName>) -> io::Result<()> {
        let lost = self.dir.join("lost");
        let mut count = 0_u64;
        for shard in fs::read_dir(self.dir.join("parts"))? {
            for entry in fs::read_dir(shard?.path())? {
                let entry = entry?;
                // Files with other names do not belong to the store.
                let name = entry.file_name().to_str().and_then(FileName::parse);
                if let Some(name) = name.filter(|name| !known.contains(name)) {
                    create_private_dir(&lost)?;
                    // The retention begins now.
                    File::open(entry.path())?.set_modified(SystemTime::now())?;
                    fs::rename(entry.path(), lost.join(name.as_str()))?;
                    crash::point("store.files.set_aside");
                    count += 1;
                }
            }
        }
        if count > 0 {
            let days = LOST_FILE_RETENTION.as_secs() / (24 * 3600);
            tracing::warn!(
                "{count} part files belong to no upload or object: kept in {} for {days} days",
                lost.display()
            );
        }
        self.needs_sweep.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the next process compare rows and files.
    pub fn require_sweep(&self) {
        self.needs_sweep.store(true, Ordering::Relaxed);
    }

    /// A place to receive the body of the object at a key. Returns `None` if too many are being
    /// received, in total or for objects of the same directory.
    pub fn try_body_place(&self, key: &str) -> Option<Share> {
        let directory = key.rsplit_once('/').map_or("", |(directory, _)| directory);
        self.bodies.try_take(directory, 1)
    }

    /// Returns true if the file exists with this size. Blocks: one `stat`.
    pub fn has(&self, name: &FileName, size: u64) -> io::Result<bool> {
        match fs::symlink_metadata(self.path(name)) {
            Ok(file) => Ok(file.is_file() && file.len() == size),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns true if the file was not reported as lost before, and not too many others were.
    pub fn is_first_report(&self, name: &FileName) -> bool {
        let mut reported = lock(&self.reported);
        reported.len() < MAX_REPORTED_FILES && reported.insert(name.clone())
    }

    pub fn path(&self, name: &FileName) -> PathBuf {
        let parts = self.dir.join("parts");
        parts.join(name.shard()).join(name.as_str())
    }

    pub(super) fn draft_path(&self, name: &FileName) -> PathBuf {
        self.dir.join("tmp").join(name.as_str())
    }

    pub(super) fn flush_in_background(&self, file: Arc<File>) {
        // The thread lives as long as `self`.
        let _ = self.flusher.send(file);
    }

    /// Removes files of an upload id that no row names, once no reader holds them.
    pub fn remove_when_unread(&self, upload_id: &str, names: Vec<FileName>) {
        let mut readers = lock(&self.readers);
        if readers.counts.contains_key(upload_id) {
            let deferred = readers.deferred.entry(upload_id.to_owned()).or_default();
            deferred.extend(names);
        } else {
            self.remove(names);
        }
    }

    pub(super) fn remove(&self, names: impl IntoIterator<Item = FileName>) {
        for name in names {
            // The thread lives as long as `self`.
            let _ = self.remover.send(self.path(&name));
        }
    }

    pub(super) fn add_reader(&self, upload_id: &str) {
        let mut readers = lock(&self.readers);
        *readers.counts.entry(upload_id.to_owned()).or_default() += 1;
    }

    pub(super) fn drop_reader(&self, upload_id: &str) {
        let mut readers = lock(&self.readers);
        if let Some(count) = readers.counts.get_mut(upload_id) {
            *count -= 1;
            if *count == 0 {
                readers.counts.remove(upload_id);
                self.remove(readers.deferred.remove(upload_id).unwrap_or_default());
            }
        }
    }
}

/// Removes part files that were set aside longer ago than [`LOST_FILE_RETENTION`].
fn remove_expired_lost_files(lost: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(lost) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let is_part_file = entry
            .file_name()
            .to_str()
            .is_some_and(|name| FileName::parse(name).is_some());
        // A time in the future counts as now.
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if is_part_file && age > LOST_FILE_RETENTION {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Creates the missing ones of the 256 directories `00` to `ff`. Returns true if any was missing.
/// All of them exist from the start, so that a new file is durable once its own directory is
/// synced.
fn create_shards(parts: &Path) -> io::Result<bool> {
    let existing = fs::read_dir(parts)?.map(|entry| entry.map(|entry| entry.file_name()));
    let existing = existing.collect::<io::Result<HashSet<_>>>()?;
    let missing: Vec<String> = (0..=u8::MAX)
        .map(|shard| format!("{shard:02x}"))
        .filter(|shard| !existing.contains(OsStr::new(shard)))
        .collect();
    for shard in &missing {
        create_private_dir(&parts.join(shard))?;
    }
    Ok(!missing.is_empty())
}

/// Creates a directory with mode 0700 if it does not exist.
fn create_private_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
