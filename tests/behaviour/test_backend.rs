//! A relay between a world's proxy and its gateway that may answer a request itself, or change the
//! JSON of an answer. It has no tests.
//!
//! Not here: faults of connections (`support::proxy`).

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::world::World;

/// A request of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
}

/// An answer with status 200 or that of the gateway.
pub struct Answer {
    body: String,
    pace: Pace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtOnce,
    /// A byte at a time, for as long as the client reads.
    ByteByByte,
}

/// The pause between two bytes of a slow answer.
const DRIP_INTERVAL: Duration = Duration::from_millis(50);

impl Answer {
    pub fn json(body: &Value) -> Self {
        Self {
            body: body.to_string(),
            pace: Pace::AtOnce,
        }
    }

    /// An answer whose head arrives at once, and whose body takes longer than any limit of a test.
    pub fn dripping(body: &Value) -> Self {
        Self::dripping_text(body.to_string() + &" ".repeat(100_000))
    }

    /// As [`Answer::dripping`], with a body that is not JSON.
    pub fn dripping_text(body: String) -> Self {
        Self {
            body,
            pace: Pace::ByteByByte,
        }
    }
}

/// Gets a request and the JSON of the gateway's answer; `None` before the gateway was asked, and
/// for an answer that is not JSON. Returns the answer to send instead, if any.
type Respond = dyn Fn(&Request, Option<&Value>) -> Option<Answer> + Send + Sync;

/// The relay. Dropping it stops it.
pub struct TestBackend {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl TestBackend {
    /// Places a relay between the proxy and the gateway of `world`.
    pub fn relay(
        world: &World,
        respond: impl Fn(&Request, Option<&Value>) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let backend = Self {
            addr: listener.local_addr().unwrap(),
            requests: Arc::default(),
            stopped: Arc::default(),
        };
        world.proxy.forward_to(backend.addr);
        let gateway = world.gateway.addr();
        let (requests, stopped) = (Arc::clone(&backend.requests), Arc::clone(&backend.stopped));
        let respond: Arc<Respond> = Arc::new(respond);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (requests, respond) = (Arc::clone(&requests), Arc::clone(&respond));
                // An error closes the connection, which the client reports.
                thread::spawn(move || drop(serve(&client, gateway, &requests, &*respond)));
            }
        });
        backend
    }

    /// The number of requests whose path, with the query, contains a text.
    pub fn requests(&self, text: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|request| request.path.contains(text))
            .count()
    }

    /// Every request so far.
    pub fn all_requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for TestBackend {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
    }
}

/// Serves one request; the proxy uses a connection for each.
fn serve(
    client: &TcpStream,
    gateway: SocketAddr,
    requests: &Mutex<Vec<Request>>,
    respond: &Respond,
) -> io::Result<()> {
    let mut from_client = BufReader::new(client);
    let (head, length) = read_head(&mut from_client)?;
    let mut words = head.split(' ').map(str::to_owned);
    let request = Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
    };
    requests.lock().unwrap().push(request.clone());
    let mut body = vec![0; length];
    from_client.read_exact(&mut body)?;
    let mut to_client = client;
    if let Some(own) = respond(&request, None) {
        return own.send(to_client, 200);
    }
    let mut to_gateway = TcpStream::connect(gateway)?;
    let head = head.trim_end_matches("\r\n");
    write!(to_gateway, "{head}\r\nconnection: close\r\n\r\n")?;
    to_gateway.write_all(&body)?;
    let mut answer = Vec::new();
    to_gateway.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    if let (Some(status), Ok(json)) = (status, serde_json::from_str(body))
        && let Some(changed) = respond(&request, Some(&json))
    {
        return changed.send(to_client, status);
    }
    to_client.write_all(&answer)
}

/// Reads the head of a request. Returns it, and the length of the body.
fn read_head(from: &mut impl io::BufRead) -> io::Result<(String, usize)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        if from.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = head[start..].to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            return Ok((head, length));
        }
    }
}

impl Answer {
    fn send(&self, mut to: &TcpStream, status: u16) -> io::Result<()> {
        let body = self.body.as_bytes();
        let length = body.len();
        write!(
            to,
            "HTTP/1.1 {status} Changed\r\nx-upload-protocol: 1\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n"
        )?;
        if self.pace == Pace::AtOnce {
            return to.write_all(body);
        }
        for byte in body {
            to.write_all(&[*byte])?;
            thread::sleep(DRIP_INTERVAL);
        }
        Ok(())
    }
}
