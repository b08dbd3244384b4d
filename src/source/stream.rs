//! Streams: standard input, or the output of a command. They are read once, in order, on a thread
//! of their own, and cut into parts while they are read.
//!
//! Not here: the command (`producer`), and the memory of the parts (`part_memory`, `spool`).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use md5::Md5 as Md5Hasher;
use sha2::{Digest as _, Sha256 as Sha256Hasher};
use tokio::sync::mpsc;

use super::file::{Digests, READ_BYTES, WithMd5};
use super::part_memory::{PartBuffer, PartMemory};
use super::spool::{Spool, SpooledPart};
use upload_types::error::{Error, Kind, Result};
use upload_types::schedule::Schedule;
use upload_types::stream_waits::{Doing, StreamClock};
use upload_types::sync::lock;
use upload_types::wire::Limits;
use upload_types::{Md5, PartNumber, Sha256};

/// How long to wait for a producer that has made the pipe non-blocking.
const WOULD_BLOCK_WAIT: Duration = Duration::from_millis(5);

/// A part that was read.
#[derive(Debug)]
pub struct StreamPart {
    pub number: PartNumber,
    pub bytes: PartBytes,
    pub digests: Digests,
}

/// The bytes of a part.
#[derive(Debug)]
pub enum PartBytes {
    Memory(Bytes),
    Spooled(SpooledPart),
}

impl PartBytes {
    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spooled(part) => part.range().len,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The end of a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamEnd {
    pub size: u64,
    /// The SHA-256 of the whole stream.
    pub sha256: Sha256,
}

#[derive(Debug)]
pub enum StreamItem {
    Part(StreamPart),
    End(StreamEnd),
}

/// How to read a stream.
pub struct StreamReading {
    pub schedule: Schedule,
    pub limits: Limits,
    pub memory: PartMemory,
    /// Takes the parts for which there is no memory.
    pub spool: Option<Spool>,
    pub md5: WithMd5,
    /// Counts the bytes that were read.
    pub read: Arc<AtomicU64>,
    /// Measures the waits.
    pub clock: Arc<Mutex<StreamClock>>,
}

/// Standard input as a file, without a buffer.
///
/// # Errors
/// [`Kind::Io`] if it is closed.
pub fn standard_input(input: BorrowedFd<'_>) -> Result<File> {
    let input = input.try_clone_to_owned();
    let closed = |error| Error::new(Kind::Io, "could not read standard input").with_source(error);
    input.map(File::from).map_err(closed)
}

/// Reads a stream on a new thread. Its parts arrive in order, without an empty one at the end, and
/// then its end; or an error, of kind [`Kind::Io`] if the stream cannot be read, and
/// [`Kind::NotAcceptable`] if it is larger than the schedule permits.
///
/// The thread is not waited for: it may wait for a producer that writes nothing.
pub fn start_reading(
    input: impl Read + Send + 'static,
    reading: StreamReading,
) -> mpsc::UnboundedReceiver<Result<StreamItem>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        // Fails only after the receiver was dropped.
        let send = |item| sender.send(item).is_ok();
        let result = reading.read_all(input, |part| send(Ok(StreamItem::Part(part))));
        reading.turn(Doing::Nothing);
        match result {
            Ok(Some(end)) => send(Ok(StreamItem::End(end))),
            Ok(None) => false,
            Err(error) => send(Err(error)),
        }
    });
    receiver
}

/// A stream with one part of zero bytes: an empty object has such a part.
#[must_use]
pub fn empty_stream(md5: WithMd5) -> mpsc::UnboundedReceiver<Result<StreamItem>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let sha256 = Sha256::of(b"");
    let md5 = (md5 == WithMd5::Yes).then(|| Md5::new(Md5Hasher::new().finalize().into()));
    let part = StreamPart {
        number: PartNumber::FIRST,
        bytes: PartBytes::Memory(Bytes::new()),
        digests: Digests { sha256, md5 },
    };
    let end = StreamEnd { size: 0, sha256 };
    for item in [StreamItem::Part(part), StreamItem::End(end)] {
        // The receiver exists.
        let _ = sender.send(Ok(item));
    }
    receiver
}

