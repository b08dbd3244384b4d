//! HTTP clients: the settings that all of them share, the certificates that they trust, and a client for whole responses.
//!
//! Not here: uploads of parts, whose body and time-outs are the caller's.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use url::Url;

use crate::address::AddressClass;

/// `User-Agent` of every request.
pub const USER_AGENT: &str = concat!("upload/", env!("CARGO_PKG_VERSION"));
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept. Shorter than the 5 s after which S3 closes it.
pub const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(4);

/// A client with the settings that every request of the program needs: it follows no redirect.
pub fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
}

/// The certificate authorities that a client trusts: those of the system, or those of Mozilla where the system has none,
/// and further ones.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    further: Vec<Certificate>,
}

impl Roots {
    /// The system's, and those of a PEM bundle.
    ///
    /// # Errors
    /// A text that says why the bundle cannot be used.
    pub fn with_pem_bundle(pem: &[u8]) -> Result<Self, String> {
        let further =
            Certificate::from_pem_bundle(pem).map_err(|error| error.without_url().to_string())?;
        if further.is_empty() {
            return Err("the file holds no certificate".into());
        }
        Ok(Self { further })
    }

    /// Builds a client that trusts these authorities. `builder` is called again where the system has none.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn build(&self, builder: impl Fn() -> ClientBuilder) -> reqwest::Result<Client> {
        let further = || self.further.iter().cloned();
        builder().tls_certs_merge(further()).build().or_else(|_| {
            // A bare container has no certificate authorities.
            tracing::info!("the system has no certificate authorities: using those of Mozilla");
            let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
            let mozilla = mozilla.filter_map(|der| Certificate::from_der(der).ok());
            builder().tls_certs_only(mozilla.chain(further())).build()
        })
    }
}

/// A client that trusts no certificate: for plain HTTP. Reading the system's authorities takes 20 ms and more.
///
/// # Errors
/// The TLS library cannot be set up.
pub fn build_plain(builder: ClientBuilder) -> reqwest::Result<Client> {
    builder.tls_certs_only([]).build()
}

/// An HTTP/1.1 client for requests whose response is read whole. Requests to this machine and to instance metadata
/// bypass proxies; all others take the proxy of the environment.
#[derive(Debug, Clone)]
pub struct HttpClient(Arc<Clients>);

/// Clients for TLS are built on first use.
#[derive(Debug)]
struct Clients {
    plain: Client,
    direct: OnceLock<Client>,
    proxied: OnceLock<Client>,
}

/// Why no whole response came. The text never names the URL, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreachable {
    /// The TLS library cannot be set up.
    Tls(String),
    /// The connection failed, or the response was too long.
    Network(String),
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(why) => write!(f, "could not set up TLS: {why}"),
            Self::Network(why) => f.write_str(why),
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
        let direct = AddressClass::of_url(url).bypasses_proxy();
        let cell = match direct {
            true if url.scheme() == "http" => return Ok(&self.0.plain),
            true => &self.0.direct,
            false => &self.0.proxied,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = || {
            let builder = builder().http1_only();
            if direct { builder.no_proxy() } else { builder }
        };
        let client = Roots::default().build(builder).map_err(no_tls)?;
        Ok(cell.get_or_init(|| client))
    }

    /// Requests a URL by GET and reads at most `max_bytes` of the body.
    ///
    /// # Errors
    /// [`Unreachable`]; also for a longer body.
    pub async fn get(
        &self,
        url: &Url,
        timeout: Duration,
        max_bytes: usize,
    ) -> Result<Response, Unreachable> {
        let request = reqwest::Request::new(http::Method::GET, url.clone());
        self.execute(request, timeout, max_bytes).await
    }

    /// Sends a request and reads at most `max_bytes` of the body of the response. `timeout` is for both together.
    ///
    /// # Errors
    /// [`Unreachable`]; also for a longer body.
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
                let why = format!("{status} with more than {max_bytes} bytes");
                return Err(Unreachable::Network(why));
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

/// An error of the library without its URL, as the reason for which no response came.
#[must_use]
pub fn no_response(error: reqwest::Error) -> Unreachable {
    Unreachable::Network(causes(&error.without_url()))
}

/// An error and each of its causes in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
