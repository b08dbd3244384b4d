//! The HTTP listener: accepts connections within their limits and serves a router on them.
//!
//! It speaks HTTP/1.1 only. Browsers and the client of this project use HTTP/2 only over TLS, which
//! a proxy in front of the gateway ends, and HTTP/2 would let one connection hold any number of
//! responses that it does not read.
//!
//! Not here: the choice of the connection that is closed if there are too many
//! (`connection_limiter`), and the routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tower::ServiceExt as _;
use url::Url;

use crate::connection_limiter::{ConnectionLimiter, ConnectionLimits, Slot};
use crate::metrics::metrics;
use crate::tracked_stream::{TrackedRequestBody, TrackedStream};
use upload_types::error::{Error, Kind, Result};

/// The pause after `accept` has failed, for example because the process has no free file
/// descriptor.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The bytes of a connection that the kernel keeps because the client does not read them.
#[cfg(target_os = "linux")]
const MAX_UNSENT_BYTES: u32 = 256 << 10;

/// A socket that listens for HTTP connections.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds an address; port 0 selects a free port.
    ///
    /// # Errors
    /// [`Kind::Io`] if the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let failed = |error| {
            Error::new(Kind::Io, format!("could not listen on {address}")).with_source(error)
        };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// # Errors
    /// As [`http_url`].
    pub fn url(&self) -> Result<Url> {
        http_url(self.address)
    }

    /// Serves until `shutdown` completes, then finishes the active requests. A connection is closed
    /// if its client takes too long to send the head of a request, stays below the minimum rate for
    /// too long, or if the limiter evicts it.
    pub async fn serve(
        self,
        router: Router,
        limits: ConnectionLimits,
        shutdown: impl Future<Output = ()>,
    ) {
        let limiter = ConnectionLimiter::new(&limits);
        let serve = self.accept_until(router, limits, &limiter, shutdown);
        tokio::select! {
            () = serve => {}
            () = limiter.close_lagging_connections() => {}
        }
    }

    async fn accept_until(
        self,
        router: Router,
        limits: ConnectionLimits,
        limiter: &ConnectionLimiter,
        shutdown: impl Future<Output = ()>,
    ) {
        let graceful = GracefulShutdown::new();
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout);
        let mut shutdown = pin!(shutdown);
        loop {
            let next = async {
                let (stream, peer) = self.socket.accept().await?;
                Ok::<_, std::io::Error>((stream, limiter.acquire(peer.ip()).await))
            };
            let (stream, slot) = tokio::select! {
                () = &mut shutdown => break,
                accepted = next => match accepted {
                    Ok((stream, Some(slot))) => (stream, slot),
                    Ok((_, None)) => continue,
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a connection");
                        sleep(ACCEPT_RETRY_DELAY).await;
                        continue;
                    }
                },
            };
            let counted = limits.count_in_metrics.then(CountedConnection::new);
            let (builder, router, watcher) = (builder.clone(), router.clone(), graceful.watcher());
            tokio::spawn(async move {
                serve_connection(&builder, stream, router, &slot, watcher).await;
                drop((slot, counted));
            });
        }
        drop(self.socket);
        graceful.shutdown().await;
    }
}

async fn serve_connection(
    builder: &Builder,
    stream: TcpStream,
    router: Router,
    slot: &Slot,
    watcher: Watcher,
) {
    let state = slot.connection();
    let service = service_fn(|request: Request<Incoming>| {
        let active = state.begin_request();
        let request =
            request.map(|body| Body::new(TrackedRequestBody::new(body, Arc::clone(state))));
        let response = router.clone().oneshot(request);
        async move {
            response
                .await
                .map(|response| response.map(|body| active.until_sent(body)))
        }
    });
    set_options(&stream);
    let stream = TokioIo::new(TrackedStream::new(stream, Arc::clone(state)));
    let connection = pin!(watcher.watch(builder.serve_connection(stream, service)));
    tokio::select! {
        // Errors are those of the client's connection.
        _ = connection => {}
        () = state.wait_for_eviction() => {}
    }
}

/// Sets the options of a connection. Without them, it is only slower or takes more memory.
fn set_options(stream: &TcpStream) {
    // Responses must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    // By default, the kernel would keep some MiB for each client that does not read.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(MAX_UNSENT_BYTES);
}

/// A connection that is counted in the metrics until it is dropped.
struct CountedConnection;

impl CountedConnection {
    fn new() -> Self {
        metrics().connection_opened();
        Self
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        metrics().connection_closed();
    }
}

