//! A body on its way to disk: hashed and written as it comes, a part file only if it is what was announced.
//!
//! Border: bytes and their checksums. Whose part it becomes is decided before and after; while a body comes, however slowly,
//! no transaction is open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use md5::Md5;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, TrailingHeaders, s3_error};
use sha2::{Digest as _, Sha256 as Sha256Hasher};
use tokio::sync::mpsc;

use super::failure::Failure;
use super::files::{Draft, Files, Fresh};
use upload_types::names::Sha256;

/// Frames that wait for the disk; hyper makes them up to about 400 KiB.
const FRAMES: usize = 2;
/// How long a body may make no progress.
const STALL: Duration = Duration::from_mins(1);
/// What a body must bring in [`WINDOW`], in bytes: 1 KiB a second.
const FLOOR: u64 = 120 << 10;
const WINDOW: Duration = Duration::from_mins(2);
/// S3's largest part and largest single PUT, in bytes.
const LARGEST: u64 = 5 << 30;

pub const SHA256: &str = "x-amz-checksum-sha256";
const CRC32: &str = "x-amz-checksum-crc32";
const CRC32C: &str = "x-amz-checksum-crc32c";
const CRC64NVME: &str = "x-amz-checksum-crc64nvme";
const SHA1: &str = "x-amz-checksum-sha1";
/// The checksums that are verified when sent.
pub const CHECKSUMS: [&str; 5] = [SHA256, CRC32, CRC32C, CRC64NVME, SHA1];

/// What the headers say of the body.
#[derive(Debug)]
pub struct Announced {
    length: Option<u64>,
    md5: Option<[u8; 16]>,
    /// Header name and value, as in [`CHECKSUMS`].
    checksums: Vec<(&'static str, String)>,
    /// Names of checksums that come behind the body.
    trailing: Vec<&'static str>,
    trailers: Option<TrailingHeaders>,
}

impl Announced {
    /// Of a body we read ourselves.
    pub fn nothing() -> Self {
        Self {
            length: None,
            md5: None,
            checksums: Vec::new(),
            trailing: Vec::new(),
            trailers: None,
        }
    }

    /// Reads the headers of a request whose body is `length` bytes.
    ///
    /// # Errors
    /// `MissingContentLength`, `EntityTooLarge`, `InvalidDigest` for a Content-MD5 that is none (RFC 1864), `InvalidRequest` for a
    /// SHA-256 that is none.
    pub fn read(
        length: Option<i64>,
        headers: &HeaderMap,
        trailers: Option<TrailingHeaders>,
    ) -> S3Result<Self> {
        let length = length
            .and_then(|length| u64::try_from(length).ok())
            .ok_or_else(|| s3_error!(MissingContentLength))?;
        if length > LARGEST {
            return Err(s3_error!(
                EntityTooLarge,
                "Your proposed upload exceeds the maximum allowed size"
            ));
        }
        let md5 = headers.get("content-md5").map(|value| {
            let bytes = BASE64
                .decode(value)
                .ok()
                .and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or_else(|| {
                s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid")
            })
        });
        let checksums = checksums(headers);
        let wrong = |(name, value): &&(&str, String)| {
            *name == SHA256 && Sha256::from_base64(value).is_err()
        };
        if checksums.iter().any(|checksum| wrong(&checksum)) {
            return Err(s3_error!(
                InvalidRequest,
                "Value for x-amz-checksum-sha256 header is invalid."
            ));
        }
        let listed = headers
            .get_all("x-amz-trailer")
            .iter()
            .filter_map(|value| value.to_str().ok());
        let listed: Vec<&str> = listed
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let trailing = CHECKSUMS
            .into_iter()
            .filter(|name| listed.iter().any(|l| l.eq_ignore_ascii_case(name)))
            .collect();
        Ok(Self {
            length: Some(length),
            md5: md5.transpose()?,
            checksums,
            trailing,
            trailers,
        })
    }

    /// The checksums of a body that is over, those that came behind it too.
    fn all(&self) -> S3Result<Vec<(&'static str, String)>> {
        let trailers = self
            .trailers
            .as_ref()
            .and_then(|trailers| trailers.read(checksums))
            .unwrap_or_default();
        if self
            .trailing
            .iter()
            .any(|name| !trailers.iter().any(|(came, _)| came == name))
        {
            return Err(s3_error!(
                InvalidRequest,
                "A checksum announced in x-amz-trailer did not come"
            ));
        }
        Ok([self.checksums.as_slice(), trailers.as_slice()].concat())
    }

