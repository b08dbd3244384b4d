//! A TCP connection and the bodies of its requests, which record how fast the client sends and
//! reads.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::connection_limiter::Connection;

/// A TCP connection that records how fast its client reads.
pub struct TrackedStream {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl TrackedStream {
    pub fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }

    fn record(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let sent = self.connection.sent();
        match &written {
            Poll::Pending => sent.begin_wait(Instant::now()),
            Poll::Ready(Ok(bytes)) => sent.advance(Instant::now(), *bytes),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl Drop for TrackedStream {
    /// A response that the client does not read must not stay in the memory of the kernel.
    fn drop(&mut self) {
        if self.connection.sent().is_waiting() {
            // If this fails, the kernel gives up later.
            let _ = rustix::net::sockopt::set_socket_linger(
                &self.stream,
                Some(std::time::Duration::ZERO),
            );
        }
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.record(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.record(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The body of a request, which records how fast its client sends.
pub struct TrackedRequestBody<B> {
    body: B,
    connection: Arc<Connection>,
}

impl<B> TrackedRequestBody<B> {
    pub fn new(body: B, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl<B> Drop for TrackedRequestBody<B> {
    fn drop(&mut self) {
        self.connection.received().end();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedRequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let received = self.connection.received();
        if polled.is_pending() {
            received.begin_wait(Instant::now());
        }
        let frame = ready!(polled);
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                received.advance(Instant::now(), bytes);
            }
            Some(Err(_)) | None => received.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