impl StreamReading {
    /// Returns `None` if nothing takes the parts any more.
    fn read_all(
        &self,
        mut input: impl Read,
        mut on_part: impl FnMut(StreamPart) -> bool,
    ) -> Result<Option<StreamEnd>> {
        let capacity = self.schedule.capacity(&self.limits);
        let mut whole = Sha256Hasher::new();
        let mut size = 0;
        for number in 1.. {
            let number = PartNumber::try_from(number).map_err(|_| too_large(capacity))?;
            let range = self.schedule.range(number);
            let left = capacity.saturating_sub(size);
            let len = range.map_or(0, |range| range.len).min(left);
            if len == 0 {
                // Only the next byte shows whether the stream ends here.
                let mut next = [0];
                return match self.read(&mut input, &mut next)? {
                    0 => Ok(Some(end(size, whole))),
                    _ => Err(too_large(capacity)),
                };
            }
            let len = usize::try_from(len).map_err(|_| too_large(capacity))?;
            let Some((bytes, digests)) = self.read_part(&mut input, len, &mut whole)? else {
                return Ok(None);
            };
            let filled = bytes.len();
            if filled == 0 {
                break;
            }
            size += filled;
            let part = StreamPart {
                number,
                bytes,
                digests,
            };
            if !on_part(part) {
                return Ok(None);
            }
            if filled < len as u64 {
                break;
            }
        }
        Ok(Some(end(size, whole)))
    }

    /// Reads a part of at most `len` bytes: into memory if there is room, or else into the spool.
    /// Returns `None` if nothing takes the parts any more.
    fn read_part(
        &self,
        input: &mut impl Read,
        len: usize,
        whole: &mut Sha256Hasher,
    ) -> Result<Option<(PartBytes, Digests)>> {
        self.turn(Doing::WaitingForRoom);
        let buffer = match &self.spool {
            None => self.memory.take(len),
            Some(_) => self.memory.take_now(len),
        };
        self.turn(Doing::Hashing);
        let mut hashers = PartHashers::new(self.md5);
        if let Some(mut buffer) = buffer {
            self.fill(input, &mut buffer, &mut hashers, whole)?;
            let bytes = PartBytes::Memory(buffer.into_bytes());
            return Ok(Some((bytes, hashers.digests())));
        }
        let Some(spool) = self.spool.as_ref().filter(|_| !self.memory.is_closed()) else {
            return Ok(None);
        };
        let mut part = spool.reserve(len as u64);
        let mut piece = vec![0; READ_BYTES];
        let mut left = len;
        while left > 0 {
            let room = left.min(READ_BYTES);
            let read = self.read(input, &mut piece[..room])?;
            if read == 0 {
                break;
            }
            let bytes = &piece[..read];
            hashers.update(bytes);
            whole.update(bytes);
            part.write(bytes, || self.turn(Doing::WaitingForRoom))?;
            left -= read;
            self.read.fetch_add(read as u64, Ordering::Relaxed);
        }
        Ok(Some((PartBytes::Spooled(part), hashers.digests())))
    }

    fn read(&self, input: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
        self.turn(Doing::Reading);
        let len = read(input, buffer);
        self.turn(Doing::Hashing);
        len
    }

    fn turn(&self, doing: Doing) {
        lock(&self.clock).turn(doing, Instant::now());
    }

    /// Reads until the buffer is full or the stream ends.
    fn fill(
        &self,
        input: &mut impl Read,
        buffer: &mut PartBuffer,
        hashers: &mut PartHashers,
        whole: &mut Sha256Hasher,
    ) -> Result<()> {
        loop {
            let room = buffer.room(READ_BYTES);
            if room.is_empty() {
                return Ok(());
            }
            let len = self.read(input, room)?;
            if len == 0 {
                return Ok(());
            }
            let bytes = buffer.fill(len);
            hashers.update(bytes);
            whole.update(bytes);
            self.read.fetch_add(len as u64, Ordering::Relaxed);
        }
    }
}

/// Computes the digests of a part.
struct PartHashers {
    sha256: Sha256Hasher,
    md5: Option<Md5Hasher>,
}

