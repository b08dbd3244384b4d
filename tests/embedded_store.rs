//! The embedded store, over its protocol: real presigned URLs against a real listener.
//!
//! Border: what any S3 client could observe, and what is left on disk.
#![cfg(feature = "gateway")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use md5::Md5;
use reqsign_aws_v4::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use sha2::Digest as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use upload_embedded_store::{BUCKET, Embedded, REGION};
use upload_types::error::Kind;
use upload_types::names::{Checksum, Sha256};

const MIB: usize = 1 << 20;

/// A store on a free port, with a client that has its keys.
struct Bed {
    dir: PathBuf,
    address: std::net::SocketAddr,
    keys: (String, String),
    signer: Signer<Credential>,
    http: reqwest::Client,
    server: tokio::task::JoinHandle<()>,
    owned: Option<TempDir>,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The contents of all elements of that name.
    fn all(&self, element: &str) -> Vec<String> {
        let (text, tag) = (self.text(), format!("<{element}>"));
        let pieces = text.split(&tag).skip(1);
        pieces
            .map(|piece| piece.split("</").next().unwrap().replace("&quot;", "\""))
            .collect()
    }

    fn one(&self, element: &str) -> String {
        self.all(element)
            .first()
            .unwrap_or_else(|| panic!("no {element} in {self:?}"))
            .clone()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn ok(self) -> Self {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.text()
        );
        self
    }

    #[track_caller]
    fn refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.one("Code").as_str()),
            (status, code),
            "{}",
            self.text()
        );
    }
}

impl Bed {
    async fn new() -> Self {
        let owned = tempfile::tempdir().unwrap();
        let dir = owned.path().join("store");
        Self {
            owned: Some(owned),
            ..Self::open(&dir).await
        }
    }

    async fn open(dir: &Path) -> Self {
        quiet();
        let store = Embedded::open(dir, Duration::from_secs(10)).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let keys = store.keys();
        let router = axum::Router::new().fallback_service(store.service());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .build()
            .unwrap();
        let signer = signer(&keys, RequestSigner::new("s3", REGION));
        Self {
            dir: dir.to_owned(),
            address,
            keys,
            signer,
            http,
            server,
            owned: None,
        }
    }

    /// Lets the store go, with all connections to it.
    async fn close(self) -> (PathBuf, Option<TempDir>) {
        self.server.abort();
        let _ = self.server.await;
        (self.dir, self.owned)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn send(
        &self,
        request: http::request::Parts,
        unsigned: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        // reqwest leaves the length of an empty body out.
        let sent = self
            .http
            .request(request.method, request.uri.to_string())
            .header("content-length", body.len());
        let mut sent = sent.body(body);
        for (name, value) in request
            .headers
            .iter()
            .filter(|(name, _)| *name != "host" && *name != "content-length")
        {
            sent = sent.header(name, value);
        }
        for (name, value) in unsigned {
            sent = sent.header(*name, *value);
        }
        let answer = sent.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer {
            status,
            headers,
            body: answer.bytes().await.unwrap().to_vec(),
        }
    }

    /// A call with an Authorization header.
    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let hash: String = Sha256::of(body).to_string();
        let mut all = vec![("x-amz-content-sha256", hash.as_str())];
        all.retain(|(name, _)| !headers.iter().any(|(n, _)| n == name));
        all.extend_from_slice(headers);
        let mut request = head(method, &self.url(path), &all);
        self.signer.sign(&mut request, None).await.unwrap();
        self.send(request, &[], body.to_vec()).await
    }

    async fn presign(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> http::request::Parts {
        let mut request = head(method, &self.url(path), headers);
        self.signer
            .sign(&mut request, Some(Duration::from_mins(10)))
            .await
            .unwrap();
        request
    }

    async fn create(&self, key: &str) -> String {
        let sha256 = [
            ("x-amz-checksum-algorithm", "SHA256"),
            ("x-amz-checksum-type", "COMPOSITE"),
        ];
        self.call(
            Method::POST,
            &format!("/{BUCKET}/{key}?uploads"),
            &sha256,
            b"",
        )
        .await
        .ok()
        .one("UploadId")
    }

    /// A presigned URL for a part of exactly these bytes.
    async fn presign_part(
        &self,
        key: &str,
        id: &str,
        number: usize,
        bytes: &[u8],
    ) -> http::request::Parts {
        let (length, checksum) = (bytes.len().to_string(), Sha256::of(bytes).base64());
        let headers = [
            ("content-length", length.as_str()),
            ("x-amz-checksum-sha256", checksum.as_str()),
        ];
        self.presign(
            Method::PUT,
            &format!("/{BUCKET}/{key}?partNumber={number}&uploadId={id}"),
            &headers,
        )
        .await
    }

    async fn part(&self, key: &str, id: &str, number: usize, bytes: &[u8]) -> Answer {
        let request = self.presign_part(key, id, number, bytes).await;
        self.send(request, &[], bytes.to_vec()).await
    }

    async fn parts(&self, key: &str, id: &str, more: &str) -> Answer {
        self.call(
            Method::GET,
            &format!("/{BUCKET}/{key}?uploadId={id}{more}"),
            &[],
            b"",
        )
        .await
    }

    async fn complete(
        &self,
        key: &str,
        id: &str,
        headers: &[(&str, &str)],
        parts: &[(usize, &[u8])],
    ) -> Answer {
        let list: String = parts
            .iter()
            .map(|(number, bytes)| listed(*number, &etag(bytes), bytes))
            .collect();
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        self.call(
            Method::POST,
            &format!("/{BUCKET}/{key}?uploadId={id}"),
            headers,
            body.as_bytes(),
        )
        .await
    }

    /// Puts an object in two parts, 5 MiB and a little.
    async fn object(&self, key: &str) -> Vec<u8> {
        let (one, two) = (bytes(1, 5 * MIB), bytes(2, 1000));
        let id = self.create(key).await;
        self.part(key, &id, 1, &one).await.ok();
        self.part(key, &id, 2, &two).await.ok();
        self.complete(key, &id, &[], &[(1, &one), (2, &two)])
            .await
            .ok();
        [one, two].concat()
    }

    async fn get(&self, key: &str, headers: &[(&str, &str)]) -> Answer {
        self.call(Method::GET, &format!("/{BUCKET}/{key}"), headers, b"")
            .await
    }

    /// All part files and half-written ones: path under the store to inode and time of change.
    fn files(&self) -> BTreeMap<PathBuf, (u64, i64)> {
        files(&self.dir)
    }
}

fn files(dir: &Path) -> BTreeMap<PathBuf, (u64, i64)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.join("parts"), dir.join("tmp")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => dirs.push(path),
                Ok(meta) => drop(found.insert(path, (meta.ino(), meta.mtime_nsec()))),
                Err(_) => {}
            }
        }
    }
    found
}

