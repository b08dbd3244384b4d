//! A regular file, opened once, read by position, told apart from later generations of itself.
//!
//! Border: blocking reads only; who calls them on which thread is `transfer`'s business.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use md5::Md5 as Md5Hasher;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256 as Sha256Hasher};

use upload_types::error::{Error, Kind, Result};
use upload_types::names::{ByteRange, Identity, Md5, Sha256};

/// How much is read at once, in bytes: large enough to keep the number of calls low, small enough to lie in the processor's
/// own cache from reading to hashing.
const FRAME: usize = 64 << 10;

/// The most bytes that are read and fingerprinted on the spot, which takes some 30 µs.
const AT_HAND: usize = 64 << 10;

/// A source that is a file. Clones share the one descriptor, so all parts are read from one inode whatever is put in its
/// place.
#[derive(Debug, Clone)]
pub struct File {
    handle: Arc<fs::File>,
    path: PathBuf,
    identity: Identity,
}

/// What one pass over a range gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    pub sha256: Sha256,
    /// Only where it was asked for.
    pub md5: Option<Md5>,
}

impl File {
    /// Opens a regular file for reading; a FIFO or a device is refused without waiting for it.
    ///
    /// # Errors
    /// [`Kind::NoSource`] when there is no such file, it may not be read, or it is not a regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let no_source = |error: io::Error| {
            // That there are too many open files says nothing about this one.
            let full = [Errno::MFILE, Errno::NFILE]
                .iter()
                .any(|full| Errno::from_io_error(&error) == Some(*full));
            let kind = if full {
                Kind::Temporary
            } else {
                Kind::NoSource
            };
            Error::new(kind, format!("could not open {}", path.display())).with_source(error)
        };
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(no_source)?;
        let metadata = file.metadata().map_err(no_source)?;
        if metadata.is_dir() {
            let what = format!("{} is a directory", path.display());
            return Err(Error::new(Kind::NoSource, what).with_hint("name the files in it"));
        }
        if !metadata.is_file() {
            return Err(Error::new(
                Kind::NoSource,
                format!("{} is not a regular file", path.display()),
            ));
        }
        // A journal outlives the working directory it was written from.
        let path = path.canonicalize().map_err(no_source)?;
        Ok(Self {
            handle: Arc::new(file),
            path,
            identity: identity(&metadata),
        })
    }

    /// The open file itself, for who sends it.
    #[must_use]
    pub fn handle(&self) -> Arc<fs::File> {
        Arc::clone(&self.handle)
    }

    /// The absolute path it was opened by, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was when it was opened.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// What it is now.
    ///
    /// # Errors
    /// [`Kind::Io`] when the file system no longer answers.
    pub fn identity_now(&self) -> Result<Identity> {
        self.handle
            .metadata()
            .map(|metadata| identity(&metadata))
            .map_err(|error| self.unreadable(error))
    }

    /// Fills the buffer from `offset`.
    ///
    /// # Errors
    /// [`Kind::SourceChanged`] when the file ends before that, [`Kind::Io`] when it cannot be read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.handle
            .read_exact_at(buffer, offset)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Error::new(
                    Kind::SourceChanged,
                    format!(
                        "{} has become shorter while it was read",
                        self.path.display()
                    ),
                ),
                _ => self.unreadable(error),
            })
    }

    /// Reads a range once and fingerprints it, telling `read` after each frame how many bytes it had.
    ///
    /// # Errors
    /// As [`File::read_at`].
    pub fn hash(
        &self,
        range: ByteRange,
        with_md5: bool,
        mut read: impl FnMut(u64),
    ) -> Result<Hashed> {
        let mut sha256 = Sha256Hasher::new();
        let mut md5 = with_md5.then(Md5Hasher::new);
        let mut buffer = vec![0; frame(range.len)];
        let mut offset = range.start;
        while offset < range.end() {
            let frame = &mut buffer[..frame(range.end() - offset)];
            self.read_at(frame, offset)?;
            sha256.update(&*frame);
            if let Some(md5) = &mut md5 {
                md5.update(&*frame);
            }
            offset += frame.len() as u64;
            read(frame.len() as u64);
        }
        let sha256 = Sha256::new(sha256.finalize().into());
        Ok(Hashed {
            sha256,
            md5: md5.map(|md5| Md5::new(md5.finalize().into())),
        })
    }

    /// As [`File::hash`], for a small range that lies in memory already; None for a larger one, when the disk would have to be
    /// waited for, or when nobody can tell. Never waits.
    #[must_use]
    pub fn hash_at_hand(&self, range: ByteRange, with_md5: bool) -> Option<Hashed> {
        let len = usize::try_from(range.len)
            .ok()
            .filter(|len| *len <= AT_HAND)?;
        let mut buffer = vec![0; len];
        read_at_hand(&self.handle, &mut buffer, range.start).filter(|read| *read == len)?;
        let md5 = with_md5.then(|| Md5::new(Md5Hasher::digest(&buffer).into()));
        Some(Hashed {
            sha256: Sha256::of(&buffer),
            md5,
        })
    }

    fn unreadable(&self, error: io::Error) -> Error {
        Error::new(Kind::Io, format!("could not read {}", self.path.display())).with_source(error)
    }
}

