//! One connection: heads in, bodies thrown away, answers back.
//!
//! Border: HTTP/1.1 with lengths. What is answered is `memory`'s, what is waited for is `limits`'.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use std::{cmp, thread};

use crate::Sink;
use crate::limits::Clock;
use crate::memory::Answer;
use crate::request::Request;

const HEAD_MOST: usize = 64 << 10;

pub fn serve(stream: &TcpStream, sink: &Sink) {
    sink.stats.opened();
    let mut connection = Connection { stream, sink, head: Vec::new(), scratch: Vec::new(), clock: Clock::default() };
    // Any error ends the connection, as in a network.
    let _ = connection.run();
    sink.stats.closed();
}

struct Connection<'a> {
    stream: &'a TcpStream,
    sink: &'a Sink,
    /// What was read and not yet understood.
    head: Vec<u8>,
    /// For kernels that do not throw away by themselves.
    scratch: Vec<u8>,
    clock: Clock,
}

impl Connection<'_> {
    fn run(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some(end) = self.read_head()? {
            let head: Vec<u8> = self.head.drain(..end).collect();
            let text = str::from_utf8(&head).map_err(|_| io::ErrorKind::InvalidData)?;
            let request = Request::parse(text).ok_or(io::ErrorKind::InvalidData)?;
            if request.bucket == "__sink" {
                self.about(&request)?;
                continue;
            }
            let at_once = self.sink.stats.began(request.operation());
            let goes_on = self.serve(&request, at_once);
            self.sink.stats.ended();
            if !goes_on? {
                break;
            }
        }
        Ok(())
    }

    /// The end of the next head, or None at the end of the connection.
    fn read_head(&mut self) -> io::Result<Option<usize>> {
        let mut seen = 0;
        loop {
            if let Some(at) = self.head[seen..].windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(Some(seen + at + 4));
            }
            seen = self.head.len().saturating_sub(3);
            if self.head.len() > HEAD_MOST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut block = [0; 4 << 10];
            match self.stream.read(&mut block)? {
                0 => return Ok(None),
                len => self.head.extend_from_slice(&block[..len]),
            }
        }
    }

    /// Whether the connection may carry another request.
    fn serve(&mut self, request: &Request<'_>, at_once: u64) -> io::Result<bool> {
        let Some(length) = request.length() else {
            self.answer(request, &Answer::error("411 Length Required", "MissingContentLength"), true)?;
            return Ok(false);
        };
        if self.sink.limits.refuses(at_once) {
            self.sink.stats.throttled();
            return self.refuse(request, length).map(|()| false);
        }
        if request.header("expect").is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue"))
            && self.head.is_empty()
        {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.discard(length)?;
        let answer = self.sink.memory.answer(request);
        let closes = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        thread::sleep(self.sink.limits.delay);
        self.answer(request, &answer, closes)?;
        Ok(!closes)
    }

    /// Says "slow down" at once, and takes what is on its way already, or the answer would be lost in a reset.
    fn refuse(&mut self, request: &Request<'_>, length: u64) -> io::Result<()> {
        self.answer(request, &Answer::error("503 Slow Down", "SlowDown"), true)?;
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut left = length.saturating_sub(self.head.len() as u64);
        while left > 0 {
            match self.throw_away(cmp::min(left, 1 << 20))? {
                0 => break,
                len => left -= len,
            }
        }
        Ok(())
    }

    /// Takes a body, at the pace of the link.
    fn discard(&mut self, length: u64) -> io::Result<()> {
        let early = cmp::min(length, self.head.len() as u64);
        self.head.drain(..usize::try_from(early).unwrap_or_default());
        let mut left = length - early;
        self.sink.stats.arrived(early);
        let (limits, block) = (&self.sink.limits, self.sink.limits.block());
        limits.passed(&mut self.clock, early);
        while left > 0 {
            let len = self.throw_away(cmp::min(left, block))?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.sink.stats.arrived(len);
            limits.passed(&mut self.clock, len);
            left -= len;
        }
        Ok(())
    }

    /// Waits for up to so many bytes and throws them away; Linux does so without copying them (see tcp(7)).
    fn throw_away(&mut self, most: u64) -> io::Result<u64> {
        let most = usize::try_from(most).unwrap_or(1 << 20);
        if self.scratch.len() < most {
            // Zeroed pages that nobody writes to take no memory.
            self.scratch = vec![0; most];
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::net::{RecvFlags, recv};
            let flags = RecvFlags::TRUNC | RecvFlags::WAITALL;
            loop {
                match recv(self.stream, &mut self.scratch[..most], flags) {
                    Ok((_, len)) => return Ok(len as u64),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        #[cfg(not(target_os = "linux"))]
        self.stream.read(&mut self.scratch[..most]).map(|len| len as u64)
    }

    fn answer(&mut self, request: &Request<'_>, answer: &Answer, closes: bool) -> io::Result<()> {
        let Answer { status, headers, body, .. } = answer;
        let length = answer.length.unwrap_or(body.len() as u64);
        let mut text = format!("HTTP/1.1 {status}\r\nServer: sink\r\n{headers}");
        if !status.starts_with("204") {
            text = format!("{text}Content-Length: {length}\r\n");
        }
        if !body.is_empty() {
            text.push_str("Content-Type: application/xml\r\n");
        }
        text.push_str(if closes { "Connection: close\r\n\r\n" } else { "\r\n" });
        if request.method != "HEAD" {
            text.push_str(body);
        }
        self.stream.write_all(text.as_bytes())
    }

    /// Questions about the sink itself.
    fn about(&mut self, request: &Request<'_>) -> io::Result<()> {
        if request.key == "reset" {
            self.sink.memory.reset();
            self.sink.stats.reset();
        }
        let body = self.sink.stats.json();
        let length = body.len();
        write!(&*self.stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
    }
}
