//! A pool of read buffers, because the kernel would have to clear the memory of new ones.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use upload_types::sync::lock;

use crate::source::READ_BYTES;

/// Clones share the buffers.
#[derive(Debug, Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Box<[u8]>>>>);

impl BufferPool {
    /// A buffer of [`READ_BYTES`].
    pub fn get(&self) -> PooledBuffer {
        let buffer = lock(&self.0).pop();
        PooledBuffer {
            buffer: buffer.unwrap_or_else(|| vec![0; READ_BYTES].into()),
            len: READ_BYTES,
            pool: self.clone(),
        }
    }
}

/// A buffer that returns to its pool when it is dropped.
#[derive(Debug)]
pub struct PooledBuffer {
    buffer: Box<[u8]>,
    len: usize,
    pool: BufferPool,
}

impl PooledBuffer {
    /// The first `len` bytes, to be filled.
    pub fn first_mut(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.buffer.len());
        &mut self.buffer[..len]
    }

    /// The first `len` bytes, without a copy.
    pub fn into_bytes(mut self, len: usize) -> Bytes {
        self.len = len.min(self.buffer.len());
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        lock(&self.pool.0).push(buffer);
    }
}
