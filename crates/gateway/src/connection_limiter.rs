//! Limits on open connections, in total and per client network. If no slot is free, a connection
//! whose client neither sends nor reads is closed.
//!
//! Not here: accepting connections (`listener`), and limits on requests and their bodies (`routes`,
//! `request_body`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use crate::transfer_progress::TransferProgress;
use upload_net::AddressClass;
use upload_types::sync::lock;

const MAX_CONNECTIONS: usize = 512;
/// Half of all connections, and as many as there may be concurrent calls: behind a proxy, all
/// clients appear as one.
const MAX_CONNECTIONS_PER_CLIENT: usize = 256;
const MAX_METRICS_CONNECTIONS: usize = 16;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an accepted connection that waits for a slot tries to evict an idle one.
const EVICTION_INTERVAL: Duration = Duration::from_millis(50);
/// A connection with this lag is closed if another one needs its slot.
const MIN_EVICTED_LAG: Duration = Duration::from_secs(1);
/// A connection with this lag is closed in any case. A client that reads a large object slowly
/// makes progress in large steps: the buffers of both kernels have some MiB.
const MAX_LAG: Duration = Duration::from_mins(5);
const LAG_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// How far a transfer may be behind the minimum rate.
    pub max_lag: Duration,
    /// Open connections in total.
    pub max_connections: usize,
    /// Open connections of the client network to which an address belongs.
    pub max_per_client: fn(IpAddr) -> usize,
    /// True if the connections are counted in the metrics.
    pub count_in_metrics: bool,
}

/// The limits of the listener for the API.
pub const API_LIMITS: ConnectionLimits = ConnectionLimits {
    header_timeout: HEADER_TIMEOUT,
    max_lag: MAX_LAG,
    max_connections: MAX_CONNECTIONS,
    max_per_client,
    count_in_metrics: true,
};
/// The limits of the listener through which the gateway itself calls its embedded store.
pub const INTERNAL_LIMITS: ConnectionLimits = ConnectionLimits {
    count_in_metrics: false,
    ..API_LIMITS
};
/// The limits of the listener for metrics, which has few clients.
pub const METRICS_LIMITS: ConnectionLimits = ConnectionLimits {
    header_timeout: HEADER_TIMEOUT,
    max_lag: MAX_LAG,
    max_connections: MAX_METRICS_CONNECTIONS,
    max_per_client: |_| MAX_METRICS_CONNECTIONS,
    count_in_metrics: false,
};

/// Clients on this machine have only the limit of all connections: a proxy may be one of them.
fn max_per_client(address: IpAddr) -> usize {
    if AddressClass::of_ip(address).is_loopback() {
        usize::MAX
    } else {
        MAX_CONNECTIONS_PER_CLIENT
    }
}

/// The network that counts as one client: an IPv4 address, or an IPv6 network of 64 bits, in which
/// a client can use any number of addresses.
fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !AddressClass::of_ip(address.into()).is_loopback() => {
            let network = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(network).into()
        }
        address => address,
    }
}

/// Grants slots to connections.
pub struct ConnectionLimiter {
    slots: Arc<Semaphore>,
    max_per_client: fn(IpAddr) -> usize,
    max_lag: Duration,
    connections: Arc<Mutex<Connections>>,
}

#[derive(Default)]
struct Connections {
    next_number: u64,
    /// By number, so that the oldest is first.
    open: BTreeMap<u64, Arc<Connection>>,
}

/// An open connection.
pub struct Connection {
    client: IpAddr,
    /// True once the head of a request has arrived.
    has_sent_request: AtomicBool,
    /// Requests without a completely sent response.
    active_requests: AtomicUsize,
    /// The body of the current request.
    received: TransferProgress,
    /// The responses.
    sent: TransferProgress,
    evicted: Notify,
}

/// The right of a connection to stay open until the slot is dropped.
pub struct Slot {
    number: u64,
    connection: Arc<Connection>,
    connections: Arc<Mutex<Connections>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl ConnectionLimiter {
    pub fn new(limits: &ConnectionLimits) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(limits.max_connections)),
            max_per_client: limits.max_per_client,
            max_lag: limits.max_lag,
            connections: Arc::default(),
        }
    }

    /// Waits for a slot. If none is free, evicts connections that do nothing. Returns `None` if the
    /// client network has all the connections it may have, and none of them can be evicted.
    pub async fn acquire(&self, address: IpAddr) -> Option<Slot> {
        let client = client_network(address);
        let max = (self.max_per_client)(client);
        if !lock(&self.connections).make_room_for(client, max, Instant::now()) {
            return None;
        }
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
                break Some(permit);
            }
            lock(&self.connections).evict_one(|_| true, Instant::now());
            let next = Arc::clone(&self.slots).acquire_owned();
            if let Ok(permit) = timeout(EVICTION_INTERVAL, next).await {
                // The semaphore is never closed.
                break permit.ok();
            }
        };
        let connection = Arc::new(Connection {
            client,
            has_sent_request: AtomicBool::default(),
            active_requests: AtomicUsize::default(),
            received: TransferProgress::default(),
            sent: TransferProgress::default(),
            evicted: Notify::new(),
        });
        Some(Slot {
            number: lock(&self.connections).insert(Arc::clone(&connection)),
            connection,
            connections: Arc::clone(&self.connections),
            _permit: permit,
        })
    }

    /// Closes connections that are too far behind the minimum rate, forever.
    pub async fn close_lagging_connections(&self) {
        loop {
            sleep(LAG_CHECK_INTERVAL).await;
            lock(&self.connections).evict_lagging(self.max_lag, Instant::now());
        }
    }
}

