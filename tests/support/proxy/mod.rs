//! A proxy that counts what passes, and spoils what it is told to.
//!
//! Border: HTTP/1.1 over loopback TCP, a thread for each connection; heads go through untouched, so signatures hold.

mod fault;
mod flow;
mod message;
mod relay;
mod traffic;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

pub use fault::{Fault, Requests};
pub use traffic::{Exchange, Traffic};

use super::wait;
use fault::Rules;
use flow::Flow;
use message::Head;

pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    upstream: Mutex<Option<SocketAddr>>,
    rules: Mutex<Rules>,
    traffic: Mutex<Traffic>,
    flow: Flow,
    stopped: AtomicBool,
}

impl Proxy {
    /// Listens on a free port of loopback. Until [`Proxy::lead_to`] every request ends in a closed connection.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let for_clients = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for client in listener.incoming() {
                if for_clients.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let shared = Arc::clone(&for_clients);
                thread::spawn(move || {
                    // What went wrong is for the client to find out.
                    let _ = relay::serve(&client, &shared);
                });
            }
        });
        Self { addr, shared, accepting: Some(accepting) }
    }

    pub fn lead_to(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap() = Some(upstream);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Has `fault` happen to `requests` from now on.
    pub fn spoil(&self, requests: Requests, fault: Fault) {
        self.shared.rules.lock().unwrap().add(requests, fault);
    }

    /// Has no fault happen any more.
    pub fn mend(&self) {
        *self.shared.rules.lock().unwrap() = Rules::default();
    }

    /// Lets all PUT bodies together pass at so many bytes each second.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.shared.flow.set_rate(Some(bytes_per_second));
    }

    pub fn unthrottle(&self) {
        self.shared.flow.set_rate(None);
    }

    /// Lets this many further bytes of PUT bodies pass, then none.
    pub fn shut_after(&self, bytes: u64) {
        self.shared.flow.set_room(Some(bytes));
    }

    /// Waits until as much has passed as [`Proxy::shut_after`] allowed.
    #[track_caller]
    pub fn wait_until_shut(&self) {
        wait::until("the proxy to have passed its share", || self.shared.flow.is_shut().then_some(()));
    }

    pub fn open(&self) {
        self.shared.flow.set_room(None);
    }

    pub fn traffic(&self) -> Traffic {
        self.shared.traffic.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.flow.close();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.addr);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn upstream(&self) -> io::Result<SocketAddr> {
        self.upstream.lock().unwrap().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Notes a request; gives where it stands in the list.
    fn begin(&self, head: &Head) -> usize {
        let part = head.query().split('&').find_map(|pair| pair.strip_prefix("partNumber=")?.parse().ok());
        let exchange =
            Exchange { method: head.method().to_owned(), path: head.path().to_owned(), part, bytes: 0, status: None };
        let mut traffic = self.traffic.lock().unwrap();
        traffic.0.push(exchange);
        traffic.0.len() - 1
    }

    fn arrived(&self, exchange: usize, bytes: u64) {
        if let Some(exchange) = self.traffic.lock().unwrap().0.get_mut(exchange) {
            exchange.bytes += bytes;
        }
    }

    fn answered(&self, exchange: usize, status: u16) {
        if let Some(exchange) = self.traffic.lock().unwrap().0.get_mut(exchange) {
            exchange.status = Some(status);
        }
    }
}
