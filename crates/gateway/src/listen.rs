//! The listener: connections are few enough, and whoever asks nothing makes room for who does.
//!
//! Border: connections and the heads of requests; what is asked, and how long a body may take, is the router's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
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

use crate::metrics::metrics;
use upload_net::AddressClass;
use upload_types::sync::lock;

/// How much patience there is.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a client may take for the head of a request.
    pub header_wait: Duration,
    /// Connections at the same time.
    pub connections: usize,
    /// How many of them one address may have.
    pub share: fn(IpAddr) -> usize,
    /// Whether the metrics tell how many there are.
    pub told: bool,
}

pub const BOUNDS: Bounds = Bounds {
    header_wait: Duration::from_secs(10),
    connections: 512,
    share,
    told: true,
};
/// For the listener beside it, which few ask.
pub const ASIDE: Bounds = Bounds {
    header_wait: Duration::from_secs(10),
    connections: 16,
    share: |_| 16,
    told: false,
};

/// Half of all for each address: as many as calls are served at the same time, so that a proxy, behind which everybody has its
/// address, lacks nothing. One on this machine may have all.
fn share(address: IpAddr) -> usize {
    if AddressClass::of_ip(address).is_loopback() {
        512
    } else {
        256
    }
}

/// Who is taken for one: an address, or with IPv6, where each has as many as it likes, a network.
fn house(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !AddressClass::of_ip(address.into()).is_loopback() => {
            let network = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(network).into()
        }
        address => address,
    }
}
/// How often one who waits for a place looks whether somebody has become silent.
const LOOK: Duration = Duration::from_millis(50);