impl Connections {
    fn insert(&mut self, connection: Arc<Connection>) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.open.insert(number, connection);
        number
    }

    /// Makes sure that the client has fewer than `max` connections, by evicting one if necessary.
    /// Returns false if none can be evicted.
    fn make_room_for(&mut self, client: IpAddr, max: usize, now: Instant) -> bool {
        let is_of_client = |connection: &Connection| connection.client == client;
        let count = self.open.values().filter(|open| is_of_client(open)).count();
        count < max || self.evict_one(is_of_client, now)
    }

    /// Evicts one of the connections that match: the oldest one without any request, otherwise the
    /// one that is furthest behind the minimum rate, otherwise the oldest one without an active
    /// request. Returns false if there is none.
    fn evict_one(&mut self, matches: impl Fn(&Connection) -> bool, now: Instant) -> bool {
        let matching = self.open.iter().filter(|(_, open)| matches(open));
        let unused = matching.clone().find(|(_, open)| !open.has_sent_request());
        let slowest = || {
            let lags = matching.clone().map(|entry| (entry.1.lag(now), entry));
            let behind = lags.filter(|(lag, _)| *lag >= MIN_EVICTED_LAG);
            behind.max_by_key(|(lag, _)| *lag).map(|(_, entry)| entry)
        };
        let idle = || matching.clone().find(|(_, open)| open.is_idle());
        let Some((&number, _)) = unused.or_else(slowest).or_else(idle) else {
            return false;
        };
        self.evict(number);
        true
    }

    /// Evicts the connections with at least this lag.
    fn evict_lagging(&mut self, max_lag: Duration, now: Instant) {
        let lagging = self
            .open
            .iter()
            .filter(|(_, open)| open.lag(now) >= max_lag);
        let numbers: Vec<u64> = lagging.map(|(number, _)| *number).collect();
        for number in numbers {
            self.evict(number);
        }
    }

    fn evict(&mut self, number: u64) {
        if let Some(connection) = self.open.remove(&number) {
            connection.evicted.notify_one();
        }
    }
}

impl Slot {
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.connections).open.remove(&self.number);
    }
}

impl Connection {
    pub fn has_sent_request(&self) -> bool {
        self.has_sent_request.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.active_requests.load(Ordering::Relaxed) == 0
    }

    /// The progress of the body that the client sends.
    pub fn received(&self) -> &TransferProgress {
        &self.received
    }

    /// The progress of the responses that the client reads.
    pub fn sent(&self) -> &TransferProgress {
        &self.sent
    }

    fn lag(&self, now: Instant) -> Duration {
        self.received.lag(now).max(self.sent.lag(now))
    }

    /// Waits until the limiter evicts this connection.
    pub async fn wait_for_eviction(&self) {
        self.evicted.notified().await;
    }

    /// Counts a request as active until the returned guard is dropped.
    pub fn begin_request(self: &Arc<Self>) -> ActiveRequest {
        self.has_sent_request.store(true, Ordering::Relaxed);
        self.active_requests.fetch_add(1, Ordering::Relaxed);
        ActiveRequest(Arc::clone(self))
    }
}

/// A request of a connection, active until this is dropped.
pub struct ActiveRequest(Arc<Connection>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active_requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ActiveRequest {
    /// Keeps the request active until the body of its response is sent.
    pub fn until_sent(self, body: Body) -> TrackedBody {
        TrackedBody {
            body,
            _request: self,
        }
    }
}

/// The body of a response. Its request is active until the body is dropped.
pub struct TrackedBody {
    body: Body,
    _request: ActiveRequest,
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_network_is_an_ipv4_address_or_64_bits_of_ipv6() {
        for (address, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::"),
            ("2001:db8::ffff:1", "2001:db8::"),
            ("::1", "::1"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            let found = client_network(address.parse().unwrap()).to_string();
            assert_eq!(found, network, "{address}");
        }
        assert_eq!(
            ["127.0.0.1", "::1", "192.0.2.7"].map(|text| max_per_client(text.parse().unwrap())),
            [usize::MAX, usize::MAX, 256]
        );
    }
}
