//! The memory for the parts of a stream that are not stored yet. While it is full, the producer of
//! the stream waits.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use bytes::Bytes;
use upload_types::sync::lock;

/// Clones share the memory.
#[derive(Debug, Clone)]
pub struct PartMemory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The size of all buffers together, in bytes.
    limit: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    /// Buffers to use again: the kernel would have to clear the memory of new ones.
    spare: Vec<Vec<u8>>,
    is_closed: bool,
}

impl PartMemory {
    /// Memory for parts of `limit` bytes together, and at least for two parts: one is read while
    /// the other is sent.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Shared {
            limit,
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// A buffer for a part of `len` bytes. Waits until there is room for it. Returns `None` after
    /// [`PartMemory::close`].
    pub fn take(&self, len: usize) -> Option<PartBuffer> {
        let state = lock(&self.0.state);
        let waited = self.0.changed.wait_while(state, |state| {
            !state.is_closed && !self.has_room(state, len)
        });
        let state = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        (!state.is_closed).then(|| self.buffer(state, len))
    }

    /// As [`PartMemory::take`], but returns `None` at once if there is no room.
    pub fn take_now(&self, len: usize) -> Option<PartBuffer> {
        let state = lock(&self.0.state);
        let has_room = !state.is_closed && self.has_room(&state, len);
        has_room.then(|| self.buffer(state, len))
    }

    fn has_room(&self, state: &State, len: usize) -> bool {
        let bytes = len as u64;
        let limit = self.0.limit.max(bytes.saturating_mul(2));
        state.used.saturating_add(bytes) <= limit
    }

    fn buffer(&self, mut state: MutexGuard<'_, State>, len: usize) -> PartBuffer {
        let bytes = len as u64;
        state.used = state.used.saturating_add(bytes);
        let spare = state.spare.pop().filter(|spare| spare.len() == len);
        if spare.is_none() {
            // The part size has changed.
            state.spare.clear();
        }
        drop(state);
        PartBuffer {
            bytes: spare.unwrap_or_else(|| vec![0; len]),
            filled: 0,
            memory: self.clone(),
        }
    }

    /// Whether [`PartMemory::close`] was called.
    pub fn is_closed(&self) -> bool {
        lock(&self.0.state).is_closed
    }

    /// Ends every wait for room.
    pub fn close(&self) {
        lock(&self.0.state).is_closed = true;
        self.0.changed.notify_all();
    }
}

/// The buffer of one part. Its memory is free again when it is dropped.
#[derive(Debug)]
pub struct PartBuffer {
    bytes: Vec<u8>,
    filled: usize,
    memory: PartMemory,
}

impl PartBuffer {
    /// The next bytes to fill: at most `len`. Empty if the buffer is full.
    pub fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.filled.saturating_add(len).min(self.bytes.len());
        &mut self.bytes[self.filled..end]
    }

    /// Notes that the first `len` bytes of the room were filled. Returns them.
    pub fn fill(&mut self, len: usize) -> &[u8] {
        let start = self.filled;
        self.filled = start.saturating_add(len).min(self.bytes.len());
        &self.bytes[start..self.filled]
    }

    /// The number of bytes that were filled.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// The bytes that were filled, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PartBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for PartBuffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut state = lock(&self.memory.0.state);
        state.used = state.used.saturating_sub(bytes.len() as u64);
        let spare: u64 = state.spare.iter().map(|spare| spare.len() as u64).sum();
        let kept = state.used.saturating_add(spare) + bytes.len() as u64;
        if kept <= self.memory.0.limit {
            state.spare.push(bytes);
        }
        drop(state);
        self.memory.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_waits_for_room_and_two_parts_always_fit() {
        let memory = PartMemory::new(20);
        let first = memory.take(30).unwrap();
        let second = memory.take(30).unwrap().into_bytes();
        let copy = second.clone();
        drop(second);
        assert!(
            memory.take_now(30).is_none(),
            "a clone still holds the memory"
        );
        let waiting = memory.clone();
        let thread = std::thread::spawn(move || waiting.take(30).unwrap().bytes.len());
        drop(copy);
        assert_eq!(thread.join().unwrap(), 30);
        drop(first);
    }

    #[test]
    fn closed_memory_ends_the_wait() {
        let memory = PartMemory::new(8);
        let held = [memory.take(8).unwrap(), memory.take(8).unwrap()];
        let waiting = memory.clone();
        let thread = std::thread::spawn(move || waiting.take(8).is_none());
        memory.close();
        assert!(thread.join().unwrap());
        assert_eq!(held[0].filled(), 0);
    }

    #[test]
    fn filled_bytes_are_those_of_the_part() {
        let mut buffer = PartMemory::new(8).take(4).unwrap();
        buffer.room(3).copy_from_slice(b"abc");
        assert_eq!(buffer.fill(3), b"abc");
        assert_eq!(buffer.room(3).len(), 1);
        assert_eq!(buffer.into_bytes(), &b"abc"[..]);
    }
}
