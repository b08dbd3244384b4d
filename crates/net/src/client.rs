//! HTTP clients: common settings, and a client that reads complete responses.
//!
//! Not here: uploads of parts, which need a streamed body and other time-outs.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::{Client, ClientBuilder, redirect};
use url::Url;

use crate::address::AddressClass;
use crate::network::Network;

/// `User-Agent` of every request.
const USER_AGENT: &str = concat!("upload/", env!("CARGO_PKG_VERSION"));
/// The text of the HTTP library if a proxy answers CONNECT with HTTP 407.
pub const PROXY_LOGIN_REASON: &str = "proxy authorization required";
/// What to do if a proxy requires a login.
pub const PROXY_LOGIN_HINT: &str = "add user and password to the URL of the proxy where it is set: HTTPS_PROXY (or another \
     variable for proxies), or else `proxy` in the configuration file";
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

/// An HTTP/1.1 client that reads complete responses. Requests to this machine and to instance
/// metadata bypass proxies; all others use the proxy of the network settings.
#[derive(Debug, Clone)]
pub struct HttpClient(Arc<Clients>);

/// The clients for TLS are built when they are first used.
#[derive(Debug)]
struct Clients {
    network: Network,
    /// For plain HTTP that bypasses proxies.
    plain: Client,
    direct: OnceLock<Client>,
    proxied: OnceLock<Client>,
}

/// The reason why no complete response arrived. The text never contains the URL, which may be
/// secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreachable {
    /// The TLS library cannot be set up.
    Tls(String),
    /// The certificate of the server is not trusted.
    Certificate(String),
    /// A proxy requires a login: the one with this address, if it is configured.
    ProxyLogin(Option<String>),
    /// The connection failed, or the response is too long.
    Network(String),
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(reason) => write!(f, "could not set up TLS: {reason}"),
            Self::ProxyLogin(Some(proxy)) => {
                write!(f, "proxy {proxy} requires a login (HTTP 407)")
            }
            Self::ProxyLogin(None) => f.write_str("a proxy requires a login (HTTP 407)"),
            Self::Certificate(reason) | Self::Network(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Unreachable {}

impl Unreachable {
    fn through(self, proxy: Option<String>) -> Self {
        match (self, proxy) {
            (Self::ProxyLogin(_), proxy) => Self::ProxyLogin(proxy),
            (Self::Certificate(reason), Some(proxy)) => {
                Self::Certificate(format!("through proxy {proxy}: {reason}"))
            }
            (Self::Network(reason), Some(proxy)) => {
                Self::Network(format!("through proxy {proxy}: {reason}"))
            }
            (other, _) => other,
        }
    }
}

/// A complete response.
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
    pub fn new(network: Network) -> Result<Self, Unreachable> {
        let plain = network
            .plain_client(AddressClass::Loopback, builder().http1_only())
            .map_err(no_tls)?;
        Ok(Self(Arc::new(Clients {
            network,
            plain,
            direct: OnceLock::new(),
            proxied: OnceLock::new(),
        })))
    }

    fn client(&self, url: &Url) -> Result<&Client, Unreachable> {
        let class = AddressClass::of_url(url);
        let cell = match class.bypasses_proxy() {
            true if url.scheme() == "http" => return Ok(&self.0.plain),
            true => &self.0.direct,
            false => &self.0.proxied,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = self
            .0
            .network
            .client(class, || builder().http1_only())
            .map_err(no_tls)?;
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
        let url = request.url().clone();
        let client = self.client(&url)?;
        exchange(client, request, max_bytes)
            .await
            .map_err(|error| error.through(self.0.network.proxy_of(&url)))
    }
}

async fn exchange(
    client: &Client,
    request: reqwest::Request,
    max_bytes: usize,
) -> Result<Response, Unreachable> {
    let mut response = client.execute(request).await.map_err(no_response)?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    // Only a proxy answers this, also a proxy that no setting names.
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(Unreachable::ProxyLogin(None));
    }
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

fn no_tls(error: reqwest::Error) -> Unreachable {
    Unreachable::Tls(causes(&error.without_url()))
}

/// Converts an error of the HTTP library that means that no response arrived. Omits its URL.
#[must_use]
pub fn no_response(error: reqwest::Error) -> Unreachable {
    let reason = causes(&error.without_url());
    // The types of the HTTP library hide the TLS library's error, so the text is searched.
    if reason.contains(PROXY_LOGIN_REASON) {
        Unreachable::ProxyLogin(None)
    } else if reason.contains("certificate") {
        Unreachable::Certificate(reason)
    } else {
        Unreachable::Network(reason)
    }
}

/// An error and its causes, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