/// Reads what lies in memory.
#[cfg(target_os = "linux")]
fn read_at_hand(file: &fs::File, buffer: &mut [u8], offset: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    preadv2(
        file,
        &mut [io::IoSliceMut::new(buffer)],
        offset,
        ReadWriteFlags::NOWAIT,
    )
    .ok()
}

#[cfg(not(target_os = "linux"))]
fn read_at_hand(_file: &fs::File, _buffer: &mut [u8], _offset: u64) -> Option<usize> {
    None
}

/// The size of the next frame when `left` bytes remain.
fn frame(left: u64) -> usize {
    usize::try_from(left).map_or(FRAME, |left| left.min(FRAME))
}

fn identity(metadata: &fs::Metadata) -> Identity {
    let nanoseconds =
        |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    Identity {
        dev: metadata.dev(),
        ino: metadata.ino(),
        size: metadata.size(),
        mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_hashed_as_it_stands_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..FRAME * 2 + 17)
            .map(|i| u8::try_from(i % 251).unwrap())
            .collect();
        fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        let range = ByteRange {
            start: 5,
            len: FRAME as u64 + 9,
        };
        let mut read = 0;
        let hashed = file.hash(range, true, |n| read += n).unwrap();
        assert_eq!(hashed.sha256, Sha256::of(&bytes[5..5 + FRAME + 9]));
        assert_eq!(read, range.len);
        assert!(hashed.md5.is_some());
    }

    #[test]
    fn a_file_cut_short_is_changed_not_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, [1; 100]).unwrap();
        let file = File::open(&path).unwrap();
        fs::write(&path, [1; 50]).unwrap();
        let range = ByteRange { start: 0, len: 100 };
        assert_eq!(
            file.hash(range, false, |_| ()).unwrap_err().kind(),
            Kind::SourceChanged
        );
        assert_ne!(file.identity_now().unwrap(), file.identity());
    }

    #[test]
    fn what_is_at_hand_is_what_waiting_would_give() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, [7; 100]).unwrap();
        let file = File::open(&path).unwrap();
        let at_hand = |start, len| file.hash_at_hand(ByteRange { start, len }, true);
        // A file system may have to be waited for; what it gives at once is right.
        if let Some(hashed) = at_hand(10, 80) {
            assert_eq!(
                hashed,
                file.hash(ByteRange { start: 10, len: 80 }, true, |_| ())
                    .unwrap()
            );
        }
        assert_eq!(
            at_hand(0, 101),
            None,
            "a file cut short is told by whoever waits"
        );
        assert_eq!(at_hand(0, AT_HAND as u64 + 1), None);
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for path in [
            dir.path(),
            Path::new("/dev/zero"),
            Path::new("/nonexistent/file"),
        ] {
            assert_eq!(File::open(path).unwrap_err().kind(), Kind::NoSource);
        }
    }
}
