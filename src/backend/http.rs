//! HTTP as the client needs it: calls to the backend, parts to the store, objects from it.
//!
//! Border: bytes and headers on the wire, and how long nothing may happen there; who speaks is `clients` or `direct`, what a message means is `native`'s, what
//! an answer means is `answer`'s.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Method, Response};
use url::Url;

use super::answer;
use super::body::PartBody;
use super::clients::Clients;
use super::content::{Content, Pool};
#[cfg(target_os = "linux")]
use super::direct::{Direct, Sending};
use super::hosts::{self, StoreHost};
use super::limit::Limiter;
use crate::error::{Error, Kind, Result};
use crate::names::{ETag, Fingerprint, SignedUrl};
use crate::wire::SignedPut;

pub(super) const USER_AGENT: &str = concat!("upload/", env!("CARGO_PKG_VERSION"));
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// The longest a call to the backend may take; it answers 202 rather than let a client wait.
const CALL: Duration = Duration::from_mins(1);
/// Nothing acknowledged for so long, says the kernel: the peer is dead.
pub(super) const DEAD: Duration = Duration::from_secs(30);
/// Nothing taken for so long: a frame and the buffers below it need minutes on a slow link. There is no limit on the
/// whole of a part, however slow.
const STALL: Duration = Duration::from_mins(5);
/// From the last frame a connection took to the store's answer: what lies in the kernel's buffer is still on its way.
const ANSWER: Duration = Duration::from_mins(5);
/// S3 closes idle connections after about five seconds, our gateway after ten.
pub(super) const IDLE: Duration = Duration::from_secs(4);
/// Silence after which an open connection is tried.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The most that is read of an answer to a part.
const ANSWER_MAX: usize = 64 << 10;

/// How to reach backend and store.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// PEM certificates to trust beside the system's.
    pub ca_cert: Option<PathBuf>,
    pub proxy: Option<Url>,
    /// Plain HTTP away from loopback.
    pub allow_insecure_http: bool,
    pub store_hosts: Vec<StoreHost>,
    /// How fast all parts together may go; it may be kept, and set while they do.
    pub limiter: Arc<Limiter>,
}

/// What a store says to a part that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    New(ETag),
    /// A single PUT found the object there already, by this upload or by none.
    AlreadyThere,
}

#[derive(Debug, Clone)]
pub struct Http {
    clients: Clients,
    backend: Url,
    options: Options,
    pool: Pool,
    #[cfg(target_os = "linux")]
    direct: Option<Arc<Direct>>,
}

impl Http {
    /// # Errors
    /// [`Kind::Config`] for a certificate file or a proxy that cannot be used, [`Kind::Unusable`] for a backend on plain
    /// HTTP away from loopback.
    pub fn new(backend: &Url, options: Options) -> Result<Self> {
        let local = backend.host().is_some_and(|host| hosts::is_loopback(&host));
        if backend.scheme() != "https" && !local && !options.allow_insecure_http {
            return Err(Error::new(Kind::Unusable, "plain http would show token and file to everybody on the way")
                .hinting("use https, or --allow-insecure-http in a network you trust"));
        }
        Ok(Self {
            clients: Clients::new(backend, &options)?,
            backend: backend.clone(),
            #[cfg(target_os = "linux")]
            direct: (!is_proxied(&options)).then(Arc::default),
            pool: Pool::default(),
            options,
        })
    }

    /// One call to the backend. Gives status, headers and at most `max` bytes of body.
    ///
    /// # Errors
    /// [`Kind::Temporary`] when no answer came, [`Kind::Unusable`] for TLS that cannot be trusted or too large an answer.
    pub async fn call(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Option<Vec<u8>>,
        max: usize,
    ) -> Result<Answer> {
        let mut request = self.clients.api().request(method, url).headers(headers).timeout(CALL);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| failed("reach the backend", error))?;
        Answer::read(response, max).await
    }

    /// Sends one part to where it was signed for. `sent` counts what the network took.
    ///
    /// # Errors
    /// By what the store answers; [`Kind::Temporary`] when it does not, or no byte moves for minutes;
    /// [`Kind::Unusable`] for a URL or headers we will not use; [`Kind::Changed`] and [`Kind::Io`] when it cannot be read.
    pub async fn put(
        &self,
        signed: &SignedPut,
        signed_at: Instant,
        content: Content,
        fingerprint: &Fingerprint,
        sent: Arc<AtomicU64>,
    ) -> Result<Stored> {
        let insecure = self.options.allow_insecure_http;
        let url = hosts::check(signed.url.expose(), &self.backend, &self.options.store_hosts, insecure)?;
        let len = content.range.len;
        let headers = headers(signed, len)?;
        // Stores look at the clock when a request begins.
        let stale = signed_at.elapsed() >= Duration::from_secs(signed.expires_in);
        let answer = self.send(url, headers, content, &sent);
        let answer = tokio::select! {
            answer = answer => answer?,
            () = stalled(&sent, len) => {
                return Err(Error::new(Kind::Temporary, "the connection to the store made no progress"));
            }
        };
        stored(&answer, fingerprint, stale)
    }

    /// Sends a part and reads the answer: over plain HTTP straight from the file, else through reqwest.
    async fn send(&self, url: Url, headers: HeaderMap, content: Content, sent: &Arc<AtomicU64>) -> Result<Answer> {
        let limiter = &self.options.limiter;
        #[cfg(target_os = "linux")]
        if let Some(direct) = self.direct.as_ref().filter(|_| url.scheme() == "http") {
            let part = Sending { sent, limiter, pool: &self.pool };
            if let Some(answer) = direct.put(&url, &headers, &content, &part, ANSWER_MAX).await? {
                return Ok(answer);
            }
        }
        let body = PartBody::new(content, self.pool.clone(), Arc::clone(limiter), Arc::clone(sent));
        let request = self.clients.data()?.request(Method::PUT, url).headers(headers).body(Body::wrap(body));
        let response = request.send().await.map_err(|error| failed("send a part", error))?;
        Answer::read(response, ANSWER_MAX).await
    }

    /// Begins to read an object.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn get(&self, url: &SignedUrl) -> Result<Get> {
        let insecure = self.options.allow_insecure_http;
        let url = hosts::check(url.expose(), &self.backend, &self.options.store_hosts, insecure)?;
        let response = self.clients.data()?.get(url).send().await.map_err(|error| failed("read the object", error))?;
        if !response.status().is_success() {
            let answer = Answer::read(response, ANSWER_MAX).await?;
            return Err(answer::of_store(answer.status, &answer.text(), answer.retry_after(), false));
        }
        Ok(Get(response))
    }
}