fn signer(keys: &(String, String), request: RequestSigner) -> Signer<Credential> {
    Signer::new(
        Context::new(),
        StaticCredentialProvider::new(&keys.0, &keys.1),
        request,
    )
}

fn head(method: Method, url: &str, headers: &[(&str, &str)]) -> http::request::Parts {
    let request = http::Request::builder().method(method).uri(url);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.body(()).unwrap().into_parts().0
}

/// Bytes that differ from seed to seed.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", &Sha256::of(bytes).to_string()[..32])
}

fn listed(number: usize, etag: &str, bytes: &[u8]) -> String {
    let checksum = Sha256::of(bytes).base64();
    format!(
        "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><ChecksumSHA256>{checksum}</ChecksumSHA256></Part>"
    )
}

/// Waits until it holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_mins(1), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Everything that is logged, from the first line on, at the most talkative level.
fn quiet() -> Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = LOG.get_or_init(|| {
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Arc::clone(&log);
        let writer = move || Sink(Arc::clone(&sink));
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(writer)
            .init();
        log
    });
    Arc::clone(log)
}

#[tokio::test]
async fn a_part_as_signed_is_stored_echoed_and_listed() {
    let bed = Bed::new().await;
    let id = bed.create("k").await;
    let body = bytes(1, 100_000);
    let stored = bed.part("k", &id, 7, &body).await.ok();
    let checksum = Sha256::of(&body).base64();
    assert_eq!(
        (
            stored.header("etag"),
            stored.header("x-amz-checksum-sha256")
        ),
        (etag(&body).as_str(), &*checksum)
    );
    let list = bed.parts("k", &id, "").await.ok();
    assert_eq!(
        (list.all("PartNumber"), list.all("Size")),
        (vec!["7".to_owned()], vec!["100000".to_owned()])
    );
    assert_eq!(
        (list.one("ETag"), list.one("ChecksumSHA256")),
        (etag(&body), checksum)
    );
    assert_eq!(
        (list.one("ChecksumType"), list.one("ChecksumAlgorithm")),
        ("COMPOSITE".into(), "SHA256".into())
    );
}

#[tokio::test]
async fn one_flipped_bit_is_refused_and_leaves_nothing() {
    let bed = Bed::new().await;
    let id = bed.create("k").await;
    let mut body = bytes(1, 5 * MIB);
    let request = bed.presign_part("k", &id, 1, &body).await;
    body[3 * MIB] ^= 1;
    bed.send(request, &[], body.clone())
        .await
        .refused(400, "BadDigest");
    assert_eq!(
        bed.parts("k", &id, "").await.ok().all("PartNumber"),
        Vec::<String>::new()
    );
    assert_eq!(bed.files(), BTreeMap::new());

    let wrong_md5 = BASE64.encode(Md5::digest(b"other"));
    let length = body.len().to_string();
    let headers = [
        ("content-length", length.as_str()),
        ("content-md5", &wrong_md5),
    ];
    let request = bed
        .presign(Method::PUT, &format!("/{BUCKET}/plain"), &headers)
        .await;
    bed.send(request, &[], body.clone())
        .await
        .refused(400, "BadDigest");
    let zeros = "0".repeat(64);
    let answer = bed
        .call(
            Method::PUT,
            &format!("/{BUCKET}/plain"),
            &[("x-amz-content-sha256", &zeros)],
            &body,
        )
        .await;
    answer.refused(400, "XAmzContentSHA256Mismatch");
    assert_eq!(bed.files(), BTreeMap::new());
}

#[tokio::test]
async fn a_body_of_another_length_than_signed_is_refused() {
    let bed = Bed::new().await;
    let id = bed.create("k").await;
    let body = bytes(1, 1000);
    for wrong in [&body[..999], &[body.as_slice(), b"!"].concat()] {
        let request = bed.presign_part("k", &id, 1, &body).await;
        bed.send(request, &[], wrong.to_vec())
            .await
            .refused(403, "SignatureDoesNotMatch");
    }
    let checksum = Sha256::of(&body).base64();
    let path = format!("/{BUCKET}/k?partNumber=1&uploadId={id}");
    let unbound = bed
        .presign(Method::PUT, &path, &[("x-amz-checksum-sha256", &checksum)])
        .await;
    bed.send(unbound, &[], body.clone())
        .await
        .refused(403, "AccessDenied");
    assert_eq!(bed.files(), BTreeMap::new());
}

