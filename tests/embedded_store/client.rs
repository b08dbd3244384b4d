//! A store on a free port, with a client that has its keys.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use http::request::Parts;
use md5::{Digest as _, Md5};
use reqsign_aws_v4::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use upload_embedded_store::{BUCKET, Embedded, REGION, Service};
use upload_types::Sha256;
use url::Url;

pub const MIB: usize = 1 << 20;
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
pub const URL_TTL: Duration = Duration::from_mins(10);

pub struct TestStore {
    pub dir: PathBuf,
    pub address: SocketAddr,
    /// Access key and secret.
    pub keys: (String, String),
    pub signer: Signer<Credential>,
    http: reqwest::Client,
    server: JoinHandle<()>,
    /// Contains `dir`, and is removed when dropped.
    pub temp_dir: Option<TempDir>,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The texts of all XML elements of this name.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (text, tag) = (self.text(), format!("<{name}>"));
        let contents = text.split(&tag).skip(1);
        contents
            .map(|content| content.split("</").next().unwrap().replace("&quot;", "\""))
            .collect()
    }

    /// The text of the first XML element of this name.
    pub fn element(&self, name: &str) -> String {
        let elements = self.elements(name);
        elements
            .first()
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
            .clone()
    }

    /// The value of a header; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn assert_ok(self) -> Self {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.text()
        );
        self
    }

    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.element("Code").as_str()),
            (status, code),
            "{}",
            self.text()
        );
    }
}

impl TestStore {
    pub async fn new() -> Self {
        let temp_dir = tempfile::tempdir().unwrap();
        let dir = temp_dir.path().join("store");
        Self {
            temp_dir: Some(temp_dir),
            ..Self::open(&dir).await
        }
    }

    /// A store whose service is changed.
    pub async fn with_service(change: impl FnOnce(Service, &Url) -> Service) -> Self {
        let temp_dir = tempfile::tempdir().unwrap();
        let dir = temp_dir.path().join("store");
        Self {
            temp_dir: Some(temp_dir),
            ..Self::start(&dir, change).await
        }
    }

    pub async fn open(dir: &Path) -> Self {
        Self::start(dir, |service, _| service).await
    }

    async fn start(dir: &Path, change: impl FnOnce(Service, &Url) -> Service) -> Self {
        captured_log();
        let store = Embedded::open(dir, OPEN_TIMEOUT).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let keys = store.keys();
        let url = format!("http://{address}").parse().unwrap();
        let service = change(store.service(), &url);
        let router = axum::Router::new().fallback_service(service);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .build()
            .unwrap();
        Self {
            dir: dir.to_owned(),
            address,
            signer: signer(&keys),
            keys,
            http,
            server,
            temp_dir: None,
        }
    }

