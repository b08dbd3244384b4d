//! A proxy between client and gateway that loses calls or responses, or delivers calls twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::bucket::{Bucket, Disconnected, RunningRequest};
use crate::faults::{Call, FaultKind, Faults};

#[derive(Clone)]
pub struct LossyProxy {
    pub addr: SocketAddr,
    bucket: Bucket,
    target: Arc<Mutex<String>>,
    faults: Arc<Mutex<Faults>>,
    /// The begins at chosen keys, by their idempotency key.
    begins: Arc<Mutex<BTreeMap<String, BeginAtKey>>>,
    /// Notified when a begin finds an unfinished upload at its key.
    pub key_in_use: Arc<Notify>,
    running: Arc<AtomicUsize>,
    client: reqwest::Client,
}

/// A begin at a chosen key.
#[derive(Debug, Clone, Default)]
pub struct BeginAtKey {
    /// What to do about an object at the key.
    pub if_exists: String,
    /// The `ETag`s of the objects that were at the key when it arrived and when it ended.
    pub seen: BTreeSet<String>,
}

impl LossyProxy {
    pub async fn start(bucket: &Bucket) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        let proxy = Self {
            addr,
            bucket: bucket.clone(),
            target: Arc::default(),
            faults: Arc::default(),
            begins: Arc::default(),
            key_in_use: Arc::default(),
            running: Arc::default(),
            client,
        };
        let server = proxy.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let proxy = server.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| proxy.handle(request));
                    let http = hyper::server::conn::http1::Builder::new();
                    http.serve_connection(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
        });
        proxy
    }

    pub fn set_target(&self, url: String) {
        *self.target.lock().unwrap() = url;
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if no request is without its response.
    pub fn is_idle(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0
    }

    /// Forgets the begins of earlier cases.
    pub fn forget_begins(&self) {
        self.begins.lock().unwrap().clear();
    }

    /// The begin with this idempotency key.
    pub fn begin(&self, idempotency_key: &str) -> Option<BeginAtKey> {
        self.begins.lock().unwrap().get(idempotency_key).cloned()
    }

    /// Notes the object that is now at the key of a begin.
    fn note_begin(&self, headers: &HeaderMap, body: &[u8]) {
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return;
        };
        let idempotency_key = headers
            .get("idempotency-key")
            .and_then(|key| key.to_str().ok());
        let (Some(key), Some(idempotency_key)) = (request["key"].as_str(), idempotency_key) else {
            return;
        };
        let object = self.bucket.contents().objects.get(key).cloned();
        let mut begins = self.begins.lock().unwrap();
        let begin = begins.entry(idempotency_key.to_owned()).or_default();
        let rule = request["if_exists"].as_str().unwrap_or("same");
        rule.clone_into(&mut begin.if_exists);
        begin.seen.extend(object.map(|object| object.etag));
    }

    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Body>, Disconnected> {
        let _running = RunningRequest::count(&self.running);
        let (parts, body) = request.into_parts();
        let body = to_bytes(Body::new(body), 8 << 20)
            .await
            .map_err(|_| Disconnected)?;
        let path = parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        let call = call_of(&parts.method, &path);
        let kind = self.faults().next(call);
        match kind {
            Some(FaultKind::Disconnected) => return Err(Disconnected),
            Some(FaultKind::Unavailable) => {
                return Ok(Response::builder().status(503).body(Body::empty()).unwrap());
            }
            Some(FaultKind::KillBefore) => return self.kill_client().await,
            Some(FaultKind::EditSource(edit)) => self.bucket.edit_source(edit),
            Some(FaultKind::OtherProgram(write)) => self.bucket.write_as_other_program(write),
            _ => {}
        }
        if call == Call::Begin {
            self.note_begin(&parts.headers, &body);
        }
        let mut upstream_response = self
            .forward(&parts.method, &path, &parts.headers, &body)
            .await;
        if kind == Some(FaultKind::Twice) {
            upstream_response = self
                .forward(&parts.method, &path, &parts.headers, &body)
                .await;
        }
        if call == Call::Begin {
            self.note_begin(&parts.headers, &body);
        }
        match kind {
            Some(FaultKind::DoneButDisconnected) => Err(Disconnected),
            Some(FaultKind::DoneButUnavailable) => {
                Ok(Response::builder().status(503).body(Body::empty()).unwrap())
            }
            Some(FaultKind::KillAfter) => self.kill_client().await,
            _ => upstream_response,
        }
    }

    async fn kill_client(&self) -> Result<Response<Body>, Disconnected> {
        self.bucket.client_kill.notify_waiters();
        std::future::pending().await
    }

    async fn forward(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &bytes::Bytes,
    ) -> Result<Response<Body>, Disconnected> {
        let url = format!("{}{path}", self.target.lock().unwrap());
        let mut headers = headers.clone();
        headers.remove("host");
        let request = self
            .client
            .request(method.clone(), url)
            .headers(headers)
            .body(body.clone());
        let upstream_response = request.send().await.map_err(|_| Disconnected)?;
        let (status, headers) = (
            upstream_response.status(),
            upstream_response.headers().clone(),
        );
        let body = upstream_response.bytes().await.map_err(|_| Disconnected)?;
        let problem: Option<Value> = serde_json::from_slice(&body).ok();
        let is_key_in_use = problem.is_some_and(|problem| problem["code"] == "key_in_use");
        if is_key_in_use {
            self.key_in_use.notify_one();
        }
        // The client would wait until the lease has ended.
        let is_left_out =
            |name: &str| name == "transfer-encoding" || (is_key_in_use && name == "retry-after");
        let mut response = Response::builder().status(status);
        for (name, value) in headers
            .iter()
            .filter(|(name, _)| !is_left_out(name.as_str()))
        {
            response = response.header(name, value);
        }
        Ok(response.body(Body::from(body)).unwrap())
    }
}

fn call_of(method: &Method, path: &str) -> Call {
    let path = path.split('?').next().unwrap_or_default();
    match (method.as_str(), path.rsplit('/').next().unwrap_or_default()) {
        ("POST", "uploads") => Call::Begin,
        ("POST", "claim") => Call::Claim,
        ("POST", "sign") => Call::Sign,
        ("POST", "complete") => Call::CompleteRequest,
        ("GET", "parts") => Call::Parts,
        ("DELETE", _) => Call::AbortRequest,
        ("GET", "v1") => Call::Info,
        _ => Call::Status,
    }
}
