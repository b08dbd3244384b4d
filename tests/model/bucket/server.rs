//! The HTTP server of the bucket: requests, faults, and kills of the callers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;
use url::{Url, form_urlencoded};

use super::contents::{BodyDigest, Contents, Multipart, Object, Query, S3Response, error};
use crate::faults::{Call, Edit, Fault, FaultKind, OtherWrite};

pub const NAME: &str = "bucket";

#[derive(Clone)]
pub struct Bucket {
    pub addr: SocketAddr,
    contents: Arc<Mutex<Contents>>,
    /// Notified when a fault kills the gateway.
    pub gateway_kill: Arc<Notify>,
    pub client_kill: Arc<Notify>,
    /// Set for cases with a source.
    pub edit: Arc<Mutex<Option<Hook>>>,
    /// Set for cases with other programs.
    pub other_program: Arc<Mutex<Option<OtherProgram>>>,
    /// The requests that have no response yet.
    running: Arc<AtomicUsize>,
    byte_count: Arc<Mutex<ByteCount>>,
}

/// Separates older connections, over which a killed client may still send, from newer ones.
#[derive(Default)]
struct ByteCount {
    /// The address of the connection that begins the next round.
    marker: Option<SocketAddr>,
    round: u64,
}

/// Changes the source.
pub type Hook = Box<dyn Fn(Edit) + Send>;

/// Writes to the bucket as another program.
pub type OtherProgram = Box<dyn Fn(&Bucket, OtherWrite) + Send>;

/// Counts a request until it is dropped.
pub struct RunningRequest(Arc<AtomicUsize>);

