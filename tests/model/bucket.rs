//! A bucket in memory: S3 as gateway and client speak it, in plain data that a test can look at, and that fails on purpose.
//!
//! Border: what Amazon S3 answers, by its API reference, where the two speak; each `ETag` differs from all before, as where
//! a key encrypts them, and a list has one part to a page. It believes no signature, only what was said to be signed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;
use url::{Url, form_urlencoded};

use crate::faults::{Call, Edit, Fault, Faults, Mood};
use crate::support::PART;

pub const NAME: &str = "bucket";
const TOKEN: &str = "x-amz-meta-upload-token";

/// SHA-256 and length of a part, in order: what an object is made of.
pub type Content = Vec<([u8; 32], u64)>;

#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub token: Option<String>,
    pub content: Content,
    pub etag: String,
    pub checksum: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub sha256: [u8; 32],
    pub size: u64,
    pub etag: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Multipart {
    pub key: String,
    pub token: Option<String>,
    pub parts: BTreeMap<u32, Part>,
}

#[derive(Debug, Default)]
pub struct Rows {
    pub objects: BTreeMap<String, Object>,
    pub open: BTreeMap<String, Multipart>,
    /// Every object there has ever been.
    pub made: Vec<(String, Object)>,
    pub faults: Faults,
    /// How many bytes of parts have come since they were last counted anew.
    pub bytes: u64,
    /// What came, and how it was answered: for whoever has to find out why it came.
    pub puts: Vec<String>,
    serial: u64,
}

#[derive(Clone)]
pub struct Bucket {
    pub addr: SocketAddr,
    rows: Arc<Mutex<Rows>>,
    /// The gateway is to die, or the client.
    pub death: Arc<Notify>,
    pub client_death: Arc<Notify>,
    /// What changes the source.
    pub edit: Arc<Mutex<Option<Hook>>>,
    fence: Arc<Mutex<Fence>>,
}

/// Behind which connection parts are counted: who died over an older one may still be heard on it.
#[derive(Default)]
struct Fence {
    /// Where that connection comes from.
    at: Option<SocketAddr>,
    era: u64,
}

/// Called when a source is to change.
pub type Hook = Box<dyn Fn(Edit) + Send>;

/// What a PUT says of its body.
pub struct Body256 {
    pub sha256: [u8; 32],
    pub size: u64,
}

