//! A proxy that counts what passes, and spoils what it is told to: between a client and its gateway, a client and the store, or a
//! gateway and its store. One sentence says it all:
//!
//! ```text
//! proxy.inject(Requests::part(3).first(2), Fault::ResetAfter { bytes: 1000 });
//!             which ones                  what happens to them
//! ```
//!
//! | which: [`Requests`] | |
//! |---|---|
//! | `put`, `part(n)`; `info`, `begin`, `batch`, `claim`, `sign`, `parts`, `complete`, `abort`; `store_create`, `store_list`, `store_complete`, `store_head`; `get`, `post`, `any` | what they ask for |
//! | `.nth(n)`, `.first(n)`, `.after(n)` | the how-manieth of them |
//!
//! | what: [`Fault`] | |
//! |---|---|
//! | `CutAfter`, `ResetAfter`, `FinAfter`, `HushAfter` | how a connection dies: killed, reset, closed, silent |
//! | `Trickle`, `TrickleAnswer`, `Delay`, `Hold`, `Pad`, `Linger` | how it drags on |
//! | `FlipBit`, `Strip`, `Set`, `Edit` | how a message is damaged |
//! | `Response`, `EarlyAnswer`, `Replace`, `DropAnswer` | whose answer comes: a scripted one without or after the request was passed on, or none |
//! | `Twice`, `Zombie` | how often, and how late, it is delivered |
//!
//! All of it at once: [`Proxy::throttle`] (bytes each second), [`Proxy::block_after`] (a gate), [`Proxy::refuse`] (nobody listens).
//!
//! Border: HTTP/1.1 over loopback TCP, a thread for each connection; heads go through untouched, so signatures hold.

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
    /// Requests that were taken and not yet delivered.
    zombies: Mutex<Vec<Vec<u8>>>,
    /// Something is held; what is held may pass.
    holding: AtomicBool,
    released: AtomicBool,
    /// Nobody listens for now.
    refusing: AtomicBool,
    stopped: AtomicBool,
}

impl Proxy {
    /// Listens on a free port of loopback. Until [`Proxy::forward_to`] every request ends in a closed connection.
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

    /// From now on nobody listens here; connections that are open stay so.
    pub fn stop_listening(&self) {
        self.shared.refusing.store(true, Ordering::SeqCst);
        self.end_accepting();
    }

    /// Somebody listens again.
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
            // Wakes the thread that accepts.
            let _ = TcpStream::connect(self.addr);
            let _ = accepting.join();
        }
    }

    /// Delivers the requests that were held back; gives how each was answered.
    #[track_caller]
    pub fn deliver_held(&self) -> Vec<u16> {
        let zombies = std::mem::take(&mut *self.shared.zombies.lock().unwrap());
        let addr = self.shared.upstream().unwrap();
        zombies
            .iter()
            .map(|request| Upstream::send(addr, request).unwrap().status().unwrap())
            .collect()
    }

    pub fn is_holding(&self) -> bool {
        self.shared.holding.load(Ordering::SeqCst)
    }

    /// Passes on what [`Fault::Hold`] holds, now and from now on.
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

    /// Has `fault` happen to `requests` from now on.
    pub fn inject(&self, requests: Requests, fault: Fault) {
        self.shared.rules.lock().unwrap().add(requests, fault);
    }

    /// Has no fault happen any more.
    pub fn clear_faults(&self) {
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
    pub fn block_after(&self, bytes: u64) {
        self.shared.flow.set_room(Some(bytes));
    }

    /// Waits until as much has passed as [`Proxy::block_after`] allowed.
    #[track_caller]
    pub fn wait_until_blocked(&self) {
        wait::until("the proxy to have passed its share", || {
            self.shared.flow.is_shut().then_some(())
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
                // What went wrong is for the client to find out.
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

    /// Waits until the proxy is given up, or for a time.
    fn until_stopped(&self, most: Option<Duration>) {
        let began = Instant::now();
        while !self.stopped.load(Ordering::SeqCst) && most.is_none_or(|most| began.elapsed() < most)
        {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn until_released(&self) {
        self.holding.store(true, Ordering::SeqCst);
        while !self.stopped.load(Ordering::SeqCst) && !self.released.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Notes a request; gives where it stands in the list.
    fn begin(&self, head: &Head) -> usize {
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
