//! A PUT over plain HTTP that the kernel carries from the file to the network: the bytes never pass through this process.
//!
//! Border: one request on one connection, and the connections that wait for the next; which requests go this way, and when
//! nothing has moved for too long, is `http`'s. Where the kernel cannot, it says so before anything is sent.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::sockopt;
use tokio::io::Interest;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::{Host, Url};

use super::content::{Content, FRAME, Pool};
use super::http::{Answer, CONNECT, DEAD, IDLE, KEEP_ALIVE, USER_AGENT};
use super::limit::Limiter;
use super::reply::{Reply, Unreadable};
use super::resolver::Resolver;
use crate::crash;
use crate::error::{Error, Kind, Result};

/// How much the kernel is asked to carry at once.
const HAUL: usize = 512 << 10;
/// What the buffers of both ends may hold before the other side's "closed" comes back: a connection that was kept and breaks
/// off no later than this was closed while nobody used it.
const BUFFERED: u64 = 16 << 20;
/// How long an answer may take that was on its way when sending failed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The connections that are open and not in use.
#[derive(Debug, Default)]
pub struct Direct(Mutex<Vec<Idle>>);

#[derive(Debug)]
struct Idle {
    authority: String,
    stream: TcpStream,
    since: Instant,
}

/// Why there is no answer.
enum Broken {
    /// The connection.
    Link(io::Error),
    /// This file cannot be sent so: another way has to be taken.
    Unable,
    /// Everything else, told as it will be shown.
    Failed(Error),
}

impl Direct {
    /// Sends a part and reads the answer, of at most `max` bytes. None where the kernel cannot send such a file.
    ///
    /// # Errors
    /// [`Kind::Temporary`] when no answer came, [`Kind::Unusable`] for too large an answer, [`Kind::Changed`] and
    /// [`Kind::Io`] when the file cannot be read.
    pub async fn put(
        &self,
        url: &Url,
        headers: &HeaderMap,
        content: &Content,
        part: &Sending<'_>,
        max: usize,
    ) -> Result<Option<Answer>> {
        let failed = |error| Error::new(Kind::Temporary, "could not send a part").because(error);
        let authority = authority(url);
        let head = head(url, &authority, headers);
        loop {
            let idle = self.idle(&authority);
            let used = idle.is_some();
            let stream = match idle {
                Some(stream) => stream,
                None => match connect(url, part.resolver).await {
                    Ok(stream) => stream,
                    Err(Broken::Failed(error)) => return Err(error),
                    Err(Broken::Link(error)) => return Err(failed(error)),
                    Err(Broken::Unable) => return Ok(None),
                },
            };
            let before = part.sent.load(Ordering::Relaxed);
            let mut reply = Reply::new(max);
            match exchange(&stream, &head, content, part, &mut reply).await {
                Ok((answer, keep)) => {
                    if keep {
                        self.keep(authority, stream);
                    }
                    return Ok(Some(answer));
                }
                Err(Broken::Unable) => {
                    part.sent.store(before, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(Broken::Failed(error)) => return Err(error),
                Err(Broken::Link(error)) => {
                    let gone = part.sent.load(Ordering::Relaxed).saturating_sub(before);
                    if !used || gone > BUFFERED || !reply.is_empty() {
                        return Err(failed(error));
                    }
                    part.sent.fetch_sub(gone, Ordering::Relaxed);
                }
            }
        }
    }

    fn idle(&self, authority: &str) -> Option<TcpStream> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE);
        while let Some(at) = idle.iter().rposition(|idle| idle.authority == authority) {
            let stream = idle.remove(at).stream;
            // Whatever can be read of a connection that nobody uses is its end.
            if matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            {
                return Some(stream);
            }
        }
        None
    }

    fn keep(&self, authority: String, stream: TcpStream) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle {
            authority,
            stream,
            since: Instant::now(),
        });
    }
}

/// What goes with each PUT.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    pub sent: &'a AtomicU64,
    pub limiter: &'a Limiter,
    /// Says which of a name's addresses may be connected to; none where any may.
    pub resolver: Option<&'a Resolver>,
    /// For what has to be read from the disk first.
    pub pool: &'a Pool,
}

/// Sends and listens at the same time: a store that refuses says so before it has everything.
async fn exchange(
    stream: &TcpStream,
    request: &[u8],
    content: &Content,
    part: &Sending<'_>,
    reply: &mut Reply,
) -> Result<(Answer, bool), Broken> {
    let early = tokio::select! {
        biased;
        told = hear(stream, reply, false) => {
            told?;
            true
        }
        sent = send(stream, request, content, part) => match sent {
            Ok(()) => false,
            Err(Broken::Link(error)) => {
                // The answer may lie here already, behind which the other side has closed.
                let told = timeout(LAST_WORDS, hear(stream, reply, true)).await;
                if !matches!(told, Ok(Ok(()))) {
                    return Err(Broken::Link(error));
                }
                true
            }
            Err(broken) => return Err(broken),
        }
    };
    hear(stream, reply, true).await?;
    crash::point("backend.put.answered");
    let (answer, keep) = reply.take().map_err(unreadable)?;
    if early && (200..=299).contains(&answer.status) {
        let what = "the store said it had a part before it was sent";
        return Err(Broken::Failed(Error::new(Kind::Temporary, what)));
    }
    Ok((answer, keep && !early))
}

