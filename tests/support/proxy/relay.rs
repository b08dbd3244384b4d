//! One connection: requests in, passed on or not, answers back.
//!
//! Border: what is to happen is decided by `fault` and `flow`; here it happens. Any error ends the connection, as it would
//! in a network.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::Shared;
use super::fault::Fault;
use super::message::{Body, Head};

/// Serves a client until either side is done.
pub fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut requests = BufReader::with_capacity(64 << 10, client.try_clone()?);
    while let Some(head) = Head::read(&mut requests)? {
        let fault = shared.rules.lock().unwrap().judge(&head);
        let exchange = shared.begin(&head);
        let request = Request { head: &head, fault: fault.as_ref(), exchange };
        if !request.relay(&mut requests, client, shared)? {
            break;
        }
    }
    client.shutdown(Shutdown::Both)
}

struct Request<'a> {
    head: &'a Head,
    fault: Option<&'a Fault>,
    /// Where it is counted.
    exchange: usize,
}

impl Request<'_> {
    /// Whether the connection may carry another request.
    fn relay(&self, requests: &mut BufReader<TcpStream>, client: &TcpStream, shared: &Shared) -> io::Result<bool> {
        if let Some(Fault::Answer { status, headers, body }) = self.fault {
            self.body(requests, shared, |_| Ok(()))?;
            shared.answered(self.exchange, *status);
            let length = body.len();
            write!(&*client, "HTTP/1.1 {status} Scripted\r\ncontent-length: {length}\r\n{headers}\r\n{body}")?;
            return Ok(true);
        }
        // A connection for each request: none is ever found closed when it is wanted.
        let mut upstream = Upstream::connect(shared.upstream()?)?;
        upstream.stream.write_all(self.head.raw())?;
        let mut refused = false;
        self.body(requests, shared, |block| {
            // A server may answer before it has read the body, and close: what it said is worth passing on.
            refused = refused || upstream.stream.write_all(block).is_err();
            Ok(())
        })?;
        let mut client = client;
        loop {
            let answer = Head::read(&mut upstream.answers)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let dropped = matches!(self.fault, Some(Fault::DropAnswer));
            if !dropped {
                client.write_all(answer.raw())?;
            }
            let body = answer.answer_body(self.head.method());
            body.copy(&mut upstream.answers, |block| if dropped { Ok(()) } else { client.write_all(block) })?;
            if answer.status() < 200 {
                continue;
            }
            if dropped {
                return Ok(false);
            }
            shared.answered(self.exchange, answer.status());
            let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            return Ok(!closes && body != Body::UntilClose);
        }
    }

    /// Reads the body at the pace that is set, spoils it as the fault says, and counts what arrived.
    fn body(
        &self,
        requests: &mut BufReader<TcpStream>,
        shared: &Shared,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut seen = 0_u64;
        self.head.request_body().copy(requests, |block| {
            let mut rest = block;
            while !rest.is_empty() {
                let mut len = rest.len();
                if self.head.method() == "PUT" {
                    len = usize::try_from(shared.flow.admit(len as u64)).unwrap_or(len);
                }
                let (passed, later) = rest.split_at_mut(len);
                shared.arrived(self.exchange, len as u64);
                match self.fault {
                    Some(Fault::FlipBit { at }) => {
                        let offset = at.checked_sub(seen).and_then(|offset| usize::try_from(offset).ok());
                        if let Some(byte) = offset.and_then(|offset| passed.get_mut(offset)) {
                            *byte ^= 1;
                        }
                    }
                    Some(Fault::CutAfter { bytes }) if seen + len as u64 >= *bytes => {
                        let last = usize::try_from(bytes - seen).unwrap_or(len);
                        sink(&passed[..last])?;
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                    _ => {}
                }
                sink(passed)?;
                seen += len as u64;
                rest = later;
            }
            Ok(())
        })
    }
}

struct Upstream {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Upstream {
    fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        let answers = BufReader::with_capacity(64 << 10, stream.try_clone()?);
        Ok(Self { stream, answers })
    }
}
