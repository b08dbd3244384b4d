//! The listener: connections are few enough, and none waits for ever for its client's first word.
//!
//! Border: connections and the heads of requests; what is asked, and how long a body may take, is the router's.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

/// How long a client may take for the head of a request.
pub const HEADER_WAIT: Duration = Duration::from_secs(10);
/// Connections at the same time; more wait to be accepted.
const CONNECTIONS: usize = 512;

/// Serves until `quit`, then lets the requests under way end. A connection whose client takes longer than `header_wait` for
/// the head of a request is closed.
pub async fn serve(listener: TcpListener, router: Router, header_wait: Duration, quit: impl Future<Output = ()>) {
    let (places, graceful) = (Arc::new(Semaphore::new(CONNECTIONS)), GracefulShutdown::new());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_wait);
    let mut quit = pin!(quit);
    loop {
        let next = async { (Arc::clone(&places).acquire_owned().await, listener.accept().await) };
        let (place, stream) = tokio::select! {
            () = &mut quit => break,
            (place, accepted) = next => match accepted {
                Ok((stream, _)) => (place, stream),
                Err(error) => {
                    // No file descriptors are left, or the client is gone: the next may fare better.
                    tracing::warn!("could not accept a connection: {error}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (builder, router, watcher) = (builder.clone(), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let asked = AtomicBool::new(false);
            let service = service_fn(|request: Request<Incoming>| {
                asked.store(true, Ordering::Relaxed);
                router.clone().oneshot(request)
            });
            // Without it answers may wait for an acknowledgement; with it they are merely on time.
            let _ = TcpStream::set_nodelay(&stream, true);
            let mut connection = pin!(watcher.watch(builder.serve_connection(TokioIo::new(stream), service)));
            // hyper's own timeout begins once it is known which HTTP is spoken.
            let early = timeout(header_wait, &mut connection).await.is_ok();
            if !early && asked.load(Ordering::Relaxed) {
                let _ = connection.await;
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn half_a_head_is_not_waited_for_and_others_are_served_meanwhile() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(async || "hello");
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let quit = async { drop(ended.await) };
        let server = tokio::spawn(serve(listener, router, Duration::from_millis(300), quit));
        let whole = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut slow = Vec::new();
        for text in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &whole[..20], &format!("{whole}GET /")] {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(text.as_bytes()).await.unwrap();
            slow.push(connection);
        }
        let mut good = TcpStream::connect(address).await.unwrap();
        let close = whole.replace("host", "connection: close\r\nhost");
        good.write_all(close.as_bytes()).await.unwrap();
        let mut answer = String::new();
        good.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        for mut connection in slow {
            // Closed or reset; not open.
            let mut rest = Vec::new();
            let read = connection.read_to_end(&mut rest);
            let _ = timeout(Duration::from_secs(20), read).await.expect("it is still open");
        }
        drop(end);
        timeout(Duration::from_secs(20), server).await.unwrap().unwrap();
    }
}