impl PartHashers {
    fn new(md5: WithMd5) -> Self {
        Self {
            sha256: Sha256Hasher::new(),
            md5: (md5 == WithMd5::Yes).then(Md5Hasher::new),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    fn digests(self) -> Digests {
        Digests {
            sha256: Sha256::new(self.sha256.finalize().into()),
            md5: self.md5.map(|md5| Md5::new(md5.finalize().into())),
        }
    }
}

fn end(size: u64, whole: Sha256Hasher) -> StreamEnd {
    StreamEnd {
        size,
        sha256: Sha256::new(whole.finalize().into()),
    }
}

/// Reads some bytes. Returns 0 at the end of the stream.
fn read(input: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match input.read(buffer) {
            Ok(len) => return Ok(len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(WOULD_BLOCK_WAIT);
            }
            Err(error) => {
                let what = "could not read the stream";
                return Err(Error::new(Kind::Io, what).with_source(error));
            }
        }
    }
}

fn too_large(capacity: u64) -> Error {
    let what = format!("the stream has more than {capacity} bytes, which its parts cannot hold");
    let hint = "run the whole pipeline again, with --expected-size SIZE for larger parts";
    Error::new(Kind::NotAcceptable, what).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads everything. The part size doubles from 10 bytes after each two parts.
    fn read_parts(input: impl Read, max_parts: u32) -> Result<(Vec<Vec<u8>>, StreamEnd)> {
        let reading = StreamReading {
            schedule: Schedule::pinned(10, Some(2)).unwrap(),
            limits: Limits {
                max_parts,
                ..Limits::S3
            },
            memory: PartMemory::new(1000),
            spool: None,
            md5: WithMd5::No,
            read: Arc::default(),
            clock: Arc::new(Mutex::new(StreamClock::new(Instant::now()))),
        };
        let mut parts = Vec::new();
        let end = reading.read_all(input, |part| {
            let PartBytes::Memory(bytes) = &part.bytes else {
                panic!("there is memory")
            };
            assert_eq!(part.digests.sha256, Sha256::of(bytes));
            assert_eq!(part.number.get() as usize, parts.len() + 1);
            parts.push(bytes.to_vec());
            true
        })?;
        Ok((parts, end.unwrap()))
    }

    /// Returns few bytes at a time, and an interrupted read before each of them.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = buffer.len().min(3);
            self.0.read(&mut buffer[..len])
        }
    }

    #[test]
    fn stream_is_cut_by_its_schedule() {
        for (size, expected) in [
            (0, vec![]),
            (1, vec![1]),
            (10, vec![10]),
            (11, vec![10, 1]),
            (45, vec![10, 10, 20, 5]),
        ] {
            let bytes: Vec<u8> = (0..size).collect();
            let (parts, end) = read_parts(Trickle(&bytes, false), 100).unwrap();
            let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
            assert_eq!((sizes, parts.concat()), (expected, bytes.clone()));
            assert_eq!(
                (end.size, end.sha256),
                (u64::from(size), Sha256::of(&bytes))
            );
        }
    }

    #[test]
    fn parts_without_room_in_memory_are_spooled() {
        let directory = tempfile::tempdir().unwrap();
        let reading = StreamReading {
            schedule: Schedule::pinned(100_000, None).unwrap(),
            limits: Limits::S3,
            memory: PartMemory::new(0),
            spool: Some(Spool::create(directory.path()).unwrap()),
            md5: WithMd5::Yes,
            read: Arc::default(),
            clock: Arc::new(Mutex::new(StreamClock::new(Instant::now()))),
        };
        let bytes: Vec<u8> = (0..=250).cycle().take(450_000).collect();
        let mut parts = Vec::new();
        let end = reading.read_all(&bytes[..], |part| {
            parts.push(part);
            true
        });
        assert_eq!(end.unwrap().unwrap().sha256, Sha256::of(&bytes));
        // Two parts are in memory in any case.
        let spooled = |part: &StreamPart| matches!(part.bytes, PartBytes::Spooled(_));
        let is_spooled: Vec<bool> = parts.iter().map(spooled).collect();
        assert_eq!(is_spooled, [false, false, true, true, true]);
        for (part, expected) in parts.iter().zip(bytes.chunks(100_000)) {
            assert_eq!(part.digests.sha256, Sha256::of(expected));
            assert_eq!(part.bytes.len(), expected.len() as u64);
            assert!(part.digests.md5.is_some());
            if let PartBytes::Spooled(part) = &part.bytes {
                let mut read = vec![0; expected.len()];
                part.file()
                    .read_exact_at(&mut read, part.range().start)
                    .unwrap();
                assert!(read == expected);
            }
        }
    }

    #[test]
    fn stream_may_fill_its_parts_but_not_exceed_them() {
        assert_eq!(read_parts(&[7; 40][..], 3).unwrap().0.len(), 3);
        let error = read_parts(&[7; 41][..], 3).unwrap_err();
        assert_eq!(error.kind(), Kind::NotAcceptable);
        assert!(error.to_string().contains("40 bytes"), "{error}");
    }

    #[test]
    fn read_error_is_no_end_of_the_stream() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("on fire"))
            }
        }
        let error = read_parts((&[1_u8; 15][..]).chain(Broken), 9).unwrap_err();
        assert_eq!(error.kind(), Kind::Io);
    }
}
