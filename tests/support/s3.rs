//! A bucket as any S3 client sees it: what it holds, and what lies about half done.
//!
//! Border: the S3 protocol with a signer nobody here wrote; it shares no code with the gateway's own store client.

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

use super::files;

pub struct S3 {
    endpoint: String,
    bucket: String,
    region: String,
    keys: (String, String),
    client: reqwest::Client,
    signer: Signer<Credential>,
    runtime: Runtime,
}

const CREATED: &str = "<Event>s3:ObjectCreated:*</Event>";

/// An answer, read whole.
pub struct Response {
    pub status: StatusCode,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// Whether the script that started the real store says that it has no such feature.
pub fn lacks(feature: &str) -> bool {
    env::var("UPLOAD_TEST_S3_LACKS")
        .is_ok_and(|lacks| lacks.split_whitespace().any(|lack| lack == feature))
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
            // A connection that lay idle during a long upload may be closed at the moment it is used again.
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

    /// The embedded store, as the file of `--store-credentials` describes it in AWS's own form.
    #[track_caller]
    pub fn from_credentials(text: &str) -> Self {
        let value = |wanted: &str| {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            let value = pairs
                .map(|(name, value)| (name.trim(), value.trim()))
                .find_map(|(name, value)| (name == wanted).then_some(value));
            value.unwrap_or_else(|| panic!("the credentials file names no {wanted}"))
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
                panic!("{name} is not set: this test needs a real S3 store; `scripts/test` starts one and names it")
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
        let answer = s3.request(&Method::PUT, &format!("/{bucket}"));
        assert!(
            answer.status.is_success(),
            "cannot make a bucket: {}",
            answer.text()
        );
        s3
    }

    /// Where its endpoint listens.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        let place = self
            .endpoint
            .strip_prefix("http://")
            .expect("an endpoint in plain HTTP");
        place.to_socket_addrs().unwrap().next().unwrap()
    }

    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Environment that leads the AWS credential chain here.
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
        let listing: Listing = self.list("list-type=2");
        assert!(
            !listing.is_truncated,
            "more objects than a test should make"
        );
        listing.contents.into_iter().map(|item| item.key).collect()
    }

