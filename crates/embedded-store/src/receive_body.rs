//! Receives a body: hashes and writes it as it arrives, and publishes a part file only if the body
//! has the announced length and checksums.
//!
//! Not here: the row that names the part file. No transaction is open while a body arrives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use md5::Md5;
use s3s::checksum::ChecksumHasher;
use s3s::{S3Error, S3Result, StdError, s3_error};
use sha2::{Digest as _, Sha256 as Sha256Hasher};
use tokio::sync::mpsc;

use upload_types::Sha256;

use crate::body_headers::BodyHeaders;
use crate::checksums::{Algorithm, Checksum};
use crate::error::StoreError;
use crate::form_body::form_error;
use crate::manifest::Digests;
use crate::part_files::{Draft, NewPartFile, PartFiles};
use crate::xml_body::payload_hash_mismatch;

/// The maximum number of frames that wait for the disk. hyper's frames have up to about 400 KiB.
const MAX_QUEUED_FRAMES: usize = 2;
/// The longest time without a byte of the body.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// In each window of waiting, at least [`MIN_BYTES_PER_WINDOW`] must arrive: 1 KiB/s.
const RATE_WINDOW: Duration = Duration::from_mins(2);
const MIN_BYTES_PER_WINDOW: u64 = 120 << 10;

/// A complete body that has the announced length and checksums.
#[derive(Debug)]
pub struct ReceivedBody {
    pub file: NewPartFile,
    pub digests: Digests,
}

/// Receives a body of the object at `key`. Leaves no file if it is incomplete or is not as
/// announced.
///
/// # Errors
/// `IncompleteBody`; `BadDigest`; `RequestTimeout`; `SlowDown` if too many bodies are being
/// received; and the errors of s3s for a chunked body.
pub async fn receive_body<S>(
    files: &Arc<PartFiles>,
    key: &str,
    mut body: S,
    headers: BodyHeaders,
) -> Result<ReceivedBody, StoreError>
where
    S: Stream<Item = Result<Bytes, StdError>> + Unpin,
{
    let place = files
        .try_body_place(key)
        .ok_or_else(|| s3_error!(SlowDown, "Too many concurrent uploads"))?;
    let (sender, frames) = mpsc::channel(MAX_QUEUED_FRAMES);
    let (files, writer) = (Arc::clone(files), BodyWriter::new(&headers));
    let writing = tokio::task::spawn_blocking(move || {
        let received = writer.write_all(Draft::create(&files)?, frames);
        // Held until the thread ends, which it does even if the request is dropped.
        drop(place);
        received
    });
    let forwarded = forward(&mut body, &headers, &sender).await;
    drop(sender);
    let received = writing.await.map_err(StoreError::internal)?;
    forwarded?;
    received
}

enum Frame {
    Data(Bytes),
    /// The end of the body, with the checksum that was sent, in base64.
    End(Option<String>),
}

/// Forwards a body to the thread that writes it.
async fn forward<S>(
    body: &mut S,
    headers: &BodyHeaders,
    sender: &mpsc::Sender<Frame>,
) -> S3Result<()>
where
    S: Stream<Item = Result<Bytes, StdError>> + Unpin,
{
    let mut rate = RateCheck::default();
    loop {
        let wait_started = Instant::now();
        let next = tokio::time::timeout(IDLE_TIMEOUT, body.next()).await;
        let next = next.map_err(|_| {
            let seconds = IDLE_TIMEOUT.as_secs();
            s3_error!(RequestTimeout, "No byte arrived for {seconds} s")
        })?;
        let frame = match next {
            Some(Ok(bytes)) => {
                if !rate.is_sufficient(wait_started.elapsed(), bytes.len() as u64) {
                    let seconds = RATE_WINDOW.as_secs();
                    return Err(s3_error!(
                        RequestTimeout,
                        "Less than 1 KiB/s arrived for {seconds} s"
                    ));
                }
                Frame::Data(bytes)
            }
            Some(Err(error)) => {
                let error = error.as_ref();
                return Err(form_error(error).unwrap_or_else(|| stream_error(error)));
            }
            None => Frame::End(headers.checksum_after_body()?),
        };
        let is_end = matches!(frame, Frame::End(_));
        // The writer closes the channel when it fails; its own error is reported then.
        if sender.send(frame).await.is_err() || is_end {
            return Ok(());
        }
    }
}

/// The rate of a body over the time spent waiting for it. The time of disk writes does not count.
#[derive(Default)]
struct RateCheck {
    waited: Duration,
    received_bytes: u64,
}

impl RateCheck {
    /// Counts bytes and the wait for them. Returns false at the end of a window with too few bytes.
    fn is_sufficient(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.received_bytes += bytes;
        if self.waited < RATE_WINDOW {
            return true;
        }
        std::mem::take(self).received_bytes >= MIN_BYTES_PER_WINDOW
    }
}

