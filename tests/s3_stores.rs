//! The S3 client (`crates/s3`) against a real S3 server of another project: the store enforces the
//! headers bound into a URL, and reports stored objects correctly.
//!
//! Not here: the server. A script of `scripts/stores` starts it and prints its address as
//! environment variables; without them these tests fail.

#![cfg(feature = "gateway")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use reqsign_aws_v4::{RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use tokio::task::JoinSet;
use upload_s3::{Capability, Fault, NewObject, ProbeDepth, Settings, Store, Support};
use upload_types::names::{Checksum, ETag, Key, PartNumber, Sha256};
use upload_types::wire::{CompletePart, PartSpec, Proof, SignedPut};
use url::Url;
use uuid::Uuid;

const URL_TTL: Duration = Duration::from_mins(5);
const CONTENT_TYPE: &str = "video/mp4";
const MIB: usize = 1 << 20;

/// Whether the store has no such feature, according to the script that started it.
fn lacks(feature: &str) -> bool {
    std::env::var("UPLOAD_TEST_S3_LACKS")
        .is_ok_and(|lacks| lacks.split_whitespace().any(|lack| lack == feature))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `eval \"$(scripts/stores/localstack.sh)\"` first (or garage.sh)"
        )
    })
}

/// An object without metadata of a user.
fn object<'a>(content_type: &'a str, token: &'a str) -> NewObject<'a> {
    static NO_METADATA: BTreeMap<String, String> = BTreeMap::new();
    NewObject {
        content_type,
        token,
        metadata: &NO_METADATA,
    }
}

/// A bucket of its own for each test.
struct Bucket {
    http: reqwest::Client,
    settings: Settings,
}

impl Bucket {
    async fn new() -> Self {
        let settings = Settings {
            bucket: format!("upload-test-{}", Uuid::new_v4().simple()),
            prefix: "some/prefix".into(),
            endpoint: Some(variable("UPLOAD_TEST_S3_ENDPOINT").parse::<Url>().unwrap()),
            public_endpoint: None,
            region: std::env::var("UPLOAD_TEST_S3_REGION").ok(),
            path_style: true,
            keys: Some((
                variable("UPLOAD_TEST_S3_ACCESS_KEY"),
                variable("UPLOAD_TEST_S3_SECRET_KEY"),
            )),
            create_headers: BTreeMap::new(),
            embedded: false,
            cdn: None,
            observer: upload_s3::unobserved,
        };
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .build()
            .unwrap();
        let bucket = Self { http, settings };
        let created = bucket.request("PUT", "").await;
        assert_eq!(created.status(), StatusCode::OK, "CreateBucket");
        bucket
    }

    fn store(&self) -> Store {
        Store::new(self.settings.clone()).unwrap()
    }

    /// Sends a signed request without a body, for operations that `Store` does not have.
    async fn request(&self, method: &str, path_and_query: &str) -> reqwest::Response {
        let Settings {
            bucket,
            endpoint,
            keys,
            region,
            ..
        } = &self.settings;
        let (access, secret) = keys.clone().unwrap();
        let url = format!("{}{bucket}{path_and_query}", endpoint.as_ref().unwrap());
        let request = http::Request::builder()
            .method(method)
            .uri(url)
            .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
            .body("");
        let (mut parts, body) = request.unwrap().into_parts();
        let region = region.as_deref().unwrap_or("us-east-1");
        let provider = StaticCredentialProvider::new(&access, &secret);
        Signer::new(Context::new(), provider, RequestSigner::new("s3", region))
            .sign(&mut parts, None)
            .await
            .unwrap();
        let request = http::Request::from_parts(parts, body);
        self.http
            .execute(request.try_into().unwrap())
            .await
            .unwrap()
    }