    /// Whether a checksum of this name comes with the body.
    pub fn has(&self, name: &str) -> bool {
        self.trailing.contains(&name) || self.checksums.iter().any(|(n, _)| *n == name)
    }
}

/// The checksums among headers or trailers.
fn checksums(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let value = |name| {
        headers
            .get(name)
            .map(|value| (name, String::from_utf8_lossy(value.as_bytes()).into_owned()))
    };
    CHECKSUMS.into_iter().filter_map(value).collect()
}

/// A body that has arrived whole and is what it was said to be.
#[derive(Debug)]
pub struct Arrived {
    pub file: Fresh,
    pub size: u64,
    pub sha256: Sha256,
    /// As S3 echoes them: those that were sent, and always SHA-256.
    pub checksums: s3s::dto::Checksum,
}

enum Frame {
    Data(Bytes),
    /// The body is over; the checksums that came with it.
    End(Vec<(&'static str, String)>),
}

/// How fast a body comes, as far as it is waited for: a slow disk is not the client's fault.
#[derive(Default)]
struct Pace {
    waited: Duration,
    came: u64,
}

impl Pace {
    /// Counts bytes and the wait for them; false when a window is over and they were too few.
    fn keeps_up(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.came += bytes;
        if self.waited < WINDOW {
            return true;
        }
        std::mem::take(self).came >= FLOOR
    }
}

/// Takes a body in. What breaks off or is not as announced leaves no file.
///
/// # Errors
/// `IncompleteBody`, `BadDigest`, `RequestTimeout`, `SlowDown` when too many come at the same time, and what the body's own checks find.
pub async fn ingest<S>(
    files: &Arc<Files>,
    mut body: S,
    announced: Announced,
) -> Result<Arrived, Failure>
where
    S: Stream<Item = Result<Bytes, StdError>> + Unpin,
{
    let permit = files
        .place()
        .ok_or_else(|| s3_error!(SlowDown, "Too many bodies come at the same time"))?;
    let (frames, queue) = mpsc::channel(FRAMES);
    let (files, sink) = (Arc::clone(files), Sink::new(&announced));
    let writer = tokio::task::spawn_blocking(move || {
        let arrived = sink.receive(files.draft()?, queue);
        // The thread has it, even when nobody waits for the thread any more.
        drop(permit);
        arrived
    });
    let pump = async {
        let mut pace = Pace::default();
        loop {
            let asked = Instant::now();
            let frame = tokio::time::timeout(STALL, body.next()).await;
            let frame = frame
                .map_err(|_| s3_error!(RequestTimeout, "No byte came for {} s", STALL.as_secs()))?;
            let frame = match frame {
                Some(Ok(bytes)) if pace.keeps_up(asked.elapsed(), bytes.len() as u64) => {
                    Frame::Data(bytes)
                }
                Some(Ok(_)) => {
                    return Err(s3_error!(
                        RequestTimeout,
                        "Less than 1 KiB/s came for {} s",
                        WINDOW.as_secs()
                    ));
                }
                Some(Err(error)) => return Err(broken_body(error.as_ref())),
                None => Frame::End(announced.all()?),
            };
            let over = matches!(frame, Frame::End(_));
            // The writer hangs up when it failed; it knows why.
            if frames.send(frame).await.is_err() || over {
                return Ok(());
            }
        }
    };
    let pumped: Result<(), S3Error> = pump.await;
    drop(frames);
    let arrived = writer.await.map_err(Failure::broken)?;
    pumped?;
    arrived
}

/// What S3 calls the error of a body's stream. s3s keeps the types of its own to itself, so their text has to do.
fn broken_body(error: &(dyn std::error::Error + Send + Sync)) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        let mut mismatch = S3Error::with_message(
            S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
        mismatch.set_status_code(http::StatusCode::BAD_REQUEST);
        mismatch
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch)
    } else {
        s3_error!(IncompleteBody, "The body broke off")
    }
}

/// What a body is measured by, on its blocking thread.
struct Sink {
    size: u64,
    length: Option<u64>,
    sha256: Sha256Hasher,
    md5: Option<(Md5, [u8; 16])>,
    others: ChecksumHasher,
}

impl Sink {
    fn new(announced: &Announced) -> Self {
        let others = ChecksumHasher {
            crc32: announced.has(CRC32).then(Crc32::new),
            crc32c: announced.has(CRC32C).then(Crc32c::new),
            crc64nvme: announced.has(CRC64NVME).then(Crc64Nvme::new),
            sha1: announced.has(SHA1).then(Sha1::new),
            sha256: None,
        };
        Self {
            size: 0,
            length: announced.length,
            sha256: Sha256Hasher::new(),
            md5: announced.md5.map(|wanted| (Md5::new(), wanted)),
            others,
        }
    }