/// An object on its way to us.
#[derive(Debug)]
pub struct Get(Response);

impl Get {
    /// The next bytes, until there are no more.
    ///
    /// # Errors
    /// [`Kind::Temporary`] when the connection breaks off or nothing comes for 30 s.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match tokio::time::timeout(DEAD, self.0.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| failed("read the object", error)),
            Err(_) => Err(Error::new(Kind::Temporary, "the connection to the store made no progress")),
        }
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    async fn read(mut response: Response, max: usize) -> Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed("read an answer", error))? {
            if body.len() + chunk.len() > max {
                return Err(Error::new(Kind::Unusable, format!("an answer of more than {max} bytes was not read")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, headers, body })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn retry_after(&self) -> Option<Duration> {
        answer::retry_after(self.header(RETRY_AFTER.as_str()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads the store's answer to a part.
fn stored(answer: &Answer, fingerprint: &Fingerprint, stale: bool) -> Result<Stored> {
    match answer.status {
        200..=299 => {}
        412 => return Ok(Stored::AlreadyThere),
        status => return Err(answer::of_store(status, &answer.text(), answer.retry_after(), stale)),
    }
    // What a captive portal or a proxy answers has no ETag; some stores say 200 and put an error in the body.
    let etag = answer.header(ETAG.as_str()).and_then(|etag| ETag::from_header(etag).ok());
    let Some(etag) = etag.filter(|_| !answer.text().contains("<Error>")) else {
        return Err(Error::new(Kind::Temporary, "the store's answer to a part carries no ETag"));
    };
    match answer.header("x-amz-checksum-sha256") {
        Some(checksum) if checksum != fingerprint.base64() => {
            Err(Error::new(Kind::Corrupt, "the store has other bytes than were sent"))
        }
        _ => Ok(Stored::New(etag)),
    }
}

/// The headers that were signed, exactly, less those the connection writes itself.
fn headers(signed: &SignedPut, len: u64) -> Result<HeaderMap> {
    let unusable = |what: String| Error::new(Kind::Unusable, what);
    if signed.method != "PUT" {
        return Err(unusable("the backend signed another method than PUT".into()));
    }
    // Written out: of an empty body, hyper does not tell the length, which is signed.
    let mut headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(len))]);
    for (name, value) in &signed.headers {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "host" => continue,
            "content-length" if *value != len.to_string() => {
                return Err(unusable(format!("the backend signed {value} bytes for a part of {len}")));
            }
            "if-none-match" => {}
            name if name.starts_with("x-amz-") || name.starts_with("content-") => {}
            _ => return Err(unusable("the backend asks for a header that no part has".into())),
        }
        let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (name, value) =
            header.ok_or_else(|| unusable("the backend asks for a header that cannot be sent".into()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Ends when nothing has moved for too long.
async fn stalled(sent: &AtomicU64, len: u64) {
    let mut before = 0;
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = sent.load(Ordering::Relaxed);
        if now != before {
            (before, since) = (now, Instant::now());
        }
        if since.elapsed() > if now >= len { ANSWER } else { STALL } {
            return;
        }
    }
}

/// Whether plain HTTP may go through a proxy, by option or, as reqwest reads them, by the environment's variables.
#[cfg(target_os = "linux")]
fn is_proxied(options: &Options) -> bool {
    let named = |name| std::env::var_os(name).is_some_and(|proxy| !proxy.is_empty());
    options.proxy.is_some() || ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].into_iter().any(named)
}

/// A request that brought no answer. TLS that cannot be trusted will not be trusted later either.
fn failed(what: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut causes = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<Error>() {
            // Where reading failed, that is why sending did.
            return Error::new(ours.kind(), ours.to_string());
        }
        causes.push(error.to_string());
        cause = error.source();
    }
    let untrusted = causes.iter().any(|text| text.contains("certificate"));
    let what = format!("could not {what}");
    if untrusted {
        return Error::new(Kind::Unusable, what)
            .because(error)
            .hinting("if a company proxy or a private authority signs here, name its certificate: --ca-cert FILE");
    }
    Error::new(Kind::Temporary, what).because(error)
}