    /// Sends a body as a client does: with every signed header, and the true length of the body.
    async fn put(&self, signed: &SignedPut, body: &[u8]) -> (StatusCode, Option<ETag>) {
        assert_eq!(signed.method, "PUT");
        // hyper writes no length for an empty body.
        let mut request = self
            .http
            .put(signed.url.expose())
            .header("content-length", body.len())
            .body(body.to_vec());
        let headers = signed.headers.iter();
        for (name, value) in headers.filter(|(name, _)| *name != "content-length") {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let etag = response
            .headers()
            .get("etag")
            .map(|etag| ETag::from_header(etag.to_str().unwrap()).unwrap());
        (response.status(), etag)
    }

    async fn put_part(
        &self,
        store: &Store,
        key: &Key,
        upload_id: &str,
        number: u32,
        body: &[u8],
    ) -> CompletePart {
        let part = part_spec(number, body);
        let signed = sign_part(store, key, upload_id, &part).await;
        let (status, etag) = self.put(&signed, body).await;
        assert_eq!(status, StatusCode::OK, "part {number}");
        CompletePart {
            number: part.number,
            etag: etag.unwrap(),
            sha256: part.sha256,
        }
    }

    async fn assert_put_accepted(&self, signed: &SignedPut, body: &[u8]) {
        assert_eq!(self.put(signed, body).await.0, StatusCode::OK);
    }

    async fn assert_put_rejected(&self, signed: &SignedPut, body: &[u8]) {
        let (status, _) = self.put(signed, body).await;
        assert!(status.is_client_error(), "{status}");
    }
}

fn part_spec(number: u32, body: &[u8]) -> PartSpec {
    PartSpec {
        number: PartNumber::try_from(number).unwrap(),
        size: body.len() as u64,
        sha256: Sha256::of(body),
        md5: None,
    }
}

async fn sign_part(store: &Store, key: &Key, upload_id: &str, part: &PartSpec) -> SignedPut {
    let signed = store
        .sign_parts(key, upload_id, &[*part], |_| URL_TTL)
        .await;
    signed.unwrap().remove(0)
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

#[tokio::test]
async fn full_probe_finds_the_capabilities_and_leaves_nothing() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let profile = store.probe(ProbeDepth::Full, None).await.unwrap();
    let expected = |capability: Capability| match capability.name() {
        // LocalStack ignores the hash of the payload, and Garage rejects it.
        "payload" if lacks("payload") => Support::No,
        "payload" if lacks("if-none-match") => Support::Refused,
        name if lacks(name) => Support::No,
        "put-once" | "complete-once" if lacks("if-none-match") => Support::No,
        _ => Support::Yes,
    };
    for capability in Capability::ALL {
        assert_eq!(
            profile.support(capability),
            expected(capability),
            "{}: {}",
            capability.name(),
            profile.observed(capability)
        );
    }
    assert!(store.open_uploads(None).await.unwrap().0.is_empty());
    let listing = bucket.request("GET", "?list-type=2").await;
    let listing = listing.text().await.unwrap();
    assert!(
        listing.contains("ListBucketResult") && !listing.contains("<Key>"),
        "{listing}"
    );
}

#[tokio::test]
async fn multipart_upload_from_create_to_delete() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let key = key("uploads/o/na me+é=&?#%.bin");
    let object = object("video/mp4;  codecs=x", "token-1");
    let upload_id = store.create(&key, &object).await.unwrap();
    let bodies = [vec![1; 5 * MIB], b"the end".to_vec()];
    let parts = [
        bucket
            .put_part(&store, &key, &upload_id, 1, &bodies[0])
            .await,
        bucket
            .put_part(&store, &key, &upload_id, 2, &bodies[1])
            .await,
    ];
    let size = bodies.concat().len() as u64;

