//! The HTTP listener: accepts connections within their limits and serves a router on them.
//!
//! Not here: the choice of the connection that is closed if there are too many
//! (`connection_limiter`), and the routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;
use url::Url;

use crate::connection_limiter::{ConnectionLimiter, ConnectionLimits, Slot};
use crate::metrics::metrics;
use upload_types::error::{Error, Kind, Result};

/// The pause after `accept` has failed, for example because the process has no free file
/// descriptor.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Room for a token of 32 KiB.
const MAX_HEADER_LIST_BYTES: u32 = 64 << 10;

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
    /// if its client takes too long to send the head of a request, or if the limiter evicts it.
    pub async fn serve(
        self,
        router: Router,
        limits: ConnectionLimits,
        shutdown: impl Future<Output = ()>,
    ) {
        let limiter = ConnectionLimiter::new(&limits);
        let graceful = GracefulShutdown::new();
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout);
        builder.http2().max_header_list_size(MAX_HEADER_LIST_BYTES);
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
                serve_connection(&builder, stream, router, &slot, watcher, limits).await;
                drop((slot, counted));
            });
        }
        drop(self.socket);
        graceful.shutdown().await;
    }
}

async fn serve_connection(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    router: Router,
    slot: &Slot,
    watcher: Watcher,
    limits: ConnectionLimits,
) {
    let state = Arc::clone(slot.connection());
    let service = service_fn(|request: Request<Incoming>| {
        let active = state.begin_request();
        let response = router.clone().oneshot(request);
        async move {
            response
                .await
                .map(|response| response.map(|body| active.until_sent(body)))
        }
    });
    // Without TCP_NODELAY, responses may wait for an acknowledgement; if it cannot be set, they are
    // only slower.
    let _ = TcpStream::set_nodelay(&stream, true);
    let mut connection =
        pin!(watcher.watch(builder.serve_connection(TokioIo::new(stream), service)));
    let served = async {
        // The header timeout of hyper begins once the HTTP version is known.
        let ended = timeout(limits.header_timeout, &mut connection)
            .await
            .is_ok();
        if !ended && state.has_sent_request() {
            let _ = connection.await;
        }
    };
    tokio::select! {
        () = served => {}
        () = state.evicted() => {}
    }
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;

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
}
