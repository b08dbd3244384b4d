//! An S3 client that reads and changes a bucket's objects and open multipart uploads. It shares no
//! code with the gateway's own store client.

use std::collections::BTreeMap;
use std::env;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{Method, StatusCode};
use reqsign_aws_v4::{Credential, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, Signer};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Runtime};

use super::{files, wait};

pub struct S3 {
    endpoint: String,
    bucket: String,
    region: String,
    keys: (String, String),
    client: reqwest::Client,
    signer: Signer<Credential>,
    runtime: Runtime,
}

const OBJECT_CREATED: &str = "<Event>s3:ObjectCreated:*</Event>";

pub struct Response {
    pub status: StatusCode,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// Returns true if the script that started the S3 server lists this feature as missing.
pub fn lacks(feature: &str) -> bool {
    env::var("UPLOAD_TEST_S3_LACKS")
        .is_ok_and(|missing| missing.split_whitespace().any(|name| name == feature))
}

impl S3 {
    pub fn new(
        endpoint: &str,
        bucket: &str,
        region: &str,
        access_key: &str,
        secret_key: &str,
    ) -> Self {
        let provider = StaticCredentialProvider::new(access_key, secret_key);
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            bucket: bucket.to_owned(),
            region: region.to_owned(),
            keys: (access_key.to_owned(), secret_key.to_owned()),
            // The server may close a connection that was idle during a long upload just when it is
            // used.
            client: reqwest::Client::builder()
                .http1_only()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .build()
                .unwrap(),
            signer: Signer::new(Context::new(), provider, RequestSigner::new("s3", region)),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
        }
    }

    /// The embedded store, from the file of `--store-credentials` in AWS's format.
    #[track_caller]
    pub fn from_credentials(text: &str) -> Self {
        let value = |wanted: &str| {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            let value = pairs
                .map(|(name, value)| (name.trim(), value.trim()))
                .find_map(|(name, value)| (name == wanted).then_some(value));
            value.unwrap_or_else(|| panic!("the credentials file lacks {wanted}"))
        };
        let (access_key, secret_key) = (value("aws_access_key_id"), value("aws_secret_access_key"));
        Self::new(
            value("endpoint_url"),
            "embedded",
            value("region"),
            access_key,
            secret_key,
        )
    }

    /// A new bucket on the S3 server that `scripts/test` started.
    #[track_caller]
    pub fn real(bucket: &str) -> Self {
        let value = |name: &str| {
            env::var(name).unwrap_or_else(|_| {
                panic!("{name} is not set: this test needs an S3 server; `scripts/test` starts one")
            })
        };
        let region = env::var("UPLOAD_TEST_S3_REGION").unwrap_or_else(|_| "us-east-1".to_owned());
        let s3 = Self::new(
            &value("UPLOAD_TEST_S3_ENDPOINT"),
            bucket,
            &region,
            &value("UPLOAD_TEST_S3_ACCESS_KEY"),
            &value("UPLOAD_TEST_S3_SECRET_KEY"),
        );
        let response = s3.request(&Method::PUT, &format!("/{bucket}"));
        assert!(
            response.status.is_success(),
            "cannot make a bucket: {}",
            response.text()
        );
        s3
    }