impl RunningRequest {
    pub fn count(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(running))
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Bucket {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (contents, edit, byte_count) = (Arc::default(), Arc::default(), Arc::default());
        let bucket = Self {
            addr,
            contents,
            gateway_kill: Arc::default(),
            client_kill: Arc::default(),
            edit,
            other_program: Arc::default(),
            running: Arc::default(),
            byte_count,
        };
        let server = bucket.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, from)) = listener.accept().await else {
                    return;
                };
                let Some(round) = server.round_of(from) else {
                    continue;
                };
                let bucket = server.clone();
                tokio::spawn(async move {
                    stream.set_nodelay(true).ok();
                    let service = service_fn(|request| bucket.handle(request, round));
                    let http = hyper::server::conn::http1::Builder::new();
                    http.serve_connection(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
        });
        bucket
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Restarts the count of bytes; only bytes on connections that are made from now on count.
    pub async fn restart_byte_count(&self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        self.byte_count().marker = Some(socket.local_addr().unwrap());
        let mut marker = socket.connect(self.addr).await.unwrap();
        // Connections are accepted in the order of their connects; the server closes this one.
        let _ = marker.read(&mut [0]).await;
        self.contents().bytes = 0;
    }

    /// The round of a connection; `None` for the marker itself.
    fn round_of(&self, from: SocketAddr) -> Option<u64> {
        let mut byte_count = self.byte_count();
        if byte_count.marker == Some(from) {
            *byte_count = ByteCount {
                marker: None,
                round: byte_count.round + 1,
            };
            return None;
        }
        Some(byte_count.round)
    }

    fn byte_count(&self) -> MutexGuard<'_, ByteCount> {
        self.byte_count
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects and open uploads.
    pub fn snapshot(&self) -> (BTreeMap<String, Object>, BTreeMap<String, Multipart>) {
        let contents = self.contents();
        (contents.objects.clone(), contents.open.clone())
    }

    pub fn inject(&self, fault: Fault) {
        self.contents().faults.pending.push_back(fault);
    }

    /// Removes the faults that did not occur yet. Returns their number.
    pub fn clear_faults(&self) -> usize {
        std::mem::take(&mut self.contents().faults.pending).len()
    }

    /// Puts a part without the network.
    pub fn put(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        body: &BodyDigest,
    ) -> Result<String, u16> {
        let url: Url = url.parse().unwrap();
        let header = |name: &str| headers.get(name).cloned();
        let s3_response =
            self.contents()
                .put(&key_of(url.path()), &query_of(url.query()), header, body);
        if s3_response.status == 200 {
            Ok(s3_response.header("etag"))
        } else {
            Err(s3_response.status)
        }
    }

    /// Returns true if no request is without its response.
    pub fn is_idle(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0
    }

    /// Changes the object at a key of the case, as another program.
    pub fn write_as_other_program(&self, write: OtherWrite) {
        if let Some(hook) = &*self.other_program.lock().unwrap() {
            hook(self, write);
        }
    }

    /// Changes the source of the case, if it has one.
    pub fn edit_source(&self, edit: Edit) {
        if let Some(hook) = &*self.edit.lock().unwrap() {
            hook(edit);
        }
    }

    async fn handle(
        &self,
        request: Request<Incoming>,
        round: u64,
    ) -> Result<Response<Body>, Disconnected> {
        let _running = RunningRequest::count(&self.running);
        let (parts, body) = request.into_parts();
        let body = to_bytes(Body::new(body), 64 << 20)
            .await
            .unwrap_or_default();
        let query = query_of(parts.uri.query());
        let call = call_of(&parts.method, &query, &parts.headers);
        if call == Call::Put && round == self.byte_count().round {
            self.contents().bytes += body.len() as u64;
        }
        // A gateway that starts looks at a key of its own.
        let is_of_start = key_of(parts.uri.path()) == "uploads/preflight";
        let kind = if is_of_start {
            None
        } else {
            self.contents().faults.next(call)
        };
        match kind {
            Some(FaultKind::EditSource(edit)) => self.edit_source(edit),
            Some(FaultKind::OtherProgram(write)) => self.write_as_other_program(write),
            Some(FaultKind::OpenUploadsLost) => self.contents().open.clear(),
            _ => {}
        }
        let done = match kind {
            Some(
                FaultKind::Unavailable
                | FaultKind::Denied
                | FaultKind::ErrorBody
                | FaultKind::Disconnected
                | FaultKind::KillBefore,
            ) => None,
            _ => Some(self.contents().apply(
                call,
                &key_of(parts.uri.path()),
                &query,
                &parts.headers,
                &body,
                kind,
            )),
        };
        if kind == Some(FaultKind::Twice) {
            // The second delivery arrives after the first response.
            self.contents().apply(
                call,
                &key_of(parts.uri.path()),
                &query,
                &parts.headers,
                &body,
                kind,
            );
        }
        let s3_response = match (kind, done) {
            (
                None
                | Some(
                    FaultKind::StaleList
                    | FaultKind::Twice
                    | FaultKind::OpenUploadsLost
                    | FaultKind::EditSource(_)
                    | FaultKind::OtherProgram(_),
                ),
                Some(done),
            ) => done,
            (Some(FaultKind::Denied), _) => error(403, "AccessDenied"),
            (Some(FaultKind::ErrorBody), _) => S3Response {
                status: 200,
                ..error(500, "InternalError")
            },
            (Some(FaultKind::KillBefore | FaultKind::KillAfter), _) => {
                if call == Call::Put {
                    self.client_kill.notify_waiters();
                } else {
                    self.gateway_kill.notify_one();
                }
                std::future::pending().await
            }
            // hyper closes the connection of a service that fails, without a response.
            (Some(FaultKind::Disconnected | FaultKind::DoneButDisconnected), _) => {
                return Err(Disconnected);
            }
            _ => error(503, "ServiceUnavailable"),
        };
        let is_head = parts.method == Method::HEAD;
        let mut response = Response::builder()
            .status(s3_response.status)
            .header("x-amz-request-id", "r1");
        for (name, value) in &s3_response.headers {
            response = response.header(*name, value);
        }
        Ok(response
            .body(if is_head {
                Body::empty()
            } else {
                Body::from(s3_response.body)
            })
            .unwrap())
    }
}

/// The connection ends without a response.
#[derive(Debug)]
pub struct Disconnected;

impl std::fmt::Display for Disconnected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("disconnected")
    }
}

impl std::error::Error for Disconnected {}

fn query_of(query: Option<&str>) -> Query {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .into_owned()
        .collect()
}

fn key_of(path: &str) -> String {
    let path = path.trim_start_matches('/');
    path.split_once('/')
        .map_or(String::new(), |(_, key)| key.to_owned())
}

fn call_of(method: &Method, query: &Query, headers: &HeaderMap) -> Call {
    let has = |name: &str| query.contains_key(name);
    match method.as_str() {
        "POST" if has("uploads") => Call::Create,
        "POST" => Call::Complete,
        "GET" if has("uploadId") => Call::List,
        "GET" if has("attributes") => Call::Attributes,
        "GET" => Call::Find,
        "DELETE" if has("uploadId") => Call::Abort,
        "DELETE" => Call::Delete,
        "HEAD" => Call::Head,
        "PUT" if headers.contains_key("x-amz-copy-source") => Call::Copy,
        _ => Call::Put,
    }
}
