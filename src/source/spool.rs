//! The spool: parts of a stream on disk, for which there is no room in memory. With it, the
//! producer of the stream does not wait for the network.
//!
//! It is one file without a name, so nothing of it stays after the end of the process. The space of
//! a part is freed when the part is stored. A file system that cannot free it frees the whole file
//! when no part is left in it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, FallocateFlags, Mode, OFlags, fallocate, openat, unlink};
use rustix::io::Errno;
use upload_types::ByteRange;
use upload_types::error::{Error, Kind, Result};
use upload_types::sync::lock;

use super::file::SourceFile;

/// How long to wait for space on a full disk, if parts will free some.
const FULL_DISK_WAIT: Duration = Duration::from_millis(200);

/// Clones share the file.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: SourceFile,
    handle: File,
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The end of the last part.
    end: u64,
    /// The parts that are not stored yet.
    parts: usize,
}

impl Spool {
    /// Creates the file in a directory.
    ///
    /// # Errors
    /// [`Kind::Io`] if that is not possible.
    pub fn create(directory: &Path) -> Result<Self> {
        let failed = |error: io::Error| {
            let what = format!("could not create a file in {}", directory.display());
            Error::new(Kind::Io, what)
                .with_source(error)
                .with_hint("name a directory that you may write to with --spool DIR")
        };
        let handle = unnamed_file(directory).map_err(failed)?;
        let file = handle.try_clone().map_err(failed)?;
        Ok(Self(Arc::new(Shared {
            file: SourceFile::spooled(file, directory),
            handle,
            directory: directory.to_owned(),
            state: Mutex::default(),
        })))
    }

    /// The place of a part with at most `len` bytes.
    pub(super) fn reserve(&self, len: u64) -> SpooledPart {
        let mut state = lock(&self.0.state);
        if state.parts == 0 {
            // The file begins again. If that fails, it only stays longer.
            state.end = 0;
            let _ = self.0.handle.set_len(0);
        }
        let start = state.end;
        state.end = start.saturating_add(len);
        state.parts += 1;
        SpooledPart {
            spool: self.clone(),
            range: ByteRange { start, len: 0 },
        }
    }

    /// Whether the file has more than one part. The others will free their space.
    fn has_others(&self) -> bool {
        lock(&self.0.state).parts > 1
    }
}

/// A part in the spool. A drop frees its space.
#[derive(Debug)]
pub struct SpooledPart {
    spool: Spool,
    range: ByteRange,
}

impl SpooledPart {
    /// Adds bytes at the end of the part. While the disk is full, calls `on_wait` and waits for
    /// space that other parts free.
    ///
    /// # Errors
    /// [`Kind::Io`] if the disk is full and no other part is in the file, or for another failure of
    /// the disk.
    pub(super) fn write(&mut self, bytes: &[u8], on_wait: impl Fn()) -> Result<()> {
        let end = self.range.start.saturating_add(self.range.len);
        loop {
            match self.spool.0.handle.write_all_at(bytes, end) {
                Ok(()) => break,
                Err(error) if is_full(&error) && self.spool.has_others() => {
                    on_wait();
                    thread::sleep(FULL_DISK_WAIT);
                }
                Err(error) => {
                    let directory = self.spool.0.directory.display();
                    let what = format!("could not write the spool in {directory}");
                    let hint = if is_full(&error) {
                        "free disk space, or name another directory with --spool DIR; then run \
                         the whole pipeline again"
                    } else {
                        "check the disk, or name another directory with --spool DIR; then run the \
                         whole pipeline again"
                    };
                    return Err(Error::new(Kind::Io, what)
                        .with_source(error)
                        .with_hint(hint));
                }
            }
        }
        self.range.len = self.range.len.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// The file that has the part.
    #[must_use]
    pub fn file(&self) -> &SourceFile {
        &self.spool.0.file
    }

    /// The bytes of the part in its file.
    #[must_use]
    pub fn range(&self) -> ByteRange {
        self.range
    }
}

impl Drop for SpooledPart {
    fn drop(&mut self) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if self.range.len > 0 {
            // Not every file system can.
            let _ = fallocate(
                &self.spool.0.handle,
                flags,
                self.range.start,
                self.range.len,
            );
        }
        let mut state = lock(&self.spool.0.state);
        state.parts = state.parts.saturating_sub(1);
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// A new file that has no name, or loses it at once.
fn unnamed_file(directory: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match openat(CWD, directory, flags | OFlags::TMPFILE, mode) {
        Ok(file) => return Ok(file.into()),
        // Not every file system has files without a name.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let path = directory.join(format!(".upload-spool-{}", upload_types::new_id()));
    let file = openat(CWD, &path, flags | OFlags::CREATE | OFlags::EXCL, mode)?;
    unlink(&path)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn read(part: &SpooledPart) -> Vec<u8> {
        let range = part.range();
        let mut bytes = vec![0; usize::try_from(range.len).unwrap()];
        part.file().read_exact_at(&mut bytes, range.start).unwrap();
        bytes
    }

    #[test]
    fn parts_keep_their_bytes_and_give_back_their_space() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::create(directory.path()).unwrap();
        let parts: Vec<SpooledPart> = (0..4_u8)
            .map(|number| {
                let mut part = spool.reserve(1 << 20);
                part.write(&vec![number; 1 << 19], || ()).unwrap();
                part.write(&vec![number + 10; 1 << 18], || ()).unwrap();
                part
            })
            .collect();
        for (number, part) in (0..4_u8).zip(&parts) {
            let expected = [vec![number; 1 << 19], vec![number + 10; 1 << 18]].concat();
            assert!(read(part) == expected, "part {number}");
        }
        let names = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(names, 0, "the file has a name");
        let blocks = || spool.0.handle.metadata().unwrap().blocks();
        let before = blocks();
        drop(parts);
        assert!(blocks() < before / 2, "{} of {before} blocks", blocks());
        let mut first = spool.reserve(10);
        first.write(b"again", || ()).unwrap();
        assert_eq!(first.range(), ByteRange { start: 0, len: 5 });
        assert_eq!(read(&first), b"again");
    }

    #[test]
    fn directory_that_is_not_there_is_an_error() {
        let error = Spool::create(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error.kind(), Kind::Io);
    }
}