/// Serves until `quit`, then lets the requests under way end. A connection whose client takes too long for the head of a
/// request is closed; where there are too many, in all or of one address, the one that has been silent longest.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    quit: impl Future<Output = ()>,
) {
    let (room, graceful) = (
        Room::new(bounds.connections, bounds.share),
        GracefulShutdown::new(),
    );
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_wait);
    let mut quit = pin!(quit);
    loop {
        let next = async {
            let (stream, peer) = listener.accept().await?;
            Ok::<_, std::io::Error>((stream, room.enter(peer.ip()).await))
        };
        let (stream, seat) = tokio::select! {
            () = &mut quit => break,
            accepted = next => match accepted {
                Ok((stream, Some(seat))) => (stream, seat),
                // All that its address may have are at work.
                Ok((_, None)) => continue,
                Err(error) => {
                    // No file descriptors are left, or the client is gone: the next may fare better.
                    tracing::warn!("could not accept a connection: {error}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (builder, router, watcher) = (builder.clone(), router.clone(), graceful.watcher());
        let open = bounds.told.then(Open::new);
        tokio::spawn(async move {
            let guest = Arc::clone(&seat.guest);
            let service = service_fn(|request: Request<Incoming>| {
                let asking = Asking::begin(&guest);
                let answer = router.clone().oneshot(request);
                async move {
                    answer.await.map(|response| {
                        response.map(|body| Answering {
                            body,
                            _asking: asking,
                        })
                    })
                }
            });
            // Without it answers may wait for an acknowledgement; with it they are merely on time.
            let _ = TcpStream::set_nodelay(&stream, true);
            let mut connection =
                pin!(watcher.watch(builder.serve_connection(TokioIo::new(stream), service)));
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
            drop((seat, open));
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// One more connection in the metrics, until it is dropped.
struct Open;

impl Open {
    fn new() -> Self {
        metrics().connections.inc();
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics().connections.dec();
    }
}

/// Who is connected, the longest first.
struct Room {
    places: Arc<Semaphore>,
    share: fn(IpAddr) -> usize,
    guests: Arc<Mutex<Guests>>,
}

#[derive(Default)]
struct Guests {
    next: u64,
    present: BTreeMap<u64, Arc<Guest>>,
}

struct Guest {
    house: IpAddr,
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
    fn new(places: usize, share: fn(IpAddr) -> usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            share,
            guests: Arc::default(),
        }
    }

    /// A place for one more. Where there is none, who is silent is asked to leave: who has never asked anything first. None where
    /// all that one address may have are at work.
    async fn enter(&self, address: IpAddr) -> Option<Seat> {
        let house = house(address);
        if !lock(&self.guests).admits(house, (self.share)(house)) {
            return None;
        }
        let place = loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                break Some(place);
            }
            lock(&self.guests).show_out(|_| true);
            if let Ok(place) = timeout(LOOK, Arc::clone(&self.places).acquire_owned()).await {
                // It is never closed.
                break place.ok();
            }
        };
        let mut guests = lock(&self.guests);
        let guest = Guest {
            house,
            asked: AtomicBool::default(),
            asking: AtomicUsize::default(),
            leave: Notify::new(),
        };
        let (number, guest) = (guests.next, Arc::new(guest));
        guests.next += 1;
        guests.present.insert(number, Arc::clone(&guest));
        Some(Seat {
            number,
            guest,
            guests: Arc::clone(&self.guests),
            _place: place,
        })
    }
}

impl Guests {
    /// Whether one more of a house may come in, whose share is so many; for the last of them, a silent one leaves.
    fn admits(&mut self, house: IpAddr, share: usize) -> bool {
        let of_it = |guest: &Guest| guest.house == house;
        self.present.values().filter(|guest| of_it(guest)).count() < share || self.show_out(of_it)
    }

    /// Asks one of these to leave: who has never asked anything, or has been silent longest. False if there is none.
    fn show_out(&mut self, of: impl Fn(&Guest) -> bool) -> bool {
        let silent = |guest: &Guest| guest.asking.load(Ordering::Relaxed) == 0;
        let mut of = self.present.iter().filter(|(_, guest)| of(guest));
        let never = of
            .clone()
            .find(|(_, guest)| !guest.asked.load(Ordering::Relaxed));
        let longest = never.or_else(|| of.find(|(_, guest)| silent(guest)));
        let Some(number) = longest.map(|(number, _)| *number) else {
            return false;
        };
        if let Some(guest) = self.present.remove(&number) {
            guest.leave.notify_one();
        }
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.guests).present.remove(&self.number);
    }
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
            Self {
                address,
                end,
                server,
            }
        }

        async fn connect(&self, text: &str) -> TcpStream {
            let mut connection = TcpStream::connect(self.address).await.unwrap();
            connection.write_all(text.as_bytes()).await.unwrap();
            connection
        }

        async fn stop(self) {
            drop(self.end);
            timeout(Duration::from_secs(20), self.server)
                .await
                .unwrap()
                .unwrap();
        }
    }

    /// What answers `/slow` when it is told to go, and tells when it was asked; and all else at once.
    fn slow() -> (Router, Arc<Notify>, Arc<Notify>) {
        let (go, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (wait, begun) = (Arc::clone(&go), Arc::clone(&gone));
        let slow = async move || {
            begun.notify_one();
            wait.notified().await;
            "slow"
        };
        let router = Router::new()
            .route("/slow", axum::routing::get(slow))
            .fallback(async || "hello");
        (router, go, gone)
    }

    async fn answer(mut connection: TcpStream) -> String {
        let mut answer = String::new();
        let read = connection.read_to_string(&mut answer);
        timeout(Duration::from_secs(20), read)
            .await
            .expect("no answer came")
            .unwrap();
        answer
    }

    #[tokio::test]
    async fn half_a_head_is_not_waited_for_and_others_are_served_meanwhile() {
        let bounds = Bounds {
            header_wait: Duration::from_millis(300),
            connections: 64,
            share: |_| 64,
            told: false,
        };
        let served = Served::new(Router::new().fallback(async || "hello"), bounds).await;
        let again = format!("{}GET /", WHOLE.replace("connection: close\r\n", ""));
        let mut slow = Vec::new();
        for text in [
            "",
            "P",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &WHOLE[..20],
            &again,
        ] {
            slow.push(served.connect(text).await);
        }
        let answer = answer(served.connect(WHOLE).await).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
            "{answer}"
        );
        for mut connection in slow {
            // Closed or reset; not open.
            let mut rest = Vec::new();
            let read = connection.read_to_end(&mut rest);
            let _ = timeout(Duration::from_secs(20), read)
                .await
                .expect("it is still open");
        }
        served.stop().await;
    }

    #[tokio::test]
    async fn who_is_silent_makes_room_and_who_asks_keeps_its_place() {
        let (router, go, gone) = slow();
        // Nobody is let go for its head within this test.
        let served = Served::new(
            router,
            Bounds {
                header_wait: Duration::from_mins(10),
                connections: 8,
                share: |_| 8,
                told: false,
            },
        )
        .await;
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

    /// One address has its share and no more, whoever else there is room for; what it has beyond is taken from its own silent ones.
    #[tokio::test]
    async fn one_address_takes_no_more_than_its_share() {
        let (router, go, gone) = slow();
        let bounds = Bounds {
            header_wait: Duration::from_mins(10),
            connections: 64,
            share: |_| 2,
            told: false,
        };
        let served = Served::new(router, bounds).await;
        let slow = WHOLE.replace("GET /", "GET /slow");
        let first = served.connect(&slow).await;
        gone.notified().await;
        let silent = served.connect("").await;
        let second = served.connect(&slow).await;
        gone.notified().await;
        // It made room; now both are at work, and there is no place for a third.
        assert_eq!(answer(silent).await, "");
        let mut third = served.connect("").await;
        let mut rest = Vec::new();
        let closed = timeout(Duration::from_secs(20), third.read_to_end(&mut rest)).await;
        assert!(closed.is_ok() && rest.is_empty(), "it is still open");
        go.notify_one();
        assert!(answer(first).await.ends_with("slow"));
        go.notify_one();
        assert!(answer(second).await.ends_with("slow"));
        assert!(answer(served.connect(WHOLE).await).await.ends_with("hello"));
        served.stop().await;
    }

    #[test]
    fn who_is_taken_for_one() {
        let house = |text: &str| house(text.parse().unwrap()).to_string();
        assert_eq!(
            (house("192.0.2.7"), house("::ffff:192.0.2.7")),
            ("192.0.2.7".into(), "192.0.2.7".into())
        );
        assert_eq!(
            (house("2001:db8::1"), house("2001:db8::ffff:1")),
            ("2001:db8::".into(), "2001:db8::".into())
        );
        assert_eq!(
            (house("::1"), house("127.0.0.1")),
            ("::1".into(), "127.0.0.1".into())
        );
        assert_eq!(
            ["127.0.0.1", "::1", "192.0.2.7"].map(|text| share(text.parse().unwrap())),
            [512, 512, 256]
        );
    }
}
