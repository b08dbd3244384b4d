//! The body of a request that sends a part. It reads the source when the network accepts bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::spawn_blocking;
use upload_types::ByteRange;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::saturating;

use super::buffer_pool::{BufferPool, PooledBuffer};
use super::part_upload::PartSource;
use crate::backend::rate_limit::Limiter;
use crate::source::{READ_BYTES, SourceFile};

/// A range of a source.
pub struct PartBody {
    source: PartSource,
    /// The bytes that are still to be read.
    range: ByteRange,
    pool: BufferPool,
    limiter: Arc<Limiter>,
    /// Counts the bytes that the network accepted.
    sent: Arc<AtomicU64>,
    step: Step,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + Sync>>;

enum Step {
    /// No bytes are granted or read.
    Idle,
    /// Waits until the rate limiter grants bytes.
    Granting(BoxFuture<usize>),
    /// Waits for the disk.
    Reading(BoxFuture<Result<Bytes>>),
}

impl PartBody {
    pub fn new(
        source: PartSource,
        range: ByteRange,
        pool: BufferPool,
        limiter: Arc<Limiter>,
        sent: Arc<AtomicU64>,
    ) -> Self {
        Self {
            source,
            range,
            pool,
            limiter,
            sent,
            step: Step::Idle,
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        loop {
            let len = match &mut self.step {
                Step::Idle => {
                    let left = usize::try_from(self.range.len);
                    let wanted = left.map_or(READ_BYTES, |left| left.min(READ_BYTES));
                    let limiter = Arc::clone(&self.limiter);
                    let Some(granted) = limiter.take_now(wanted) else {
                        let grant = async move { limiter.take(wanted).await };
                        self.step = Step::Granting(Box::pin(grant));
                        continue;
                    };
                    granted
                }
                Step::Granting(grant) => ready!(grant.as_mut().poll(cx)),
                Step::Reading(read) => {
                    let bytes = ready!(read.as_mut().poll(cx));
                    self.step = Step::Idle;
                    return Poll::Ready(bytes);
                }
            };
            self.step = Step::Idle;
            let offset = self.range.start;
            let file = match &self.source {
                PartSource::File(file) => file,
                PartSource::Memory(part) => return Poll::Ready(slice(part, offset, len)),
            };
            let mut buffer = self.pool.get();
            if let Some(read) = file.read_cached(buffer.first_mut(len), offset) {
                return Poll::Ready(Ok(buffer.into_bytes(read)));
            }
            let read = read_blocking(file.clone(), buffer, len, offset);
            self.step = Step::Reading(Box::pin(read));
        }
    }
}

/// Bytes of a part in memory, without a copy.
fn slice(part: &Bytes, offset: u64, len: usize) -> Result<Bytes> {
    let start = saturating::to_usize(offset);
    let end = start.saturating_add(len);
    if end > part.len() {
        let what = "a part in memory has fewer bytes than its range";
        return Err(Error::new(Kind::Other, what));
    }
    Ok(part.slice(start..end))
}

async fn read_blocking(
    source: SourceFile,
    mut buffer: PooledBuffer,
    len: usize,
    offset: u64,
) -> Result<Bytes> {
    let read = move || {
        source.read_exact_at(buffer.first_mut(len), offset)?;
        Ok(buffer.into_bytes(len))
    };
    spawn_blocking(read).await.map_err(Error::task_ended)?
}

impl Body for PartBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let frame = ready!(self.poll_bytes(cx)).map(|bytes| {
            let len = bytes.len() as u64;
            self.range.start += len;
            self.range.len -= len;
            self.sent.fetch_add(len, Ordering::Relaxed);
            crash::point("backend.put.frame");
            Frame::data(bytes)
        });
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.range.len == 0
    }

    /// Exact, so that the request has a `Content-Length` and not chunks.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.range.len)
    }
}
