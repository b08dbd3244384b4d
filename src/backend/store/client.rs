//! Requests to the store: sends parts by presigned URLs, and reads objects.
//!
//! Not here: the stores that a URL may name (`url_policy`), the meaning of a response (`response`).

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Body;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::buffer_pool::BufferPool;
use super::part_body::PartBody;
use super::part_upload::PartUpload;
use super::response::{PutOutcome, UrlLifetime, put_outcome, store_error};
use crate::backend::connections::Connections;
use crate::backend::http;
use crate::backend::response::{Response, VERSIONS_HINT};
use crate::backend::timeouts::{Timeouts, until_stalled, within_counted};
use crate::backend::url_policy::{UrlPolicy, authority};
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::sync::lock;
use upload_types::wire::SignedPut;
use upload_types::{Md5, SignedUrl};

/// The largest response to a part, and the largest error, that is read from a store.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// The stores of one backend. Clones share connections and known stores.
#[derive(Debug, Clone)]
pub struct StoreClient {
    connections: Connections,
    /// The stores that parts may go to, in the form of [`authority`]. While it is empty, every
    /// store is permitted, and the first one is added.
    known_stores: Arc<Mutex<Vec<String>>>,
    buffers: BufferPool,
}

impl StoreClient {
    pub fn new(connections: Connections) -> Self {
        Self {
            connections,
            known_stores: Arc::default(),
            buffers: BufferPool::default(),
        }
    }

    /// The same client, with the same known stores, on other connections.
    #[must_use]
    pub fn with_connections(&self, connections: Connections) -> Self {
        Self {
            connections,
            ..self.clone()
        }
    }

    /// Sets the stores that parts went to before.
    pub fn set_known_stores(&self, stores: Vec<String>) {
        *lock(&self.known_stores) = stores;
    }

    pub fn backend_host(&self) -> Option<String> {
        self.connections.backend_host()
    }

    pub fn known_stores(&self) -> Vec<String> {
        lock(&self.known_stores).clone()
    }

    /// Sends one part by its presigned URL. With `md5`, compares it with the store's `ETag`.
    ///
    /// # Errors
    /// [`Kind::Temporary`] if the store does not respond or the connection stalls,
    /// [`Kind::Incompatible`] if the URL or its headers must not be used, the errors of
    /// [`PartUpload::source`] if it cannot be read, otherwise those of [`put_outcome`].
    pub async fn put(&self, part: PartUpload, md5: Option<Md5>) -> Result<PutOutcome> {
        let PartUpload {
            signed,
            signed_at,
            source,
            range,
            sha256,
            sent,
        } = part;
        let url = self.check_part_url(&signed.url)?;
        let headers = part_headers(&signed, range.len)?;
        let is_valid = || signed_at.elapsed() < Duration::from_secs(signed.expires_in);
        let was_valid = is_valid();
        let buffers = self.buffers.clone();
        let limiter = Arc::clone(&self.connections.options().limiter);
        let body = PartBody::new(source, range, buffers, limiter, Arc::clone(&sent));
        let response = self.send_part(url, headers, body, &sent, range.len).await?;
        // Most stores compare the lifetime of a URL with the time at which the request begins.
        let lifetime = match (was_valid, is_valid()) {
            (false, _) => UrlLifetime::Expired,
            (true, false) => UrlLifetime::EndedMeanwhile,
            (true, true) => UrlLifetime::Valid,
        };
        put_outcome(&response, &sha256, md5.as_ref(), lifetime)
            .map_err(|error| self.with_clocks(error, &response, lifetime))
    }

    /// Adds the difference between the clocks of backend and store to an error that it may explain.
    fn with_clocks(&self, error: Error, response: &Response, lifetime: UrlLifetime) -> Error {
        let is_skew = match error.kind() {
            Kind::ClockSkew => true,
            Kind::UrlExpired => lifetime == UrlLifetime::Valid,
            _ => false,
        };
        let difference = self.connections.clock().difference_to(response);
        match difference.filter(|_| is_skew) {
            Some(difference) => error.with_source(difference),
            None => error,
        }
    }