#[tokio::test]
async fn a_part_without_the_checksum_its_upload_demands_is_refused() {
    let bed = Bed::new().await;
    let id = bed.create("k").await;
    let body = bytes(1, 1000);
    let path = format!("/{BUCKET}/k?partNumber=1&uploadId={id}");
    let request = bed
        .presign(Method::PUT, &path, &[("content-length", "1000")])
        .await;
    bed.send(request, &[], body.clone())
        .await
        .refused(400, "InvalidRequest");
    // In the query nobody reads it.
    let hoisted = format!("{path}&x-amz-checksum-sha256=AAAA");
    let request = bed
        .presign(Method::PUT, &hoisted, &[("content-length", "1000")])
        .await;
    bed.send(request, &[], body)
        .await
        .refused(400, "InvalidRequest");
}

#[tokio::test]
async fn headers_smuggled_into_a_presigned_put_are_refused() {
    let bed = Bed::new().await;
    let secret = bytes(9, 100);
    bed.call(Method::PUT, &format!("/{BUCKET}/victim"), &[], &secret)
        .await
        .ok();
    let id = bed.create("mine").await;
    let empty = Sha256::of(b"").base64();
    for (name, value) in [
        ("x-amz-copy-source", "/embedded/victim"),
        ("x-amz-meta-owner", "me"),
        ("x-amz-acl", "public-read"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-website-redirect-location", "http://evil.example/"),
        ("cache-control", "public"),
        ("content-disposition", "inline"),
        ("content-encoding", "br"),
        ("content-language", "en"),
        ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
    ] {
        let part = bed.presign_part("mine", &id, 1, b"").await;
        bed.send(part, &[(name, value)], Vec::new())
            .await
            .refused(403, "AccessDenied");
        let headers = [("content-length", "0"), ("x-amz-checksum-sha256", &*empty)];
        let put = bed
            .presign(Method::PUT, &format!("/{BUCKET}/mine"), &headers)
            .await;
        bed.send(put, &[(name, value)], Vec::new())
            .await
            .refused(403, "AccessDenied");
    }
    assert_eq!(
        bed.parts("mine", &id, "").await.ok().all("Part"),
        Vec::<String>::new()
    );
    bed.get("mine", &[]).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn an_expired_url_is_refused() {
    let bed = Bed::new().await;
    bed.call(Method::PUT, &format!("/{BUCKET}/k"), &[], b"x")
        .await
        .ok();
    let mut request = head(Method::GET, &bed.url(&format!("/{BUCKET}/k")), &[]);
    bed.signer
        .sign(&mut request, Some(Duration::from_secs(2)))
        .await
        .unwrap();
    let begun = Instant::now();
    let mut answer = bed.send(request.clone(), &[], Vec::new()).await.ok();
    while answer.status == 200 && begun.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = bed.send(request.clone(), &[], Vec::new()).await;
    }
    answer.refused(403, "AccessDenied");
}

#[tokio::test]
async fn who_does_not_sign_or_signs_with_other_keys_is_refused() {
    let bed = Bed::new().await;
    let unsigned = head(Method::GET, &bed.url("/"), &[]);
    bed.send(unsigned, &[], Vec::new())
        .await
        .refused(403, "AccessDenied");
    let wrong_secret = signer(
        &(bed.keys.0.clone(), "x".repeat(40)),
        RequestSigner::new("s3", REGION),
    );
    let mut request = head(Method::GET, &bed.url("/"), &[]);
    wrong_secret
        .sign(&mut request, Some(Duration::from_mins(1)))
        .await
        .unwrap();
    bed.send(request, &[], Vec::new())
        .await
        .refused(403, "SignatureDoesNotMatch");
    let other_keys = signer(
        &("AKother".into(), bed.keys.1.clone()),
        RequestSigner::new("s3", REGION),
    );
    let mut request = head(Method::GET, &bed.url("/"), &[]);
    other_keys
        .sign(&mut request, Some(Duration::from_mins(1)))
        .await
        .unwrap();
    bed.send(request, &[], Vec::new())
        .await
        .refused(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn what_the_store_does_not_do_it_does_not_promise() {
    let bed = Bed::new().await;
    for (name, value) in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-checksum-algorithm", "CRC32"),
    ] {
        let answer = bed
            .call(
                Method::POST,
                &format!("/{BUCKET}/k?uploads"),
                &[(name, value)],
                b"",
            )
            .await;
        answer.refused(501, "NotImplemented");
    }
    bed.call(Method::GET, &format!("/{BUCKET}?versioning"), &[], b"")
        .await
        .refused(501, "NotImplemented");
    bed.call(Method::PUT, "/another-bucket/k", &[], b"x")
        .await
        .refused(404, "NoSuchBucket");
}

#[tokio::test]
async fn many_parts_are_listed_page_by_page() {
    let bed = Arc::new(Bed::new().await);
    let id = bed.create("k").await;
    let mut sending = tokio::task::JoinSet::new();
    for number in (1..=1003).rev() {
        while sending.len() >= 16 {
            sending.join_next().await.unwrap().unwrap();
        }
        let (bed, id) = (Arc::clone(&bed), id.clone());
        sending.spawn(
            async move { drop(bed.part("k", &id, number, &number.to_be_bytes()).await.ok()) },
        );
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
    let first = bed.parts("k", &id, "").await.ok();
    let expected: Vec<String> = (1..=1000).map(|n: usize| n.to_string()).collect();
    assert_eq!(
        (first.all("PartNumber"), first.one("IsTruncated")),
        (expected, "true".into())
    );
    let second = bed
        .parts(
            "k",
            &id,
            &format!("&part-number-marker={}", first.one("NextPartNumberMarker")),
        )
        .await
        .ok();
    assert_eq!(
        (second.all("PartNumber"), second.one("IsTruncated")),
        (
            vec!["1001".into(), "1002".into(), "1003".into()],
            "false".into()
        )
    );
    assert_eq!(
        second.all("ChecksumSHA256")[2],
        Sha256::of(&1003_usize.to_be_bytes()).base64()
    );
    let few = bed
        .parts("k", &id, "&max-parts=2&part-number-marker=500")
        .await
        .ok();
    assert_eq!(few.all("PartNumber"), ["501", "502"]);
}

#[tokio::test]
async fn completing_copies_nothing_and_a_repeat_answers_alike() {
    let bed = Bed::new().await;
    let (one, two) = (bytes(1, 5 * MIB), bytes(2, 3000));
    let id = bed.create("k").await;
    bed.part("k", &id, 1, &one).await.ok();
    bed.part("k", &id, 2, &bytes(3, 10)).await.ok();
    bed.part("k", &id, 2, &two).await.ok();
    bed.part("k", &id, 9, b"left out").await.ok();
    until("the part that was sent again is gone", || {
        bed.files().len() == 3
    })
    .await;
    let before = bed.files();

    let size = (5 * MIB + 3000).to_string();
    let headers = [
        ("if-none-match", "*"),
        ("x-amz-mp-object-size", size.as_str()),
    ];
    let first = bed
        .complete("k", &id, &headers, &[(1, &one), (2, &two)])
        .await
        .ok();
    let composite = Checksum::composite(&[Sha256::of(&one), Sha256::of(&two)]);
    assert_eq!(
        (
            first.one("ChecksumSHA256").as_str(),
            first.one("ChecksumType").as_str()
        ),
        (composite.as_str(), "COMPOSITE")
    );
    until("the part that was left out is gone", || {
        bed.files().len() == 2
    })
    .await;
    assert!(
        bed.files()
            .iter()
            .all(|file| before.get(file.0) == Some(file.1)),
        "the same files, untouched"
    );

    let again = bed
        .complete("k", &id, &headers, &[(1, &one), (2, &two)])
        .await
        .ok();
    assert_eq!(again.text(), first.text());
    bed.complete("k", &id, &headers, &[(1, &one)])
        .await
        .refused(400, "InvalidRequest");
    bed.complete("k", &id, &[], &[(1, &one)])
        .await
        .refused(400, "InvalidPart");
    bed.parts("k", &id, "").await.refused(404, "NoSuchUpload");

    let head = bed
        .call(
            Method::HEAD,
            &format!("/{BUCKET}/k"),
            &[("x-amz-checksum-mode", "ENABLED")],
            b"",
        )
        .await
        .ok();
    assert_eq!(
        (
            head.header("x-amz-checksum-sha256"),
            head.header("x-amz-checksum-type")
        ),
        (composite.as_str(), "COMPOSITE")
    );
    assert_eq!(
        (head.header("content-length"), head.header("etag")),
        (size.as_str(), first.one("ETag").as_str())
    );
    let whole = [one, two].concat();
    assert!(bed.get("k", &[]).await.ok().body == whole);
    let range = bed.get("k", &[("range", "bytes=5242870-5242889")]).await;
    assert_eq!(
        (range.status, range.header("content-range")),
        (206, "bytes 5242870-5242889/5245880")
    );
    assert_eq!(range.body, &whole[5 * MIB - 10..5 * MIB + 10]);
}

#[tokio::test]
async fn a_complete_that_does_not_fit_is_refused_and_the_upload_stays() {
    let bed = Bed::new().await;
    let (one, two) = (bytes(1, 5 * MIB), bytes(2, 10));
    let id = bed.create("k").await;
    bed.part("k", &id, 1, &one).await.ok();
    bed.part("k", &id, 2, &two).await.ok();
    let path = format!("/{BUCKET}/k?uploadId={id}");
    let wrong = format!(
        "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
        listed(1, "\"beef\"", &one)
    );
    bed.call(Method::POST, &path, &[], wrong.as_bytes())
        .await
        .refused(400, "InvalidPart");
    bed.complete("k", &id, &[], &[(2, &two), (1, &one)])
        .await
        .refused(400, "InvalidPartOrder");
    bed.complete("k", &id, &[], &[(1, &one), (2, &two), (3, b"")])
        .await
        .refused(400, "InvalidPart");
    bed.complete("k", &id, &[("x-amz-mp-object-size", "1")], &[(1, &one)])
        .await
        .refused(400, "InvalidRequest");
    bed.call(Method::PUT, &format!("/{BUCKET}/k"), &[], b"first")
        .await
        .ok();
    bed.complete("k", &id, &[("if-none-match", "*")], &[(1, &one)])
        .await
        .refused(412, "PreconditionFailed");
    assert_eq!(
        bed.parts("k", &id, "").await.ok().all("PartNumber"),
        ["1", "2"]
    );
    assert_eq!(bed.get("k", &[]).await.ok().body, b"first");
}

#[tokio::test]
async fn two_completes_at_once_both_succeed() {
    let bed = Bed::new().await;
    let one = bytes(1, 10);
    let id = bed.create("k").await;
    bed.part("k", &id, 1, &one).await.ok();
    let headers = [("if-none-match", "*")];
    let parts: [(usize, &[u8]); 1] = [(1, &one)];
    let (a, b) = tokio::join!(
        bed.complete("k", &id, &headers, &parts),
        bed.complete("k", &id, &headers, &parts)
    );
    assert_eq!(a.ok().text(), b.ok().text());
}

#[tokio::test]
async fn an_abort_removes_upload_and_files() {
    let bed = Bed::new().await;
    let id = bed.create("k").await;
    bed.part("k", &id, 1, b"one").await.ok();
    assert_eq!(bed.files().len(), 1);
    let path = format!("/{BUCKET}/k?uploadId={id}");
    assert_eq!(bed.call(Method::DELETE, &path, &[], b"").await.status, 204);
    until("the files are gone", || bed.files().is_empty()).await;
    bed.call(Method::DELETE, &path, &[], b"")
        .await
        .refused(404, "NoSuchUpload");
    bed.part("k", &id, 2, b"two")
        .await
        .refused(404, "NoSuchUpload");
    bed.complete("k", &id, &[], &[(1, b"one")])
        .await
        .refused(404, "NoSuchUpload");
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let bed = Bed::new().await;
    let id = bed.create("k").await;
    let body = bytes(1, 5 * MIB);
    let request = bed.presign_part("k", &id, 1, &body).await;
    let mut connection = tokio::net::TcpStream::connect(bed.address).await.unwrap();
    let target = request.uri.path_and_query().unwrap();
    let signed = request.headers.iter().filter(|(name, _)| *name != "host");
    let signed: Vec<String> = signed
        .map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()))
        .collect();
    let text = format!(
        "PUT {target} HTTP/1.1\r\nhost: {}\r\n{}",
        bed.address,
        signed.concat()
    );
    connection.write_all(text.as_bytes()).await.unwrap();
    connection.write_all(b"\r\n").await.unwrap();
    connection.write_all(&body[..2 * MIB]).await.unwrap();
    until("the body has begun to arrive", || bed.files().len() == 1).await;
    // Nothing waits for a body that stalls.
    bed.part("k", &id, 2, b"two").await.ok();
    drop(connection);
    until("only the other part is left", || bed.files().len() == 1).await;
    assert_eq!(bed.parts("k", &id, "").await.ok().all("PartNumber"), ["2"]);
}

#[tokio::test]
async fn reopening_finds_parts_and_clears_away_what_a_crash_left() {
    let bed = Bed::new().await;
    let one = bytes(1, 5 * MIB);
    let id = bed.create("k").await;
    bed.part("k", &id, 1, &one).await.ok();
    let kept = bed.files();
    let keys = bed.keys.clone();
    let (dir, owned) = bed.close().await;
    drop(Embedded::open(&dir, Duration::from_secs(10)).await.unwrap());
    until("the store is let go", || {
        fs::metadata(dir.join("lock")).unwrap().len() == 0
    })
    .await;

    // As after a kill: the lock names a process, a body is half written, a part file has no row.
    fs::write(dir.join("lock"), "1\n").unwrap();
    fs::write(dir.join("tmp").join("0".repeat(32)), b"half").unwrap();
    let shard = kept.keys().next().unwrap().parent().unwrap().to_owned();
    let tail = shard.file_name().unwrap().to_str().unwrap().to_owned();
    fs::write(shard.join(format!("{}{tail}", "0".repeat(30))), b"no row").unwrap();
    fs::write(shard.join("not ours"), b"").unwrap();

    let bed = Bed {
        owned,
        ..Bed::open(&dir).await
    };
    let left: Vec<PathBuf> = bed.files().into_keys().collect();
    let expected: Vec<PathBuf> = kept.into_keys().chain([shard.join("not ours")]).collect();
    assert_eq!(left, expected);
    assert_eq!(bed.keys, keys);
    assert_eq!(bed.parts("k", &id, "").await.ok().all("PartNumber"), ["1"]);
    bed.complete("k", &id, &[], &[(1, &one)]).await.ok();
    assert!(bed.get("k", &[]).await.ok().body == one);
}

#[tokio::test]
async fn a_second_opener_is_told_who_holds_the_store() {
    let bed = Bed::new().await;
    let error = Embedded::open(&bed.dir, Duration::from_millis(120))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    let dir = bed.dir.clone();
    let waiting = tokio::spawn(async move {
        Embedded::open(&dir, Duration::from_secs(20))
            .await
            .map(drop)
    });
    let _kept = bed.close().await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_store_is_private() {
    let bed = Bed::new().await;
    bed.call(Method::PUT, &format!("/{BUCKET}/k"), &[], b"x")
        .await
        .ok();
    let mut seen = 0;
    let mut paths = vec![bed.dir.clone()];
    while let Some(path) = paths.pop() {
        let meta = fs::metadata(&path).unwrap();
        let expected = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(
            meta.permissions().mode() & 0o777,
            expected,
            "{}",
            path.display()
        );
        if meta.is_dir() {
            paths.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        seen += 1;
    }
    assert!(seen > 8, "{seen}");
}

#[tokio::test]
async fn a_store_without_its_manifest_or_with_another_is_not_touched() {
    let bed = Bed::new().await;
    bed.call(Method::PUT, &format!("/{BUCKET}/k"), &[], b"x")
        .await
        .ok();
    let (dir, _owned) = bed.close().await;
    let wait = Duration::from_secs(10);
    drop(Embedded::open(&dir, wait).await.unwrap());
    until("the store is let go", || {
        fs::metadata(dir.join("lock")).unwrap().len() == 0
    })
    .await;
    let database = dir.join("store.db");
    let set = |pragma: &str, value: i32| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.pragma_update(None, pragma, value).unwrap();
    };
    set("user_version", 1000);
    let error = Embedded::open(&dir, wait).await.unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
    set("user_version", 1);
    set("application_id", 7);
    let error = Embedded::open(&dir, wait).await.unwrap_err();
    assert!(
        error.to_string().contains("not a store's manifest"),
        "{error}"
    );
    fs::remove_file(&database).unwrap();
    let error = Embedded::open(&dir, wait).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.to_string().contains("no store.db"), "{error}");
    assert_eq!(files(&dir).len(), 1);
}

/// A copy as a crash would leave it, with the lock of a process that is gone, and of the database only what was moved out of
/// its write-ahead log.
fn crashed(bed: &Bed) -> PathBuf {
    let copy = bed.dir.with_extension("crashed");
    let mut dirs = vec![bed.dir.clone()];
    while let Some(dir) = dirs.pop() {
        let to = |path: &Path| copy.join(path.strip_prefix(&bed.dir).unwrap());
        fs::create_dir(to(&dir)).unwrap();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if !path.to_str().unwrap().ends_with("-wal")
                && !path.to_str().unwrap().ends_with("-shm")
            {
                fs::copy(&path, to(&path)).unwrap();
            }
        }
    }
    copy
}

