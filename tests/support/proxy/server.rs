//! The proxy: its port, and the control of its faults and limits.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::super::wait;
use super::fault::Fault;
use super::relay::{self, Upstream};
use super::requests::{Requests, Rules};
use super::shared::Shared;
use super::traffic::Traffic;

pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
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
