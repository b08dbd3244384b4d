//! A gateway over an embedded store in this process, with a plain HTTP client.

pub use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
pub use std::time::Duration;

pub use reqwest::{Method, Response, StatusCode};
pub use serde::Serialize;
pub use serde::de::DeserializeOwned;
pub use tempfile::TempDir;
pub use upload_embedded_store::{BUCKET, REGION};
pub use upload_gateway::{
    Auth, ClientKeys, Config, Hook, HookKind, Ledger, LedgerConfig, LimitRule, OnReject,
    OwnerLimits, ProbePolicy, Quota, Rate, RateLimit, Running, StoreConfig, SubjectUse,
};
pub use upload_s3::{NewObject, Settings, Store, WriteCondition};
pub use upload_types::error::Kind;
pub use upload_types::wire::{
    Attributes, BackendInfo, BatchBegin, BatchBody, BatchComplete, BatchOutcome, BatchRequest,
    BatchResponse, BeginRequest, BeginResponse, ClaimRequest, ClaimResponse, CompletePart,
    CompleteRequest, CompleteResponse, MAX_BATCH_PRESENT, ObjectState, PROTOCOL_HEADER, PartList,
    PartSpec, Problem, Proof, ReadUrl, Receipt, SignRequest, SignResponse, SignedPart, UploadList,
    UploadState, UploadStatus,
};
pub use upload_types::{Checksum, ETag, PartNumber, Sha256, UploadId};

/// An object without user metadata.
pub fn new_object<'a>(content_type: &'a str, token: &'a str) -> NewObject<'a> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    static NO_ATTRIBUTES: Attributes = Attributes::NONE;
    NewObject {
        content_type,
        name: "",
        token,
        metadata: &NONE,
        attributes: &NO_ATTRIBUTES,
    }
}

pub const MIB: u64 = 1 << 20;

/// A running gateway with its directory, and a client that may have a token.
pub struct TestGateway {
    pub dir: TempDir,
    pub running: Running,
    pub client: reqwest::Client,
    pub token: Option<String>,
}

pub fn config(dir: &Path, auth: Auth) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        metrics_listen: None,
        public_url: None,
        cdn_url: None,
        store: StoreConfig::Embedded {
            dir: dir.join("store"),
        },
        store_credentials_file: Some(dir.join("credentials")),
        store_presigned_puts: false,
        ledger: LedgerConfig::Sqlite(dir.join("ledger.db")),
        auth,
        companion_path: None,
        allow_origins: Vec::new(),
        rate: None,
        quota: Quota::default(),
        limit_rules: Vec::new(),
        subjects: SubjectUse::default(),
        allow_types: vec!["*/*".to_owned()],
        allow_attributes: BTreeSet::new(),
        client_keys: ClientKeys::None,
        max_size: None,
        url_ttl: Duration::from_mins(15),
        upload_ttl: Duration::from_hours(24),
        lease_ttl: Duration::from_mins(1),
        keep_ended: None,
        sweep_interval: Some(Duration::from_hours(1)),
        events: None,
        report_orphans: false,
        sse: None,
        required_headers: Vec::new(),
        probe: ProbePolicy::Off,
        proof: Some(Proof::Sha256),
        hooks: Vec::new(),
        hook_secret: None,
        on_reject: OnReject::Delete,
        client_delete: false,
        network: upload_net::Network::default(),
        store_lock_timeout: Duration::from_secs(5),
        drain_time: Duration::ZERO,
    }
}

impl TestGateway {
    pub async fn new() -> Self {
        Self::with_config(|_| ()).await
    }