#[tokio::test]
async fn part_files_whose_rows_are_lost_are_put_aside() {
    let bed = Bed::new().await;
    let whole = bed.object("k").await;
    let dir = crashed(&bed);
    assert_eq!(files(&dir).len(), 2);
    let wait = Duration::from_secs(10);
    drop(Embedded::open(&dir, wait).await.unwrap());
    assert_eq!(files(&dir).len(), 0);
    let lost = || {
        let mut paths: Vec<PathBuf> = fs::read_dir(dir.join("lost"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
    };
    let bytes = lost()
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect::<Vec<_>>()
        .concat();
    assert!(bytes == whole);

    let set_age = |days: u64| {
        let old = std::time::SystemTime::now() - Duration::from_hours(days * 24);
        fs::File::open(&lost()[0])
            .unwrap()
            .set_modified(old)
            .unwrap();
    };
    for (days, left) in [(6, 2), (8, 1)] {
        set_age(days);
        drop(Embedded::open(&dir, wait).await.unwrap());
        assert_eq!(lost().len(), left);
    }
}

#[tokio::test]
async fn an_emptied_manifest_is_refused_and_no_part_file_is_touched() {
    let bed = Bed::new().await;
    bed.object("k").await;
    let dir = crashed(&bed);
    let before = files(&dir);
    fs::write(dir.join("store.db"), b"").unwrap();
    let wait = Duration::from_secs(10);
    for _ in 0..2 {
        let error = Embedded::open(&dir, wait).await.unwrap_err();
        assert!(
            error.to_string().contains("not a store's manifest"),
            "{error}"
        );
    }
    assert_eq!(files(&dir), before);
    assert!(
        fs::metadata(dir.join("lock")).unwrap().len() > 0,
        "the next start must look around"
    );
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let bed = Bed::new().await;
    let headers = [
        ("content-type", "video/mp4"),
        ("cache-control", "no-store"),
        ("content-disposition", "inline"),
        ("x-amz-meta-upload-token", "t0ken"),
    ];
    bed.call(Method::PUT, &format!("/{BUCKET}/k"), &headers, b"hello")
        .await
        .ok();
    let head = bed
        .call(
            Method::HEAD,
            &format!("/{BUCKET}/k"),
            &[("x-amz-checksum-mode", "ENABLED")],
            b"",
        )
        .await
        .ok();
    for (name, value) in headers {
        assert_eq!(head.header(name), value);
    }
    assert_eq!(
        (
            head.header("x-amz-checksum-sha256"),
            head.header("x-amz-checksum-type")
        ),
        (&*Sha256::of(b"hello").base64(), "FULL_OBJECT")
    );
    let query = "response-content-disposition=attachment%3B%20filename%3D%22a.bin%22&response-content-type=text%2Fplain";
    let request = bed
        .presign(Method::GET, &format!("/{BUCKET}/k?{query}"), &[])
        .await;
    let got = bed.send(request, &[], Vec::new()).await.ok();
    assert_eq!(
        (
            got.header("content-disposition"),
            got.header("content-type")
        ),
        ("attachment; filename=\"a.bin\"", "text/plain")
    );
    assert_eq!(
        (got.body.as_slice(), got.header("x-content-type-options")),
        (b"hello".as_slice(), "nosniff")
    );
    let etag = got.header("etag").to_owned();
    assert_eq!(bed.get("k", &[("if-none-match", &etag)]).await.status, 304);
    bed.get("k", &[("if-match", "\"other\"")])
        .await
        .refused(412, "PreconditionFailed");
    bed.get("k", &[("range", "bytes=5-")])
        .await
        .refused(416, "InvalidRange");
    bed.call(Method::PUT, &format!("/{BUCKET}/empty"), &[], b"")
        .await
        .ok();
    assert_eq!(bed.get("empty", &[]).await.ok().body, b"");
    bed.get("empty", &[("range", "bytes=-5")])
        .await
        .refused(416, "InvalidRange");
}

#[tokio::test]
async fn a_presigned_put_writes_once() {
    let bed = Bed::new().await;
    let headers = [("content-length", "5"), ("if-none-match", "*")];
    let request = bed
        .presign(Method::PUT, &format!("/{BUCKET}/k"), &headers)
        .await;
    bed.send(request.clone(), &[], b"first".to_vec()).await.ok();
    bed.send(request, &[], b"other".to_vec())
        .await
        .refused(412, "PreconditionFailed");
    assert_eq!(bed.get("k", &[]).await.ok().body, b"first");
    until("the refused body is gone", || bed.files().len() == 1).await;
}

#[tokio::test]
async fn an_object_that_is_being_read_outlives_its_deletion() {
    let bed = Bed::new().await;
    let whole = bed.object("k").await;
    let request = bed.presign(Method::GET, &format!("/{BUCKET}/k"), &[]).await;
    let mut connection = tokio::net::TcpStream::connect(bed.address).await.unwrap();
    let path = request.uri.path_and_query().unwrap();
    let text = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        bed.address
    );
    connection.write_all(text.as_bytes()).await.unwrap();
    let mut first = vec![0; 4096];
    connection.read_exact(&mut first).await.unwrap();
    bed.call(Method::DELETE, &format!("/{BUCKET}/k"), &[], b"")
        .await
        .ok();
    bed.get("k", &[]).await.refused(404, "NoSuchKey");
    connection.read_to_end(&mut first).await.unwrap();
    assert!(first.ends_with(&whole[1000..]));
    until("the files are gone", || bed.files().is_empty()).await;
}

#[tokio::test]
async fn a_part_can_be_copied_from_an_object() {
    let bed = Bed::new().await;
    let whole = bed.object("source").await;
    let id = bed.create("copy").await;
    let path = format!("/{BUCKET}/copy?partNumber=1&uploadId={id}");
    let headers = [
        ("x-amz-copy-source", "/embedded/source"),
        ("x-amz-copy-source-range", "bytes=5242870-5242889"),
    ];
    let changed = [
        headers[0],
        headers[1],
        ("x-amz-copy-source-if-match", "\"other\""),
    ];
    bed.call(Method::PUT, &path, &changed, b"")
        .await
        .refused(412, "PreconditionFailed");
    let copied = bed.call(Method::PUT, &path, &headers, b"").await.ok();
    let expected = &whole[5 * MIB - 10..5 * MIB + 10];
    assert_eq!(copied.one("ETag"), etag(expected));
    bed.complete("copy", &id, &[], &[(1, expected)]).await.ok();
    assert_eq!(bed.get("copy", &[]).await.ok().body, expected);
}

#[tokio::test]
async fn keys_are_listed_by_prefix_delimiter_and_page() {
    let bed = Bed::new().await;
    for key in ["a", "b/1", "b/2", "b/%F0%9F%A6%80", "b%26", "c/d/e", "f"] {
        bed.call(
            Method::PUT,
            &format!("/{BUCKET}/{key}"),
            &[],
            key.as_bytes(),
        )
        .await
        .ok();
    }
    let list = async |query: &str| {
        bed.call(Method::GET, &format!("/{BUCKET}?{query}"), &[], b"")
            .await
            .ok()
    };
    let all = list("list-type=2&encoding-type=url").await;
    assert_eq!(
        all.all("Key"),
        ["a", "b%26", "b/1", "b/2", "b/%F0%9F%A6%80", "c/d/e", "f"]
    );
    let folded = list("list-type=2&delimiter=%2F").await;
    assert_eq!(
        (folded.all("Key"), folded.one("KeyCount")),
        (vec!["a".into(), "b&amp;".into(), "f".into()], "5".into())
    );
    let prefixes = folded.all("CommonPrefixes");
    assert_eq!(prefixes, ["<Prefix>b/", "<Prefix>c/"]);
    assert_eq!(
        list("list-type=2&prefix=b%2F&delimiter=%2F")
            .await
            .all("Key")
            .len(),
        3
    );

    let (mut seen, mut more) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("list-type=2&delimiter=%2F&max-keys=1{more}")).await;
        seen.extend(page.all("Key"));
        seen.extend(
            page.all("CommonPrefixes")
                .iter()
                .map(|prefix| prefix.replace("<Prefix>", "")),
        );
        if page.one("IsTruncated") == "false" {
            break;
        }
        more = format!("&continuation-token={}", page.one("NextContinuationToken"));
    }
    assert_eq!(seen, ["a", "b&amp;", "b/", "c/", "f"]);
    let old = list("delimiter=%2F&max-keys=3").await;
    assert_eq!(
        (old.one("IsTruncated"), old.one("NextMarker")),
        ("true".into(), "b/".into())
    );
    assert_eq!(list("delimiter=%2F&marker=b%2F").await.all("Key"), ["f"]);
    bed.call(
        Method::GET,
        &format!("/{BUCKET}?list-type=2&continuation-token=%21"),
        &[],
        b"",
    )
    .await
    .refused(400, "InvalidArgument");
}