    /// The address of its endpoint.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        let address = self
            .endpoint
            .strip_prefix("http://")
            .expect("a plain HTTP endpoint");
        address.to_socket_addrs().unwrap().next().unwrap()
    }

    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Environment variables for the AWS credential chain.
    pub fn envs(&self) -> [(&str, &str); 3] {
        [
            ("AWS_ACCESS_KEY_ID", &self.keys.0),
            ("AWS_SECRET_ACCESS_KEY", &self.keys.1),
            ("AWS_REGION", &self.region),
        ]
    }

    /// Keys of all objects.
    #[track_caller]
    pub fn objects(&self) -> Vec<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listing {
            #[serde(default)]
            contents: Vec<Item>,
            is_truncated: bool,
        }
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after = keys.last().map_or_else(String::new, |key| {
                format!("&start-after={}", encoded(key).replace('/', "%2F"))
            });
            let listing: Listing = self.list(&format!("list-type=2{after}"));
            let count = keys.len();
            keys.extend(listing.contents.into_iter().map(|item| item.key));
            if !listing.is_truncated {
                return keys;
            }
            assert!(keys.len() > count, "the list of objects does not advance");
        }
    }

    /// Keys of all open multipart uploads.
    #[track_caller]
    pub fn open_uploads(&self) -> Vec<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listing {
            #[serde(default)]
            upload: Vec<Item>,
        }
        let listing: Listing = self.list("uploads=");
        listing.upload.into_iter().map(|item| item.key).collect()
    }

    #[track_caller]
    pub fn head(&self, key: &str) -> Response {
        let response = self.request(&Method::HEAD, &format!("/{}/{key}", self.bucket));
        assert!(
            response.status.is_success(),
            "HEAD {key}: {}",
            response.status
        );
        response
    }

    /// The access list of an object, as XML.
    #[track_caller]
    pub fn acl(&self, key: &str) -> String {
        let response = self.request(&Method::GET, &format!("/{}/{key}?acl=", self.bucket));
        assert!(response.status.is_success(), "{}", response.text());
        response.text()
    }

    /// The tags of an object.
    #[track_caller]
    pub fn tags(&self, key: &str) -> BTreeMap<String, String> {
        let response = self.request(&Method::GET, &format!("/{}/{key}?tagging=", self.bucket));
        assert!(response.status.is_success(), "{}", response.text());
        let tagging: Tagging = quick_xml::de::from_str(&response.text()).unwrap();
        let tags = tagging.tag_set.tag.into_iter();
        tags.map(|tag| (tag.key, tag.value)).collect()
    }

    #[track_caller]
    pub fn get(&self, key: &str) -> Vec<u8> {
        let response = self.request(&Method::GET, &format!("/{}/{key}", self.bucket));
        assert!(
            response.status.is_success(),
            "GET {key}: {} {}",
            response.status,
            response.text()
        );
        response.body
    }

    /// An object with any key.
    #[track_caller]
    pub fn get_encoded(&self, key: &str) -> Vec<u8> {
        self.get(&encoded(key))
    }

    #[track_caller]
    pub fn delete(&self, key: &str) {
        let response = self.request(&Method::DELETE, &format!("/{}/{key}", self.bucket));
        assert!(
            response.status.is_success(),
            "DELETE {key}: {}",
            response.status
        );
    }

    /// Begins a multipart upload.
    #[track_caller]
    pub fn create_upload(&self, key: &str) {
        let path = format!("/{}/{key}?uploads=", self.bucket);
        let response = self.request(&Method::POST, &path);
        assert!(response.status.is_success(), "{}", response.text());
    }

    /// Puts an object, replacing one at the same key.
    #[track_caller]
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let path = format!("/{}/{key}", self.bucket);
        let response = self.runtime.block_on(self.send(&Method::PUT, &path, bytes));
        assert!(
            response.status().is_success(),
            "PUT {key}: {}",
            response.status()
        );
    }

    /// Replaces the bytes of a part of the only open multipart upload.
    #[track_caller]
    pub fn replace_part(&self, number: u32, bytes: &[u8]) {
        let listing: OpenUploads = self.list("uploads=");
        let [OpenUpload { key, upload_id }] = listing.upload.as_slice() else {
            panic!("one open multipart upload expected")
        };
        let path = format!(
            "/{}/{key}?partNumber={number}&uploadId={upload_id}",
            self.bucket
        );
        let response = self.runtime.block_on(self.send(&Method::PUT, &path, bytes));
        assert!(
            response.status().is_success(),
            "part {number}: {}",
            response.status()
        );
    }

    /// Aborts every multipart upload, as a lifecycle rule of the bucket does.
    #[track_caller]
    pub fn abort_all_uploads(&self) {
        let listing: OpenUploads = self.list("uploads=");
        assert!(!listing.upload.is_empty(), "no open multipart upload");
        for OpenUpload { key, upload_id } in listing.upload {
            let path = format!("/{}/{key}?uploadId={upload_id}", self.bucket);
            // LocalStack may fail with 500 while a part of the same upload arrives. It may have
            // removed the upload nevertheless.
            let response = wait::until("the abort of a multipart upload", || {
                let response = self.request(&Method::DELETE, &path);
                (response.status != StatusCode::INTERNAL_SERVER_ERROR).then_some(response)
            });
            assert!(
                response.status.is_success() || response.status == StatusCode::NOT_FOUND,
                "abort: {} {}",
                response.status,
                response.text()
            );
        }
    }

    /// Asserts that there is exactly one object, with the file's bytes, and no open multipart
    /// upload.
    #[track_caller]
    pub fn assert_holds_only(&self, file: &Path) {
        let objects = self.objects();
        let [key] = objects.as_slice() else {
            panic!("one object expected: {objects:?}")
        };
        assert_eq!(
            self.sha256(key),
            files::sha256(file),
            "the object differs from the file"
        );
        self.assert_no_open_uploads();
    }

    #[track_caller]
    pub fn assert_no_open_uploads(&self) {
        assert_eq!(self.open_uploads(), [""; 0], "open multipart uploads");
    }

    #[track_caller]
    fn list<T: for<'de> Deserialize<'de>>(&self, query: &str) -> T {
        let response = self.request(&Method::GET, &format!("/{}?{query}", self.bucket));
        assert!(
            response.status.is_success(),
            "list {query}: {} {}",
            response.status,
            response.text()
        );
        quick_xml::de::from_str(&response.text())
            .unwrap_or_else(|error| panic!("{error}: {}", response.text()))
    }

    /// The SHA-256 of an object, read as a stream.
    #[track_caller]
    pub fn sha256(&self, key: &str) -> String {
        let mut all = Sha256::new();
        self.runtime.block_on(async {
            let mut response = self
                .send(&Method::GET, &format!("/{}/{key}", self.bucket), &[])
                .await;
            assert!(
                response.status().is_success(),
                "GET {key}: {}",
                response.status()
            );
            while let Some(block) = response.chunk().await.unwrap() {
                all.update(&block);
            }
        });
        files::hex(&all.finalize())
    }

    /// Makes a queue that receives the bucket's events; returns its URL. A message that was
    /// received twice and not deleted moves to the queue `NAME-dead`.
    #[track_caller]
    pub fn create_queue(&self, name: &str) -> String {
        let dead_letters = format!("{name}-dead");
        self.sqs("CreateQueue", &json!({ "QueueName": dead_letters }));
        let arn = |name: &str| format!("arn:aws:sqs:{}:000000000000:{name}", self.region);
        let redrive =
            json!({"deadLetterTargetArn": arn(&dead_letters), "maxReceiveCount": "2"}).to_string();
        // A message that is not deleted is delivered again after a second.
        let attributes = json!({"RedrivePolicy": redrive, "VisibilityTimeout": "1"});
        self.sqs(
            "CreateQueue",
            &json!({ "QueueName": name, "Attributes": attributes }),
        );
        self.notify(&format!(
            "<QueueConfiguration><Queue>{}</Queue>{OBJECT_CREATED}</QueueConfiguration>",
            arn(name)
        ));
        format!("{}/000000000000/{name}", self.endpoint)
    }

    /// Makes the store push the bucket's events to `url`, with HTTP authentication as `user` and
    /// `secret` as the password. Uses the topics of the SNS API, which Ceph implements.
    #[track_caller]
    pub fn push_events_to(&self, name: &str, url: &str, secret: &str) {
        let address = url.replace("://", &format!("://user:{secret}@"));
        let request = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", "CreateTopic"), ("Name", name)])
            .extend_pairs([
                ("Attributes.entry.1.key", "push-endpoint"),
                ("Attributes.entry.1.value", &address),
            ])
            .finish();
        // Ceph accepts a password over TLS only, or from a proxy that claims TLS.
        let form = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-forwarded-proto", "https"),
        ];
        let (status, body) = self.runtime.block_on(async {
            let response = self
                .send_with(
                    &self.signer_for("sns"),
                    &Method::POST,
                    "/",
                    &form,
                    request.into_bytes(),
                )
                .await;
            (response.status(), response.text().await.unwrap())
        });
        assert!(status.is_success(), "cannot make a topic: {status} {body}");
        let (_, arn) = body
            .split_once("<TopicArn>")
            .unwrap_or_else(|| panic!("no topic ARN: {body}"));
        let (arn, _) = arn.split_once('<').unwrap();
        self.notify(&format!(
            "<TopicConfiguration><Id>{name}</Id><Topic>{arn}</Topic>{OBJECT_CREATED}</TopicConfiguration>"
        ));
    }

    /// Sets the bucket's notification configuration.
    #[track_caller]
    fn notify(&self, target: &str) {
        let body = format!("<NotificationConfiguration>{target}</NotificationConfiguration>");
        let status = self.runtime.block_on(async {
            let path = format!("/{}?notification=", self.bucket);
            self.send_with(&self.signer, &Method::PUT, &path, &[], body.into_bytes())
                .await
                .status()
        });
        assert!(status.is_success(), "cannot configure events: {status}");
    }

    /// Lets the bucket keep versions from now on.
    #[track_caller]
    pub fn enable_versioning(&self) {
        let body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        let status = self.runtime.block_on(async {
            let path = format!("/{}?versioning=", self.bucket);
            let body = body.as_bytes().to_vec();
            self.send_with(&self.signer, &Method::PUT, &path, &[], body)
                .await
                .status()
        });
        assert!(status.is_success(), "cannot enable versioning: {status}");
    }

    /// Keys of all versions and delete markers.
    #[track_caller]
    pub fn versions(&self) -> Vec<String> {
        let response = self.request(&Method::GET, &format!("/{}?versions=", self.bucket));
        assert!(
            response.status.is_success(),
            "list versions: {}",
            response.status
        );
        let text = response.text();
        let keys = text.split("<Key>").skip(1);
        keys.filter_map(|rest| rest.split_once("</Key>"))
            .map(|(key, _)| key.to_owned())
            .collect()
    }

    #[track_caller]
    pub fn send_message(&self, queue: &str, body: &str) {
        self.sqs(
            "SendMessage",
            &json!({ "QueueUrl": queue, "MessageBody": body }),
        );
    }

    /// The number of messages in a queue, including those in flight.
    #[track_caller]
    pub fn count_messages(&self, queue: &str) -> u64 {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ];
        let attributes = self.sqs(
            "GetQueueAttributes",
            &json!({ "QueueUrl": queue, "AttributeNames": names }),
        );
        let count = |name: &str| {
            attributes["Attributes"][name]
                .as_str()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0)
        };
        names.into_iter().map(count).sum()
    }

    #[track_caller]
    fn sqs(&self, operation: &str, request: &Value) -> Value {
        let signer = self.signer_for("sqs");
        let target = format!("AmazonSQS.{operation}");
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", target.as_str()),
        ];
        self.runtime.block_on(async {
            let body = request.to_string().into_bytes();
            let response = self
                .send_with(&signer, &Method::POST, "/", &headers, body)
                .await;
            let (status, body) = (response.status(), response.bytes().await.unwrap());
            assert!(
                status.is_success(),
                "{operation}: {status} {}",
                String::from_utf8_lossy(&body)
            );
            if body.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&body).unwrap()
            }
        })
    }

    /// A signer for another service with the same keys.
    fn signer_for(&self, service: &str) -> Signer<Credential> {
        let provider = StaticCredentialProvider::new(&self.keys.0, &self.keys.1);
        Signer::new(
            Context::new(),
            provider,
            RequestSigner::new(service, &self.region),
        )
    }

    fn request(&self, method: &Method, path_and_query: &str) -> Response {
        self.runtime.block_on(async {
            let response = self.send(method, path_and_query, &[]).await;
            let status = response.status();
            let headers = response
                .headers()
                .iter()
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        value.to_str().unwrap_or_default().to_owned(),
                    )
                })
                .collect();
            Response {
                status,
                headers,
                body: response.bytes().await.unwrap().to_vec(),
            }
        })
    }

    async fn send(&self, method: &Method, path_and_query: &str, body: &[u8]) -> reqwest::Response {
        let checksum = BASE64_STANDARD.encode(Sha256::digest(body));
        // A body needs its checksum. Only HEAD asks for one, because Swift rejects the header on
        // other requests.
        let (with_checksum, asking_for_checksum) = (
            [("x-amz-checksum-sha256", checksum.as_str())],
            [("x-amz-checksum-mode", "ENABLED")],
        );
        let headers: &[_] = match (body.is_empty(), method.as_str()) {
            (false, _) => &with_checksum,
            (true, "HEAD") => &asking_for_checksum,
            (true, _) => &[],
        };
        self.send_with(&self.signer, method, path_and_query, headers, body.to_vec())
            .await
    }

    async fn send_with(
        &self,
        signer: &Signer<Credential>,
        method: &Method,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> reqwest::Response {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path_and_query}", self.endpoint))
            .header("x-amz-content-sha256", files::sha256_of(&body));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, body) = request.body(body).unwrap().into_parts();
        signer.sign(&mut parts, None).await.unwrap();
        let request = self
            .client
            .request(method.clone(), parts.uri.to_string())
            .headers(parts.headers);
        request.body(body).send().await.unwrap()
    }
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A key in the path of a URL.
pub fn encoded(key: &str) -> String {
    key.bytes().fold(String::new(), |encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            format!("{encoded}{}", char::from(byte))
        } else {
            format!("{encoded}%{byte:02X}")
        }
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tagging {
    tag_set: TagSet,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagSet {
    #[serde(default)]
    tag: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OpenUploads {
    #[serde(default)]
    upload: Vec<OpenUpload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OpenUpload {
    key: String,
    upload_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    key: String,
}
