//! HTTP as the client needs it: calls to the backend, parts to the store, objects from it.
//!
//! Border: bytes and headers on the wire, and how long nothing may happen there; who speaks is `clients` or `direct`, what a
//! message means is `native`'s, what an answer means is `answer`'s.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use upload_types::sync::lock;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Response};
use upload_net::AddressClass;
use url::Url;

pub(super) use super::answer::Answer;
use super::answer::{self, PutOutcome};
use super::buffer_pool::BufferPool;
use super::clients::Clients;
use super::header::{self, Header};
use super::hosts::{self, Rules, StoreHost};
use super::limit::Limiter;
use super::part_body::PartBody;
use super::part_upload::PartUpload;
use super::patience::Patience;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{Md5, SignedUrl};
use upload_types::wire::SignedPut;

pub(super) use super::patience::DEAD;
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
    /// For each call to the backend, and for nobody else.
    pub headers: Vec<Header>,
    /// The backend runs in this process.
    pub own: bool,
    /// How fast all parts together may go; it may be kept, and set while they do.
    pub limiter: Arc<Limiter>,
    /// How long nothing may move on a connection, where that is not left to us.
    pub stall_after: Option<Duration>,
}

#[derive(Debug, Clone)]
pub struct Http {
    clients: Clients,
    backend: Url,
    options: Options,
    /// Stores that parts may go to, as [`hosts::place`] tells them; none yet is any.
    known: Arc<Mutex<Vec<String>>>,
    pool: BufferPool,
}

impl Http {
    /// # Errors
    /// [`Kind::Config`] for a certificate file or a proxy that cannot be used, [`Kind::Incompatible`] for a backend on plain
    /// HTTP away from loopback.
    pub fn new(backend: &Url, options: Options) -> Result<Self> {
        let local = AddressClass::of_url(backend).is_loopback();
        if backend.scheme() != "https" && !local && !options.allow_insecure_http {
            return Err(Error::new(
                Kind::Incompatible,
                "plain http would show token and file to everybody on the way",
            )
            .with_hint("use https, or --allow-insecure-http in a network you trust"));
        }
        Ok(Self {
            clients: Clients::new(backend, &options)?,
            backend: backend.clone(),
            known: Arc::default(),
            pool: BufferPool::default(),
            options,
        })
    }

    /// The same with new connections: what was open may lead nowhere any more.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn with_new_connections(&self) -> Result<Self> {
        let new = Self::new(&self.backend, self.options.clone())?;
        Ok(Self {
            known: Arc::clone(&self.known),
            pool: self.pool.clone(),
            ..new
        })
    }

    /// Stores that parts went to before.
    pub fn set_known(&self, known: Vec<String>) {
        *lock(&self.known) = known;
    }

    pub fn known(&self) -> Vec<String> {
        lock(&self.known).clone()
    }

    /// Where a URL for a part leads, if it may. The first store there is stays the one there is.
    fn place(&self, url: &SignedUrl) -> Result<Url> {
        let mut known = lock(&self.known);
        let url = hosts::check(url.expose(), &self.rules(&known))?;
        let place = hosts::place(&url);
        let own = self.options.own || place == hosts::place(&self.backend);
        if !own && !known.contains(&place) {
            known.push(place);
        }
        Ok(url)
    }

    fn rules<'a>(&'a self, known: &'a [String]) -> Rules<'a> {
        let Options {
            own,
            store_hosts: named,
            allow_insecure_http: insecure_http,
            ..
        } = &self.options;
        Rules {
            backend: &self.backend,
            own: *own,
            named,
            insecure_http: *insecure_http,
            known,
        }
    }

    /// One call to the backend. Gives status, headers and at most `max` bytes of body.
    ///
    /// # Errors
    /// [`Kind::Temporary`] when no answer came or nothing moved, [`Kind::Incompatible`] for TLS that cannot be trusted or too large
    /// an answer.
    pub async fn call(
        &self,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        body: Option<Bytes>,
        max: usize,
    ) -> Result<Answer> {
        header::add(&mut headers, &self.options.headers);
        let mut request = self.clients.api().request(method, url).headers(headers);
        let len = body.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        crash::point("backend.call.asking");
        let response = within(self.patience().answer(len), request.send()).await?;
        let response = response.map_err(|error| failed("reach the backend", error))?;
        crash::point("backend.call.answered");
        read(response, max, self.patience()).await
    }

    fn patience(&self) -> Patience {
        Patience::new(self.options.stall_after)
    }

    /// Sends one part to where it was signed for. Where there is an `md5`, the store's `ETag` is held against it. `sent` counts
    /// what the network took.
    ///
    /// # Errors
    /// By what the store answers; [`Kind::Temporary`] when it does not, or no byte moves for minutes;
    /// [`Kind::Incompatible`] for a URL or headers we will not use; [`Kind::SourceChanged`] and [`Kind::Io`] when it cannot be read.
    pub async fn put(&self, part: PartUpload, md5: Option<Md5>) -> Result<PutOutcome> {
        let PartUpload {
            signed,
            signed_at,
            source,
            range,
            sha256,
            sent,
        } = part;
        let url = self.place(&signed.url)?;
        let headers = headers(&signed, range.len)?;
        // Stores look at the clock when a request begins.
        let stale = signed_at.elapsed() >= Duration::from_secs(signed.expires_in);
        let pool = self.pool.clone();
        let limiter = Arc::clone(&self.options.limiter);
        let body = PartBody::new(source, range, pool, limiter, Arc::clone(&sent));
        let answer = self.send(url, headers, body);
        let answer = tokio::select! {
            answer = answer => answer?,
            () = stalled(&sent, range.len, self.patience()) => {
                return Err(Error::new(Kind::Temporary, "the connection to the store made no progress"));
            }
        };
        answer::of_part(&answer, &sha256, md5.as_ref(), stale)
    }

    /// Sends a part and reads the answer.
    async fn send(&self, url: Url, headers: HeaderMap, body: PartBody) -> Result<Answer> {
        let request = self
            .clients
            .data()?
            .request(Method::PUT, url)
            .headers(headers)
            .body(Body::wrap(body));
        let response = request
            .send()
            .await
            .map_err(|error| failed("send a part", error))?;
        crash::point("backend.put.answered");
        read(response, ANSWER_MAX, self.patience()).await
    }

    /// Begins to read an object.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn get(&self, url: &SignedUrl) -> Result<Get> {
        // What is read may come from another place than it went to.
        let url = hosts::check(url.expose(), &self.rules(&[]))?;
        let patience = self.patience();
        let response = within(patience.answer(0), self.clients.data()?.get(url).send()).await?;
        let response = response.map_err(|error| failed("read the object", error))?;
        if !response.status().is_success() {
            return Err(answer::of_store(
                &read(response, ANSWER_MAX, patience).await?,
                false,
            ));
        }
        Ok(Get(response, patience))
    }
}