#[tokio::test]
async fn open_uploads_are_listed_by_prefix_and_page() {
    let bed = Bed::new().await;
    let mut ids = Vec::new();
    for key in ["a/1", "a/1", "a/2", "b"] {
        ids.push(bed.create(key).await);
    }
    let list = async |query: &str| {
        bed.call(Method::GET, &format!("/{BUCKET}?uploads{query}"), &[], b"")
            .await
            .ok()
    };
    let page = list("&prefix=a%2F&max-uploads=1").await;
    assert_eq!(
        (page.all("UploadId"), page.one("IsTruncated")),
        (vec![ids[0].clone()], "true".into())
    );
    let rest = list(&format!(
        "&prefix=a%2F&key-marker=a%2F1&upload-id-marker={}",
        ids[0]
    ))
    .await;
    assert_eq!(
        (rest.all("UploadId"), rest.one("IsTruncated")),
        (ids[1..3].to_vec(), "false".into())
    );
    assert_eq!(list("&key-marker=a%2F1").await.all("UploadId"), ids[2..]);
}

#[tokio::test]
async fn any_key_is_only_a_name() {
    let bed = Bed::new().await;
    let long = "x".repeat(1024);
    let odd = [
        "a",
        "a/b",
        "a/",
        "a//b",
        "...",
        "store.db",
        "%C3%A9%20%2B%26%3D%3F%23",
        "%00%01",
        &long,
    ];
    for key in odd {
        bed.call(
            Method::PUT,
            &format!("/{BUCKET}/{key}"),
            &[],
            key.as_bytes(),
        )
        .await
        .ok();
    }
    for key in odd {
        assert_eq!(bed.get(key, &[]).await.ok().body, key.as_bytes(), "{key}");
    }
    bed.call(Method::PUT, &format!("/{BUCKET}/{long}x"), &[], b"")
        .await
        .refused(400, "KeyTooLongError");
}