impl Bucket {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (rows, edit, fence) = (Arc::default(), Arc::default(), Arc::default());
        let bucket = Self {
            addr,
            rows,
            death: Arc::default(),
            client_death: Arc::default(),
            edit,
            fence,
        };
        let serving = bucket.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, from)) = listener.accept().await else {
                    return;
                };
                let Some(era) = serving.era_of(from) else {
                    continue;
                };
                let bucket = serving.clone();
                tokio::spawn(async move {
                    stream.set_nodelay(true).ok();
                    let service = service_fn(|request| bucket.answer(request, era));
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

    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes of parts from nothing, those alone that come over connections made from now on.
    pub async fn count_anew(&self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        self.fence().at = Some(socket.local_addr().unwrap());
        let mut fence = socket.connect(self.addr).await.unwrap();
        // Connections are accepted in the order they are made; this one is closed then.
        let _ = fence.read(&mut [0]).await;
        self.rows().bytes = 0;
    }

    /// None for the fence itself.
    fn era_of(&self, from: SocketAddr) -> Option<u64> {
        let mut fence = self.fence();
        if fence.at == Some(from) {
            *fence = Fence {
                at: None,
                era: fence.era + 1,
            };
            return None;
        }
        Some(fence.era)
    }

    fn fence(&self) -> MutexGuard<'_, Fence> {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All it holds now.
    pub fn holds(&self) -> (BTreeMap<String, Object>, BTreeMap<String, Multipart>) {
        let rows = self.rows();
        (rows.objects.clone(), rows.open.clone())
    }

    pub fn fail(&self, fault: Fault) {
        self.rows().faults.waiting.push_back(fault);
    }

    /// Nothing fails any more. Gives what had not failed yet.
    pub fn heal(&self) -> usize {
        std::mem::take(&mut self.rows().faults.waiting).len()
    }

    /// A part that is sent without any network.
    pub fn put(
        &self,
        url: &str,
        headers: &BTreeMap<String, String>,
        body: &Body256,
    ) -> Result<String, u16> {
        let url: Url = url.parse().unwrap();
        let said = |name: &str| headers.get(name).cloned();
        let answer = self
            .rows()
            .put(&key_of(url.path()), &query_of(url.query()), said, body);
        if answer.status == 200 {
            Ok(answer.header("etag"))
        } else {
            Err(answer.status)
        }
    }

    /// Changes the source, if there is one.
    pub fn change(&self, edit: Edit) {
        if let Some(hook) = &*self.edit.lock().unwrap() {
            hook(edit);
        }
    }

    async fn answer(&self, request: Request<Incoming>, era: u64) -> Result<Response<Body>, Cut> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(Body::new(body), 64 << 20)
            .await
            .unwrap_or_default();
        let query = query_of(parts.uri.query());
        let call = call_of(&parts.method, &query);
        if call == Call::Put && era == self.fence().era {
            self.rows().bytes += body.len() as u64;
        }
        let mood = self.rows().faults.mood(call);
        match mood {
            Some(Mood::Meanwhile(edit)) => self.change(edit),
            Some(Mood::Forgotten) => self.rows().open.clear(),
            _ => {}
        }
        let done = match mood {
            Some(Mood::Down | Mood::Denied | Mood::ErrorBody | Mood::Cut | Mood::DieBefore) => None,
            _ => Some(self.rows().act(
                call,
                &key_of(parts.uri.path()),
                &query,
                &parts.headers,
                &body,
                mood,
            )),
        };
        if mood == Some(Mood::Twice) {
            // The second delivery comes behind the first answer.
            self.rows().act(
                call,
                &key_of(parts.uri.path()),
                &query,
                &parts.headers,
                &body,
                mood,
            );
        }
        let answer = match (mood, done) {
            (
                None | Some(Mood::Stale | Mood::Twice | Mood::Forgotten | Mood::Meanwhile(_)),
                Some(done),
            ) => done,
            (Some(Mood::Denied), _) => error(403, "AccessDenied"),
            (Some(Mood::ErrorBody), _) => Answer {
                status: 200,
                ..error(500, "InternalError")
            },
            (Some(Mood::DieBefore | Mood::DieAfter), _) => {
                if call == Call::Put {
                    self.client_death.notify_one();
                } else {
                    self.death.notify_one();
                }
                std::future::pending().await
            }
            // hyper closes the connection of a service that fails, without a word.
            (Some(Mood::Cut | Mood::CutAfter), _) => return Err(Cut),
            _ => error(503, "ServiceUnavailable"),
        };
        let head = parts.method == Method::HEAD;
        let mut response = Response::builder()
            .status(answer.status)
            .header("x-amz-request-id", "r1");
        for (name, value) in &answer.headers {
            response = response.header(*name, value);
        }
        Ok(response
            .body(if head {
                Body::empty()
            } else {
                Body::from(answer.body)
            })
            .unwrap())
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn ok(body: String) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/xml".into())],
            body,
        }
    }

    fn header(&self, name: &str) -> String {
        self.headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
            .unwrap()
    }
}

fn error(status: u16, code: &str) -> Answer {
    let body =
        format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>no</Message></Error>");
    Answer {
        status,
        ..Answer::ok(body)
    }
}

/// No answer at all.
#[derive(Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

type Query = BTreeMap<String, String>;

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

fn call_of(method: &Method, query: &Query) -> Call {
    let has = |name: &str| query.contains_key(name);
    match method.as_str() {
        "POST" if has("uploads") => Call::Create,
        "POST" => Call::Complete,
        "GET" if has("uploadId") => Call::List,
        "GET" => Call::Find,
        "DELETE" if has("uploadId") => Call::Abort,
        "DELETE" => Call::Delete,
        "HEAD" => Call::Head,
        _ => Call::Put,
    }
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default, rename = "Part")]
    parts: Vec<ListedPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: u32,
    #[serde(rename = "ETag")]
    etag: String,
    #[serde(rename = "ChecksumSHA256")]
    checksum: String,
}

