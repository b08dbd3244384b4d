//! A proxy between client and gateway that loses calls or responses, or delivers calls twice.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::bucket::{Bucket, Disconnected};
use crate::faults::{Call, FaultKind, Faults};

#[derive(Clone)]
pub struct LossyProxy {
    pub addr: SocketAddr,
    bucket: Bucket,
    target: Arc<Mutex<String>>,
    faults: Arc<Mutex<Faults>>,
    client: reqwest::Client,
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

    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Body>, Disconnected> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(Body::new(body), 8 << 20)
            .await
            .map_err(|_| Disconnected)?;
        let path = parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        let kind = self.faults().next(call_of(&parts.method, &path));
        match kind {
            Some(FaultKind::Disconnected) => return Err(Disconnected),
            Some(FaultKind::Unavailable) => {
                return Ok(Response::builder().status(503).body(Body::empty()).unwrap());
            }
            Some(FaultKind::KillBefore) => return self.kill_client().await,
            Some(FaultKind::EditSource(edit)) => self.bucket.edit_source(edit),
            _ => {}
        }
        let mut upstream_response = self
            .forward(&parts.method, &path, &parts.headers, &body)
            .await;
        if kind == Some(FaultKind::Twice) {
            upstream_response = self
                .forward(&parts.method, &path, &parts.headers, &body)
                .await;
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
        let mut response = Response::builder().status(upstream_response.status());
        for (name, value) in upstream_response
            .headers()
            .iter()
            .filter(|(name, _)| *name != "transfer-encoding")
        {
            response = response.header(name, value);
        }
        let body = upstream_response.bytes().await.map_err(|_| Disconnected)?;
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