    let (listed, next) = store.list(&key, &upload_id, None).await.unwrap();
    assert_eq!((listed.len(), next), (2, None));
    for ((listed, sent), body) in listed.iter().zip(&parts).zip(&bodies) {
        assert_eq!(
            (listed.number, listed.size, &listed.etag, listed.sha256),
            (
                sent.number,
                body.len() as u64,
                &sent.etag,
                Some(sent.sha256)
            )
        );
    }
    let after_first = Some(PartNumber::FIRST);
    let (rest, _) = store.list(&key, &upload_id, after_first).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(store.find(&key).await.unwrap(), [upload_id.as_str()]);
    assert_eq!(store.head(&key).await.unwrap(), None);

    let mut wrong_etag = parts.clone();
    wrong_etag[1].etag = parts[0].etag.clone();
    let mut reversed = parts.clone();
    reversed.reverse();
    for wrong in [wrong_etag, reversed] {
        assert!(matches!(
            store.complete(&key, &upload_id, &wrong, size).await,
            Err(Fault::InvalidPart(_))
        ));
    }

    store
        .complete(&key, &upload_id, &parts, size)
        .await
        .unwrap();
    let head = store.head(&key).await.unwrap().unwrap();
    assert_eq!(head.size, size);
    let composite = Checksum::composite(parts.iter().map(|part| &part.sha256));
    assert_eq!(head.checksum, Some(composite));
    assert_eq!(head.token.as_deref(), Some("token-1"));
    assert_eq!(head.content_type.as_deref(), Some("video/mp4; codecs=x"));
    assert!(head.modified.is_some());

    assert!(matches!(
        store.list(&key, &upload_id, None).await,
        Err(Fault::NoSuchUpload)
    ));
    assert!(matches!(
        store.complete(&key, &upload_id, &parts, size).await,
        Err(Fault::NoSuchUpload)
    ));
    store.abort(&key, &upload_id).await.unwrap();
    assert!(store.find(&key).await.unwrap().is_empty());

    let file_name = "Ünder \"quotes\"; x.bin";
    let (url, _) = store.sign_get(&key, file_name, URL_TTL).await.unwrap();
    let response = bucket.http.get(url.expose()).send().await.unwrap();
    assert_eq!(
        response.headers()["content-disposition"].to_str().unwrap(),
        "attachment; filename=\"_nder _quotes_; x.bin\"; filename*=UTF-8''%C3%9Cnder%20%22quotes%22%3B%20x.bin"
    );
    assert_eq!(
        Sha256::of(&response.bytes().await.unwrap()),
        Sha256::of(&bodies.concat())
    );

    // A repeated DELETE succeeds, too.
    store.delete(&key).await.unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(store.head(&key).await.unwrap(), None);
}

#[tokio::test]
async fn part_with_other_bytes_than_signed_is_rejected() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let key = key("uploads/o/wrong");
    let object = object(CONTENT_TYPE, "t");
    let upload_id = store.create(&key, &object).await.unwrap();
    let body = b"right body".to_vec();
    let signed = sign_part(&store, &key, &upload_id, &part_spec(1, &body)).await;

    bucket.assert_put_rejected(&signed, b"wrong body").await;
    bucket
        .assert_put_rejected(&signed, b"right body and more")
        .await;
    let mut without_checksum = signed.clone();
    without_checksum.headers.remove("x-amz-checksum-sha256");
    bucket.assert_put_rejected(&without_checksum, &body).await;
    let mut forged = signed.clone();
    let forged_checksum = Sha256::of(b"wrong body").base64();
    let name = "x-amz-checksum-sha256".to_owned();
    forged.headers.insert(name, forged_checksum);
    bucket.assert_put_rejected(&forged, b"wrong body").await;
    let (listed, _) = store.list(&key, &upload_id, None).await.unwrap();
    assert!(listed.is_empty());

    bucket.assert_put_accepted(&signed, &body).await;
    store.abort(&key, &upload_id).await.unwrap();
    bucket.assert_put_rejected(&signed, &body).await;
    assert!(matches!(
        store.list(&key, &upload_id, None).await,
        Err(Fault::NoSuchUpload)
    ));
    assert_eq!(store.head(&key).await.unwrap(), None);
}