impl Rows {
    fn act(
        &mut self,
        call: Call,
        key: &str,
        query: &Query,
        headers: &HeaderMap,
        body: &[u8],
        mood: Option<Mood>,
    ) -> Answer {
        let said = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let id = query.get("uploadId").cloned().unwrap_or_default();
        match call {
            Call::Create => {
                self.serial += 1;
                let id = format!("multipart-{:08}", self.serial);
                assert_eq!(said("x-amz-checksum-algorithm").as_deref(), Some("SHA256"));
                self.open.insert(
                    id.clone(),
                    Multipart {
                        key: key.into(),
                        token: said(TOKEN),
                        parts: BTreeMap::new(),
                    },
                );
                let root = "InitiateMultipartUploadResult";
                Answer::ok(format!("<{root}><UploadId>{id}</UploadId></{root}>"))
            }
            Call::Find => {
                let prefix = query.get("prefix").cloned().unwrap_or_default();
                let mut found = String::new();
                for (id, upload) in self
                    .open
                    .iter()
                    .filter(|(_, upload)| upload.key.starts_with(&prefix))
                {
                    let key = &upload.key;
                    let _ = write!(
                        found,
                        "<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>"
                    );
                }
                let root = "ListMultipartUploadsResult";
                Answer::ok(format!(
                    "<{root}><IsTruncated>false</IsTruncated>{found}</{root}>"
                ))
            }
            Call::List => self.list(&id, key, query, mood == Some(Mood::Stale)),
            Call::Complete => self.complete(&id, key, &said, body),
            Call::Abort if self.open.get(&id).is_none_or(|upload| upload.key != key) => {
                error(404, "NoSuchUpload")
            }
            Call::Abort => {
                self.open.remove(&id);
                Answer {
                    status: 204,
                    ..Answer::ok(String::new())
                }
            }
            Call::Delete => {
                self.objects.remove(key);
                Answer {
                    status: 204,
                    ..Answer::ok(String::new())
                }
            }
            Call::Head => match self.objects.get(key) {
                None => error(404, "NoSuchKey"),
                Some(object) => {
                    let size: u64 = object.content.iter().map(|(_, size)| size).sum();
                    let mut headers = vec![
                        ("content-length", size.to_string()),
                        ("etag", format!("\"{}\"", object.etag)),
                        ("x-amz-checksum-sha256", object.checksum.clone()),
                    ];
                    headers.extend(object.token.clone().map(|token| (TOKEN, token)));
                    Answer {
                        status: 200,
                        headers,
                        body: String::new(),
                    }
                }
            },
            Call::Put => {
                let came = Body256 {
                    sha256: Sha256::digest(body).into(),
                    size: body.len() as u64,
                };
                self.put(key, query, said, &came)
            }
            other => unreachable!("{other:?} is no call to a store"),
        }
    }

    fn list(&self, id: &str, key: &str, query: &Query, stale: bool) -> Answer {
        let Some(upload) = self.open.get(id).filter(|upload| upload.key == key) else {
            return error(404, "NoSuchUpload");
        };
        let after = query
            .get("part-number-marker")
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        let last = upload.parts.keys().next_back().copied().filter(|_| stale);
        let mut rest = upload
            .parts
            .range(after + 1..)
            .filter(|(number, _)| Some(**number) != last);
        let mut shown = String::new();
        if let Some((number, part)) = rest.next() {
            let (etag, size, checksum) = (&part.etag, part.size, BASE64.encode(part.sha256));
            let _ = write!(
                shown,
                "<NextPartNumberMarker>{number}</NextPartNumberMarker><Part><PartNumber>{number}</PartNumber>\
                 <ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><ChecksumSHA256>{checksum}</ChecksumSHA256></Part>"
            );
        }
        let more = rest.next().is_some();
        Answer::ok(format!(
            "<ListPartsResult><IsTruncated>{more}</IsTruncated>{shown}</ListPartsResult>"
        ))
    }

