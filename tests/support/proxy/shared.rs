//! The state that the connections of a proxy share.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::flow::Flow;
use super::message::Head;
use super::requests::Rules;
use super::traffic::{Exchange, Traffic};

#[derive(Default)]
pub(super) struct Shared {
    pub(super) upstream: Mutex<Option<SocketAddr>>,
    pub(super) rules: Mutex<Rules>,
    pub(super) traffic: Mutex<Traffic>,
    pub(super) flow: Flow,
    /// Requests of [`super::Fault::DeliverLater`] that were not delivered yet.
    pub(super) undelivered: Mutex<Vec<Vec<u8>>>,
    /// [`super::Fault::Hold`] has held a request.
    pub(super) holding: AtomicBool,
    /// Held requests may pass.
    pub(super) released: AtomicBool,
    /// The port is closed for now.
    pub(super) refusing: AtomicBool,
    pub(super) stopped: AtomicBool,
}

impl Shared {
    pub(super) fn upstream(&self) -> io::Result<SocketAddr> {
        self.upstream
            .lock()
            .unwrap()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Waits until the proxy is dropped, or for `limit`.
    pub(super) fn wait_until_stopped(&self, limit: Option<Duration>) {
        let started = Instant::now();
        let in_time = || limit.is_none_or(|limit| started.elapsed() < limit);
        while !self.stopped.load(Ordering::SeqCst) && in_time() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn wait_until_released(&self) {
        self.holding.store(true, Ordering::SeqCst);
        while !self.stopped.load(Ordering::SeqCst) && !self.released.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Records a request; returns its index in the traffic.
    pub(super) fn record_request(&self, head: &Head) -> usize {
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

    pub(super) fn record_bytes(&self, exchange: usize, bytes: u64) {
        if let Some(exchange) = self.traffic.lock().unwrap().0.get_mut(exchange) {
            exchange.bytes += bytes;
        }
    }

    pub(super) fn record_status(&self, exchange: usize, status: u16) {
        if let Some(exchange) = self.traffic.lock().unwrap().0.get_mut(exchange) {
            exchange.status = Some(status);
        }
    }
}
