//! A service over an embedded store behind a proxy, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::header::DATE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tempfile::TempDir;

use crate::auth::Owner;
use crate::hooks::Hooks;
use crate::key_patterns::ClientKeys;
use crate::lease::LeaseTerms;
use crate::ledger::{self, Ledger, LedgerConfig, Upload};
use crate::limits::Quota;
use crate::problem::Refusal;
use crate::service::abort::Finished;
use crate::service::begin::Begun;
use crate::service::completion::{CompleteResult, Completion};
use crate::service::shared_state::{Service, ServiceConfig};
use upload_embedded_store::{BUCKET, Embedded, REGION};
use upload_s3::{Settings, Store};
use upload_types::attributes::Attribute;
use upload_types::sync::lock;
use upload_types::wire::{
    BeginRequest, BeginResponse, CompletePart, CompleteRequest, PartSpec, Receipt, SignRequest,
    SignedPart, SignedPut, UploadState,
};
use upload_types::{Checksum, ETag, PartNumber, Sha256, UploadId};

/// The reaction of the proxy to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interference {
    /// Responds 503 instead of the store.
    Unavailable,
    /// Forwards the request, then responds 503.
    LoseResponse,
    /// Responds 403 instead of the store.
    Deny,
    /// Forwards the request once the interference has ended.
    Delay,
    /// Responds with this status and body instead of the store.
    Respond(u16, &'static str),
    /// Forwards the request; the clock of the store is this far behind.
    ClockBehind(Duration),
    /// Responds with a body of 3 MiB instead of the store.
    RespondTooLong,
}

/// A proxy in front of the store.
#[derive(Default)]
pub struct Proxy {
    /// Each applies to requests with its method and with its text in the query.
    pub rules: Mutex<Vec<(Method, &'static str, Interference)>>,
    /// Method, query and headers of every request.
    pub requests: Mutex<Vec<(Method, String, HeaderMap)>>,
}

impl Proxy {
    fn interference(&self, method: &Method, query: &str) -> Option<Interference> {
        let rules = lock(&self.rules);
        let rule = rules
            .iter()
            .find(|(rule_method, text, _)| rule_method == method && query.contains(text));
        rule.map(|(_, _, interference)| *interference)
    }
}

/// Waits at most a minute for a condition.
pub async fn wait_until(description: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait)
        .await
        .unwrap_or_else(|_| panic!("timed out: {description}"));
}

