//! Reads a range of the bytes of several part files as a stream.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use super::directory::PartFiles;
use super::name::FileName;
use crate::error::DISK_LOG;

const READ_CHUNK_BYTES: u64 = 256 << 10;

/// Keeps the files of an upload id from removal until it is dropped.
#[derive(Debug)]
pub struct ReadHold {
    upload_id: String,
    files: Arc<PartFiles>,
}

impl ReadHold {
    /// Must be called in the transaction that reads the rows of the files: a transaction that frees
    /// them is either earlier and visible, or later and sees the hold.
    pub fn new(files: &Arc<PartFiles>, upload_id: &str) -> Self {
        files.add_reader(upload_id);
        Self {
            upload_id: upload_id.to_owned(),
            files: Arc::clone(files),
        }
    }

    pub fn files(&self) -> &PartFiles {
        &self.files
    }
}

impl Drop for ReadHold {
    fn drop(&mut self) {
        self.files.drop_reader(&self.upload_id);
    }
}

/// Reads `range` of the concatenation of `files`, given with their sizes.
pub fn read(
    hold: ReadHold,
    files: Vec<(FileName, u64)>,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let reader = Reader {
        hold,
        pieces: pieces(files, range).into_iter(),
        current: None,
    };
    futures_util::stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        // Each chunk takes a thread only while it is read: a client that stops reading occupies
        // none.
        let read = tokio::task::spawn_blocking(move || (reader.next_chunk(), reader)).await;
        match read {
            Ok((Ok(Some(bytes)), reader)) => Some((Ok(bytes), Some(reader))),
            Ok((Ok(None), _)) => None,
            Ok((Err(error), _)) => {
                tracing::error!(target: DISK_LOG, "could not read a part file: {error}");
                Some((Err(error), None))
            }
            Err(error) => Some((Err(io::Error::other(error)), None)),
        }
    })
}

/// The part of each file that lies in `range`; files without such a part are omitted.
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
    hold: ReadHold,
    pieces: std::vec::IntoIter<(FileName, Range<u64>)>,
    /// The file that is being read, and the number of bytes left to read of it.
    current: Option<(File, u64)>,
}

impl Reader {
    /// Returns `None` at the end.
    fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        let (mut file, left) = match self.current.take() {
            Some(current) => current,
            None => match self.pieces.next() {
                None => return Ok(None),
                Some((name, range)) => {
                    let mut file = File::open(self.hold.files.path(&name))?;
                    file.seek(SeekFrom::Start(range.start))?;
                    (file, range.end - range.start)
                }
            },
        };
        let size = left.min(READ_CHUNK_BYTES);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        if (&mut file).take(size).read_to_end(&mut bytes)? as u64 != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file is shorter than the size in its row",
            ));
        }
        if left > size {
            self.current = Some((file, left - size));
        }
        Ok(Some(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_cut_at_the_ends_of_files() {
        let names: Vec<FileName> = (0..3).map(|_| FileName::new()).collect();
        let pieces_of = |range: Range<u64>| {
            let files = names.iter().cloned().zip([5, 0, 3]).collect();
            let index = |name| names.iter().position(|other| *other == name).unwrap();
            pieces(files, range)
                .into_iter()
                .map(|(name, range)| (index(name), range))
                .collect::<Vec<_>>()
        };
        assert_eq!(pieces_of(0..8), [(0, 0..5), (2, 0..3)]);
        assert_eq!(pieces_of(4..6), [(0, 4..5), (2, 0..1)]);
        assert_eq!(pieces_of(5..5), []);
    }
}
