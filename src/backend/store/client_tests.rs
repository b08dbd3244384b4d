//! Parts that are sent to a listener instead of a store, and failures of such a store.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{PartSource, PartUpload, PutOutcome, StoreClient};
use crate::backend::connections::Connections;
use crate::backend::options::Options;
use crate::backend::rate_limit::Limiter;
use crate::source::SourceFile;
use upload_types::error::{Kind, Result};
use upload_types::wire::SignedPut;
use upload_types::{ByteRange, PartNumber, Sha256, SignedUrl};

const MIB: usize = 1 << 20;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n";
/// The first byte of the file is in no part, so that reads at a wrong offset are noticed.
const PART_START: u64 = 1;

/// A client, a file, and the listener that acts as the store.
struct TestBench {
    store: StoreClient,
    listener: TcpListener,
    file: NamedTempFile,
    bytes: Vec<u8>,
    sent: Arc<AtomicU64>,
}

impl TestBench {
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
        let connections = Connections::new(&backend.parse().unwrap(), options).unwrap();
        Self {
            store: StoreClient::new(connections),
            listener,
            file,
            bytes,
            sent: Arc::default(),
        }
    }

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
            start: PART_START,
            len: self.bytes.len() as u64 - PART_START,
        };
        let upload = PartUpload {
            signed,
            signed_at: Instant::now(),
            source: PartSource::File(SourceFile::open(self.file.path()).unwrap()),
            range,
            sha256: Sha256::of(&self.bytes[1..]),
            sent: Arc::clone(&self.sent),
        };
        let put = self.store.put(upload, None);
        let put = timeout(Duration::from_mins(1), put).await;
        put.expect("the request ends")
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Reads a whole request. Returns its head.
    async fn read_request(&self, stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let mut body = vec![0; self.bytes.len() - 1];
        stream.read_exact(&mut body).await.unwrap();
        assert!(body == self.bytes[1..], "the body has other bytes");
        String::from_utf8(head).unwrap()
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// `localhost` is used instead of a public name that resolves to an address of this machine.
#[tokio::test]
async fn store_name_that_resolves_to_loopback_is_not_connected_to() {
    let options = Options {
        allow_insecure_http: true,
        ..Options::default()
    };
    let bench = TestBench::with(1 << 10, "https://192.0.2.1", options).await;
    let error = bench.put_to("localhost").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Incompatible, "{error}");
    assert!(error.hint().unwrap().contains("--store-host localhost"));
    let connection = timeout(Duration::from_millis(1), bench.listener.accept()).await;
    assert!(connection.is_err(), "a connection was made");
}

#[tokio::test]
async fn part_arrives_whole_and_its_connection_is_reused() {
    let bench = TestBench::new(3 * MIB).await;
    let server = async {
        let mut stream = bench.accept().await;
        let head = bench.read_request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        bench.read_request(&mut stream).await;
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
    let expected = PutOutcome::Stored("e".parse().unwrap());
    assert_eq!(stored, (expected.clone(), expected));
    assert_eq!(bench.sent(), 2 * (3 * MIB as u64 - 1));
}

#[tokio::test]
async fn early_rejection_is_read_while_the_part_is_sent() {
    // The connection stays open, is half-closed, or is closed with unread bytes, which resets it.
    for case in 0..3 {
        let bench = TestBench::new(64 * MIB).await;
        let server = async {
            let mut stream = bench.accept().await;
            stream.read_exact(&mut [0; 1000]).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
                .await
                .unwrap();
            match case {
                0 => Some(stream),
                1 => {
                    stream.shutdown().await.unwrap();
                    Some(stream)
                }
                _ => None,
            }
        };
        let (_stream, outcome) = tokio::join!(server, bench.put());
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthorized, "case {case}");
        assert!(bench.sent() < 64 * MIB as u64);
    }
}

#[tokio::test]
async fn broken_connection_is_temporary_failure() {
    let bench = TestBench::new(MIB).await;
    let server = async { drop(bench.accept().await) };
    let ((), outcome) = tokio::join!(server, bench.put());
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(!error.to_string().contains("Signature"), "{error}");
}

#[tokio::test]
async fn file_truncated_while_sent_has_changed() {
    let bench = TestBench::new(64 * MIB).await;
    let server = async {
        let mut stream = bench.accept().await;
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        bench.file.as_file().set_len(10).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    let ((), outcome) = tokio::join!(server, bench.put());
    assert_eq!(outcome.unwrap_err().kind(), Kind::SourceChanged);
}

#[tokio::test]
async fn rate_limit_holds_for_a_part() {
    let options = Options {
        limiter: Arc::new(Limiter::new(Some(4 * MIB as u64))),
        ..Options::default()
    };
    let bench = TestBench::with(MIB + 1, "http://127.0.0.1:1", options).await;
    let server = async {
        let mut stream = bench.accept().await;
        bench.read_request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    };
    let started = Instant::now();
    let ((), outcome) = tokio::join!(server, bench.put());
    outcome.unwrap();
    assert!(
        started.elapsed() >= Duration::from_millis(240),
        "{:?}",
        started.elapsed()
    );
}

/// The store would read the unread bytes of the part as the beginning of the next request.
#[tokio::test]
async fn connection_of_early_rejection_is_not_reused() {
    let bench = TestBench::new(64 * MIB).await;
    let server = async {
        let mut rejected = bench.accept().await;
        rejected.read_exact(&mut [0; 1000]).await.unwrap();
        rejected
            .write_all(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        let next = timeout(Duration::from_secs(10), bench.accept()).await;
        let mut next = next.expect("the next part takes another connection");
        bench.read_request(&mut next).await;
        next.write_all(OK).await.unwrap();
        rejected
    };
    let client = async { (bench.put().await, bench.put().await) };
    let (_rejected, (first, second)) = tokio::join!(server, client);
    assert_eq!(first.unwrap_err().kind(), Kind::Throttled(None));
    assert!(matches!(second, Ok(PutOutcome::Stored(_))));
}

#[tokio::test]
async fn new_connections_keep_the_known_stores() {
    let backend = "https://upload.example".parse().unwrap();
    let connections = Connections::new(&backend, Options::default()).unwrap();
    let store = StoreClient::new(connections.clone());
    let check = |store: &StoreClient, url: &str| {
        let url = store.check_part_url(&SignedUrl::new(url.into()));
        url.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(check(&store, "https://store.example/k"), Ok(()));
    let renewed = store.with_connections(connections.renewed().unwrap());
    assert_eq!(
        check(&renewed, "https://elsewhere.example/k"),
        Err(Kind::Incompatible)
    );
    assert_eq!(check(&renewed, "https://store.example/k"), Ok(()));
}