async fn send(
    stream: &TcpStream,
    head: &[u8],
    content: &Content,
    part: &Sending<'_>,
) -> Result<(), Broken> {
    let mut rest = head;
    while !rest.is_empty() {
        let written = stream
            .async_io(Interest::WRITABLE, || stream.try_write(rest))
            .await
            .map_err(Broken::Link)?;
        rest = &rest[written..];
    }
    crash::point("backend.put.head");
    let (mut offset, end) = (content.range.start, content.range.end());
    while offset < end {
        let left = usize::try_from(end - offset).map_or(HAUL, |left| left.min(HAUL));
        let granted = offset + part.limiter.take(left).await as u64;
        while offset < granted {
            let haul = usize::try_from(granted - offset).unwrap_or(HAUL);
            fetch(content, part.pool, offset, haul).await?;
            let carried = carry(stream, content, offset, haul).await?;
            offset += carried;
            part.sent.fetch_add(carried, Ordering::Relaxed);
            crash::point("backend.put.carried");
        }
    }
    Ok(())
}

/// Has the kernel carry some of the bytes, as soon as the connection takes any.
async fn carry(
    stream: &TcpStream,
    content: &Content,
    offset: u64,
    len: usize,
) -> Result<u64, Broken> {
    use io::ErrorKind::{Interrupted, InvalidInput, Unsupported};
    loop {
        let mut from = offset;
        let carried = stream.async_io(Interest::WRITABLE, || {
            sendfile(stream, &*content.file, Some(&mut from), len).map_err(io::Error::from)
        });
        return match carried.await {
            Ok(0) => Err(Broken::Failed(content.shorter())),
            Ok(carried) => Ok(carried as u64),
            Err(error) if error.kind() == Interrupted => continue,
            Err(error) if matches!(error.kind(), InvalidInput | Unsupported) => Err(Broken::Unable),
            Err(error)
                if matches!(Errno::from_io_error(&error), Some(Errno::IO | Errno::STALE)) =>
            {
                Err(Broken::Failed(content.unreadable(error)))
            }
            Err(error) => Err(Broken::Link(error)),
        };
    }
}

/// Brings the bytes into memory on a thread that may wait, unless their first and last are there: who carries them must not
/// wait for a disk.
async fn fetch(content: &Content, pool: &Pool, offset: u64, len: usize) -> Result<(), Broken> {
    let there = |at| content.read_at_hand(&mut [0], at).is_some();
    let end = offset + len as u64;
    if there(offset) && there(end - 1) {
        return Ok(());
    }
    let (content, mut frame) = (content.clone(), pool.lend());
    let work = move || {
        let mut offset = offset;
        while offset < end {
            let len = usize::try_from(end - offset).map_or(FRAME, |left| left.min(FRAME));
            content.read(frame.space(len), offset)?;
            offset += len as u64;
        }
        Ok(())
    };
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(Error::new(Kind::Other, "a task ended before its work").because(error))
    })
    .map_err(Broken::Failed)
}

/// Reads until there is an answer's head, or the whole of it.
async fn hear(stream: &TcpStream, reply: &mut Reply, whole: bool) -> Result<(), Broken> {
    let mut buffer = vec![0; 4096];
    loop {
        if reply.is_there(whole).map_err(unreadable)? {
            return Ok(());
        }
        let read = stream
            .async_io(Interest::READABLE, || stream.try_read(&mut buffer))
            .await;
        match read.map_err(Broken::Link)? {
            0 if reply.ends() => return Ok(()),
            0 => return Err(Broken::Link(io::ErrorKind::UnexpectedEof.into())),
            read => reply.push(&buffer[..read]),
        }
    }
}

fn unreadable(why: Unreadable) -> Broken {
    Broken::Failed(match why {
        Unreadable::TooLarge(max) => Error::new(
            Kind::Unusable,
            format!("an answer of more than {max} bytes was not read"),
        ),
        Unreadable::Nonsense => Error::new(Kind::Temporary, "what the store answered is not HTTP"),
    })
}

async fn connect(url: &Url, resolver: Option<&Resolver>) -> Result<TcpStream, Broken> {
    let port = url.port_or_known_default().unwrap_or(80);
    let late = || Broken::Link(io::ErrorKind::TimedOut.into());
    let connect = async {
        let addresses: Vec<SocketAddr> = match (url.host(), resolver) {
            (Some(Host::Ipv4(address)), _) => vec![(address, port).into()],
            (Some(Host::Ipv6(address)), _) => vec![(address, port).into()],
            (Some(Host::Domain(name)), Some(resolver)) => {
                resolver.lookup(name, port).await.map_err(Broken::Failed)?
            }
            (Some(Host::Domain(name)), None) => lookup_host((name, port))
                .await
                .map_err(Broken::Link)?
                .collect(),
            (None, _) => Vec::new(),
        };
        let each = CONNECT / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let mut failed = Broken::Link(io::ErrorKind::AddrNotAvailable.into());
        for address in addresses {
            match timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = Broken::Link(error),
                Err(_) => failed = late(),
            }
        }
        Err(failed)
    };
    let stream = timeout(CONNECT, connect).await.map_err(|_| late())??;
    prepare(&stream).map_err(Broken::Link)?;
    Ok(stream)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(DEAD.as_millis()).unwrap_or(u32::MAX))?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE)?;
    Ok(())
}

/// `HOST` or `HOST:PORT`, as the header Host has it and as it was signed.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn head(url: &Url, authority: &str, headers: &HeaderMap) -> Vec<u8> {
    let query = url
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let path = url.path();
    let mut head =
        format!("PUT {path}{query} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {USER_AGENT}\r\naccept: */*\r\n")
            .into_bytes();
    for (name, value) in headers {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(piece);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests;
