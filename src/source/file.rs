//! A regular file that is opened once and read by position.
//!
//! Not here: threads. Reads block, except those named `…_cached`.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use md5::Md5 as Md5Hasher;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256 as Sha256Hasher};

use super::version::FileVersion;
use upload_types::error::{Error, Kind, Result};
use upload_types::{ByteRange, Md5, Sha256};

/// Bytes read at once. Fewer cost more system calls; more leave the processor cache before they are
/// hashed or sent.
pub const READ_BYTES: usize = 64 << 10;

/// Ranges up to this many bytes are hashed without a thread of their own: to start one takes some
/// 30 µs.
const MAX_HASH_CACHED_BYTES: usize = 64 << 10;

/// An open source. Clones share one descriptor, so all parts are read from one inode, even after
/// another file was renamed to its path.
#[derive(Debug, Clone)]
pub struct SourceFile {
    handle: Arc<fs::File>,
    path: Arc<Path>,
    version: FileVersion,
}

/// The digests of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    pub sha256: Sha256,
    /// `None` unless the caller has requested it.
    pub md5: Option<Md5>,
}

impl SourceFile {
    /// Opens a regular file for reading. Does not wait for a writer of a FIFO.
    ///
    /// # Errors
    /// [`Kind::NoSource`] if there is no such file, it cannot be opened for reading, it is not a
    /// regular file, or it has more bytes than its size; [`Kind::Temporary`] if too many files are
    /// open.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let not_opened = |error: io::Error| {
            let errno = Errno::from_io_error(&error);
            let (kind, hint) = if matches!(errno, Some(Errno::MFILE | Errno::NFILE)) {
                (
                    Kind::Temporary,
                    "close other programs, or raise `ulimit -n`",
                )
            } else {
                (Kind::NoSource, "check the path and its permissions")
            };
            Error::new(kind, format!("could not open {shown}"))
                .with_source(error)
                .with_hint(hint)
        };
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(not_opened)?;
        let mut metadata = file.metadata().map_err(not_opened)?;
        if metadata.is_dir() {
            return Err(
                Error::new(Kind::NoSource, format!("{shown} is a directory"))
                    .with_hint("add -r to upload the files in it"),
            );
        }
        if !metadata.is_file() {
            let what = format!("{shown} is not a regular file");
            let hint =
                "upload it as a stream: pass it as standard input to `upload put - --name NAME`";
            return Err(Error::new(Kind::NoSource, what).with_hint(hint));
        }
        let mut version = FileVersion::from(&metadata);
        while has_bytes_at(&file, version.size).map_err(not_opened)? {
            metadata = file.metadata().map_err(not_opened)?;
            let larger = FileVersion::from(&metadata);
            if larger.size <= version.size {
                return Err(wrong_size(path, version.size, "more"));
            }
            // Another process has just appended to the file.
            version = larger;
        }
        // The journal keeps the path for processes with another working directory.
        let path = path.canonicalize().map_err(not_opened)?;
        Ok(Self {
            handle: Arc::new(file),
            path: path.into(),
            version,
        })
    }

    /// A file in which other code of this process keeps parts. It has no version.
    pub(super) fn spooled(file: fs::File, directory: &Path) -> Self {
        Self {
            handle: Arc::new(file),
            path: directory.into(),
            version: FileVersion::NONE,
        }
    }

    /// The absolute path at which it was opened, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version at the time it was opened.
    #[must_use]
    pub fn version(&self) -> FileVersion {
        self.version
    }

    /// The version now.
    ///
    /// # Errors
    /// [`Kind::Io`] if the metadata cannot be read.
    pub fn current_version(&self) -> Result<FileVersion> {
        let metadata = self.handle.metadata();
        metadata
            .map(|metadata| FileVersion::from(&metadata))
            .map_err(|error| self.read_error(error))
    }

    /// Whether the file has bytes after the end that it had when it was opened.
    ///
    /// # Errors
    /// [`Kind::Io`] if the file cannot be read.
    pub fn has_bytes_after_its_end(&self) -> Result<bool> {
        has_bytes_at(&self.handle, self.version.size).map_err(|error| self.read_error(error))
    }

    /// Whether a process has the file open for writing, or mapped for writing: then its bytes can
    /// change without a new version. False if the file system cannot tell.
    #[must_use]
    pub fn has_writer(&self) -> bool {
        upload_lease::has_writer(&self.handle).unwrap_or(false)
    }

    /// Fills the buffer from `offset`.
    ///
    /// # Errors
    /// If the file ends before the buffer is full: [`Kind::SourceChanged`] if its size has changed
    /// since it was opened, otherwise [`Kind::NoSource`]. [`Kind::Io`] if it cannot be read.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let read = self.handle.read_exact_at(buffer, offset);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.too_short(),
            _ => self.read_error(error),
        })
    }

    fn too_short(&self) -> Error {
        let size = self.version.size;
        match self.current_version() {
            Ok(version) if version.size == size => wrong_size(&self.path, size, "fewer"),
            Ok(_) => {
                let what = format!("{} became shorter while it was read", self.path.display());
                Error::new(Kind::SourceChanged, what).with_hint("put the file again")
            }
            Err(error) => error,
        }
    }

    /// Reads bytes from `offset` that are in the page cache. Returns their number, or `None` if the
    /// disk has to be read, at the end of the file, on an error, and on systems without `preadv2`.
    #[must_use]
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> Option<usize> {
        #[cfg(target_os = "linux")]
        {
            use rustix::io::{ReadWriteFlags, preadv2};
            let mut buffers = [io::IoSliceMut::new(buffer)];
            preadv2(&*self.handle, &mut buffers, offset, ReadWriteFlags::NOWAIT)
                .ok()
                .filter(|read| *read > 0)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (buffer, offset);
            None
        }
    }

    /// Hashes a range. Calls `on_read` with the number of bytes after each read.
    ///
    /// # Errors
    /// As [`SourceFile::read_exact_at`].
    pub fn hash(
        &self,
        range: ByteRange,
        md5: WithMd5,
        mut on_read: impl FnMut(u64),
    ) -> Result<Digests> {
        let mut md5 = (md5 == WithMd5::Yes).then(Md5Hasher::new);
        let on_bytes = |bytes: &[u8]| {
            if let Some(md5) = &mut md5 {
                md5.update(bytes);
            }
        };
        let sha256 = self.hash_and_pass(range, on_bytes, &mut on_read)?;
        Ok(Digests {
            sha256,
            md5: md5.map(|md5| Md5::new(md5.finalize().into())),
        })
    }

    /// The SHA-256 of a range. Passes its bytes to `on_bytes`, in order. Calls `on_read` with the
    /// number of bytes after each read.
    ///
    /// # Errors
    /// As [`SourceFile::read_exact_at`].
    pub fn hash_and_pass(
        &self,
        range: ByteRange,
        mut on_bytes: impl FnMut(&[u8]),
        mut on_read: impl FnMut(u64),
    ) -> Result<Sha256> {
        let mut sha256 = Sha256Hasher::new();
        let mut buffer = vec![0; read_len(range.len)];
        let mut offset = range.start;
        while offset < range.end() {
            let bytes = &mut buffer[..read_len(range.end() - offset)];
            self.read_exact_at(bytes, offset)?;
            sha256.update(&*bytes);
            on_bytes(bytes);
            offset += bytes.len() as u64;
            on_read(bytes.len() as u64);
        }
        Ok(Sha256::new(sha256.finalize().into()))
    }

    /// Hashes a small range that is in the page cache. Returns `None` for a larger range, and in
    /// the cases of [`SourceFile::read_cached`].
    #[must_use]
    pub fn hash_cached(&self, range: ByteRange, md5: WithMd5) -> Option<Digests> {
        let len = usize::try_from(range.len).ok();
        let len = len.filter(|len| *len <= MAX_HASH_CACHED_BYTES)?;
        let mut buffer = vec![0; len];
        if len > 0 {
            self.read_cached(&mut buffer, range.start)
                .filter(|read| *read == len)?;
        }
        Some(Digests {
            sha256: Sha256::of(&buffer),
            md5: (md5 == WithMd5::Yes).then(|| Md5::new(Md5Hasher::digest(&buffer).into())),
        })
    }

    fn read_error(&self, error: io::Error) -> Error {
        Error::new(Kind::Io, format!("could not read {}", self.path.display())).with_source(error)
    }
}