/// The URL of a server at an address.
///
/// # Errors
/// None in practice: every address has a URL.
pub fn http_url(address: SocketAddr) -> Result<Url> {
    format!("http://{address}").parse().map_err(|error| {
        Error::new(Kind::Other, format!("could not make a URL from {address}")).with_source(error)
    })
}

/// The address at which this process can reach a listener: loopback if it listens on all
/// interfaces.
pub fn reachable_address(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
    /// Longer than any test.
    const NO_HEADER_TIMEOUT: Duration = Duration::from_mins(10);

    struct Server {
        address: SocketAddr,
        shutdown: oneshot::Sender<()>,
        task: JoinHandle<()>,
    }

    impl Server {
        async fn start(router: Router, limits: ConnectionLimits) -> Self {
            let listener = Listener::bind("127.0.0.1:0".parse().unwrap())
                .await
                .unwrap();
            let address = listener.address();
            let (shutdown, stopped) = oneshot::channel::<()>();
            let task = tokio::spawn(listener.serve(router, limits, async { drop(stopped.await) }));
            Self {
                address,
                shutdown,
                task,
            }
        }

        async fn send(&self, text: &str) -> TcpStream {
            let mut connection = TcpStream::connect(self.address).await.unwrap();
            connection.write_all(text.as_bytes()).await.unwrap();
            connection
        }

        async fn stop(self) {
            drop(self.shutdown);
            timeout(RESPONSE_TIMEOUT, self.task).await.unwrap().unwrap();
        }
    }

    fn limits(header_timeout: Duration, max_connections: usize) -> ConnectionLimits {
        ConnectionLimits {
            header_timeout,
            max_lag: Duration::from_mins(10),
            max_connections,
            max_per_client: |_| usize::MAX,
            count_in_metrics: false,
        }
    }

    /// A router that responds to `/slow` once `release` is notified, and to other paths at once. It
    /// notifies `arrived` of each request to `/slow`.
    fn router_with_slow_path() -> (Router, Arc<Notify>, Arc<Notify>) {
        let (release, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (released, arriving) = (Arc::clone(&release), Arc::clone(&arrived));
        let slow = async move || {
            arriving.notify_one();
            released.notified().await;
            "slow"
        };
        let router = Router::new()
            .route("/slow", axum::routing::get(slow))
            .fallback(async || "hello");
        (router, release, arrived)
    }

    async fn response(mut connection: TcpStream) -> String {
        let mut text = String::new();
        let read = connection.read_to_string(&mut text);
        timeout(RESPONSE_TIMEOUT, read)
            .await
            .expect("the response took too long")
            .unwrap();
        text
    }

    #[tokio::test]
    async fn incomplete_request_heads_time_out_while_others_are_served() {
        let router = Router::new().fallback(async || "hello");
        let server = Server::start(router, limits(Duration::from_millis(300), 64)).await;
        let incomplete_second = format!("{}GET /", REQUEST.replace("connection: close\r\n", ""));
        let mut incomplete = Vec::new();
        for text in [
            "",
            "P",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &REQUEST[..20],
            &incomplete_second,
        ] {
            incomplete.push(server.send(text).await);
        }
        let text = response(server.send(REQUEST).await).await;
        assert!(
            text.starts_with("HTTP/1.1 200") && text.ends_with("hello"),
            "{text}"
        );
        for mut connection in incomplete {
            // The connection may be closed or reset, but must not stay open.
            let mut rest = Vec::new();
            let read = connection.read_to_end(&mut rest);
            let _ = timeout(RESPONSE_TIMEOUT, read)
                .await
                .expect("the connection is still open");
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn idle_connections_are_evicted_and_active_ones_are_not() {
        let (router, release, arrived) = router_with_slow_path();
        let server = Server::start(router, limits(NO_HEADER_TIMEOUT, 8)).await;
        let active = server.send(&REQUEST.replace("GET /", "GET /slow")).await;
        arrived.notified().await;
        let mut idle = Vec::new();
        for length in 0..40 {
            idle.push(server.send(&REQUEST[..length % 20]).await);
        }
        for _ in 0..3 {
            assert!(
                response(server.send(REQUEST).await)
                    .await
                    .ends_with("hello")
            );
        }
        release.notify_one();
        assert!(response(active).await.ends_with("slow"));
        drop(idle);
        server.stop().await;
    }

    /// Connections of a client beyond its limit replace its own idle connections, even if other
    /// slots are free.
    #[tokio::test]
    async fn connections_per_client_are_limited() {
        let (router, release, arrived) = router_with_slow_path();
        let limits = ConnectionLimits {
            max_per_client: |_| 2,
            ..limits(NO_HEADER_TIMEOUT, 64)
        };
        let server = Server::start(router, limits).await;
        let slow = REQUEST.replace("GET /", "GET /slow");
        let first = server.send(&slow).await;
        arrived.notified().await;
        let idle = server.send("").await;
        let second = server.send(&slow).await;
        arrived.notified().await;
        // The idle connection was evicted. Both others are active, so a third one gets no slot.
        assert_eq!(response(idle).await, "");
        let mut third = server.send("").await;
        let mut rest = Vec::new();
        let closed = timeout(RESPONSE_TIMEOUT, third.read_to_end(&mut rest)).await;
        assert!(
            closed.is_ok() && rest.is_empty(),
            "the connection is still open"
        );
        release.notify_one();
        assert!(response(first).await.ends_with("slow"));
        release.notify_one();
        assert!(response(second).await.ends_with("slow"));
        assert!(
            response(server.send(REQUEST).await)
                .await
                .ends_with("hello")
        );
        server.stop().await;
    }

    /// A router that responds with `bytes` bytes.
    fn router_with_large_response(bytes: usize) -> Router {
        let chunk = axum::body::Bytes::from(vec![0; 64 << 10]);
        let large = async move || {
            let chunks = std::iter::repeat_n(chunk, bytes >> 16).map(Ok::<_, Infallible>);
            Body::from_stream(futures_util::stream::iter(chunks))
        };
        Router::new()
            .route("/large", axum::routing::get(large))
            .route("/body", axum::routing::post(async |body: String| body))
            .fallback(async || "hello")
    }

    /// Sends requests whose clients then neither send nor read.
    async fn stalled_connections(server: &Server, count: usize) -> Vec<TcpStream> {
        let get = REQUEST.replace("GET /", "GET /large");
        // So long that the few bytes that a test sends do not complete it.
        let post = "POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nh";
        let mut connections = Vec::new();
        for request in [&*get, post].into_iter().cycle().take(count) {
            connections.push(server.send(request).await);
        }
        connections
    }

    #[tokio::test]
    async fn clients_that_neither_send_nor_read_give_way_to_others() {
        let router = router_with_large_response(64 << 20);
        let server = Server::start(router, limits(NO_HEADER_TIMEOUT, 8)).await;
        let stalled = stalled_connections(&server, 8).await;
        for _ in 0..4 {
            let text = response(server.send(REQUEST).await).await;
            assert!(text.ends_with("hello"), "{text}");
        }
        drop(stalled);
        server.stop().await;
    }

    #[tokio::test]
    async fn transfers_below_the_minimum_rate_are_ended() {
        let router = router_with_large_response(64 << 20);
        let limits = ConnectionLimits {
            max_lag: Duration::from_secs(1),
            ..limits(NO_HEADER_TIMEOUT, 64)
        };
        let server = Server::start(router, limits).await;
        // No slot is needed. The client notices the end when it sends.
        for mut connection in stalled_connections(&server, 4).await {
            let closed = async {
                while connection.write_all(b"x").await.is_ok() {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            let closed = timeout(RESPONSE_TIMEOUT, closed).await;
            closed.expect("the connection is still open");
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn slow_reader_of_a_large_response_gets_all_of_it() {
        const SIZE: usize = 24 << 20;
        let limits = ConnectionLimits {
            max_lag: Duration::from_secs(1),
            ..limits(NO_HEADER_TIMEOUT, 1)
        };
        let server = Server::start(router_with_large_response(SIZE), limits).await;
        let get = REQUEST.replace("GET /", "GET /large");
        let mut connection = server.send(&get).await;
        // The pauses take several times the permitted lag.
        let mut read = 0;
        let mut buffer = vec![0; 2 << 20];
        loop {
            sleep(Duration::from_millis(150)).await;
            match connection.read(&mut buffer).await.unwrap() {
                0 => break,
                count => read += count,
            }
        }
        assert!(read > SIZE, "{read}");
        server.stop().await;
    }

    #[tokio::test]
    async fn http2_is_refused() {
        let server = Server::start(Router::new(), limits(NO_HEADER_TIMEOUT, 1)).await;
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
        let mut connection = server.send(preface).await;
        let mut response = Vec::new();
        let read = connection.read_to_end(&mut response);
        let _ = timeout(RESPONSE_TIMEOUT, read)
            .await
            .expect("the connection is still open");
        assert!(
            response.is_empty() || response.starts_with(b"HTTP/1.1 "),
            "{response:?}"
        );
        server.stop().await;
    }
}