    pub async fn with_config(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), Auth::None);
        change(&mut config);
        let running = upload_gateway::start(config).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            dir,
            running,
            client,
            token: None,
        }
    }

    /// Stops the gateway and starts it again with the default configuration, on another port.
    pub async fn restart(self) -> Self {
        let Self {
            dir,
            running,
            client,
            token,
        } = self;
        running.stop().await;
        let running = upload_gateway::start(config(dir.path(), Auth::None))
            .await
            .unwrap();
        Self {
            dir,
            running,
            client,
            token,
        }
    }

    /// Executes a statement on the ledger, for example to create a state that a crash would leave.
    pub fn execute_sql(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.dir.path().join("ledger.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection.execute(sql, []).unwrap();
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let base = self.running.url().as_str().trim_end_matches('/');
        let request = self.client.request(method, format!("{base}{path}"));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Response {
        self.request(Method::POST, path)
            .json(body)
            .send()
            .await
            .unwrap()
    }

    pub async fn begin(&self, key: &str, request: &BeginRequest) -> Response {
        self.request(Method::POST, "/v1/uploads")
            .header("idempotency-key", key)
            .json(request)
            .send()
            .await
            .unwrap()
    }

    pub async fn create_upload(&self, request: &BeginRequest) -> BeginResponse {
        let key = Sha256::of(format!("{request:?}").as_bytes()).to_string();
        expect_json(self.begin(&key, request).await, 201).await
    }

    pub async fn sign(&self, upload: &BeginResponse, parts: Vec<PartSpec>) -> Response {
        self.post(
            &format!("/v1/uploads/{}/sign", upload.id),
            &SignRequest {
                epoch: upload.epoch,
                parts,
                copies: Vec::new(),
                credentials_rejected: false,
            },
        )
        .await
    }

    pub async fn complete(&self, upload: &BeginResponse, parts: &[CompletePart]) -> Response {
        let request = CompleteRequest {
            epoch: upload.epoch,
            parts: parts.to_vec(),
            checksum: checksum(upload, parts),
        };
        self.post(&format!("/v1/uploads/{}/complete", upload.id), &request)
            .await
    }

    /// Signs and sends each part.
    pub async fn put_parts(&self, upload: &BeginResponse, bodies: &[Vec<u8>]) -> Vec<CompletePart> {
        let specs = (1..)
            .zip(bodies)
            .map(|(number, body)| part_spec(number, body))
            .collect();
        let signed: SignResponse = expect_json(self.sign(upload, specs).await, 200).await;
        let mut parts = Vec::new();
        for (signed, body) in signed.parts.iter().zip(bodies) {
            let etag = etag(&self.put(signed, body.clone()).await);
            parts.push(CompletePart {
                number: signed.number(),
                etag,
                sha256: Sha256::of(body),
            });
        }
        parts
    }

    pub async fn put(&self, signed: &SignedPart, body: Vec<u8>) -> Response {
        let SignedPart::Put(put) = signed else {
            panic!("the part needs no PUT")
        };
        assert_eq!(put.method, "PUT");
        let mut request = self.client.put(put.url.expose()).body(body);
        for (name, value) in &put.headers {
            request = request.header(name, value);
        }
        request.send().await.unwrap()
    }

    /// An S3 client with the keys that the gateway wrote.
    pub fn store(&self) -> Store {
        let text = std::fs::read_to_string(self.dir.path().join("credentials")).unwrap();
        let field = |name: &str| {
            text.lines()
                .find_map(|line| {
                    line.strip_prefix(name)?
                        .trim()
                        .strip_prefix("= ")
                        .map(str::to_owned)
                })
                .unwrap()
        };
        Store::new(Settings {
            bucket: BUCKET.to_owned(),
            prefix: String::new(),
            endpoint: Some(field("endpoint_url").parse().unwrap()),
            public_endpoint: None,
            region: Some(REGION.to_owned()),
            path_style: true,
            keys: Some((field("aws_access_key_id"), field("aws_secret_access_key"))),
            create_headers: BTreeMap::new(),
            embedded: true,
            cdn: None,
            network: upload_net::Network::default(),
            observer: upload_s3::unobserved,
        })
        .unwrap()
    }
}

pub fn begin_request(size: u64) -> BeginRequest {
    BeginRequest {
        name: "Holiday.MOV".into(),
        size: Some(size),
        expected_size: None,
        content_type: "video/quicktime".into(),
        part_size: Some(5 * MIB),
        metadata: BTreeMap::new(),
        attributes: Box::default(),
        modified: None,
        key: None,
        if_exists: None,
        holder: Some("holder-a".into()),
        parts: None,
        copies: Vec::new(),
    }
}

pub fn part_spec(number: u32, body: &[u8]) -> PartSpec {
    let size = u64::try_from(body.len()).unwrap();
    PartSpec {
        number: number.try_into().unwrap(),
        size,
        sha256: Sha256::of(body),
        md5: None,
    }
}

pub fn checksum(upload: &BeginResponse, parts: &[CompletePart]) -> Checksum {
    match parts {
        [part] if upload.part_count == 1 => Checksum::whole(&part.sha256),
        parts => Checksum::composite(parts.iter().map(|part| &part.sha256)),
    }
}

pub fn etag(response: &Response) -> ETag {
    assert_eq!(response.status(), 200, "the store refused the part");
    ETag::from_header(response.headers()["etag"].to_str().unwrap()).unwrap()
}

/// Two parts with different content, the second one short.
pub fn bodies() -> [Vec<u8>; 2] {
    [vec![1; 5 << 20], vec![2; 77]]
}

pub const TWO_PARTS: u64 = 5 * MIB + 77;

pub async fn expect_json<T: DeserializeOwned>(response: Response, status: u16) -> T {
    let (actual_status, protocol) = (
        response.status(),
        response.headers().get(PROTOCOL_HEADER).cloned(),
    );
    let text = response.text().await.unwrap();
    assert_eq!(actual_status.as_u16(), status, "{text}");
    assert_eq!(protocol.unwrap(), "1");
    serde_json::from_str(&text).unwrap()
}

/// The code of a problem response.
pub async fn problem_code(response: Response) -> String {
    let status = response.status();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.headers()[PROTOCOL_HEADER], "1");
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    problem.code
}

/// Polls until `found` returns a value; panics after a minute.
pub async fn until<T>(event: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(found) = found().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("timed out waiting for {event}");
}