/// An object on its way to us.
#[derive(Debug)]
pub struct Get(Response, Patience);

impl Get {
    /// The next bytes, until there are no more.
    ///
    /// # Errors
    /// [`Kind::Temporary`] when the connection breaks off or nothing comes any more.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        within(self.1.receive(), self.0.chunk())
            .await?
            .map_err(|error| failed("read the object", error))
    }
}

/// Reads an answer to its end: at most `max` bytes of body, and no standing still on the way.
async fn read(mut response: Response, max: usize, patience: Patience) -> Result<Answer> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    loop {
        let chunk = within(patience.receive(), response.chunk()).await?;
        let Some(chunk) = chunk.map_err(|error| failed("read an answer", error))? else {
            break;
        };
        if body.len() + chunk.len() > max {
            return Err(Error::new(
                Kind::Incompatible,
                format!("an answer of more than {max} bytes was not read"),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// Waits for something to happen, for so long; as in [`stalled`], a look that came late is one look.
async fn within<T>(limit: Duration, happens: impl Future<Output = T>) -> Result<T> {
    let mut happens = pin!(happens);
    let mut left = limit;
    while !left.is_zero() {
        let look = left.min(LOOK);
        if let Ok(happened) = tokio::time::timeout(look, &mut happens).await {
            return Ok(happened);
        }
        left -= look;
    }
    Err(Error::new(Kind::Temporary, "the connection stands still"))
}

/// The headers that were signed, exactly, less those the connection writes itself.
fn headers(signed: &SignedPut, len: u64) -> Result<HeaderMap> {
    let unusable = |what: String| Error::new(Kind::Incompatible, what);
    if signed.method != "PUT" {
        return Err(unusable(
            "the backend signed another method than PUT".into(),
        ));
    }
    // Written out: of an empty body, hyper does not tell the length, which is signed.
    let mut headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(len))]);
    for (name, value) in &signed.headers {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "host" => continue,
            "content-length" if *value != len.to_string() => {
                return Err(unusable(format!(
                    "the backend signed {value} bytes for a part of {len}"
                )));
            }
            "if-none-match" => {}
            name if name.starts_with("x-amz-") || name.starts_with("content-") => {}
            _ => {
                return Err(unusable(
                    "the backend asks for a header that no part has".into(),
                ));
            }
        }
        let header = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(value).ok());
        let (name, value) = header
            .ok_or_else(|| unusable("the backend asks for a header that cannot be sent".into()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// How often it is looked at whether anything has moved.
const LOOK: Duration = Duration::from_millis(500);

/// Ends when nothing has moved for too long.
async fn stalled(sent: &AtomicU64, len: u64, patience: Patience) {
    let mut before = 0;
    let mut still = Duration::ZERO;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = sent.load(Ordering::Relaxed);
        // A look that came late is one look: what did not run could move nothing, and the network is not to blame.
        still = if now == before {
            still + LOOK
        } else {
            Duration::ZERO
        };
        before = now;
        if still
            > if now >= len {
                patience.answer(len)
            } else {
                patience.send()
            }
        {
            return;
        }
    }
}

/// Whether a variable of the environment is set, and not empty.
pub(super) fn is_any_set(names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
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
    if causes
        .iter()
        .any(|text| text.contains("proxy authorization required"))
    {
        return answer::proxy_login();
    }
    let what = format!("could not {what}");
    if untrusted {
        return Error::new(Kind::Incompatible, what)
            .with_source(error)
            .with_hint("if a company proxy or a private authority signs here, name its certificate: --ca-cert FILE");
    }
    Error::new(Kind::Temporary, what).with_source(error)
}

#[cfg(test)]
mod tests;
