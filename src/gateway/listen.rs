//! The listener: connections are few enough, and whoever asks nothing makes room for who does.
//!
//! Border: connections and the heads of requests; what is asked, and how long a body may take, is the router's.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

/// How much patience there is.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a client may take for the head of a request.
    pub header_wait: Duration,
    /// Connections at the same time.
    pub connections: usize,
}

pub const BOUNDS: Bounds = Bounds { header_wait: Duration::from_secs(10), connections: 512 };
/// How often one who waits for a place looks whether somebody has become silent.
const LOOK: Duration = Duration::from_millis(50);

/// Serves until `quit`, then lets the requests under way end. A connection whose client takes too long for the head of a
/// request is closed; where there are too many, the one that has been silent longest.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, quit: impl Future<Output = ()>) {
    let (room, graceful) = (Room::new(bounds.connections), GracefulShutdown::new());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(bounds.header_wait);
    let mut quit = pin!(quit);
    loop {
        let next = async {
            let (stream, _) = listener.accept().await?;
            Ok::<_, std::io::Error>((stream, room.enter().await))
        };
        let (stream, seat) = tokio::select! {
            () = &mut quit => break,
            accepted = next => match accepted {
                Ok(accepted) => accepted,
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
            let guest = Arc::clone(&seat.guest);
            let service = service_fn(|request: Request<Incoming>| {
                let asking = Asking::begin(&guest);
                let answer = router.clone().oneshot(request);
                async move { answer.await.map(|response| response.map(|body| Answering { body, _asking: asking })) }
            });
            // Without it answers may wait for an acknowledgement; with it they are merely on time.
            let _ = TcpStream::set_nodelay(&stream, true);
            let mut connection = pin!(watcher.watch(builder.serve_connection(TokioIo::new(stream), service)));
            let whole = async {
                // hyper's own timeout begins once it is known which HTTP is spoken.
                let early = timeout(bounds.header_wait, &mut connection).await.is_ok();
                if !early && guest.asked.load(Ordering::Relaxed) {
                    let _ = connection.await;
                }
            };
            tokio::select! {
                () = whole => {}
                () = guest.leave.notified() => {}
            }
            drop(seat);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Who is connected, the longest first.
struct Room {
    places: Arc<Semaphore>,
    guests: Arc<Mutex<Guests>>,
}

#[derive(Default)]
struct Guests {
    next: u64,
    present: BTreeMap<u64, Arc<Guest>>,
}

#[derive(Default)]
struct Guest {
    /// Has sent the head of a request.
    asked: AtomicBool,
    /// Requests under way, to the end of their answers.
    asking: AtomicUsize,
    leave: Notify,
}

/// A place in the room, until it is dropped.
struct Seat {
    number: u64,
    guest: Arc<Guest>,
    guests: Arc<Mutex<Guests>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Room {
    fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), guests: Arc::default() }
    }

    /// A place for one more. Where there is none, who is silent is asked to leave: who has never asked anything first.
    async fn enter(&self) -> Seat {
        let place = loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                break Some(place);
            }
            locked(&self.guests).show_out();
            if let Ok(place) = timeout(LOOK, Arc::clone(&self.places).acquire_owned()).await {
                // It is never closed.
                break place.ok();
            }
        };
        let mut guests = locked(&self.guests);
        let (number, guest) = (guests.next, Arc::<Guest>::default());
        guests.next += 1;
        guests.present.insert(number, Arc::clone(&guest));
        Seat { number, guest, guests: Arc::clone(&self.guests), _place: place }
    }
}

impl Guests {
    fn show_out(&mut self) {
        let silent = |guest: &Guest| guest.asking.load(Ordering::Relaxed) == 0;
        let never = self.present.iter().find(|(_, guest)| !guest.asked.load(Ordering::Relaxed));
        let longest = never.or_else(|| self.present.iter().find(|(_, guest)| silent(guest)));
        let Some(number) = longest.map(|(number, _)| *number) else { return };
        if let Some(guest) = self.present.remove(&number) {
            guest.leave.notify_one();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        locked(&self.guests).present.remove(&self.number);
    }
}

fn locked(guests: &Mutex<Guests>) -> MutexGuard<'_, Guests> {
    guests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request under way.
struct Asking(Arc<Guest>);

impl Asking {
    fn begin(guest: &Arc<Guest>) -> Self {
        guest.asked.store(true, Ordering::Relaxed);
        guest.asking.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(guest))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer: its request is under way for as long as it is sent.
struct Answering {
    body: Body,
    _asking: Asking,
}

impl http_body::Body for Answering {
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    const WHOLE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    struct Served {
        address: std::net::SocketAddr,
        end: oneshot::Sender<()>,
        server: JoinHandle<()>,
    }

    impl Served {
        async fn new(router: Router, bounds: Bounds) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (end, ended) = oneshot::channel::<()>();
            let server = tokio::spawn(serve(listener, router, bounds, async { drop(ended.await) }));
            Self { address, end, server }
        }

        async fn connect(&self, text: &str) -> TcpStream {
            let mut connection = TcpStream::connect(self.address).await.unwrap();
            connection.write_all(text.as_bytes()).await.unwrap();
            connection
        }

        async fn stop(self) {
            drop(self.end);
            timeout(Duration::from_secs(20), self.server).await.unwrap().unwrap();
        }
    }

    async fn answer(mut connection: TcpStream) -> String {
        let mut answer = String::new();
        let read = connection.read_to_string(&mut answer);
        timeout(Duration::from_secs(20), read).await.expect("no answer came").unwrap();
        answer
    }

    #[tokio::test]
    async fn half_a_head_is_not_waited_for_and_others_are_served_meanwhile() {
        let bounds = Bounds { header_wait: Duration::from_millis(300), connections: 64 };
        let served = Served::new(Router::new().fallback(async || "hello"), bounds).await;
        let again = format!("{}GET /", WHOLE.replace("connection: close\r\n", ""));
        let mut slow = Vec::new();
        for text in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &WHOLE[..20], &again] {
            slow.push(served.connect(text).await);
        }
        let answer = answer(served.connect(WHOLE).await).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        for mut connection in slow {
            // Closed or reset; not open.
            let mut rest = Vec::new();
            let read = connection.read_to_end(&mut rest);
            let _ = timeout(Duration::from_secs(20), read).await.expect("it is still open");
        }
        served.stop().await;
    }

    #[tokio::test]
    async fn who_is_silent_makes_room_and_who_asks_keeps_its_place() {
        let (go, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (wait, begun) = (Arc::clone(&go), Arc::clone(&gone));
        let slow = async move || {
            begun.notify_one();
            wait.notified().await;
            "slow"
        };
        let router = Router::new().route("/slow", axum::routing::get(slow)).fallback(async || "hello");
        // Nobody is let go for its head within this test.
        let served = Served::new(router, Bounds { header_wait: Duration::from_mins(10), connections: 8 }).await;
        let asking = served.connect(&WHOLE.replace("GET /", "GET /slow")).await;
        gone.notified().await;
        let mut silent = Vec::new();
        for round in 0..40 {
            silent.push(served.connect(&WHOLE[..round % 20]).await);
        }
        for _ in 0..3 {
            assert!(answer(served.connect(WHOLE).await).await.ends_with("hello"));
        }
        go.notify_one();
        assert!(answer(asking).await.ends_with("slow"));
        drop(silent);
        served.stop().await;
    }
}