    async fn send_part(
        &self,
        url: Url,
        headers: HeaderMap,
        body: PartBody,
        sent: &AtomicU64,
        len: u64,
    ) -> Result<Response> {
        let timeouts = self.connections.timeouts();
        let client = self.connections.store(&url)?;
        let request = client.put(url.clone()).headers(headers);
        let request = request.body(Body::wrap(body));
        let exchange = async {
            let response = request.send().await;
            let response = response.map_err(|error| http::request_error("send a part", error))?;
            crash::point("backend.put.response");
            http::read_response(response, MAX_RESPONSE_BYTES, timeouts).await
        };
        let response = tokio::select! {
            response = exchange => response,
            () = until_stalled(sent, len, timeouts) => {
                let what = "the connection to the store made no progress";
                Err(Error::new(Kind::Temporary, what))
            }
        };
        response.map_err(|error| self.connections.name_host(&url, error))
    }

    /// Requests an object and returns it for reading.
    ///
    /// # Errors
    /// As [`http::send`] and [`store_error`].
    pub async fn get(&self, url: &SignedUrl) -> Result<ObjectReader> {
        // An object may be read from another store than parts are sent to.
        let url = self.policy(&[]).check(url.expose())?;
        let timeouts = self.connections.timeouts();
        let request = self.connections.store(&url)?.get(url.clone());
        let name_host = |error| self.connections.name_host(&url, error);
        let response = http::send(request, timeouts.response(0), "read the object")
            .await
            .map_err(name_host)?;
        if !response.status().is_success() {
            let response = http::read_response(response, MAX_RESPONSE_BYTES, timeouts)
                .await
                .map_err(name_host)?;
            let error = store_error(&response, UrlLifetime::Valid);
            return Err(self.with_clocks(error, &response, UrlLifetime::Valid));
        }
        Ok(ObjectReader {
            response,
            timeouts,
            waited: Duration::ZERO,
            received: 0,
        })
    }

    /// Checks the presigned URL of a part, and adds its store to the known ones.
    pub(super) fn check_part_url(&self, url: &SignedUrl) -> Result<Url> {
        let mut known_stores = lock(&self.known_stores);
        let url = self.policy(&known_stores).check(url.expose())?;
        let store = authority(&url);
        let is_backend = store == authority(self.connections.backend());
        let in_process = self.connections.options().in_process;
        if !in_process && !is_backend && !known_stores.contains(&store) {
            known_stores.push(store);
        }
        Ok(url)
    }

    fn policy<'a>(&'a self, known_stores: &'a [String]) -> UrlPolicy<'a> {
        let options = self.connections.options();
        UrlPolicy {
            backend: self.connections.backend(),
            in_process: options.in_process,
            store_hosts: &options.store_hosts,
            allow_insecure_http: options.allow_insecure_http,
            known_stores,
        }
    }
}

/// The body of an object.
#[derive(Debug)]
pub struct ObjectReader {
    response: reqwest::Response,
    timeouts: Timeouts,
    /// The time that the reader has waited for bytes in the current period of
    /// [`Timeouts::slow_object`], and the bytes of that period.
    waited: Duration,
    received: u64,
}

impl ObjectReader {
    /// The next bytes. Returns `None` at the end of the object.
    ///
    /// # Errors
    /// [`Kind::Temporary`] if the connection breaks or stalls, or if too few bytes arrive.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let (period, least) = self.timeouts.slow_object();
        if self.waited >= period {
            if self.received < least {
                let what = "the object arrived too slowly";
                return Err(Error::new(Kind::Temporary, what));
            }
            (self.waited, self.received) = (Duration::ZERO, 0);
        }
        let limit = self.timeouts.receive();
        let chunk = within_counted(limit, &mut self.waited, self.response.chunk())
            .await?
            .map_err(|error| http::request_error("read the object", error))?;
        self.received += chunk.as_ref().map_or(0, Bytes::len) as u64;
        Ok(chunk)
    }
}

/// The headers of the request for a part: its length, and the signed ones except `host`, which the
/// connection writes.
fn part_headers(signed: &SignedPut, len: u64) -> Result<HeaderMap> {
    let unusable = |what: String| Error::new(Kind::Incompatible, what).with_hint(VERSIONS_HINT);
    if signed.method != "PUT" {
        return Err(unusable(
            "the backend signed another method than PUT".into(),
        ));
    }
    // hyper sends no Content-Length with an empty body, but the length is signed.
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
            "if-none-match" | "cache-control" | "expires" => {}
            name if name.starts_with("x-amz-") || name.starts_with("content-") => {}
            _ => {
                return Err(unusable(
                    "the backend signed a header that a part must not have".into(),
                ));
            }
        }
        let header = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(value).ok());
        let (name, value) = header
            .ok_or_else(|| unusable("the backend signed a header that cannot be sent".into()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}
