//! The store client against a real S3 server that nobody here wrote: what is bound into a URL is enforced, what was stored is
//! told truly.
//!
//! Border: the server is started by a script of `scripts/stores` and named in the environment; without one these tests fail.

#![cfg(feature = "gateway")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use reqsign_aws_v4::{RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use tokio::task::JoinSet;
use upload_s3::profile::{Capability, Held};
use upload_s3::{Depth, Fault, NewObject, Settings, Store};
use upload_types::names::{Checksum, ETag, Key, PartNumber, Sha256};
use upload_types::wire::{CompletePart, PartSpec, Proof, SignedPut};
use url::Url;
use uuid::Uuid;

const LIFE: Duration = Duration::from_mins(5);
const TYPE: &str = "video/mp4";

/// Whether the script that started the store says that it has no such feature.
fn lacks(feature: &str) -> bool {
    std::env::var("UPLOAD_TEST_S3_LACKS")
        .is_ok_and(|lacks| lacks.split_whitespace().any(|lack| lack == feature))
}

/// What an object without metadata of the user's is given.
fn object<'a>(content_type: &'a str, token: &'a str) -> NewObject<'a> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    NewObject {
        content_type,
        token,
        metadata: &NONE,
    }
}

/// A bucket of its own for each test.
struct Bench {
    http: reqwest::Client,
    settings: Settings,
}

