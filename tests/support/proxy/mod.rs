//! A proxy that counts requests and injects faults: between a client and its gateway, a client and
//! the store, or a gateway and its store.
//!
//! ```text
//! proxy.inject(Requests::part(3).first(2), Fault::ResetAfter { bytes: 1000 });
//! //           the selected requests       the fault
//! ```
//!
//! | [`Requests`] | selects by |
//! |---|---|
//! | `put`, `part(n)` | parts |
//! | `info`, `begin`, `batch`, `claim`, `sign`, `parts`, `complete`, `abort` | the gateway's API |
//! | `store_create`, `store_list`, `store_complete`, `store_head` | S3's operations |
//! | `get`, `post`, `any` | method and path |
//! | `.with_text(text)` | a text in the request line or a header |
//! | `.nth(n)`, `.first(n)`, `.after(n)` | the order among these |
//!
//! | [`Fault`] | effect |
//! |---|---|
//! | `CutAfter`, `ResetAfter`, `FinAfter`, `StallAfter` | the connection is closed, reset, or stalls |
//! | `Trickle`, `TrickleResponse`, `Delay`, `Hold`, `PadResponse`, `KeepOpen` | it is slow |
//! | `FlipBit`, `RemoveHeader`, `SetHeader`, `ReplaceText` | a message is changed |
//! | `Respond`, `EarlyResponse`, `ReplaceResponse`, `DropResponse` | another response, or none |
//! | `DeliverTwice`, `DeliverLater` | the request arrives twice, or late |
//!
//! [`Proxy::throttle`] and [`Proxy::block_after`] limit all request bodies;
//! [`Proxy::stop_listening`] closes the port.
//!
//! Not here: TLS and HTTP/2. Each connection is HTTP/1.1 over loopback TCP and has its own thread.
//! Heads are relayed unchanged, so that signatures stay valid.

mod fault;
mod flow;
mod message;
mod relay;
mod requests;
mod response;
mod traffic;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use fault::{ConnectionEnd, Fault, WHOLE_BODY};
pub use requests::Requests;
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use response::Response;
pub use traffic::{Exchange, Traffic};

use super::wait;
use flow::Flow;
use message::Head;
use relay::Upstream;
use requests::Rules;

pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    upstream: Mutex<Option<SocketAddr>>,
    rules: Mutex<Rules>,
    traffic: Mutex<Traffic>,
    flow: Flow,
    /// Requests of [`Fault::DeliverLater`] that were not delivered yet.
    undelivered: Mutex<Vec<Vec<u8>>>,
    /// [`Fault::Hold`] has held a request.
    holding: AtomicBool,
    /// Held requests may pass.
    released: AtomicBool,
    /// The port is closed for now.
    refusing: AtomicBool,
    stopped: AtomicBool,
}

impl Proxy {
    /// Listens on a free port of loopback. Closes every connection until [`Proxy::forward_to`]
    /// names a server.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = accept(listener, &shared);
        Self {
            addr,
            shared,
            accepting: Mutex::new(Some(accepting)),
        }
    }

    /// Closes the port; open connections stay open.
    pub fn stop_listening(&self) {
        self.shared.refusing.store(true, Ordering::SeqCst);
        self.end_accepting();
    }

    /// Listens at the same port again.
    #[track_caller]
    pub fn listen_again(&self) {
        self.shared.refusing.store(false, Ordering::SeqCst);
        let listener = wait::until("the port to be free again", || {
            TcpListener::bind(self.addr).ok()
        });
        *self.accepting.lock().unwrap() = Some(accept(listener, &self.shared));
    }

    fn end_accepting(&self) {
        if let Some(accepting) = self.accepting.lock().unwrap().take() {
            // Wakes the accepting thread.
            let _ = TcpStream::connect(self.addr);
            let _ = accepting.join();
        }
    }

    /// Delivers the requests of [`Fault::DeliverLater`]; returns the status of each response.
    #[track_caller]
    pub fn deliver_held(&self) -> Vec<u16> {
        let undelivered = std::mem::take(&mut *self.shared.undelivered.lock().unwrap());
        let addr = self.shared.upstream().unwrap();
        undelivered
            .iter()
            .map(|request| Upstream::send(addr, request).unwrap().status().unwrap())
            .collect()
    }

    pub fn is_holding(&self) -> bool {
        self.shared.holding.load(Ordering::SeqCst)
    }

    /// Passes the requests of [`Fault::Hold`] on, held and later ones.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn forward_to(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap() = Some(upstream);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Injects `fault` into `requests` from now on.
    pub fn inject(&self, requests: Requests, fault: Fault) {
        self.shared.rules.lock().unwrap().add(requests, fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        *self.shared.rules.lock().unwrap() = Rules::default();
    }

    /// Limits all PUT bodies together to this rate.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.shared.flow.set_rate(Some(bytes_per_second));
    }

    pub fn unthrottle(&self) {
        self.shared.flow.set_rate(None);
    }

    /// Blocks PUT bodies after this many further bytes.
    pub fn block_after(&self, bytes: u64) {
        self.shared.flow.set_room(Some(bytes));
    }

    /// Waits until the limit of [`Proxy::block_after`] is reached.
    #[track_caller]
    pub fn wait_until_blocked(&self) {
        wait::until("blocked PUT bodies", || {
            self.shared.flow.is_blocked().then_some(())
        });
    }

    pub fn unblock(&self) {
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
        self.end_accepting();
    }
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for client in listener.incoming() {
            if shared.stopped.load(Ordering::SeqCst) || shared.refusing.load(Ordering::SeqCst) {
                return;
            }
            let Ok(client) = client else { continue };
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                // An error closes the connection, which the client reports.
                let _ = relay::serve(&client, &shared);
            });
        }
    })
}

impl Shared {
    fn upstream(&self) -> io::Result<SocketAddr> {
        self.upstream
            .lock()
            .unwrap()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Waits until the proxy is dropped, or for `limit`.
    fn wait_until_stopped(&self, limit: Option<Duration>) {
        let started = Instant::now();
        let in_time = || limit.is_none_or(|limit| started.elapsed() < limit);
        while !self.stopped.load(Ordering::SeqCst) && in_time() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait_until_released(&self) {
        self.holding.store(true, Ordering::SeqCst);
        while !self.stopped.load(Ordering::SeqCst) && !self.released.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Records a request; returns its index in the traffic.
    fn record_request(&self, head: &Head) -> usize {
        let (method, path, part) = (
            head.method().to_owned(),
            head.path().to_owned(),
            head.part(),
        );
        let exchange = Exchange {
            method,
            path,
            part,
            bytes: 0,
            status: None,
            began: Instant::now(),
        };
        let mut traffic = self.traffic.lock().unwrap();
        traffic.0.push(exchange);
        traffic.0.len() - 1
    }

    fn record_bytes(&self, exchange: usize, bytes: u64) {
        if let Some(exchange) = self.traffic.lock().unwrap().0.get_mut(exchange) {
            exchange.bytes += bytes;
        }
    }

    fn record_status(&self, exchange: usize, status: u16) {
        if let Some(exchange) = self.traffic.lock().unwrap().0.get_mut(exchange) {
            exchange.status = Some(status);
        }
    }
}
