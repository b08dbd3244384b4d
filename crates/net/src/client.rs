//! HTTP clients: common settings, trusted certificates, and a client that reads whole responses.
//!
//! Not here: uploads of parts, which need a streamed body and other time-outs.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use url::Url;

use crate::address::AddressClass;

/// `User-Agent` of every request.
const USER_AGENT: &str = concat!("upload/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the 5 s after which S3 closes an idle connection.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(4);

/// A client with the common settings. It follows no redirect.
pub fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
}

/// The certificate authorities that a client trusts: those of the system (or of Mozilla, if the
/// system has none), and additional ones.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    additional: Vec<Certificate>,
}

impl Roots {
    /// The authorities of the system, and those of a PEM bundle.
    ///
    /// # Errors
    /// The reason, as text, if the bundle cannot be used.
    pub fn with_pem_bundle(pem: &[u8]) -> Result<Self, String> {
        let additional =
            Certificate::from_pem_bundle(pem).map_err(|error| error.without_url().to_string())?;
        if additional.is_empty() {
            return Err("the file holds no certificate".into());
        }
        Ok(Self { additional })
    }

    /// Builds a client that trusts these authorities. `builder` is called twice if the system has
    /// none.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn build(&self, builder: impl Fn() -> ClientBuilder) -> reqwest::Result<Client> {
        let additional = || self.additional.iter().cloned();
        builder()
            .tls_certs_merge(additional())
            .build()
            .or_else(|_| {
                // Minimal containers have no certificate authorities.
                tracing::info!("the system has no certificate authorities: using those of Mozilla");
                let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
                let mozilla = mozilla.filter_map(|der| Certificate::from_der(der).ok());
                builder()
                    .tls_certs_only(mozilla.chain(additional()))
                    .build()
            })
    }
}

/// Builds a client for plain HTTP that trusts no certificate: reading the system's authorities
/// takes 20 ms or more.
///
/// # Errors
/// The TLS library cannot be set up.
pub fn build_plain(builder: ClientBuilder) -> reqwest::Result<Client> {
    builder.tls_certs_only([]).build()
}

/// An HTTP/1.1 client that reads whole responses. Requests to this machine and to instance metadata
/// bypass proxies; all others use the proxy of the environment.
#[derive(Debug, Clone)]
pub struct HttpClient(Arc<Clients>);

/// The clients for TLS are built when they are first used.
#[derive(Debug)]
struct Clients {
    plain: Client,
    direct: OnceLock<Client>,
    proxied: OnceLock<Client>,
}

/// The reason why no whole response arrived. The text never contains the URL, which may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreachable {
    /// The TLS library cannot be set up.
    Tls(String),
    /// The connection failed, or the response is too long.
    Network(String),
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(reason) => write!(f, "could not set up TLS: {reason}"),
            Self::Network(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Unreachable {}

/// A whole response.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header; `None` if it is absent or not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl HttpClient {
    /// # Errors
    /// [`Unreachable::Tls`].
    pub fn new() -> Result<Self, Unreachable> {
        let plain = build_plain(builder().http1_only().no_proxy()).map_err(no_tls)?;
        Ok(Self(Arc::new(Clients {
            plain,
            direct: OnceLock::new(),
            proxied: OnceLock::new(),
        })))
    }

    fn client(&self, url: &Url) -> Result<&Client, Unreachable> {
        let bypasses_proxy = AddressClass::of_url(url).bypasses_proxy();
        let cell = match bypasses_proxy {
            true if url.scheme() == "http" => return Ok(&self.0.plain),
            true => &self.0.direct,
            false => &self.0.proxied,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = || {
            let builder = builder().http1_only();
            if bypasses_proxy {
                builder.no_proxy()
            } else {
                builder
            }
        };
        let client = Roots::default().build(builder).map_err(no_tls)?;
        Ok(cell.get_or_init(|| client))
    }

    /// Sends a GET; see [`Self::execute`].
    pub async fn get(
        &self,
        url: &Url,
        timeout: Duration,
        max_bytes: usize,
    ) -> Result<Response, Unreachable> {
        let request = reqwest::Request::new(http::Method::GET, url.clone());
        self.execute(request, timeout, max_bytes).await
    }

    /// Sends a request and reads the response within `timeout`.
    ///
    /// # Errors
    /// [`Unreachable`]; also for a body of more than `max_bytes`.
    pub async fn execute(
        &self,
        mut request: reqwest::Request,
        timeout: Duration,
        max_bytes: usize,
    ) -> Result<Response, Unreachable> {
        *request.timeout_mut() = Some(timeout);
        let client = self.client(request.url())?;
        let mut response = client.execute(request).await.map_err(no_response)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_response)? {
            if body.len() + chunk.len() > max_bytes {
                let reason = format!("{status} with a body of more than {max_bytes} bytes");
                return Err(Unreachable::Network(reason));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response {
            status,
            headers,
            body,
        })
    }
}

fn no_tls(error: reqwest::Error) -> Unreachable {
    Unreachable::Tls(causes(&error.without_url()))
}

/// Converts an error of the library that stands for a missing response, without its URL.
#[must_use]
pub fn no_response(error: reqwest::Error) -> Unreachable {
    Unreachable::Network(causes(&error.without_url()))
}

/// An error and its causes, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