/// The S3 error for an error of the stream. The error types of s3s are private, so their texts are
/// compared.
fn stream_error(error: &(dyn std::error::Error + Send + Sync)) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        payload_hash_mismatch()
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch)
    } else {
        s3_error!(IncompleteBody, "The body ended early")
    }
}

/// Writes a body and verifies it, on a blocking thread.
struct BodyWriter {
    size: u64,
    expected_length: Option<u64>,
    sha256: Sha256Hasher,
    md5: Option<Md5>,
    expected_md5: Option<[u8; 16]>,
    /// The algorithm of the sent or required checksum, and the hasher unless it is SHA-256.
    algorithm: Algorithm,
    hasher: Option<ChecksumHasher>,
}

impl BodyWriter {
    fn new(headers: &BodyHeaders) -> Self {
        let algorithm = headers.algorithm().unwrap_or(Algorithm::Sha256);
        Self {
            size: 0,
            expected_length: headers.length(),
            sha256: Sha256Hasher::new(),
            md5: headers.computes_md5().then(Md5::new),
            expected_md5: headers.expected_md5(),
            algorithm,
            hasher: (algorithm != Algorithm::Sha256).then(|| algorithm.hasher()),
        }
    }

    fn write_all(
        mut self,
        mut draft: Draft,
        mut frames: mpsc::Receiver<Frame>,
    ) -> Result<ReceivedBody, StoreError> {
        loop {
            match frames.blocking_recv() {
                Some(Frame::Data(bytes)) => {
                    self.hash(&bytes)?;
                    draft.write(&bytes)?;
                }
                Some(Frame::End(checksum)) => return self.finish(draft, checksum.as_deref()),
                None => return Err(s3_error!(IncompleteBody).into()),
            }
        }
    }

    fn hash(&mut self, bytes: &[u8]) -> S3Result<()> {
        self.size += bytes.len() as u64;
        if self
            .expected_length
            .is_some_and(|length| self.size > length)
        {
            return Err(s3_error!(
                IncompleteBody,
                "The body is longer than its Content-Length"
            ));
        }
        self.sha256.update(bytes);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        Ok(())
    }

    /// `expected` is the checksum that was sent, in base64.
    fn finish(self, draft: Draft, expected: Option<&str>) -> Result<ReceivedBody, StoreError> {
        if self
            .expected_length
            .is_some_and(|length| self.size != length)
        {
            return Err(s3_error!(
                IncompleteBody,
                "The body is shorter than its Content-Length"
            )
            .into());
        }
        let md5: Option<[u8; 16]> = self.md5.map(|md5| md5.finalize().into());
        if self.expected_md5.is_some() && md5 != self.expected_md5 {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            )
            .into());
        }
        let algorithm = self.algorithm;
        let digests = Digests {
            size: self.size,
            sha256: Sha256::new(self.sha256.finalize().into()),
            md5,
            checksum: self.hasher.map(|hasher| Checksum {
                algorithm,
                value: algorithm.finish(hasher),
            }),
        };
        if expected.is_some_and(|expected| digests.main_checksum().value != expected) {
            let name = algorithm.name();
            return Err(s3_error!(
                BadDigest,
                "The {name} you specified did not match the calculated checksum."
            )
            .into());
        }
        Ok(ReceivedBody {
            file: draft.publish()?,
            digests,
        })
    }
}

#[cfg(test)]
mod tests {
    use s3s::S3ErrorCode;

    use super::*;
    use crate::lock::StoreLock;

    #[test]
    fn rate_is_checked_in_each_window() {
        const SECOND: Duration = Duration::from_secs(1);
        let first_insufficient = |rate: &mut RateCheck, bytes| {
            (0..1000).position(|_| !rate.is_sufficient(SECOND, bytes))
        };
        assert_eq!(first_insufficient(&mut RateCheck::default(), 1024), None);
        assert_eq!(
            first_insufficient(&mut RateCheck::default(), 1000),
            Some(119)
        );
        // One burst counts in its own window only.
        let mut rate = RateCheck::default();
        assert!(rate.is_sufficient(SECOND, 1 << 30));
        assert_eq!(first_insufficient(&mut rate, 1), Some(238));
    }

    #[tokio::test]
    async fn bodies_of_one_directory_are_limited_and_leave_places_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let lock = StoreLock::acquire(dir.path(), Duration::ZERO)
            .await
            .unwrap();
        let files = PartFiles::open(dir.path(), lock).unwrap();
        let receive = async |key: &str| {
            let body = futures_util::stream::empty();
            receive_body(&files, key, body, BodyHeaders::none()).await
        };
        let mut places: Vec<_> =
            std::iter::from_fn(|| files.try_body_place("uploads/one/a")).collect();
        assert!(matches!(
            receive("uploads/one/b").await,
            Err(StoreError::Rejected(error)) if *error.code() == S3ErrorCode::SlowDown
        ));
        receive("uploads/other/b").await.unwrap();
        places.pop();
        for _ in 0..2 {
            receive("uploads/one/b").await.unwrap();
        }
    }
}