/// Whether the MD5 of a range is computed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithMd5 {
    Yes,
    No,
}

/// Whether the file has a byte at `offset`. Does not read from the disk at the end of the file.
fn has_bytes_at(file: &fs::File, offset: u64) -> io::Result<bool> {
    loop {
        match file.read_at(&mut [0], offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map(|read| read > 0),
        }
    }
}

/// The error for a file whose size is not the number of its bytes, as in `/proc`, `/sys` and some
/// mounted file systems.
fn wrong_size(path: &Path, size: u64, more_or_fewer: &str) -> Error {
    let path = path.display();
    let what = format!("{path} reports a size of {size} bytes, but has {more_or_fewer}");
    Error::new(Kind::NoSource, what)
        .with_hint("copy its content to a regular file with `cat`, and put that file")
}

/// The length of the next read when `left` bytes remain.
fn read_len(left: u64) -> usize {
    usize::try_from(left).map_or(READ_BYTES, |left| left.min(READ_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: &[u8]) -> (tempfile::TempDir, SourceFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, bytes).unwrap();
        let file = SourceFile::open(&path).unwrap();
        (folder, file)
    }

    #[test]
    fn hash_of_a_range_is_that_of_its_bytes() {
        let bytes: Vec<u8> = (0..=250).cycle().take(READ_BYTES * 2 + 17).collect();
        let (_folder, file) = file_of(&bytes);
        let len = READ_BYTES + 9;
        let range = ByteRange {
            start: 5,
            len: len as u64,
        };
        let mut read = 0;
        let digests = file.hash(range, WithMd5::Yes, |bytes| read += bytes);
        let digests = digests.unwrap();
        assert_eq!(digests.sha256, Sha256::of(&bytes[5..5 + len]));
        let md5: [u8; 16] = Md5Hasher::digest(&bytes[5..5 + len]).into();
        assert_eq!(digests.md5, Some(Md5::new(md5)));
        assert_eq!(read, range.len);
    }

    #[test]
    fn truncated_file_has_changed() {
        let (folder, file) = file_of(&[1; 100]);
        fs::write(folder.path().join("f"), [1; 50]).unwrap();
        let range = ByteRange { start: 0, len: 100 };
        let error = file.hash(range, WithMd5::No, |_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::SourceChanged);
        assert_ne!(file.current_version().unwrap(), file.version());
    }

    #[test]
    fn cached_hash_equals_blocking_hash() {
        let (_folder, file) = file_of(&[7; 100]);
        let cached = |start, len| file.hash_cached(ByteRange { start, len }, WithMd5::Yes);
        let range = ByteRange { start: 10, len: 80 };
        let blocking = file.hash(range, WithMd5::Yes, |_| ()).unwrap();
        // Not every file system supports reads that do not block.
        assert!(cached(10, 80).is_none_or(|digests| digests == blocking));
        assert_eq!(cached(0, 101), None, "beyond the end of the file");
        assert_eq!(cached(0, MAX_HASH_CACHED_BYTES as u64 + 1), None);
        assert_eq!(cached(0, 0).unwrap().sha256, Sha256::of(b""));
    }

    #[test]
    fn file_with_more_bytes_than_its_size_is_no_source() {
        // The kernel reports a size of 0 for the files of /proc.
        let error = SourceFile::open(Path::new("/proc/cpuinfo")).unwrap_err();
        assert_eq!(error.kind(), Kind::NoSource, "{error}");
    }

    #[test]
    fn file_with_fewer_bytes_than_its_size_is_no_source() {
        // The kernel reports a size of 4096 bytes for the files of /sys.
        let file = SourceFile::open(Path::new("/sys/kernel/uevent_seqnum")).unwrap();
        let range = ByteRange {
            start: 0,
            len: file.version().size,
        };
        let error = file.hash(range, WithMd5::No, |_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::NoSource, "{error}");
    }

    #[test]
    fn appended_file_has_bytes_after_its_end() {
        let (folder, file) = file_of(&[1; 100]);
        assert!(!file.has_bytes_after_its_end().unwrap());
        fs::write(folder.path().join("f"), [1; 101]).unwrap();
        assert!(file.has_bytes_after_its_end().unwrap());
    }

    #[test]
    fn directories_devices_and_missing_files_are_no_sources() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        let missing = folder.path().join("missing");
        for path in [folder.path(), Path::new("/dev/zero"), &missing, &fifo] {
            let error = SourceFile::open(path).unwrap_err();
            assert_eq!(error.kind(), Kind::NoSource, "{}", path.display());
        }
    }
}