#[tokio::test]
async fn part_with_other_bytes_than_its_md5_is_rejected() {
    let bucket = Bucket::new().await;
    let store = bucket.store().with_proof(Proof::Md5);
    let key = key("uploads/o/md5");
    let object = object(CONTENT_TYPE, "t");
    let upload_id = store.create(&key, &object).await.unwrap();
    let part = PartSpec {
        md5: "XrY7u+Ae7tCTyyK7j1rNww==".parse().ok(),
        ..part_spec(1, b"hello world")
    };
    let signed = sign_part(&store, &key, &upload_id, &part).await;
    bucket.assert_put_rejected(&signed, b"hello_world").await;
    let (status, etag) = bucket.put(&signed, b"hello world").await;
    assert_eq!(status, StatusCode::OK);
    let part = CompletePart {
        number: part.number,
        etag: etag.unwrap(),
        sha256: part.sha256,
    };
    store.complete(&key, &upload_id, &[part], 11).await.unwrap();
    assert_eq!(store.head(&key).await.unwrap().unwrap().size, 11);
}

#[tokio::test]
async fn single_put_accepts_only_its_bytes_and_only_once() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let object = object(CONTENT_TYPE, "token-2");
    for body in [&b"one part"[..], b""] {
        let key = key(&format!("uploads/o/single-{}", body.len()));
        let part = part_spec(1, body);
        let signed = store.sign_put(&key, &object, &part, URL_TTL).await.unwrap();
        bucket.assert_put_rejected(&signed, b"one_part").await;
        let mut other_type = signed.clone();
        let name = "content-type".to_owned();
        other_type.headers.insert(name, "text/html".into());
        bucket.assert_put_rejected(&other_type, body).await;

        bucket.assert_put_accepted(&signed, body).await;
        let head = store.head(&key).await.unwrap().unwrap();
        assert_eq!(head.size, body.len() as u64);
        assert_eq!(head.checksum, Some(Checksum::whole(&part.sha256)));
        assert_eq!(head.token.as_deref(), Some("token-2"));
        assert_eq!(head.content_type.as_deref(), Some(CONTENT_TYPE));
        let expected = if lacks("if-none-match") {
            StatusCode::OK
        } else {
            StatusCode::PRECONDITION_FAILED
        };
        assert_eq!(bucket.put(&signed, body).await.0, expected);
    }
}

#[tokio::test]
async fn create_headers_are_sent_by_create_and_bound_into_single_put() {
    let mut bucket = Bucket::new().await;
    let headers = &mut bucket.settings.create_headers;
    headers.insert("x-amz-meta-demanded".into(), "yes".into());
    if !lacks("sse") {
        headers.insert("X-Amz-Server-Side-Encryption".into(), "AES256".into());
    }
    let store = bucket.store();
    let object = object(CONTENT_TYPE, "t");
    let (many_parts, single) = (key("uploads/o/many"), key("uploads/o/one"));
    let part = part_spec(1, b"x");

    let upload_id = store.create(&many_parts, &object).await.unwrap();
    let signed = sign_part(&store, &many_parts, &upload_id, &part).await;
    assert_eq!(
        signed.headers.keys().collect::<Vec<_>>(),
        ["content-length", "x-amz-checksum-sha256"]
    );
    let stored = bucket
        .put_part(&store, &many_parts, &upload_id, 1, b"x")
        .await;
    store
        .complete(&many_parts, &upload_id, &[stored], 1)
        .await
        .unwrap();

    let signed = store
        .sign_put(&single, &object, &part, URL_TTL)
        .await
        .unwrap();
    let mut without_header = signed.clone();
    without_header.headers.remove("x-amz-meta-demanded");
    bucket.assert_put_rejected(&without_header, b"x").await;
    bucket.assert_put_accepted(&signed, b"x").await;

    for key in [many_parts, single] {
        let head = bucket.request("HEAD", &format!("/some/prefix/{key}")).await;
        if !lacks("sse") {
            assert_eq!(head.headers()["x-amz-server-side-encryption"], "AES256");
        }
        assert_eq!(head.headers()["x-amz-meta-demanded"], "yes");
    }
}

