//! What stands between client and gateway: it passes each call on, or loses it, or its answer, or delivers it twice.
//!
//! Border: HTTP on its way; what the calls mean is not known here, but for their names.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::bucket::{Bucket, Cut};
use crate::faults::{Call, Faults, Mood};

#[derive(Clone)]
pub struct Front {
    pub addr: SocketAddr,
    bucket: Bucket,
    target: Arc<Mutex<String>>,
    faults: Arc<Mutex<Faults>>,
    client: reqwest::Client,
}

impl Front {
    pub async fn start(bucket: &Bucket) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        let front = Self {
            addr,
            bucket: bucket.clone(),
            target: Arc::default(),
            faults: Arc::default(),
            client,
        };
        let serving = front.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let front = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| front.answer(request));
                    let http = hyper::server::conn::http1::Builder::new();
                    http.serve_connection(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
        });
        front
    }

    pub fn lead_to(&self, url: String) {
        *self.target.lock().unwrap() = url;
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(Body::new(body), 8 << 20).await.map_err(|_| Cut)?;
        let path = parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mood = self.faults().mood(call_of(&parts.method, &path));
        match mood {
            Some(Mood::Cut) => return Err(Cut),
            Some(Mood::Down) => {
                return Ok(Response::builder().status(503).body(Body::empty()).unwrap());
            }
            Some(Mood::DieBefore) => return self.die().await,
            Some(Mood::Meanwhile(edit)) => self.bucket.change(edit),
            _ => {}
        }
        let mut answer = self.pass(&parts.method, &path, &parts.headers, &body).await;
        if mood == Some(Mood::Twice) {
            answer = self.pass(&parts.method, &path, &parts.headers, &body).await;
        }
        match mood {
            Some(Mood::CutAfter) => Err(Cut),
            Some(Mood::Swallow) => Ok(Response::builder().status(503).body(Body::empty()).unwrap()),
            Some(Mood::DieAfter) => self.die().await,
            _ => answer,
        }
    }

    async fn die(&self) -> Result<Response<Body>, Cut> {
        self.bucket.client_death.notify_one();
        std::future::pending().await
    }

    async fn pass(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &bytes::Bytes,
    ) -> Result<Response<Body>, Cut> {
        let url = format!("{}{path}", self.target.lock().unwrap());
        let mut headers = headers.clone();
        headers.remove("host");
        let request = self
            .client
            .request(method.clone(), url)
            .headers(headers)
            .body(body.clone());
        let answer = request.send().await.map_err(|_| Cut)?;
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer
            .headers()
            .iter()
            .filter(|(name, _)| *name != "transfer-encoding")
        {
            response = response.header(name, value);
        }
        let body = answer.bytes().await.map_err(|_| Cut)?;
        Ok(response.body(Body::from(body)).unwrap())
    }
}

fn call_of(method: &Method, path: &str) -> Call {
    let path = path.split('?').next().unwrap_or_default();
    match (method.as_str(), path.rsplit('/').next().unwrap_or_default()) {
        ("POST", "uploads") => Call::Begin,
        ("POST", "claim") => Call::Claim,
        ("POST", "sign") => Call::Sign,
        ("POST", "complete") => Call::CompleteResponse,
        ("GET", "parts") => Call::Parts,
        ("DELETE", _) => Call::GiveUp,
        ("GET", "v1") => Call::Info,
        _ => Call::Status,
    }
}
