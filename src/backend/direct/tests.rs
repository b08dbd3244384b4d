//! Parts sent to listeners that misbehave.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::names::ByteRange;

const MIB: usize = 1 << 20;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n";

struct Bench {
    direct: Direct,
    listener: TcpListener,
    file: NamedTempFile,
    bytes: Vec<u8>,
    sent: AtomicU64,
    limiter: Limiter,
}

impl Bench {
    async fn new(len: usize) -> Self {
        let mut bytes = (0..=250).collect::<Vec<u8>>().repeat(len / 251 + 1);
        bytes.truncate(len);
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let (direct, sent, limiter) = Default::default();
        Self {
            direct,
            listener,
            file,
            bytes,
            sent,
            limiter,
        }
    }

    /// Puts all of the file but its first byte.
    async fn put(&self) -> Result<Answer> {
        self.put_to("127.0.0.1", None).await
    }

    async fn put_to(&self, host: &str, resolver: Option<&Resolver>) -> Result<Answer> {
        let address = self.listener.local_addr().unwrap();
        let url = Url::parse(&format!(
            "http://{host}:{}/b/k?X-Amz-Signature=1&partNumber=2",
            address.port()
        ))
        .unwrap();
        let range = ByteRange {
            start: 1,
            len: self.bytes.len() as u64 - 1,
        };
        let content = Content {
            file: Arc::new(self.file.reopen().unwrap()),
            path: self.file.path().into(),
            range,
        };
        let headers = HeaderMap::from_iter([(reqwest::header::CONTENT_LENGTH, range.len.into())]);
        let pool = Pool::default();
        let part = Sending {
            sent: &self.sent,
            limiter: &self.limiter,
            resolver,
            pool: &pool,
        };
        let put = self.direct.put(&url, &headers, &content, &part, 64 << 10);
        timeout(Duration::from_mins(1), put)
            .await
            .expect("no end")
            .map(Option::unwrap)
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
}

/// `localhost` stands for a public name that somebody answers with an address of this machine.
#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    let bench = Bench::new(1 << 10).await;
    let resolver = Resolver::new(&"https://192.0.2.1".parse().unwrap(), &[]);
    let refused = bench
        .put_to("localhost", Some(&resolver))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::Unusable, "{refused}");
    let heard = timeout(Duration::from_millis(1), bench.listener.accept()).await;
    assert!(heard.is_err(), "somebody called");
}

#[tokio::test]
async fn a_part_arrives_whole_and_its_connection_is_used_again() {
    let bench = Bench::new(3 * MIB).await;
    let server = async {
        let mut stream = bench.accept().await;
        let head = bench.take(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
            .await
            .unwrap();
        bench.take(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        head
    };
    let client = async { (bench.put().await.unwrap(), bench.put().await.unwrap()) };
    let (head, (first, second)) = tokio::join!(server, client);
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines[0], "PUT /b/k?X-Amz-Signature=1&partNumber=2 HTTP/1.1");
    assert_eq!(
        lines[1],
        format!("host: {}", bench.listener.local_addr().unwrap())
    );
    assert!(
        lines.contains(&format!("content-length: {}", 3 * MIB - 1).as_str()),
        "{head}"
    );
    assert_eq!(
        (first.body.as_slice(), first.header("etag")),
        (&b"a"[..], Some("\"e\""))
    );
    assert_eq!(second.status, 200);
    assert_eq!(bench.sent.load(Ordering::Relaxed), 2 * (3 * MIB as u64 - 1));
}

#[tokio::test]
async fn a_refusal_is_heard_while_the_part_is_still_being_sent() {
    // Left open, half-closed, and closed with bytes unread, which resets the connection.
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
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (403, &b"no"[..]),
            "{how}"
        );
        assert!(bench.sent.load(Ordering::Relaxed) < 64 * MIB as u64);
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let bench = Bench::new(MIB).await;
    let server = async {
        let mut stream = bench.accept().await;
        bench.take(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        // The next request is on its way when this one closes.
        stream.read_exact(&mut [0; 10]).await.unwrap();
        drop(stream);
        let mut stream = bench.accept().await;
        bench.take(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    };
    let client = async {
        bench.put().await.unwrap();
        bench.put().await.unwrap();
    };
    tokio::join!(server, client);
    assert_eq!(bench.sent.load(Ordering::Relaxed), 2 * (MIB as u64 - 1));
}

#[tokio::test]
async fn a_new_connection_that_breaks_off_is_a_failure_for_now() {
    let bench = Bench::new(MIB).await;
    let server = async { drop(bench.accept().await) };
    let ((), answer) = tokio::join!(server, bench.put());
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(!error.to_string().contains("Signature"), "{error}");
}

#[tokio::test]
async fn a_file_that_shrinks_on_its_way_has_changed() {
    let bench = Bench::new(64 * MIB).await;
    let server = async {
        let mut stream = bench.accept().await;
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        bench.file.as_file().set_len(10).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    let ((), answer) = tokio::join!(server, async { bench.put().await });
    assert_eq!(answer.unwrap_err().kind(), Kind::Changed);
}

#[tokio::test]
async fn a_rate_holds_on_the_way_to_the_network() {
    let bench = Bench::new(MIB + 1).await;
    bench.limiter.set(Some(4 * MIB as u64));
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

/// What the store has not read of a part it would take for the beginning of the next request.
#[tokio::test]
async fn a_connection_that_was_refused_on_amid_a_part_is_not_used_again() {
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
    let client = async { (bench.put().await.unwrap(), bench.put().await.unwrap()) };
    let (_refused, (first, second)) = tokio::join!(server, client);
    assert_eq!((first.status, second.status), (503, 200));
}
