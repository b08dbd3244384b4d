//! One connection: requests in, passed on or not, answers back.
//!
//! Border: what is to happen is decided by `fault` and `flow`; here it happens. Any error ends the connection, as it would
//! in a network.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::Shared;
use super::fault::{ConnectionEnd, Fault, WHOLE_BODY};
use super::message::{Body, Head};

/// Small, so that a slow reader does not take much at once; what is large is read past it.
const BUFFER: usize = 4 << 10;
const TICK: Duration = Duration::from_millis(20);

/// What becomes of a connection after a request.
enum Next {
    Request,
    End(ConnectionEnd),
}

/// Serves a client until either side is done.
pub fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut requests = BufReader::with_capacity(BUFFER, client.try_clone()?);
    let mut end = ConnectionEnd::Close;
    while let Some(head) = Head::read(&mut requests)? {
        let fault = shared.rules.lock().unwrap().judge(&head);
        let exchange = shared.begin(&head);
        let request = Request {
            head: &head,
            fault: fault.as_ref(),
            exchange,
            shared,
        };
        if let Next::End(then) = request.relay(&mut requests, client)? {
            end = then;
            break;
        }
    }
    match end {
        ConnectionEnd::Close => client.shutdown(Shutdown::Both),
        ConnectionEnd::Reset => Ok(sockopt::set_socket_linger(client, Some(Duration::ZERO))?),
        ConnectionEnd::StayOpen => {
            shared.until_stopped(None);
            Ok(())
        }
    }
}

struct Request<'a> {
    head: &'a Head,
    fault: Option<&'a Fault>,
    /// Where it is counted.
    exchange: usize,
    shared: &'a Shared,
}

type Requests = BufReader<TcpStream>;