async fn forward(Extract(proxy): Extract<Arc<Proxy>>, request: Request, next: Next) -> Response {
    let (method, query) = (
        request.method().clone(),
        request.uri().query().unwrap_or_default().to_owned(),
    );
    lock(&proxy.requests).push((method.clone(), query.clone(), request.headers().clone()));
    while proxy.interference(&method, &query) == Some(Interference::Delay) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    match proxy.interference(&method, &query) {
        None | Some(Interference::Delay) => next.run(request).await,
        Some(Interference::Respond(status, body)) => {
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Some(Interference::RespondTooLong) => vec![b' '; 3 << 20].into_response(),
        Some(Interference::Unavailable) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Interference::Deny) => (
            StatusCode::FORBIDDEN,
            "<Error><Code>AccessDenied</Code><Message>no</Message></Error>",
        )
            .into_response(),
        Some(Interference::ClockBehind(duration)) => {
            let date = Timestamp::now().checked_sub(duration).unwrap();
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&date);
            let mut response = next.run(request).await;
            response
                .headers_mut()
                .insert(DATE, date.unwrap().parse().unwrap());
            response
        }
        Some(Interference::LoseResponse) => {
            next.run(request).await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// A service over an embedded store behind a proxy.
pub struct Fixture {
    pub dir: TempDir,
    pub ledger_config: LedgerConfig,
    pub proxy: Arc<Proxy>,
    pub service: Arc<Service>,
    pub owner: Owner,
}

pub const PART: usize = 5 << 20;

impl Fixture {
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut ServiceConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = LedgerConfig::Sqlite(dir.path().join("ledger.db"));
        Self::with_ledger(ledger, dir, change).await
    }

    /// With a ledger in PostgreSQL.
    pub async fn on_postgres() -> Self {
        let ledger = ledger::tests::postgres_config().await;
        Self::with_ledger(ledger, tempfile::tempdir().unwrap(), |_| ()).await
    }

    pub async fn with_ledger(
        ledger_config: LedgerConfig,
        dir: TempDir,
        change: impl FnOnce(&mut ServiceConfig),
    ) -> Self {
        let embedded = Embedded::open(&dir.path().join("store"), Duration::from_secs(5))
            .await
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint: url::Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let proxy = Arc::<Proxy>::default();
        let router = Router::new()
            .fallback_service(embedded.service().for_browsers(&endpoint))
            .layer(from_fn_with_state(Arc::clone(&proxy), forward));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let store = Store::new(Settings {
            bucket: BUCKET.to_owned(),
            prefix: String::new(),
            endpoint: Some(endpoint),
            public_endpoint: None,
            region: Some(REGION.to_owned()),
            path_style: true,
            keys: Some(embedded.keys()),
            create_headers: BTreeMap::new(),
            embedded: true,
            cdn: None,
            network: upload_net::Network::default(),
            observer: upload_s3::unobserved,
        });
        let store = store.unwrap();
        let ledger = Ledger::open(&ledger_config).await.unwrap();
        let owner = Owner::new(ledger.owner_segment("local", "o".repeat(26)).await.unwrap());
        let mut config = ServiceConfig {
            limits: store.limits(),
            allow_types: vec!["*/*".to_owned()],
            allow_attributes: Attribute::ALL.into(),
            client_keys: ClientKeys::All,
            rate: None,
            quota: Quota::default(),
            url_ttl: Duration::from_mins(15),
            lease_terms: LeaseTerms {
                lease_ttl: Duration::from_mins(1),
                upload_ttl: Duration::from_hours(1),
            },
            keep_ended: None,
            complete_timeout: Duration::from_secs(10),
            backend_url: "http://gateway".to_owned(),
            hooks: Hooks::default(),
            client_delete: false,
            log_subjects: true,
            hook_subjects: true,
        };
        change(&mut config);
        Self {
            dir,
            ledger_config,
            proxy,
            service: Service::new(ledger, store, config),
            owner,
        }
    }

    /// From now on, interferes with requests that have this method and `text` in the query.
    pub fn interfere(&self, method: Method, text: &'static str, interference: Interference) {
        *lock(&self.proxy.rules) = vec![(method, text, interference)];
    }

    pub fn stop_interfering(&self) {
        lock(&self.proxy.rules).clear();
    }

    /// The headers of all requests with this method and with `text` in the query.
    pub fn requests(&self, method: &Method, text: &str) -> Vec<HeaderMap> {
        let requests = lock(&self.proxy.requests);
        let matching = requests
            .iter()
            .filter(|(request_method, query, _)| request_method == method && query.contains(text));
        matching.map(|(_, _, headers)| headers.clone()).collect()
    }

    /// Another gateway with the same ledger and store, as in another process.
    pub async fn second_gateway(&self) -> Arc<Service> {
        let ledger = Ledger::open(&self.ledger_config).await.unwrap();
        Service::new(
            ledger,
            self.service.store.clone(),
            ServiceConfig::clone(&self.service.config()),
        )
    }

    /// Changes the ledger, for example as if time had passed.
    pub fn execute_sql(&self, sql: &str) {
        ledger::tests::execute_sql(&self.ledger_config, sql);
    }

    pub async fn begin(&self, size: usize) -> Result<Begun, Refusal> {
        self.begin_as("key", size).await
    }

    pub async fn begin_as(&self, key: &str, size: usize) -> Result<Begun, Refusal> {
        self.service
            .begin(&self.owner, key, Self::begin_request(size))
            .await
    }

    pub fn begin_request(size: usize) -> BeginRequest {
        BeginRequest {
            name: "a.bin".into(),
            size: Some(u64::try_from(size).unwrap()),
            expected_size: None,
            content_type: "application/octet-stream".into(),
            part_size: Some(u64::try_from(PART).unwrap()),
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            modified: None,
            key: None,
            if_exists: None,
            holder: None,
            parts: None,
            copies: Vec::new(),
        }
    }

    /// The row of an upload.
    pub async fn row(&self, upload: &BeginResponse) -> Upload {
        let row = self.service.find_row(&self.owner, upload.id.as_str()).await;
        row.unwrap()
    }

    /// Begins an upload and sends all its parts. Also returns the request to complete it.
    pub async fn send_parts(&self, size: usize) -> (BeginResponse, CompleteRequest) {
        self.send_parts_as("key", size).await
    }

    pub async fn send_parts_as(&self, key: &str, size: usize) -> (BeginResponse, CompleteRequest) {
        let upload = self.begin_as(key, size).await.unwrap().response;
        let (_, complete) = self.send_body(&upload, &vec![7; size]).await;
        (upload, complete)
    }

    /// Sends these bytes as the parts of an upload. Returns the requests that have sent them, and
    /// the request to complete the upload.
    pub async fn send_body(
        &self,
        upload: &BeginResponse,
        body: &[u8],
    ) -> (Vec<SignedPut>, CompleteRequest) {
        let chunks: Vec<&[u8]> = if body.is_empty() {
            vec![&[]]
        } else {
            body.chunks(PART).collect()
        };
        let specs = (1..).zip(&chunks).map(|(number, chunk)| PartSpec {
            number: PartNumber::try_from(number).unwrap(),
            size: u64::try_from(chunk.len()).unwrap(),
            sha256: Sha256::of(chunk),
            md5: None,
        });
        let sign = SignRequest {
            epoch: upload.epoch,
            parts: specs.collect(),
            copies: Vec::new(),
            credentials_rejected: false,
        };
        let signed = self
            .service
            .sign(&self.owner, upload.id.as_str(), sign)
            .await
            .unwrap();
        let (mut puts, mut parts) = (Vec::new(), Vec::new());
        for (signed, chunk) in signed.parts.into_iter().zip(chunks) {
            let SignedPart::Put(put) = signed else {
                panic!("the gateway signed no PUT for the part")
            };
            parts.push(CompletePart {
                number: put.number,
                etag: send(&put, chunk).await,
                sha256: Sha256::of(chunk),
            });
            puts.push(put);
        }
        let checksum = match parts.as_slice() {
            [part] => Checksum::whole(&part.sha256),
            parts => Checksum::composite(parts.iter().map(|part| &part.sha256)),
        };
        let complete = CompleteRequest {
            epoch: upload.epoch,
            parts,
            checksum,
        };
        (puts, complete)
    }

    pub async fn complete(
        &self,
        upload: &BeginResponse,
        request: &CompleteRequest,
    ) -> CompleteResult {
        self.service
            .complete(&self.owner, upload.id.as_str(), request.clone())
            .await
    }

    pub async fn abort(&self, upload: &BeginResponse) -> Result<(), Refusal> {
        self.service
            .abort(&self.owner, upload.id.as_str(), None, Finished::Keep)
            .await
    }

    pub async fn state(&self, upload: &BeginResponse) -> UploadState {
        self.state_of(&upload.id).await
    }

    pub async fn state_of(&self, id: &UploadId) -> UploadState {
        let status = self.service.status(&self.owner, id.as_str()).await;
        status.unwrap().state
    }

    pub async fn has_object(&self, upload: &BeginResponse) -> bool {
        let object = self.service.store.head(&upload.key).await;
        object.unwrap().is_some()
    }

    /// The number of open multipart uploads at the upload's key.
    pub async fn count_multiparts(&self, upload: &BeginResponse) -> usize {
        self.service.store.find(&upload.key).await.unwrap().len()
    }
}

/// Sends a presigned request and returns the ETag.
pub async fn send(put: &SignedPut, body: &[u8]) -> ETag {
    let response = response_to(put, body).await;
    ETag::from_header(response.headers()["etag"].to_str().unwrap()).unwrap()
}

/// Sends a presigned request.
pub async fn response_to(put: &SignedPut, body: &[u8]) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.put(put.url.expose()).body(body.to_vec());
    for (name, value) in &put.headers {
        request = request.header(name, value);
    }
    request.send().await.unwrap()
}

pub fn receipt(result: CompleteResult) -> Receipt {
    match result {
        Ok(Completion::Receipt(receipt)) => *receipt,
        other => panic!("{other:?}"),
    }
}

pub fn is_pending(result: &CompleteResult) -> bool {
    matches!(result, Ok(Completion::Pending(UploadState::Completing)))
}

/// In the query of CompleteMultipartUpload, ListParts and AbortMultipartUpload.
pub const UPLOAD_ID_QUERY: &str = "uploadId=";
/// In the query of CreateMultipartUpload.
pub const CREATE_QUERY: &str = "uploads";