impl Bench {
    async fn new() -> Self {
        let env = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!("{name} is not set: run `eval \"$(scripts/stores/localstack.sh)\"` first (or garage.sh)")
            })
        };
        let endpoint: Url = env("UPLOAD_TEST_S3_ENDPOINT").parse().unwrap();
        let settings = Settings {
            bucket: format!("upload-test-{}", Uuid::new_v4().simple()),
            prefix: "some/prefix".into(),
            endpoint: Some(endpoint),
            public_endpoint: None,
            region: std::env::var("UPLOAD_TEST_S3_REGION").ok(),
            path_style: true,
            keys: Some((
                env("UPLOAD_TEST_S3_ACCESS_KEY"),
                env("UPLOAD_TEST_S3_SECRET_KEY"),
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
        let bench = Self { http, settings };
        assert_eq!(
            bench.ask("PUT", "").await.status(),
            StatusCode::OK,
            "a bucket can be made"
        );
        bench
    }

    fn store(&self) -> Store {
        Store::new(self.settings.clone()).unwrap()
    }

    /// A request without a body, signed by itself: what the store client has no use for.
    async fn ask(&self, method: &str, path: &str) -> reqwest::Response {
        let Settings {
            bucket,
            endpoint,
            keys,
            region,
            ..
        } = &self.settings;
        let (access, secret) = keys.clone().unwrap();
        let url = format!("{}{bucket}{path}", endpoint.as_ref().unwrap());
        let request = http::Request::builder().method(method).uri(url);
        let (mut parts, body) = request
            .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
            .body("")
            .unwrap()
            .into_parts();
        let region = region.as_deref().unwrap_or("us-east-1");
        let provider = StaticCredentialProvider::new(&access, &secret);
        Signer::new(Context::new(), provider, RequestSigner::new("s3", region))
            .sign(&mut parts, None)
            .await
            .unwrap();
        self.http
            .execute(http::Request::from_parts(parts, body).try_into().unwrap())
            .await
            .unwrap()
    }

    /// Sends a body as the client does: every signed header but the length, which is the body's own.
    async fn put(&self, signed: &SignedPut, body: &[u8]) -> (StatusCode, Option<ETag>) {
        assert_eq!(signed.method, "PUT");
        // Without a body hyper writes no length by itself.
        let mut request = self
            .http
            .put(signed.url.expose())
            .header("content-length", body.len())
            .body(body.to_vec());
        for (name, value) in signed
            .headers
            .iter()
            .filter(|(name, _)| *name != "content-length")
        {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let etag = response
            .headers()
            .get("etag")
            .map(|etag| ETag::from_header(etag.to_str().unwrap()).unwrap());
        (response.status(), etag)
    }

    /// Signs, sends and tells of one part.
    async fn part(
        &self,
        store: &Store,
        key: &Key,
        upload: &str,
        number: u32,
        body: &[u8],
    ) -> CompletePart {
        let spec = spec(number, body);
        let signed = sign(store, key, upload, &spec).await;
        let (status, etag) = self.put(&signed, body).await;
        assert_eq!(status, StatusCode::OK, "part {number}");
        CompletePart {
            number: spec.number,
            etag: etag.unwrap(),
            sha256: spec.sha256,
        }
    }

    /// Asserts that a body is refused.
    async fn refused(&self, signed: &SignedPut, body: &[u8]) {
        let (status, _) = self.put(signed, body).await;
        assert!(status.is_client_error(), "{status}");
    }
}

fn spec(number: u32, body: &[u8]) -> PartSpec {
    let number = PartNumber::try_from(number).unwrap();
    PartSpec {
        number,
        size: body.len() as u64,
        sha256: Sha256::of(body),
        md5: None,
    }
}

/// Presigns one part.
async fn sign(store: &Store, key: &Key, upload: &str, spec: &PartSpec) -> SignedPut {
    store
        .sign_parts(key, upload, &[*spec], |_| LIFE)
        .await
        .unwrap()
        .remove(0)
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_full_probe_finds_what_the_store_can_be_held_to_and_leaves_nothing() {
    let bench = Bench::new().await;
    let store = bench.store();
    let profile = store.probe(Depth::Full, None).await.unwrap();
    let expected = |capability: Capability| match capability.name() {
        // What is signed over as the payload's hash LocalStack does not look at, and Garage does not take.
        "payload" if lacks("payload") => Held::No,
        "payload" if lacks("if-none-match") => Held::Refused,
        name if lacks(name) => Held::No,
        "put-once" | "complete-once" if lacks("if-none-match") => Held::No,
        _ => Held::Yes,
    };
    for capability in Capability::ALL {
        let (held, did) = (profile.held(capability), profile.did(capability));
        assert_eq!(held, expected(capability), "{}: {did}", capability.name());
    }
    assert!(store.open_uploads(None).await.unwrap().0.is_empty());
    let left = bench.ask("GET", "?list-type=2").await.text().await.unwrap();
    assert!(
        left.contains("ListBucketResult") && !left.contains("<Key>"),
        "{left}"
    );
}

#[tokio::test]
async fn a_multipart_upload_from_create_to_head() {
    let bench = Bench::new().await;
    let store = bench.store();
    let key = key("uploads/o/na me+é=&?#%.bin");
    let upload = store
        .create(&key, &object("video/mp4;  codecs=x", "token-1"))
        .await
        .unwrap();
    let first = vec![1; 5 << 20];
    let last = b"the end".to_vec();
    let parts = [
        bench.part(&store, &key, &upload, 1, &first).await,
        bench.part(&store, &key, &upload, 2, &last).await,
    ];

    let (listed, next) = store.list(&key, &upload, None).await.unwrap();
    assert_eq!(next, None);
    assert_eq!(
        listed
            .iter()
            .map(|part| (part.number.get(), part.size))
            .collect::<Vec<_>>(),
        [(1, 5 << 20), (2, 7)]
    );
    for (listed, sent) in listed.iter().zip(&parts) {
        assert_eq!(listed.sha256, Some(sent.sha256));
        assert_eq!(listed.etag, sent.etag);
    }
    assert_eq!(
        store
            .list(&key, &upload, Some(PartNumber::FIRST))
            .await
            .unwrap()
            .0
            .len(),
        1
    );
    assert_eq!(store.find(&key).await.unwrap(), [upload.as_str()]);
    assert_eq!(store.head(&key).await.unwrap(), None);

    let size = (5 << 20) + 7;
    let mut wrong = parts.clone();
    wrong[1].etag = parts[0].etag.clone();
    assert!(matches!(
        store.complete(&key, &upload, &wrong, size).await,
        Err(Fault::InvalidPart(_))
    ));
    let mut reversed = parts.clone();
    reversed.reverse();
    assert!(matches!(
        store.complete(&key, &upload, &reversed, size).await,
        Err(Fault::InvalidPart(_))
    ));

    store.complete(&key, &upload, &parts, size).await.unwrap();
    let head = store.head(&key).await.unwrap().unwrap();
    assert_eq!(head.size, size);
    assert_eq!(
        head.checksum,
        Some(Checksum::composite(parts.iter().map(|part| &part.sha256)))
    );
    assert_eq!(head.token.as_deref(), Some("token-1"));
    assert_eq!(head.content_type.as_deref(), Some("video/mp4; codecs=x"));
    assert!(head.modified.is_some());

    assert!(matches!(
        store.list(&key, &upload, None).await,
        Err(Fault::NoSuchUpload)
    ));
    assert!(matches!(
        store.complete(&key, &upload, &parts, size).await,
        Err(Fault::NoSuchUpload)
    ));
    store.abort(&key, &upload).await.unwrap();
    assert!(store.find(&key).await.unwrap().is_empty());

    let (url, _) = store
        .sign_get(&key, "Ünder \"quotes\"; x.bin", LIFE)
        .await
        .unwrap();
    let response = bench.http.get(url.expose()).send().await.unwrap();
    assert_eq!(
        response.headers()["content-disposition"].to_str().unwrap(),
        "attachment; filename=\"_nder _quotes_; x.bin\"; filename*=UTF-8''%C3%9Cnder%20%22quotes%22%3B%20x.bin"
    );
    assert_eq!(
        Sha256::of(&response.bytes().await.unwrap()),
        Sha256::of(&[first, last].concat())
    );

    store.delete(&key).await.unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(store.head(&key).await.unwrap(), None);
}

#[tokio::test]
async fn other_bytes_than_those_signed_are_refused() {
    let bench = Bench::new().await;
    let store = bench.store();
    let key = key("uploads/o/wrong");
    let upload = store.create(&key, &object(TYPE, "t")).await.unwrap();
    let right = b"right body".to_vec();
    let signed = sign(&store, &key, &upload, &spec(1, &right)).await;

    bench.refused(&signed, b"wrong body").await;
    bench.refused(&signed, b"right body and more").await;
    let mut bare = signed.clone();
    bare.headers.remove("x-amz-checksum-sha256");
    bench.refused(&bare, &right).await;
    let mut forged = signed.clone();
    forged.headers.insert(
        "x-amz-checksum-sha256".into(),
        Sha256::of(b"wrong body").base64(),
    );
    bench.refused(&forged, b"wrong body").await;
    assert!(store.list(&key, &upload, None).await.unwrap().0.is_empty());

    assert_eq!(bench.put(&signed, &right).await.0, StatusCode::OK);
    store.abort(&key, &upload).await.unwrap();
    bench.refused(&signed, &right).await;
    assert!(matches!(
        store.list(&key, &upload, None).await,
        Err(Fault::NoSuchUpload)
    ));
    assert_eq!(store.head(&key).await.unwrap(), None);
}

#[tokio::test]
async fn a_part_bound_by_md5_is_refused_otherwise() {
    let bench = Bench::new().await;
    let store = bench.store().with_proof(Proof::Md5);
    let key = key("uploads/o/md5");
    let upload = store.create(&key, &object(TYPE, "t")).await.unwrap();
    let md5 = Some("XrY7u+Ae7tCTyyK7j1rNww==".parse().unwrap());
    let spec = PartSpec {
        md5,
        ..spec(1, b"hello world")
    };
    let signed = sign(&store, &key, &upload, &spec).await;
    bench.refused(&signed, b"hello_world").await;
    let (status, etag) = bench.put(&signed, b"hello world").await;
    assert_eq!(status, StatusCode::OK);
    let part = CompletePart {
        number: spec.number,
        etag: etag.unwrap(),
        sha256: spec.sha256,
    };
    store.complete(&key, &upload, &[part], 11).await.unwrap();
    assert_eq!(store.head(&key).await.unwrap().unwrap().size, 11);
}

#[tokio::test]
async fn a_single_put_is_bound_to_its_bytes_and_to_an_empty_key() {
    let bench = Bench::new().await;
    let store = bench.store();
    for body in [&b"one part"[..], b""] {
        let key = key(&format!("uploads/o/single-{}", body.len()));
        let signed = store
            .sign_put(&key, &object(TYPE, "token-2"), &spec(1, body), LIFE)
            .await
            .unwrap();
        bench.refused(&signed, b"one_part").await;
        let mut other_type = signed.clone();
        other_type
            .headers
            .insert("content-type".into(), "text/html".into());
        bench.refused(&other_type, body).await;

        assert_eq!(bench.put(&signed, body).await.0, StatusCode::OK);
        let head = store.head(&key).await.unwrap().unwrap();
        assert_eq!(head.size, body.len() as u64);
        assert_eq!(head.checksum, Some(Checksum::whole(&Sha256::of(body))));
        assert_eq!(head.token.as_deref(), Some("token-2"));
        assert_eq!(head.content_type.as_deref(), Some(TYPE));
        let again = if lacks("if-none-match") {
            StatusCode::OK
        } else {
            StatusCode::PRECONDITION_FAILED
        };
        assert_eq!(bench.put(&signed, body).await.0, again);
    }
}

#[tokio::test]
async fn what_the_bucket_demands_is_bound_into_create_and_single_put() {
    let mut bench = Bench::new().await;
    bench.settings.create_headers = BTreeMap::from([("x-amz-meta-demanded".into(), "yes".into())]);
    if !lacks("sse") {
        bench
            .settings
            .create_headers
            .insert("X-Amz-Server-Side-Encryption".into(), "AES256".into());
    }
    let store = bench.store();
    let (many, one) = (key("uploads/o/many"), key("uploads/o/one"));

    let upload = store.create(&many, &object(TYPE, "t")).await.unwrap();
    let signed = sign(&store, &many, &upload, &spec(1, b"x")).await;
    assert_eq!(
        signed.headers.keys().collect::<Vec<_>>(),
        ["content-length", "x-amz-checksum-sha256"]
    );
    let part = bench.part(&store, &many, &upload, 1, b"x").await;
    store.complete(&many, &upload, &[part], 1).await.unwrap();

    let signed = store
        .sign_put(&one, &object(TYPE, "t"), &spec(1, b"x"), LIFE)
        .await
        .unwrap();
    let mut bare = signed.clone();
    bare.headers.remove("x-amz-meta-demanded");
    bench.refused(&bare, b"x").await;
    assert_eq!(bench.put(&signed, b"x").await.0, StatusCode::OK);

    for key in [many, one] {
        let head = bench.ask("HEAD", &format!("/some/prefix/{key}")).await;
        if !lacks("sse") {
            assert_eq!(head.headers()["x-amz-server-side-encryption"], "AES256");
        }
        // The other header was not asked for by S3, but by whoever runs the bucket.
        assert_eq!(head.headers()["x-amz-meta-demanded"], "yes");
    }
}

#[tokio::test]
async fn more_than_a_page_of_parts_is_listed_page_by_page() {
    let bench = Arc::new(Bench::new().await);
    let store = bench.store();
    let key = key("uploads/o/pages");
    let upload = store.create(&key, &object(TYPE, "t")).await.unwrap();
    let mut running = JoinSet::new();
    for number in 1..=1003_u32 {
        if running.len() == 8 {
            running.join_next().await.unwrap().unwrap();
        }
        let (bench, store, key, upload) =
            (bench.clone(), store.clone(), key.clone(), upload.clone());
        running.spawn(async move {
            bench
                .part(&store, &key, &upload, number, &number.to_be_bytes())
                .await
        });
    }
    running.join_all().await;
    let (first, next) = store.list(&key, &upload, None).await.unwrap();
    assert_eq!((first.len(), next.map(PartNumber::get)), (1000, Some(1000)));
    let (second, next) = store.list(&key, &upload, next).await.unwrap();
    assert_eq!((second.len(), next), (3, None));
    for (part, number) in first.iter().chain(&second).zip(1_u32..) {
        assert_eq!(
            (part.number.get(), part.sha256),
            (number, Some(Sha256::of(&number.to_be_bytes())))
        );
    }
    store.abort(&key, &upload).await.unwrap();
}

#[tokio::test]
async fn uploads_at_exactly_one_key_are_found() {
    let bench = Bench::new().await;
    let store = bench.store();
    let (wanted, longer) = (key("uploads/o/found"), key("uploads/o/found.bin"));
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(store.create(&wanted, &object(TYPE, "t")).await.unwrap());
        store.create(&longer, &object(TYPE, "t")).await.unwrap();
    }
    // Stores that keep whole seconds put those of one second in any order.
    made.sort();
    let mut found = store.find(&wanted).await.unwrap();
    found.sort();
    assert_eq!(found, made);
    assert!(store.find(&key("uploads/o/foun")).await.unwrap().is_empty());
}

#[tokio::test]
async fn faults_are_told_apart() {
    let mut bench = Bench::new().await;
    let store = bench.store();
    let key = key("uploads/o/faults");
    assert!(matches!(
        store.list(&key, "no-such-upload", None).await,
        Err(Fault::NoSuchUpload)
    ));

    let upload = store.create(&key, &object(TYPE, "t")).await.unwrap();
    let mut other = bench.settings.clone();
    other.keys.as_mut().unwrap().1.push('x');
    let signed = sign(&Store::new(other).unwrap(), &key, &upload, &spec(1, b"x")).await;
    bench.refused(&signed, b"x").await;

    bench.settings.bucket.push('x');
    let Err(Fault::Refused(text)) = bench.store().create(&key, &object(TYPE, "t")).await else {
        panic!("there is no such bucket")
    };
    assert!(
        text.starts_with("CreateMultipartUpload: 404 NoSuchBucket"),
        "{text}"
    );
    bench.settings.endpoint = Some("http://127.0.0.1:1".parse().unwrap());
    let Err(Fault::Unavailable(text)) = bench.store().head(&key).await else {
        panic!("nobody listens there")
    };
    assert!(
        text.starts_with("HeadObject: ") && !text.contains("faults"),
        "{text}"
    );
}