#[tokio::test]
async fn parts_beyond_one_page_are_listed_page_by_page() {
    const CONCURRENT_PUTS: usize = 8;
    let bucket = Arc::new(Bucket::new().await);
    let store = bucket.store();
    let key = key("uploads/o/pages");
    let object = object(CONTENT_TYPE, "t");
    let upload_id = store.create(&key, &object).await.unwrap();
    let mut puts = JoinSet::new();
    for number in 1..=1003_u32 {
        if puts.len() == CONCURRENT_PUTS {
            puts.join_next().await.unwrap().unwrap();
        }
        let (bucket, store) = (bucket.clone(), store.clone());
        let (key, upload_id) = (key.clone(), upload_id.clone());
        puts.spawn(async move {
            let body = number.to_be_bytes();
            bucket
                .put_part(&store, &key, &upload_id, number, &body)
                .await
        });
    }
    puts.join_all().await;
    let (first, next) = store.list(&key, &upload_id, None).await.unwrap();
    assert_eq!((first.len(), next.map(PartNumber::get)), (1000, Some(1000)));
    let (second, next) = store.list(&key, &upload_id, next).await.unwrap();
    assert_eq!((second.len(), next), (3, None));
    for (part, number) in first.iter().chain(&second).zip(1_u32..) {
        let sha256 = Sha256::of(&number.to_be_bytes());
        assert_eq!((part.number.get(), part.sha256), (number, Some(sha256)));
    }
    store.abort(&key, &upload_id).await.unwrap();
}

#[tokio::test]
async fn find_returns_uploads_at_exactly_one_key() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let object = object(CONTENT_TYPE, "t");
    let (wanted, longer) = (key("uploads/o/found"), key("uploads/o/found.bin"));
    let mut created = Vec::new();
    for _ in 0..3 {
        created.push(store.create(&wanted, &object).await.unwrap());
        store.create(&longer, &object).await.unwrap();
    }
    // Stores that record whole seconds list the uploads of one second in any order.
    created.sort();
    let mut found = store.find(&wanted).await.unwrap();
    found.sort();
    assert_eq!(found, created);
    assert!(store.find(&key("uploads/o/foun")).await.unwrap().is_empty());
}

#[tokio::test]
async fn faults_of_unknown_upload_wrong_secret_missing_bucket_and_no_server_differ() {
    let mut bucket = Bucket::new().await;
    let store = bucket.store();
    let key = key("uploads/o/faults");
    let object = object(CONTENT_TYPE, "t");
    assert!(matches!(
        store.list(&key, "no-such-upload", None).await,
        Err(Fault::NoSuchUpload)
    ));

    let upload_id = store.create(&key, &object).await.unwrap();
    let mut wrong_secret = bucket.settings.clone();
    wrong_secret.keys.as_mut().unwrap().1.push('x');
    let wrong_secret = Store::new(wrong_secret).unwrap();
    let signed = sign_part(&wrong_secret, &key, &upload_id, &part_spec(1, b"x")).await;
    bucket.assert_put_rejected(&signed, b"x").await;

    bucket.settings.bucket.push('x');
    let Err(Fault::Refused(text)) = bucket.store().create(&key, &object).await else {
        panic!("the bucket does not exist")
    };
    assert!(
        text.starts_with("CreateMultipartUpload: 404 NoSuchBucket"),
        "{text}"
    );
    bucket.settings.endpoint = Some("http://127.0.0.1:1".parse().unwrap());
    let Err(Fault::Unavailable(text)) = bucket.store().head(&key).await else {
        panic!("no server listens on port 1")
    };
    assert!(
        text.starts_with("HeadObject: ") && !text.contains("faults"),
        "the text names the operation and no URL: {text}"
    );
}
