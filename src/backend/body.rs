//! A part as the body of a request: frames read as the network takes them.
//!
//! Border: for requests that reqwest sends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::spawn_blocking;

use super::content::{Content, FRAME, Lent, Pool};
use super::limit::Limiter;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

/// Its length is known beforehand, so that `Content-Length` is sent.
pub struct PartBody {
    content: Content,
    pool: Pool,
    limiter: Arc<Limiter>,
    sent: Arc<AtomicU64>,
    next: Next,
}

/// Boxed only where there is something to wait for.
type Later<T> = Pin<Box<dyn Future<Output = T> + Send + Sync>>;

enum Next {
    Ask,
    Wait(Later<usize>),
    /// From the disk.
    Read(Later<Result<Bytes>>),
}

impl PartBody {
    pub fn new(content: Content, pool: Pool, limiter: Arc<Limiter>, sent: Arc<AtomicU64>) -> Self {
        Self {
            content,
            pool,
            limiter,
            sent,
            next: Next::Ask,
        }
    }

    fn left(&self) -> usize {
        usize::try_from(self.content.range.len).map_or(FRAME, |left| left.min(FRAME))
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        loop {
            let may = match &mut self.next {
                Next::Ask => {
                    let (limiter, want) = (Arc::clone(&self.limiter), self.left());
                    let Some(now) = limiter.take_now(want) else {
                        self.next = Next::Wait(Box::pin(async move { limiter.take(want).await }));
                        continue;
                    };
                    now
                }
                Next::Wait(wait) => ready!(wait.as_mut().poll(cx)),
                Next::Read(read) => {
                    let bytes = ready!(read.as_mut().poll(cx));
                    self.next = Next::Ask;
                    return Poll::Ready(bytes);
                }
            };
            self.next = Next::Ask;
            let mut frame = self.pool.lend();
            let offset = self.content.range.start;
            match self.content.read_at_hand(frame.space(may), offset) {
                Some(read) => return Poll::Ready(Ok(frame.into_bytes(read))),
                None => {
                    self.next =
                        Next::Read(Box::pin(read(self.content.clone(), frame, may, offset)));
                }
            }
        }
    }
}

/// Reads a frame on a thread that may wait.
async fn read(content: Content, mut frame: Lent, len: usize, offset: u64) -> Result<Bytes> {
    let work = move || {
        content
            .read(frame.space(len), offset)
            .map(|()| frame.into_bytes(len))
    };
    spawn_blocking(work).await.map_err(|error| {
        Error::new(Kind::Other, "a task ended before its work").with_source(error)
    })?
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
        let frame = ready!(self.poll_bytes(cx)).map(|frame| {
            let bytes = frame.len() as u64;
            let range = &mut self.content.range;
            (range.start, range.len) = (range.start + bytes, range.len - bytes);
            self.sent.fetch_add(bytes, Ordering::Relaxed);
            crash::point("backend.put.frame");
            Frame::data(frame)
        });
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.content.range.len == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.range.len)
    }
}
