//! One connection through the proxy: reads requests, injects their faults, and relays the rest. An
//! error ends the connection, as in a network.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::fault::{ConnectionEnd, Fault, WHOLE_BODY};
use super::message::{Body, Head};
use super::shared::Shared;

/// Small, so that a slow relay does not read ahead. Larger reads bypass the buffer.
const READ_BUFFER_BYTES: usize = 4 << 10;
const PADDING_INTERVAL: Duration = Duration::from_millis(100);

/// The next step of a connection after a request.
enum Next {
    Request,
    End(ConnectionEnd),
}

/// Serves a client until one side closes the connection.
pub fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut requests = BufReader::with_capacity(READ_BUFFER_BYTES, client.try_clone()?);
    let mut end = ConnectionEnd::Close;
    while let Some(head) = Head::read(&mut requests)? {
        let fault = shared.rules.lock().unwrap().fault_for(&head);
        let exchange = shared.record_request(&head);
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
            shared.wait_until_stopped(None);
            Ok(())
        }
    }
}

struct Request<'a> {
    head: &'a Head,
    fault: Option<&'a Fault>,
    /// Its index in the traffic.
    exchange: usize,
    shared: &'a Shared,
}

type RequestStream = BufReader<TcpStream>;

impl Request<'_> {
    fn relay(&self, from: &mut RequestStream, client: &TcpStream) -> io::Result<Next> {
        match self.fault {
            Some(Fault::Respond(response)) => {
                self.body(from, WHOLE_BODY, |_| Ok(()))?;
                self.shared.record_status(self.exchange, response.status);
                response.send(client)?;
                Ok(Next::Request)
            }
            Some(Fault::EarlyResponse {
                bytes,
                response,
                then,
            }) => {
                self.body(from, *bytes, |_| Ok(()))?;
                self.shared.record_status(self.exchange, response.status);
                response.send(client)?;
                Ok(Next::End(*then))
            }
            Some(Fault::ResetAfter { bytes }) => self
                .send_up_to(from, *bytes)
                .map(|()| Next::End(ConnectionEnd::Reset)),
            Some(Fault::StallAfter { bytes }) => self
                .send_up_to(from, *bytes)
                .map(|()| Next::End(ConnectionEnd::StayOpen)),
            Some(Fault::FinAfter { bytes }) => {
                self.send_up_to(from, *bytes)?;
                client.shutdown(Shutdown::Write)?;
                io::copy(from, &mut io::sink())?;
                Ok(Next::End(ConnectionEnd::Close))
            }
            Some(Fault::DeliverLater) => {
                let request = self.read_whole(from)?;
                self.shared.undelivered.lock().unwrap().push(request);
                Ok(Next::End(ConnectionEnd::Reset))
            }
            Some(Fault::DeliverTwice) => {
                let request = self.read_whole(from)?;
                let mut first = Upstream::send(self.shared.upstream()?, &request)?;
                Head::read(&mut first.responses)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let mut second = Upstream::send(self.shared.upstream()?, &request)?;
                self.return_response(&mut second, client)
            }
            _ => self.deliver(from, client),
        }
    }

    /// Delivers the request, changed by its fault, and returns the response.
    fn deliver(&self, from: &mut RequestStream, client: &TcpStream) -> io::Result<Next> {
        match self.fault {
            Some(Fault::Delay(time)) => self.shared.wait_until_stopped(Some(*time)),
            Some(Fault::Hold) => self.shared.wait_until_released(),
            Some(Fault::Trickle { rate }) => {
                let receive_buffer = usize::try_from(*rate)
                    .unwrap_or(usize::MAX)
                    .clamp(1 << 10, 64 << 10);
                sockopt::set_socket_recv_buffer_size(client, receive_buffer)?;
            }
            _ => {}
        }
        // Each request has its own connection, so that none is closed by the server before it is
        // used.
        let head = match self.fault {
            Some(Fault::SetRequestHeader(name, value)) => {
                let mut head = self.head.clone();
                head.set(name, Some(value));
                head.origin_form()
            }
            _ => self.head.origin_form(),
        };
        let mut upstream = Upstream::send(self.shared.upstream()?, &head)?;
        let mut write_failed = false;
        let bytes = if let Some(Fault::CutAfter { bytes }) = self.fault {
            *bytes
        } else {
            WHOLE_BODY
        };
        let sent = self.body(from, bytes, |block| {
            // A server may respond and close before it has read the body. Its response is relayed.
            write_failed = write_failed || upstream.stream.write_all(block).is_err();
            Ok(())
        })?;
        if sent >= bytes {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.return_response(&mut upstream, client)
    }

    /// Sends at most `bytes` of the body. With [`WHOLE_BODY`], waits for the server's response.
    fn send_up_to(&self, from: &mut RequestStream, bytes: u64) -> io::Result<()> {
        let mut upstream = Upstream::send(self.shared.upstream()?, &self.head.origin_form())?;
        self.body(from, bytes, |block| upstream.stream.write_all(block))?;
        if bytes == WHOLE_BODY {
            Head::read(&mut upstream.responses)?;
        }
        Ok(())
    }

    /// Head and body of the request.
    fn read_whole(&self, from: &mut RequestStream) -> io::Result<Vec<u8>> {
        let mut request = self.head.origin_form();
        self.body(from, WHOLE_BODY, |block| request.write_all(block))?;
        Ok(request)
    }

    fn return_response(&self, upstream: &mut Upstream, mut client: &TcpStream) -> io::Result<Next> {
        loop {
            let mut head =
                Head::read(&mut upstream.responses)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let body = head.response_body(self.head.method());
            let last = head.status() >= 200;
            match self.fault {
                Some(Fault::DropResponse | Fault::ReplaceResponse(_)) => {
                    body.copy(&mut upstream.responses, |_| Ok(()))?;
                    if !last {
                        continue;
                    }
                    let Some(Fault::ReplaceResponse(response)) = self.fault else {
                        return Ok(Next::End(ConnectionEnd::Close));
                    };
                    self.shared.record_status(self.exchange, response.status);
                    response.send(client)?;
                    return Ok(Next::Request);
                }
                Some(Fault::PadResponse(time)) if last => {
                    let mut text = Vec::new();
                    body.copy(&mut upstream.responses, |block| text.write_all(block))?;
                    return self.send_padded(&head, &text, *time, client);
                }
                Some(Fault::ReplaceText(text, other)) if last => {
                    let mut whole = Vec::new();
                    body.copy(&mut upstream.responses, |block| whole.write_all(block))?;
                    client.write_all(head.raw())?;
                    client.write_all(
                        String::from_utf8_lossy(&whole)
                            .replacen(text, other, 1)
                            .as_bytes(),
                    )?;
                    self.shared.record_status(self.exchange, head.status());
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
            write_at_rate(client, head.raw(), rate)?;
            body.copy(&mut upstream.responses, |block| {
                write_at_rate(client, block, rate)
            })?;
            if !last {
                continue;
            }
            self.shared.record_status(self.exchange, head.status());
            if let Some(Fault::KeepOpen(time)) = self.fault {
                client.flush()?;
                self.shared.wait_until_stopped(Some(*time));
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

    /// Sends the head at once, then white space, then the body.
    fn send_padded(
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
            self.shared.wait_until_stopped(Some(PADDING_INTERVAL));
        }
        client.write_all(&text[prolog..])?;
        self.shared.record_status(self.exchange, head.status());
        Ok(Next::End(ConnectionEnd::Close))
    }

    /// Reads at most `bytes` of the body at the proxy's rate, applies the fault, counts the bytes,
    /// and passes them to `sink`. Returns their number.
    fn body(
        &self,
        from: &mut RequestStream,
        bytes: u64,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut seen = 0_u64;
        let mut pass_block = |block: &mut [u8]| -> io::Result<()> {
            let mut rest = block;
            while !rest.is_empty() && seen < bytes {
                let most = usize::try_from(bytes - seen).unwrap_or(usize::MAX);
                let mut len = rest.len().min(most);
                if self.head.method() == "PUT" {
                    len = usize::try_from(self.shared.flow.admit(len as u64)).unwrap_or(len);
                }
                let (passed, rest_of_block) = rest.split_at_mut(len);
                self.shared.record_bytes(self.exchange, len as u64);
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
                rest = rest_of_block;
            }
            Ok(())
        };
        let body = self.head.request_body();
        match body {
            // Reads at most `bytes` from the client.
            Body::Length(len) => Body::Length(len.min(bytes)).copy(from, &mut pass_block)?,
            _ => body.copy(from, &mut pass_block)?,
        }
        Ok(seen)
    }
}

/// Sleeps as long as this many bytes take at this rate.
fn pause(bytes: usize, rate: u64) {
    thread::sleep(Duration::from_micros(
        (bytes as u64).saturating_mul(1_000_000) / rate.max(1),
    ));
}

fn write_at_rate(mut to: &TcpStream, bytes: &[u8], rate: u64) -> io::Result<()> {
    if rate == u64::MAX {
        return to.write_all(bytes);
    }
    for chunk in bytes.chunks(usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1)) {
        to.write_all(chunk)?;
        pause(chunk.len(), rate);
    }
    Ok(())
}

pub struct Upstream {
    stream: TcpStream,
    responses: BufReader<TcpStream>,
}

impl Upstream {
    /// Connects and sends a request, or its beginning.
    pub fn send(addr: SocketAddr, request: &[u8]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        match stream.write_all(request) {
            // The server responded and closed before it had read the request. Its response can
            // still be read.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) => {}
            sent => sent?,
        }
        let responses = BufReader::with_capacity(64 << 10, stream.try_clone()?);
        Ok(Self { stream, responses })
    }

    /// The status of the response.
    pub fn status(mut self) -> io::Result<u16> {
        Ok(Head::read(&mut self.responses)?
            .map(|head| head.status())
            .unwrap_or_default())
    }
}