    fn complete(
        &mut self,
        id: &str,
        key: &str,
        said: &impl Fn(&str) -> Option<String>,
        body: &[u8],
    ) -> Answer {
        let Some(upload) = self.open.get(id).filter(|upload| upload.key == key) else {
            return error(404, "NoSuchUpload");
        };
        let listed: Listed = quick_xml::de::from_str(str::from_utf8(body).unwrap()).unwrap();
        let mut content = Content::new();
        for (place, part) in listed.parts.iter().enumerate() {
            let there = upload.parts.get(&part.part_number).filter(|there| {
                part.etag.trim_matches('"') == there.etag
                    && part.checksum == BASE64.encode(there.sha256)
            });
            let Some(there) = there else {
                return error(400, "InvalidPart");
            };
            if place > 0 && listed.parts[place - 1].part_number >= part.part_number {
                return error(400, "InvalidPartOrder");
            }
            if there.size < PART && place + 1 < listed.parts.len() {
                return error(400, "EntityTooSmall");
            }
            content.push((there.sha256, there.size));
        }
        let size: u64 = content.iter().map(|(_, size)| size).sum();
        if content.is_empty()
            || said("x-amz-mp-object-size").is_some_and(|said| said != size.to_string())
        {
            return error(400, "InvalidRequest");
        }
        if said("if-none-match").is_some() && self.objects.contains_key(key) {
            return error(412, "PreconditionFailed");
        }
        let token = upload.token.clone();
        let all: Vec<u8> = content.iter().flat_map(|(sha256, _)| *sha256).collect();
        let checksum = format!("{}-{}", BASE64.encode(Sha256::digest(all)), content.len());
        self.open.remove(id);
        let etag = self.keep(key, token, content, checksum);
        let root = "CompleteMultipartUploadResult";
        Answer::ok(format!(
            "  \n<{root}><Key>{key}</Key><ETag>&quot;{etag}&quot;</ETag></{root}>"
        ))
    }

    fn keep(
        &mut self,
        key: &str,
        token: Option<String>,
        content: Content,
        checksum: String,
    ) -> String {
        self.serial += 1;
        let etag = format!("object-{}", self.serial);
        let object = Object {
            token,
            content,
            etag: etag.clone(),
            checksum,
        };
        self.made.push((key.to_owned(), object.clone()));
        self.objects.insert(key.to_owned(), object);
        etag
    }

    fn put(
        &mut self,
        key: &str,
        query: &Query,
        said: impl Fn(&str) -> Option<String>,
        body: &Body256,
    ) -> Answer {
        let answer = self.take(key, query, said, body);
        let of = |name| query.get(name).map_or("-", String::as_str);
        let came = format!(
            "{} of {}: {} bytes, {}",
            of("partNumber"),
            of("uploadId"),
            body.size,
            answer.status
        );
        self.puts.push(came);
        answer
    }

    /// What was signed decides: the headers named in the URL must be there, and the body must be what they say.
    fn take(
        &mut self,
        key: &str,
        query: &Query,
        said: impl Fn(&str) -> Option<String>,
        body: &Body256,
    ) -> Answer {
        let signed = query
            .get("X-Amz-SignedHeaders")
            .cloned()
            .unwrap_or_default();
        let bound = |name: &str| signed.split(';').any(|signed| signed == name);
        assert!(
            query.contains_key("X-Amz-Signature") && bound("host"),
            "not signed: {signed:?}"
        );
        for name in ["content-length", "x-amz-checksum-sha256"] {
            assert!(bound(name), "{name} is not bound into the URL: {signed:?}");
        }
        if said("content-length") != Some(body.size.to_string()) {
            return error(400, "IncompleteBody");
        }
        let checksum = BASE64.encode(body.sha256);
        if said("x-amz-checksum-sha256").as_deref() != Some(&checksum) {
            return error(400, "BadDigest");
        }
        let etag = match query.get("uploadId") {
            None => {
                assert!(
                    bound("if-none-match") && said("if-none-match").as_deref() == Some("*"),
                    "may overwrite"
                );
                if self.objects.contains_key(key) {
                    return error(412, "PreconditionFailed");
                }
                self.keep(
                    key,
                    said(TOKEN),
                    vec![(body.sha256, body.size)],
                    checksum.clone(),
                )
            }
            Some(id) => {
                self.serial += 1;
                let etag = format!("part-{}", self.serial);
                let number = query["partNumber"].parse().unwrap();
                let part = Part {
                    sha256: body.sha256,
                    size: body.size,
                    etag: etag.clone(),
                };
                let Some(upload) = self.open.get_mut(id).filter(|upload| upload.key == key) else {
                    return error(404, "NoSuchUpload");
                };
                upload.parts.insert(number, part);
                etag
            }
        };
        let headers = vec![
            ("etag", format!("\"{etag}\"")),
            ("x-amz-checksum-sha256", checksum),
        ];
        Answer {
            status: 200,
            headers,
            body: String::new(),
        }
    }
}