#[tokio::test]
async fn checksums_behind_a_chunked_body_are_verified() {
    let bed = Bed::new().await;
    let put = async |crc: &str| {
        let body = format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n");
        let headers = [
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "5"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        bed.call(
            Method::PUT,
            &format!("/{BUCKET}/k"),
            &headers,
            body.as_bytes(),
        )
        .await
    };
    // `printf hello | gzip -c | tail -c8 | head -c4`, turned around.
    let right = put("NhCmhg==").await.ok();
    assert_eq!(right.header("x-amz-checksum-crc32"), "NhCmhg==");
    put("AAAAAA==").await.refused(400, "BadDigest");
    let got = bed.get("k", &[]).await.ok();
    assert_eq!(
        (got.body.as_slice(), got.header("content-encoding")),
        (b"hello".as_slice(), "")
    );
}

#[tokio::test]
async fn numbers_out_of_range_are_refused() {
    let bed = Bed::new().await;
    let id = bed.create("k").await;
    bed.part("k", &id, 1, b"one").await.ok();
    let refused = async |method: Method, query: &str, headers: &[(&str, &str)]| {
        let answer = bed
            .call(method, &format!("/{BUCKET}{query}"), headers, b"")
            .await;
        assert!(
            (400..500).contains(&answer.status),
            "{query} {headers:?}: {answer:?}"
        );
    };
    for number in ["0", "-1", "10001", "99999999999999999999", "x", ""] {
        refused(
            Method::PUT,
            &format!("/k?partNumber={number}&uploadId={id}"),
            &[],
        )
        .await;
    }
    for query in [
        "max-parts=-1",
        "max-parts=x",
        "part-number-marker=x",
        "max-parts=99999999999",
    ] {
        refused(Method::GET, &format!("/k?uploadId={id}&{query}"), &[]).await;
    }
    for query in [
        "?list-type=2&max-keys=-1",
        "?max-keys=x",
        "?uploads&max-uploads=-1",
    ] {
        refused(Method::GET, query, &[]).await;
    }
    bed.call(Method::PUT, &format!("/{BUCKET}/k"), &[], b"x")
        .await
        .ok();
    for range in [
        "bytes=1-",
        "bytes=18446744073709551615-",
        "bytes=9223372036854775807-9223372036854775807",
        "bytes=-0",
    ] {
        refused(Method::GET, "/k", &[("range", range)]).await;
    }
    let id = bed.create("k").await;
    bed.part("k", &id, 1, b"one").await.ok();
    for size in ["-1", "4", "9223372036854775807"] {
        bed.complete("k", &id, &[("x-amz-mp-object-size", size)], &[(1, b"one")])
            .await
            .refused(400, "InvalidRequest");
    }
    let body = b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>";
    for body in [
        body.as_slice(),
        b"",
        b"<",
        b"<CompleteMultipartUpload/>",
        &[0xff; 100],
    ] {
        let answer = bed
            .call(
                Method::POST,
                &format!("/{BUCKET}/k?uploadId={id}"),
                &[],
                body,
            )
            .await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    assert_eq!(
        bed.parts("k", &id, "&part-number-marker=-5")
            .await
            .ok()
            .all("PartNumber"),
        ["1"]
    );
    assert_eq!(
        bed.parts("k", &id, "&max-parts=0")
            .await
            .ok()
            .one("IsTruncated"),
        "false"
    );
}

#[tokio::test]
async fn the_cause_of_a_failure_goes_to_the_log_and_not_to_the_client() {
    let bed = Bed::new().await;
    fs::remove_dir(bed.dir.join("tmp")).unwrap();
    let answer = bed
        .call(Method::PUT, &format!("/{BUCKET}/k"), &[], b"x")
        .await;
    answer.refused(500, "InternalError");
    assert!(!answer.text().contains("No such file"), "{}", answer.text());
    let log = String::from_utf8_lossy(&quiet().lock().unwrap_or_else(PoisonError::into_inner))
        .into_owned();
    assert!(log.contains("the embedded store failed: No such file"));
}

#[tokio::test]
async fn the_log_holds_no_signature_and_no_key() {
    let bed = Bed::new().await;
    bed.object("k").await;
    let request = bed.presign(Method::GET, &format!("/{BUCKET}/k"), &[]).await;
    let query = request.uri.query().unwrap().to_owned();
    let signature = query.split("X-Amz-Signature=").nth(1).unwrap().to_owned();
    bed.send(request.clone(), &[], Vec::new()).await.ok();
    bed.send(request, &[("x-amz-meta-a", "b")], Vec::new())
        .await
        .refused(403, "AccessDenied");
    let wrong = signer(
        &(bed.keys.0.clone(), "x".repeat(40)),
        RequestSigner::new("s3", REGION),
    );
    let mut forged = head(Method::GET, &bed.url("/"), &[]);
    wrong
        .sign(&mut forged, Some(Duration::from_mins(1)))
        .await
        .unwrap();
    bed.send(forged, &[], Vec::new())
        .await
        .refused(403, "SignatureDoesNotMatch");
    let log = quiet();
    let log =
        String::from_utf8_lossy(&log.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    assert!(!log.is_empty(), "something is logged at this level");
    for secret in [signature.as_str(), &bed.keys.1] {
        assert!(!log.contains(secret), "a secret in the log");
    }
    assert!(
        !log.lines().any(|line| line.contains(" s3s:")),
        "s3s writes to the log"
    );
}