    /// Closes the store and all connections. Returns its directory, and the temporary directory
    /// that contains it.
    pub async fn close(self) -> (PathBuf, Option<TempDir>) {
        self.server.abort();
        let _ = self.server.await;
        (self.dir, self.temp_dir)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a signed request with additional headers that are not signed.
    pub async fn send(&self, signed: Parts, unsigned: &[(&str, &str)], body: Vec<u8>) -> Response {
        // reqwest omits the length of an empty body.
        let mut request = self
            .http
            .request(signed.method, signed.uri.to_string())
            .header("content-length", body.len())
            .body(body);
        let by_library = ["host", "content-length"];
        let headers = signed.headers.iter();
        for (name, value) in headers.filter(|(name, _)| !by_library.contains(&name.as_str())) {
            request = request.header(name, value);
        }
        for (name, value) in unsigned {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        Response {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    /// Sends a request with a signature in `Authorization`.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        const PAYLOAD_HASH: &str = "x-amz-content-sha256";
        let hash = Sha256::of(body).to_string();
        let mut all_headers = headers.to_vec();
        if !headers.iter().any(|(name, _)| *name == PAYLOAD_HASH) {
            all_headers.push((PAYLOAD_HASH, &hash));
        }
        let mut request = request_head(method, &self.url(path), &all_headers);
        self.signer.sign(&mut request, None).await.unwrap();
        self.send(request, &[], body.to_vec()).await
    }

    pub async fn presign(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = request_head(method, &self.url(path), headers);
        self.signer.sign(&mut request, Some(URL_TTL)).await.unwrap();
        request
    }

    pub async fn put(&self, key: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.call(Method::PUT, &path(key), headers, body).await
    }

    pub async fn get(&self, key: &str, headers: &[(&str, &str)]) -> Response {
        self.call(Method::GET, &path(key), headers, b"").await
    }

    /// `HeadObject` with the checksum.
    pub async fn head(&self, key: &str) -> Response {
        let headers = [("x-amz-checksum-mode", "ENABLED")];
        let response = self.call(Method::HEAD, &path(key), &headers, b"").await;
        response.assert_ok()
    }

    /// Begins an upload with SHA-256 checksums. Returns its id.
    pub async fn create_upload(&self, key: &str) -> String {
        let headers = [
            ("x-amz-checksum-algorithm", "SHA256"),
            ("x-amz-checksum-type", "COMPOSITE"),
        ];
        let path = format!("{}?uploads", path(key));
        let response = self.call(Method::POST, &path, &headers, b"").await;
        response.assert_ok().element("UploadId")
    }

    /// A presigned URL for a part with exactly these bytes.
    pub async fn presign_part(&self, key: &str, id: &str, number: usize, bytes: &[u8]) -> Parts {
        let (length, checksum) = (bytes.len().to_string(), Sha256::of(bytes).base64());
        let headers = [
            ("content-length", length.as_str()),
            ("x-amz-checksum-sha256", checksum.as_str()),
        ];
        self.presign(Method::PUT, &part_path(key, id, number), &headers)
            .await
    }

    pub async fn put_part(&self, key: &str, id: &str, number: usize, bytes: &[u8]) -> Response {
        let request = self.presign_part(key, id, number, bytes).await;
        self.send(request, &[], bytes.to_vec()).await
    }

    /// `ListParts`; `more_query` is empty or begins with `&`.
    pub async fn list_parts(&self, key: &str, id: &str, more_query: &str) -> Response {
        let path = format!("{}{more_query}", upload_path(key, id));
        self.call(Method::GET, &path, &[], b"").await
    }

    /// The part numbers that `ListParts` returns.
    pub async fn part_numbers(&self, key: &str, id: &str) -> Vec<String> {
        let response = self.list_parts(key, id, "").await;
        response.assert_ok().elements("PartNumber")
    }

    pub async fn complete(
        &self,
        key: &str,
        id: &str,
        headers: &[(&str, &str)],
        parts: &[(usize, &[u8])],
    ) -> Response {
        let list: String = parts
            .iter()
            .map(|(number, bytes)| part_element(*number, &etag(bytes), bytes))
            .collect();
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        self.call(
            Method::POST,
            &upload_path(key, id),
            headers,
            body.as_bytes(),
        )
        .await
    }

    /// Creates an object of two parts, of 5 MiB and 1000 bytes. Returns its content.
    pub async fn create_object(&self, key: &str) -> Vec<u8> {
        let (first, second) = (random_bytes(1, 5 * MIB), random_bytes(2, 1000));
        let id = self.create_upload(key).await;
        self.put_part(key, &id, 1, &first).await.assert_ok();
        self.put_part(key, &id, 2, &second).await.assert_ok();
        self.complete(key, &id, &[], &[(1, &first), (2, &second)])
            .await
            .assert_ok();
        [first, second].concat()
    }

    /// See [`files_in`].
    pub fn files(&self) -> BTreeMap<PathBuf, (u64, i64)> {
        files_in(&self.dir)
    }

    /// Waits until the store has `count` part files and drafts.
    pub async fn wait_for_file_count(&self, count: usize) {
        wait_until(&format!("{count} files"), || self.files().len() == count).await;
    }

    /// Opens a connection and writes the head of a presigned request.
    pub async fn write_head(&self, request: &Parts) -> TcpStream {
        use tokio::io::AsyncWriteExt as _;
        let target = request.uri.path_and_query().unwrap();
        let mut head = format!(
            "{} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            request.method, self.address
        );
        let headers = request.headers.iter();
        for (name, value) in headers.filter(|(name, _)| *name != "host") {
            let value = value.to_str().unwrap();
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head += "\r\n";
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        connection
    }
}

/// All part files and drafts of a store: from path to inode and nanoseconds of the mtime.
pub fn files_in(dir: &Path) -> BTreeMap<PathBuf, (u64, i64)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.join("parts"), dir.join("tmp")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => dirs.push(path),
                Ok(metadata) => {
                    found.insert(path, (metadata.ino(), metadata.mtime_nsec()));
                }
                // The file was removed meanwhile.
                Err(_) => {}
            }
        }
    }
    found
}

pub fn path(key: &str) -> String {
    format!("/{BUCKET}/{key}")
}

pub fn upload_path(key: &str, id: &str) -> String {
    format!("/{BUCKET}/{key}?uploadId={id}")
}

pub fn part_path(key: &str, id: &str, number: usize) -> String {
    format!("/{BUCKET}/{key}?partNumber={number}&uploadId={id}")
}

pub fn signer((access_key, secret): &(String, String)) -> Signer<Credential> {
    Signer::new(
        Context::new(),
        StaticCredentialProvider::new(access_key, secret),
        RequestSigner::new("s3", REGION),
    )
}

/// Method, URL and headers of a request that is not signed yet.
pub fn request_head(method: Method, url: &str, headers: &[(&str, &str)]) -> Parts {
    let request = http::Request::builder().method(method).uri(url);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.body(()).unwrap().into_parts().0
}

/// Pseudorandom bytes, different for each seed.
pub fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// The ETag of a part from a presigned URL, with quotes.
pub fn etag(bytes: &[u8]) -> String {
    format!("\"{}-1\"", &Sha256::of(bytes).to_string()[..32])
}

/// The ETag of a body with a signature in `Authorization`, with quotes: its MD5.
pub fn md5_etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex(&Md5::digest(bytes)))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// The XML element of a part in the body of a `CompleteMultipartUpload` request.
pub fn part_element(number: usize, etag: &str, bytes: &[u8]) -> String {
    let checksum = Sha256::of(bytes).base64();
    format!(
        "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>\
         <ChecksumSHA256>{checksum}</ChecksumSHA256></Part>"
    )
}

/// Waits up to a minute until a condition holds.
pub async fn wait_until(condition: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        let is_in_time = started.elapsed() < Duration::from_mins(1);
        assert!(is_in_time, "timed out waiting for: {condition}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a store is closed: its lock file is empty then.
pub async fn wait_until_closed(dir: &Path) {
    wait_until("the store is closed", || {
        fs::metadata(dir.join("lock")).unwrap().len() == 0
    })
    .await;
}

/// The log of all tests of this process, at level TRACE.
pub fn captured_log() -> String {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    struct Writer(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            log.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = LOG.get_or_init(|| {
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let writer_log = Arc::clone(&log);
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || Writer(Arc::clone(&writer_log)))
            .init();
        log
    });
    let bytes = log.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}
