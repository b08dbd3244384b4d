//! The bytes of a part, where they lie: a range of an open file.
//!
//! Border: reads and says what was wrong with reading; what file it is, and whether it is still the same, is `source`'s.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use upload_types::sync::lock;

use bytes::Bytes;

use upload_types::error::{Error, Kind, Result};
use upload_types::names::ByteRange;

/// Bytes read from the file at once. Larger frames leave the processor cache before they are sent.
pub const FRAME: usize = 64 << 10;

/// What one PUT sends.
#[derive(Debug, Clone)]
pub struct Content {
    pub file: Arc<fs::File>,
    /// For messages.
    pub path: Arc<Path>,
    pub range: ByteRange,
}

impl Content {
    /// Fills the buffer from `offset`, waiting for the disk.
    ///
    /// # Errors
    /// [`Kind::SourceChanged`] when the file ends before that, [`Kind::Io`] when it cannot be read.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => self.shorter(),
                _ => self.unreadable(error),
            })
    }

    /// Reads from `offset` what lies in memory already; None when the disk would have to be waited for, or nobody can tell.
    pub fn read_at_hand(&self, buffer: &mut [u8], offset: u64) -> Option<usize> {
        #[cfg(target_os = "linux")]
        {
            use rustix::io::{ReadWriteFlags, preadv2};
            let mut buffers = [io::IoSliceMut::new(buffer)];
            // Nothing read is the end of the file, which waiting finds again.
            preadv2(&*self.file, &mut buffers, offset, ReadWriteFlags::NOWAIT)
                .ok()
                .filter(|read| *read > 0)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (buffer, offset);
            None
        }
    }

    pub fn shorter(&self) -> Error {
        Error::new(
            Kind::SourceChanged,
            format!(
                "{} has become shorter while it was read",
                self.path.display()
            ),
        )
    }

    pub fn unreadable(&self, error: io::Error) -> Error {
        Error::new(Kind::Io, format!("could not read {}", self.path.display())).with_source(error)
    }
}

/// Buffers of one frame each, used again and again: memory that is new has to be cleared by the kernel first.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Pool {
    pub fn lend(&self) -> Lent {
        let buffer = lock(&self.0).pop();
        Lent {
            buffer: buffer.unwrap_or_else(|| vec![0; FRAME].into()),
            len: FRAME,
            pool: self.clone(),
        }
    }
}

/// A buffer that goes back to its pool when nobody holds it any more.
#[derive(Debug)]
pub struct Lent {
    buffer: Box<[u8]>,
    len: usize,
    pool: Pool,
}

impl Lent {
    pub fn space(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.buffer.len());
        &mut self.buffer[..len]
    }

    /// Its first `len` bytes.
    pub fn into_bytes(mut self, len: usize) -> Bytes {
        self.len = len.min(self.buffer.len());
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        lock(&self.pool.0).push(buffer);
    }
}
