//! A bucket for each test, and signed requests to it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use reqsign_aws_v4::{RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use upload_s3::{NewObject, Settings, Store};
use upload_types::wire::{Attributes, CompletePart, PartSpec, SignedPut};
use upload_types::{ETag, Key, PartNumber, Sha256};
use url::Url;
use uuid::Uuid;

pub const URL_TTL: Duration = Duration::from_mins(5);
pub const CONTENT_TYPE: &str = "video/mp4";
pub const MIB: usize = 1 << 20;

/// Returns true if the store lacks a feature, according to the script that started it.
pub fn lacks(feature: &str) -> bool {
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

/// An object without user metadata.
pub fn object<'a>(content_type: &'a str, token: &'a str) -> NewObject<'a> {
    static NO_METADATA: BTreeMap<String, String> = BTreeMap::new();
    static NO_ATTRIBUTES: Attributes = Attributes::NONE;
    NewObject {
        content_type,
        name: "",
        token,
        metadata: &NO_METADATA,
        attributes: &NO_ATTRIBUTES,
    }
}

/// The bucket of one test.
pub struct Bucket {
    pub http: reqwest::Client,
    pub settings: Settings,
}

impl Bucket {
    pub async fn new() -> Self {
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
            network: upload_net::Network::default(),
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

    pub fn store(&self) -> Store {
        Store::new(self.settings.clone()).unwrap()
    }

    /// Sends a signed request without a body, for operations that `Store` does not have.
    pub async fn request(&self, method: &str, path_and_query: &str) -> reqwest::Response {
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
    pub async fn put(&self, signed: &SignedPut, body: &[u8]) -> (StatusCode, Option<ETag>) {
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

    pub async fn put_part(
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

    pub async fn assert_put_accepted(&self, signed: &SignedPut, body: &[u8]) {
        assert_eq!(self.put(signed, body).await.0, StatusCode::OK);
    }

    pub async fn assert_put_rejected(&self, signed: &SignedPut, body: &[u8]) {
        let (status, _) = self.put(signed, body).await;
        assert!(status.is_client_error(), "{status}");
    }
}

pub fn part_spec(number: u32, body: &[u8]) -> PartSpec {
    PartSpec {
        number: PartNumber::try_from(number).unwrap(),
        size: body.len() as u64,
        sha256: Sha256::of(body),
        md5: None,
    }
}

pub async fn sign_part(store: &Store, key: &Key, upload_id: &str, part: &PartSpec) -> SignedPut {
    let signed = store
        .sign_parts(key, upload_id, &[*part], |_| URL_TTL)
        .await;
    signed.unwrap().remove(0)
}

pub fn key(text: &str) -> Key {
    text.parse().unwrap()
}