    fn receive(
        mut self,
        mut draft: Draft,
        mut frames: mpsc::Receiver<Frame>,
    ) -> Result<Arrived, Failure> {
        loop {
            match frames.blocking_recv() {
                Some(Frame::Data(bytes)) => {
                    self.update(&bytes)?;
                    draft.write(&bytes)?;
                }
                Some(Frame::End(checksums)) => return self.finish(draft, &checksums),
                None => return Err(s3_error!(IncompleteBody).into()),
            }
        }
    }

    fn update(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.size += bytes.len() as u64;
        if self.length.is_some_and(|length| self.size > length) {
            return Err(
                s3_error!(IncompleteBody, "The body is longer than its Content-Length").into(),
            );
        }
        self.sha256.update(bytes);
        self.others.update(bytes);
        if let Some((md5, _)) = &mut self.md5 {
            md5.update(bytes);
        }
        Ok(())
    }

    fn finish(
        self,
        draft: Draft,
        announced: &[(&'static str, String)],
    ) -> Result<Arrived, Failure> {
        if self.length.is_some_and(|length| self.size != length) {
            return Err(s3_error!(
                IncompleteBody,
                "The body is shorter than its Content-Length"
            )
            .into());
        }
        let md5_differs =
            |(md5, wanted): (Md5, [u8; 16])| md5.finalize().as_slice() != wanted.as_slice();
        if self.md5.is_some_and(md5_differs) {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            )
            .into());
        }
        let sha256 = Sha256::new(self.sha256.finalize().into());
        let mut checksums = self.others.finalize();
        checksums.checksum_sha256 = Some(sha256.base64());
        for (name, announced) in announced {
            let (kind, computed) = match *name {
                CRC32 => ("CRC32", &checksums.checksum_crc32),
                CRC32C => ("CRC32C", &checksums.checksum_crc32c),
                CRC64NVME => ("CRC64NVME", &checksums.checksum_crc64nvme),
                SHA1 => ("SHA1", &checksums.checksum_sha1),
                _ => ("SHA256", &checksums.checksum_sha256),
            };
            if computed.as_ref() != Some(announced) {
                let text =
                    format!("The {kind} you specified did not match the calculated checksum.");
                return Err(S3Error::with_message(S3ErrorCode::BadDigest, text).into());
            }
        }
        Ok(Arrived {
            file: draft.publish()?,
            size: self.size,
            sha256,
            checksums,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::lock::Lock;
    use super::*;

    #[test]
    fn a_trickle_counts_as_stalled() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        assert!((0..1000).all(|_| pace.keeps_up(second, 1024)));
        let mut pace = Pace::default();
        assert_eq!(
            (0..1000).position(|_| !pace.keeps_up(second, 1000)),
            Some(119)
        );
        // One burst is not enough for ever.
        let mut pace = Pace::default();
        assert!(pace.keeps_up(second, 1 << 30));
        assert_eq!((0..1000).position(|_| !pace.keeps_up(second, 1)), Some(238));
    }

    #[tokio::test]
    async fn too_many_bodies_at_once_are_sent_away() {
        let place = tempfile::tempdir().unwrap();
        let files = Files::open(
            place.path(),
            Lock::acquire(place.path(), Duration::ZERO).await.unwrap(),
        )
        .unwrap();
        let take = || ingest(&files, futures_util::stream::empty(), Announced::nothing());
        let mut taken: Vec<_> = std::iter::from_fn(|| files.place()).collect();
        assert!(
            matches!(take().await, Err(Failure::Refused(error)) if *error.code() == S3ErrorCode::SlowDown)
        );
        taken.pop();
        for _ in 0..2 {
            take().await.unwrap();
        }
    }
}