    /// Keys of all multipart uploads that were begun and neither completed nor aborted.
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
        let answer = self.request(&Method::HEAD, &format!("/{}/{key}", self.bucket));
        assert!(answer.status.is_success(), "HEAD {key}: {}", answer.status);
        answer
    }

    #[track_caller]
    pub fn get(&self, key: &str) -> Vec<u8> {
        let answer = self.request(&Method::GET, &format!("/{}/{key}", self.bucket));
        assert!(
            answer.status.is_success(),
            "GET {key}: {} {}",
            answer.status,
            answer.text()
        );
        answer.body
    }

    /// Puts other bytes in the place of a part of the one multipart upload that is open.
    #[track_caller]
    pub fn replace_part(&self, number: u32, bytes: &[u8]) {
        let listing: Open = self.list("uploads=");
        let [Pending { key, upload_id }] = listing.upload.as_slice() else {
            panic!("one open upload expected")
        };
        let place = format!(
            "/{}/{key}?partNumber={number}&uploadId={upload_id}",
            self.bucket
        );
        let answer = self
            .runtime
            .block_on(self.send(&Method::PUT, &place, bytes));
        assert!(
            answer.status().is_success(),
            "part {number}: {}",
            answer.status()
        );
    }

    /// Aborts every multipart upload, as a rule of the bucket's lifecycle does.
    #[track_caller]
    pub fn abort_all_uploads(&self) {
        let listing: Open = self.list("uploads=");
        assert!(!listing.upload.is_empty(), "no open upload");
        for Pending { key, upload_id } in listing.upload {
            let answer = self.request(
                &Method::DELETE,
                &format!("/{}/{key}?uploadId={upload_id}", self.bucket),
            );
            assert!(
                answer.status.is_success(),
                "abort: {} {}",
                answer.status,
                answer.text()
            );
        }
    }

    /// Asserts that there is exactly one object, with the file's bytes, and no multipart upload.
    #[track_caller]
    pub fn assert_holds_only(&self, file: &Path) {
        let objects = self.objects();
        let [key] = objects.as_slice() else {
            panic!("one object expected: {objects:?}")
        };
        assert_eq!(
            self.sha256(key),
            files::sha256(file),
            "the object is not the file"
        );
        self.assert_no_open_uploads();
    }

    #[track_caller]
    pub fn assert_no_open_uploads(&self) {
        assert_eq!(self.open_uploads(), [""; 0], "multipart uploads left open");
    }

    #[track_caller]
    fn list<T: for<'de> Deserialize<'de>>(&self, query: &str) -> T {
        let answer = self.request(&Method::GET, &format!("/{}?{query}", self.bucket));
        assert!(
            answer.status.is_success(),
            "list {query}: {} {}",
            answer.status,
            answer.text()
        );
        quick_xml::de::from_str(&answer.text())
            .unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
    }

    /// Of an object's bytes, which are read and not kept.
    #[track_caller]
    pub fn sha256(&self, key: &str) -> String {
        let mut all = Sha256::new();
        self.runtime.block_on(async {
            let mut answer = self
                .send(&Method::GET, &format!("/{}/{key}", self.bucket), &[])
                .await;
            assert!(
                answer.status().is_success(),
                "GET {key}: {}",
                answer.status()
            );
            while let Some(block) = answer.chunk().await.unwrap() {
                all.update(&block);
            }
        });
        files::hex(&all.finalize())
    }

    /// A queue that is told of every object created in the bucket; what was delivered twice in vain goes to NAME-dead.
    /// Gives its URL.
    #[track_caller]
    pub fn queue(&self, name: &str) -> String {
        let dead = format!("{name}-dead");
        self.sqs("CreateQueue", &json!({ "QueueName": dead }));
        let arn = |name: &str| format!("arn:aws:sqs:{}:000000000000:{name}", self.region);
        let redrive =
            json!({"deadLetterTargetArn": arn(&dead), "maxReceiveCount": "2"}).to_string();
        // What is left is delivered again after a second.
        let attributes = json!({"RedrivePolicy": redrive, "VisibilityTimeout": "1"});
        self.sqs(
            "CreateQueue",
            &json!({ "QueueName": name, "Attributes": attributes }),
        );
        self.tell(&format!(
            "<QueueConfiguration><Queue>{}</Queue>{CREATED}</QueueConfiguration>",
            arn(name)
        ));
        format!("{}/000000000000/{name}", self.endpoint)
    }

    /// Has the store push to `url` of every object that is created here, as the user `user` with this password: a topic of SNS's
    /// API, as Ceph has it.
    #[track_caller]
    pub fn push_to(&self, name: &str, url: &str, secret: &str) {
        let address = url.replace("://", &format!("://user:{secret}@"));
        let ask = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", "CreateTopic"), ("Name", name)])
            .extend_pairs([
                ("Attributes.entry.1.key", "push-endpoint"),
                ("Attributes.entry.1.value", &address),
            ])
            .finish();
        // Ceph takes a password from who comes over TLS, or from a proxy that says so.
        let form = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-forwarded-proto", "https"),
        ];
        let (status, said) = self.runtime.block_on(async {
            let answer = self
                .send_with(
                    &self.signer_of("sns"),
                    &Method::POST,
                    "/",
                    &form,
                    ask.into_bytes(),
                )
                .await;
            (answer.status(), answer.text().await.unwrap())
        });
        assert!(status.is_success(), "no topic: {status} {said}");
        let (_, arn) = said
            .split_once("<TopicArn>")
            .unwrap_or_else(|| panic!("no topic: {said}"));
        let (arn, _) = arn.split_once('<').unwrap();
        self.tell(&format!(
            "<TopicConfiguration><Id>{name}</Id><Topic>{arn}</Topic>{CREATED}</TopicConfiguration>"
        ));
    }

    /// Whom the bucket tells of what is created.
    #[track_caller]
    fn tell(&self, whom: &str) {
        let whom = format!("<NotificationConfiguration>{whom}</NotificationConfiguration>");
        let status = self.runtime.block_on(async {
            let path = format!("/{}?notification=", self.bucket);
            self.send_with(&self.signer, &Method::PUT, &path, &[], whom.into_bytes())
                .await
                .status()
        });
        assert!(status.is_success(), "the bucket does not tell: {status}");
    }

    #[track_caller]
    pub fn send_message(&self, queue: &str, body: &str) {
        self.sqs(
            "SendMessage",
            &json!({ "QueueUrl": queue, "MessageBody": body }),
        );
    }

    /// Messages in a queue, delivered or not.
    #[track_caller]
    pub fn messages(&self, queue: &str) -> u64 {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ];
        let said = self.sqs(
            "GetQueueAttributes",
            &json!({ "QueueUrl": queue, "AttributeNames": names }),
        );
        let count = |name: &str| {
            said["Attributes"][name]
                .as_str()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0)
        };
        names.into_iter().map(count).sum()
    }

    #[track_caller]
    fn sqs(&self, operation: &str, ask: &Value) -> Value {
        let signer = self.signer_of("sqs");
        let target = format!("AmazonSQS.{operation}");
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", target.as_str()),
        ];
        self.runtime.block_on(async {
            let body = ask.to_string().into_bytes();
            let answer = self
                .send_with(&signer, &Method::POST, "/", &headers, body)
                .await;
            let (status, body) = (answer.status(), answer.bytes().await.unwrap());
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

    /// Signs for another service of the same keys.
    fn signer_of(&self, service: &str) -> Signer<Credential> {
        let provider = StaticCredentialProvider::new(&self.keys.0, &self.keys.1);
        Signer::new(
            Context::new(),
            provider,
            RequestSigner::new(service, &self.region),
        )
    }

    fn request(&self, method: &Method, path_and_query: &str) -> Response {
        self.runtime.block_on(async {
            let answer = self.send(method, path_and_query, &[]).await;
            let status = answer.status();
            let headers = answer
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
                body: answer.bytes().await.unwrap().to_vec(),
            }
        })
    }

    async fn send(&self, method: &Method, path_and_query: &str, body: &[u8]) -> reqwest::Response {
        let checksum = BASE64_STANDARD.encode(Sha256::digest(body));
        // The checksum is what a part is sent with; of nothing, nothing is said. Swift minds its mode anywhere but where it means
        // something.
        let (sent, asked) = (
            [("x-amz-checksum-sha256", checksum.as_str())],
            [("x-amz-checksum-mode", "ENABLED")],
        );
        let headers: &[_] = match (body.is_empty(), method.as_str()) {
            (false, _) => &sent,
            (true, "HEAD") => &asked,
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Open {
    #[serde(default)]
    upload: Vec<Pending>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pending {
    key: String,
    upload_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    key: String,
}