impl Request<'_> {
    fn relay(&self, from: &mut Requests, client: &TcpStream) -> io::Result<Next> {
        match self.fault {
            Some(Fault::Respond(answer)) => {
                self.body(from, WHOLE_BODY, |_| Ok(()))?;
                self.shared.answered(self.exchange, answer.status);
                answer.send(client)?;
                Ok(Next::Request)
            }
            Some(Fault::EarlyResponse {
                bytes,
                response: answer,
                then,
            }) => {
                self.body(from, *bytes, |_| Ok(()))?;
                self.shared.answered(self.exchange, answer.status);
                answer.send(client)?;
                Ok(Next::End(*then))
            }
            Some(Fault::ResetAfter { bytes }) => self
                .part_of(from, *bytes)
                .map(|()| Next::End(ConnectionEnd::Reset)),
            Some(Fault::StallAfter { bytes }) => self
                .part_of(from, *bytes)
                .map(|()| Next::End(ConnectionEnd::StayOpen)),
            Some(Fault::FinAfter { bytes }) => {
                self.part_of(from, *bytes)?;
                client.shutdown(Shutdown::Write)?;
                io::copy(from, &mut io::sink())?;
                Ok(Next::End(ConnectionEnd::Close))
            }
            Some(Fault::DeliverLater) => {
                let zombie = self.whole(from)?;
                self.shared.zombies.lock().unwrap().push(zombie);
                Ok(Next::End(ConnectionEnd::Reset))
            }
            Some(Fault::DeliverTwice) => {
                let request = self.whole(from)?;
                let mut first = Upstream::send(self.shared.upstream()?, &request)?;
                Head::read(&mut first.answers)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let mut second = Upstream::send(self.shared.upstream()?, &request)?;
                self.answer(&mut second, client)
            }
            _ => self.pass(from, client),
        }
    }

    /// Passes it on, whole or as the fault has it, and its answer back.
    fn pass(&self, from: &mut Requests, client: &TcpStream) -> io::Result<Next> {
        match self.fault {
            Some(Fault::Delay(time)) => self.shared.until_stopped(Some(*time)),
            Some(Fault::Hold) => self.shared.until_released(),
            Some(Fault::Trickle { rate }) => {
                let little = usize::try_from(*rate)
                    .unwrap_or(usize::MAX)
                    .clamp(1 << 10, 64 << 10);
                sockopt::set_socket_recv_buffer_size(client, little)?;
            }
            _ => {}
        }
        // A connection for each request: none is ever found closed when it is wanted.
        let mut upstream = Upstream::send(self.shared.upstream()?, &self.head.origin_form())?;
        let mut refused = false;
        let bytes = if let Some(Fault::CutAfter { bytes }) = self.fault {
            *bytes
        } else {
            WHOLE_BODY
        };
        let taken = self.body(from, bytes, |block| {
            // A server may answer before it has read the body, and close: what it said is worth passing on.
            refused = refused || upstream.stream.write_all(block).is_err();
            Ok(())
        })?;
        if taken >= bytes {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.answer(&mut upstream, client)
    }

    /// Passes on so many bytes of its body; where that is all of it, it arrives.
    fn part_of(&self, from: &mut Requests, bytes: u64) -> io::Result<()> {
        let mut upstream = Upstream::send(self.shared.upstream()?, &self.head.origin_form())?;
        self.body(from, bytes, |block| upstream.stream.write_all(block))?;
        if bytes == WHOLE_BODY {
            Head::read(&mut upstream.answers)?;
        }
        Ok(())
    }

    /// Head and body as they are to be delivered.
    fn whole(&self, from: &mut Requests) -> io::Result<Vec<u8>> {
        let mut request = self.head.origin_form();
        self.body(from, WHOLE_BODY, |block| request.write_all(block))?;
        Ok(request)
    }

    fn answer(&self, upstream: &mut Upstream, mut client: &TcpStream) -> io::Result<Next> {
        loop {
            let mut head =
                Head::read(&mut upstream.answers)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let body = head.answer_body(self.head.method());
            let last = head.status() >= 200;
            match self.fault {
                Some(Fault::DropResponse | Fault::ReplaceResponse(_)) => {
                    body.copy(&mut upstream.answers, |_| Ok(()))?;
                    if !last {
                        continue;
                    }
                    let Some(Fault::ReplaceResponse(answer)) = self.fault else {
                        return Ok(Next::End(ConnectionEnd::Close));
                    };
                    self.shared.answered(self.exchange, answer.status);
                    answer.send(client)?;
                    return Ok(Next::Request);
                }
                Some(Fault::PadResponse(time)) if last => {
                    let mut text = Vec::new();
                    body.copy(&mut upstream.answers, |block| text.write_all(block))?;
                    return self.padded(&head, &text, *time, client);
                }
                Some(Fault::ReplaceText(text, other)) if last => {
                    let mut whole = Vec::new();
                    body.copy(&mut upstream.answers, |block| whole.write_all(block))?;
                    client.write_all(head.raw())?;
                    client.write_all(
                        String::from_utf8_lossy(&whole)
                            .replacen(text, other, 1)
                            .as_bytes(),
                    )?;
                    self.shared.answered(self.exchange, head.status());
                    return Ok(Next::Request);
                }
                Some(Fault::RemoveHeader(name)) => head.set(name, None),
                Some(Fault::SetHeader(name, value)) => head.set(name, Some(value)),
                _ => {}
            }
            let rate = if let Some(Fault::TrickleResponse { rate }) = self.fault {
                *rate
            } else {
                u64::MAX
            };
            slowly(client, head.raw(), rate)?;
            body.copy(&mut upstream.answers, |block| slowly(client, block, rate))?;
            if !last {
                continue;
            }
            self.shared.answered(self.exchange, head.status());
            if let Some(Fault::KeepOpen(time)) = self.fault {
                client.flush()?;
                self.shared.until_stopped(Some(*time));
                return Ok(Next::End(ConnectionEnd::Close));
            }
            let closes = head
                .header("connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("close"));
            return Ok(if closes || body == Body::UntilClose {
                Next::End(ConnectionEnd::Close)
            } else {
                Next::Request
            });
        }
    }

    /// The head at once, then white space, then what there is to say.
    fn padded(
        &self,
        head: &Head,
        text: &[u8],
        time: Duration,
        mut client: &TcpStream,
    ) -> io::Result<Next> {
        let mut head = head.clone();
        for name in ["content-length", "transfer-encoding"] {
            head.set(name, None);
        }
        head.set("connection", Some("close"));
        client.write_all(head.raw())?;
        let prolog = text
            .windows(2)
            .position(|end| end == b"?>")
            .map_or(0, |at| at + 2);
        client.write_all(&text[..prolog])?;
        let until = Instant::now() + time;
        while Instant::now() < until {
            client.write_all(b"\n ")?;
            self.shared.until_stopped(Some(TICK * 5));
        }
        client.write_all(&text[prolog..])?;
        self.shared.answered(self.exchange, head.status());
        Ok(Next::End(ConnectionEnd::Close))
    }

    /// Reads the body, or no more than `bytes` of it, at the pace that is set; spoils it as the fault says, and counts what
    /// arrived. Gives how many bytes that were.
    fn body(
        &self,
        from: &mut Requests,
        bytes: u64,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut seen = 0_u64;
        let mut pass = |block: &mut [u8]| -> io::Result<()> {
            let mut rest = block;
            while !rest.is_empty() && seen < bytes {
                let most = usize::try_from(bytes - seen).unwrap_or(usize::MAX);
                let mut len = rest.len().min(most);
                if self.head.method() == "PUT" {
                    len = usize::try_from(self.shared.flow.admit(len as u64)).unwrap_or(len);
                }
                let (passed, later) = rest.split_at_mut(len);
                self.shared.arrived(self.exchange, len as u64);
                match self.fault {
                    Some(Fault::FlipBit { at }) => {
                        let offset = at
                            .checked_sub(seen)
                            .and_then(|offset| usize::try_from(offset).ok());
                        if let Some(byte) = offset.and_then(|offset| passed.get_mut(offset)) {
                            *byte ^= 1;
                        }
                    }
                    Some(Fault::Trickle { rate }) => pause(len, *rate),
                    _ => {}
                }
                sink(passed)?;
                seen += len as u64;
                rest = later;
            }
            Ok(())
        };
        let body = self.head.request_body();
        match body {
            // Not a byte more is taken than is meant to be.
            Body::Length(len) => Body::Length(len.min(bytes)).copy(from, &mut pass)?,
            _ => body.copy(from, &mut pass)?,
        }
        Ok(seen)
    }
}

/// As long as so many bytes take.
fn pause(bytes: usize, rate: u64) {
    thread::sleep(Duration::from_micros(
        (bytes as u64).saturating_mul(1_000_000) / rate.max(1),
    ));
}

fn slowly(mut to: &TcpStream, bytes: &[u8], rate: u64) -> io::Result<()> {
    if rate == u64::MAX {
        return to.write_all(bytes);
    }
    for few in bytes.chunks(usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1)) {
        to.write_all(few)?;
        pause(few.len(), rate);
    }
    Ok(())
}

pub struct Upstream {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Upstream {
    /// Connects, and sends what there is of a request.
    pub fn send(addr: SocketAddr, request: &[u8]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        match stream.write_all(request) {
            // Answered before the end of it, and closed: what was said is there to be read.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) => {}
            sent => sent?,
        }
        let answers = BufReader::with_capacity(64 << 10, stream.try_clone()?);
        Ok(Self { stream, answers })
    }

    /// The status of its answer.
    pub fn status(mut self) -> io::Result<u16> {
        Ok(Head::read(&mut self.answers)?
            .map(|head| head.status())
            .unwrap_or_default())
    }
}
