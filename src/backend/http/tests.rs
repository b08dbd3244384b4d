//! Calls and parts against listeners that misbehave.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::source::SourceFile;
use upload_types::names::{ByteRange, PartNumber, Sha256};

const MIB: usize = 1 << 20;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n";

/// A client, a file, and the listener that its parts are sent to.
struct Bench {
    http: Http,
    listener: TcpListener,
    file: NamedTempFile,
    bytes: Vec<u8>,
    sent: Arc<AtomicU64>,
}

impl Bench {
    async fn new(len: usize) -> Self {
        Self::with(len, "http://127.0.0.1:1", Options::default()).await
    }

    async fn with(len: usize, backend: &str, options: Options) -> Self {
        let mut bytes = (0..=250).collect::<Vec<u8>>().repeat(len / 251 + 1);
        bytes.truncate(len);
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let http = Http::new(&backend.parse().unwrap(), options).unwrap();
        Self {
            http,
            listener,
            file,
            bytes,
            sent: Arc::default(),
        }
    }

    /// Puts all of the file but its first byte.
    async fn put(&self) -> Result<PutOutcome> {
        self.put_to("127.0.0.1").await
    }

    async fn put_to(&self, host: &str) -> Result<PutOutcome> {
        let port = self.listener.local_addr().unwrap().port();
        let url = format!("http://{host}:{port}/b/k?X-Amz-Signature=1&partNumber=2");
        let signed = SignedPut {
            number: PartNumber::FIRST,
            url: SignedUrl::new(url),
            method: "PUT".into(),
            headers: [].into(),
            expires_in: 100,
        };
        let range = ByteRange {
            start: 1,
            len: self.bytes.len() as u64 - 1,
        };
        let upload = PartUpload {
            signed,
            signed_at: Instant::now(),
            source: SourceFile::open(self.file.path()).unwrap(),
            range,
            sha256: Sha256::of(&self.bytes[1..]),
            sent: Arc::clone(&self.sent),
        };
        let put = self.http.put(upload, None);
        timeout(Duration::from_mins(1), put).await.expect("no end")
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Reads a whole request and gives its head.
    async fn take(&self, stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let mut body = vec![0; self.bytes.len() - 1];
        stream.read_exact(&mut body).await.unwrap();
        assert!(body == self.bytes[1..], "other bytes came");
        String::from_utf8(head).unwrap()
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// `localhost` stands for a public name that resolves to an address of this machine.
#[tokio::test]
async fn a_store_name_that_resolves_to_loopback_is_not_connected_to() {
    let options = Options {
        allow_insecure_http: true,
        ..Options::default()
    };
    let bench = Bench::with(1 << 10, "https://192.0.2.1", options).await;
    let refused = bench.put_to("localhost").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Incompatible, "{refused}");
    let heard = timeout(Duration::from_millis(1), bench.listener.accept()).await;
    assert!(heard.is_err(), "a connection was made");
}

#[tokio::test]
async fn a_part_arrives_whole_and_its_connection_is_used_again() {
    let bench = Bench::new(3 * MIB).await;
    let server = async {
        let mut stream = bench.accept().await;
        let head = bench.take(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        bench.take(&mut stream).await;
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            )
            .await
            .unwrap();
        head
    };
    let client = async { (bench.put().await.unwrap(), bench.put().await.unwrap()) };
    let (head, stored) = tokio::join!(server, client);
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines[0], "PUT /b/k?X-Amz-Signature=1&partNumber=2 HTTP/1.1");
    let address = bench.listener.local_addr().unwrap();
    assert!(
        lines.contains(&format!("host: {address}").as_str()),
        "{head}"
    );
    assert!(
        lines.contains(&format!("content-length: {}", 3 * MIB - 1).as_str()),
        "{head}"
    );
    let is_new =
        |stored: &PutOutcome| matches!(stored, PutOutcome::Stored(etag) if etag.as_str() == "e");
    assert!(is_new(&stored.0) && is_new(&stored.1), "{stored:?}");
    assert_eq!(bench.sent(), 2 * (3 * MIB as u64 - 1));
}

#[tokio::test]
async fn a_refusal_is_read_while_the_part_is_still_being_sent() {
    // The connection stays open, or is half-closed, or is closed with bytes unread, which resets it.
    for how in 0..3 {
        let bench = Bench::new(64 * MIB).await;
        let server = async {
            let mut stream = bench.accept().await;
            stream.read_exact(&mut [0; 1000]).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
                .await
                .unwrap();
            match how {
                0 => Some(stream),
                1 => {
                    stream.shutdown().await.unwrap();
                    Some(stream)
                }
                _ => None,
            }
        };
        let (_stream, answer) = tokio::join!(server, bench.put());
        assert_eq!(answer.unwrap_err().kind(), Kind::Unauthorized, "case {how}");
        assert!(bench.sent() < 64 * MIB as u64);
    }
}

#[tokio::test]
async fn a_new_connection_that_breaks_off_is_a_temporary_failure() {
    let bench = Bench::new(MIB).await;
    let server = async { drop(bench.accept().await) };
    let ((), answer) = tokio::join!(server, bench.put());
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(!error.to_string().contains("Signature"), "{error}");
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_has_changed() {
    let bench = Bench::new(64 * MIB).await;
    let server = async {
        let mut stream = bench.accept().await;
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        bench.file.as_file().set_len(10).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    let ((), answer) = tokio::join!(server, bench.put());
    assert_eq!(answer.unwrap_err().kind(), Kind::SourceChanged);
}

#[tokio::test]
async fn the_rate_limit_holds_between_file_and_network() {
    let options = Options {
        limiter: Arc::new(Limiter::new(Some(4 * MIB as u64))),
        ..Options::default()
    };
    let bench = Bench::with(MIB + 1, "http://127.0.0.1:1", options).await;
    let server = async {
        let mut stream = bench.accept().await;
        bench.take(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    };
    let began = Instant::now();
    let ((), answer) = tokio::join!(server, bench.put());
    answer.unwrap();
    assert!(
        began.elapsed() >= Duration::from_millis(240),
        "{:?}",
        began.elapsed()
    );
}

/// The store would take the bytes of the part that it has not read for the beginning of the next request.
#[tokio::test]
async fn a_connection_whose_request_was_refused_early_is_not_used_again() {
    let bench = Bench::new(64 * MIB).await;
    let server = async {
        let mut refused = bench.accept().await;
        refused.read_exact(&mut [0; 1000]).await.unwrap();
        refused
            .write_all(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        let next = timeout(Duration::from_secs(10), bench.accept()).await;
        let mut next = next.expect("the next part goes by another connection");
        bench.take(&mut next).await;
        next.write_all(OK).await.unwrap();
        refused
    };
    let client = async { (bench.put().await, bench.put().await) };
    let (_refused, (first, second)) = tokio::join!(server, client);
    assert!(
        matches!(first.unwrap_err().kind(), Kind::Throttled(_)),
        "the first is refused"
    );
    assert!(matches!(second, Ok(PutOutcome::Stored(_))));
}

/// After a sleep too, a backend leads nowhere it did not lead before.
#[tokio::test]
async fn new_connections_lead_to_the_stores_that_were_known() {
    let http = Http::new(
        &"https://upload.example".parse().unwrap(),
        Options::default(),
    )
    .unwrap();
    let goes = |http: &Http, url: &str| {
        http.place(&SignedUrl::new(url.into()))
            .map(drop)
            .map_err(|error| error.kind())
    };
    assert_eq!(goes(&http, "https://store.example/k"), Ok(()));
    let anew = http.with_new_connections().unwrap();
    assert_eq!(
        goes(&anew, "https://elsewhere.example/k"),
        Err(Kind::Incompatible)
    );
    assert_eq!(goes(&anew, "https://store.example/k"), Ok(()));
}

/// The library's errors name the URL; ours, and what lies behind them, must not.
#[tokio::test]
async fn an_error_names_no_url() {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let error = client
        .get("http://127.0.0.1:1/part?X-Amz-Signature=canary")
        .send()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("canary"),
        "the library has changed its mind: {error}"
    );
    let error = failed("send a part", error);
    assert_eq!(error.kind(), Kind::Temporary);
    let mut said: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = said {
        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "{error:?}"
        );
        said = error.source();
    }
}
