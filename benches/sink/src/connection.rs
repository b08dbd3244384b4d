//! One HTTP/1.1 connection: reads heads, discards bodies, writes responses.
//!
//! Not here: the responses (`memory`) and the delays (`limits`).

use std::io;
use std::net::TcpStream;
use std::{cmp, thread};

use crate::Sink;
use crate::limits::Clock;
use crate::memory::Response;
use crate::request::Request;
use crate::wire::Wire;

const MAX_HEAD_BYTES: usize = 64 << 10;

pub fn serve(stream: TcpStream, sink: &Sink) {
    sink.stats.opened();
    // An error closes the connection; the client notices that.
    let _ = Wire::new(stream, sink.tls.as_ref()).and_then(|wire| {
        Connection {
            wire,
            sink,
            head: Vec::new(),
            clock: Clock::default(),
        }
        .run()
    });
    sink.stats.closed();
}

struct Connection<'a> {
    wire: Wire,
    sink: &'a Sink,
    /// Bytes that were read and not yet parsed.
    head: Vec<u8>,
    clock: Clock,
}

impl Connection<'_> {
    fn run(&mut self) -> io::Result<()> {
        while let Some(end) = self.read_head()? {
            let head: Vec<u8> = self.head.drain(..end).collect();
            let text = str::from_utf8(&head).map_err(|_| io::ErrorKind::InvalidData)?;
            let request = Request::parse(text).ok_or(io::ErrorKind::InvalidData)?;
            if request.bucket == "__sink" {
                self.serve_stats(&request)?;
                continue;
            }
            let at_once = self.sink.stats.began(request.operation());
            let is_reusable = self.serve(&request, at_once);
            self.sink.stats.ended();
            if !is_reusable? {
                break;
            }
        }
        Ok(())
    }

    /// Returns the end of the next head, or `None` at the end of the connection.
    fn read_head(&mut self) -> io::Result<Option<usize>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.head[searched..]
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
            {
                return Ok(Some(searched + at + 4));
            }
            searched = self.head.len().saturating_sub(3);
            if self.head.len() > MAX_HEAD_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// Returns true if more bytes arrived, false at the end of the connection.
    fn read_more(&mut self) -> io::Result<bool> {
        let mut block = [0; 4 << 10];
        let len = self.wire.read(&mut block)?;
        self.head.extend_from_slice(&block[..len]);
        Ok(len > 0)
    }

    /// Returns true if the connection can carry another request.
    fn serve(&mut self, request: &Request<'_>, at_once: u64) -> io::Result<bool> {
        if self.sink.limits.throttles(at_once) {
            self.sink.stats.throttled();
            return self.refuse(request).map(|()| false);
        }
        if request
            .header("expect")
            .is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue"))
            && self.head.is_empty()
        {
            self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        match request.length() {
            Some(length) => self.discard(length)?,
            None => self.discard_chunks()?,
        }
        let response = self.sink.memory.respond(request);
        let closes = request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        thread::sleep(self.sink.limits.delay);
        self.send_response(request, &response, closes)?;
        Ok(!closes)
    }

    /// Responds 503 before the body, and then reads the body, so that a reset does not lose the
    /// response.
    fn refuse(&mut self, request: &Request<'_>) -> io::Result<()> {
        self.send_response(request, &Response::error("503 Slow Down", "SlowDown"), true)?;
        self.wire.close()?;
        let mut left = request
            .length()
            .unwrap_or(u64::MAX)
            .saturating_sub(self.head.len() as u64);
        while left > 0 {
            match self.wire.throw_away(cmp::min(left, 1 << 20))? {
                0 => break,
                len => left -= len,
            }
        }
        Ok(())
    }

    /// Discards a body, at the rate of the link.
    fn discard(&mut self, length: u64) -> io::Result<()> {
        let early = cmp::min(length, self.head.len() as u64);
        self.head
            .drain(..usize::try_from(early).unwrap_or_default());
        let mut left = length - early;
        self.sink.stats.arrived(early);
        let (limits, block) = (&self.sink.limits, self.sink.limits.block());
        limits.wait_for_link(&mut self.clock, early);
        while left > 0 {
            let len = self.wire.throw_away(cmp::min(left, block))?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.sink.stats.arrived(len);
            limits.wait_for_link(&mut self.clock, len);
            left -= len;
        }
        Ok(())
    }

    /// Discards a chunked body (for example one with a trailing checksum).
    fn discard_chunks(&mut self) -> io::Result<()> {
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            self.discard(size)?;
            // An empty line ends each chunk; trailers can precede it after the last one.
            while !self.read_line()?.is_empty() {}
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.head.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.head.drain(..at + 2).take(at).collect();
                return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into());
            }
            if !self.read_more()? || self.head.len() > MAX_HEAD_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    fn send_response(
        &mut self,
        request: &Request<'_>,
        response: &Response,
        closes: bool,
    ) -> io::Result<()> {
        let Response {
            status,
            headers,
            body,
            ..
        } = response;
        let length = response.length.unwrap_or(body.len() as u64);
        let mut text = format!("HTTP/1.1 {status}\r\nServer: sink\r\n{headers}");
        if !status.starts_with("204") {
            text = format!("{text}Content-Length: {length}\r\n");
        }
        if !body.is_empty() {
            text.push_str("Content-Type: application/xml\r\n");
        }
        text.push_str(if closes {
            "Connection: close\r\n\r\n"
        } else {
            "\r\n"
        });
        if request.method != "HEAD" {
            text.push_str(body);
        }
        self.wire.write(text.as_bytes())
    }

    /// Serves `/__sink/…`.
    fn serve_stats(&mut self, request: &Request<'_>) -> io::Result<()> {
        if request.key == "reset" {
            self.sink.memory.reset();
        }
        if matches!(request.key, "reset" | "clear-counts") {
            self.sink.stats.reset();
        }
        let body = self.sink.stats.json();
        let length = body.len();
        self.wire
            .write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
    }
}
