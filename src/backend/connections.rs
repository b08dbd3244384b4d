//! The two HTTP clients of a backend: one for its API, one for its store. A client for TLS is built
//! when it is first needed, because reading the system's certificate authorities takes longer than
//! everything else before the first request.
//!
//! Not here: requests (`api`, `store`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, ClientBuilder, NoProxy, Proxy};
use upload_net::build_plain;
use upload_net::{AddressClass, Roots};
use url::Url;

use super::options::Options;
use super::resolver::Resolver;
use super::timeouts::{TCP_USER_TIMEOUT, Timeouts};
use upload_types::error::{Error, Kind, Result};

/// An idle connection is probed after this long.
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// The variables in which reqwest looks for a proxy.
const PROXY_VARIABLES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];
/// Requests to this machine bypass a configured proxy.
const NO_PROXY: &str = "localhost,127.0.0.0/8,::1";

/// The connections to a backend and its store. Clones share them.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Url,
    options: Options,
    api: Client,
    store: OnceLock<Client>,
    settings: ClientSettings,
}

/// The options from which a client is built.
#[derive(Debug)]
struct ClientSettings {
    roots: Roots,
    proxy: Option<Proxy>,
    /// Resolves names of stores. Absent if a proxy resolves them or the backend runs in this
    /// process.
    resolver: Option<Resolver>,
}

impl Connections {
    /// # Errors
    /// [`Kind::Config`] if the certificate file or the proxy cannot be used, [`Kind::Incompatible`]
    /// for plain HTTP to another machine and if TLS cannot be set up.
    pub fn new(backend: &Url, options: Options) -> Result<Self> {
        let is_local = AddressClass::of_url(backend).is_loopback();
        if backend.scheme() != "https" && !is_local && !options.allow_insecure_http {
            let what =
                "could not use plain http: it would expose the token and the file to the network";
            return Err(Error::new(Kind::Incompatible, what).with_hint(
                "use https, or pass --allow-insecure-http if you trust the whole network path",
            ));
        }
        let settings = ClientSettings::new(backend, &options)?;
        let api_builder = || match settings.proxy.clone() {
            // A proxy on another machine cannot reach this one.
            _ if is_local => builder().no_proxy(),
            Some(proxy) => builder().proxy(proxy),
            None => builder(),
        };
        let api = if is_local && backend.scheme() == "http" {
            build_plain(api_builder()).map_err(no_tls)?
        } else {
            settings.roots.build(api_builder).map_err(no_tls)?
        };
        Ok(Self(Arc::new(Inner {
            backend: backend.clone(),
            options,
            api,
            store: OnceLock::new(),
            settings,
        })))
    }

    /// New connections with the same options. Open connections may be broken, for example after the
    /// machine was suspended.
    ///
    /// # Errors
    /// As [`Connections::new`].
    pub fn renewed(&self) -> Result<Self> {
        Self::new(&self.0.backend, self.0.options.clone())
    }

    pub fn backend(&self) -> &Url {
        &self.0.backend
    }

    pub fn options(&self) -> &Options {
        &self.0.options
    }

    pub fn timeouts(&self) -> Timeouts {
        Timeouts::new(self.0.options.stall_after)
    }

    /// The client for requests to the backend.
    pub fn api(&self) -> &Client {
        &self.0.api
    }

    /// The client for requests to the store.
    ///
    /// # Errors
    /// [`Kind::Incompatible`] if TLS cannot be set up.
    pub fn store(&self) -> Result<&Client> {
        let Inner {
            store, settings, ..
        } = &*self.0;
        if let Some(client) = store.get() {
            return Ok(client);
        }
        let client = settings.roots.build(|| {
            let mut builder = builder().http1_only();
            if let Some(resolver) = settings.resolver.clone() {
                builder = builder.dns_resolver(resolver);
            }
            match settings.proxy.clone() {
                Some(proxy) => builder.proxy(proxy),
                None => builder,
            }
        });
        let client = client.map_err(no_tls)?;
        Ok(store.get_or_init(|| client))
    }
}

impl ClientSettings {
    fn new(backend: &Url, options: &Options) -> Result<Self> {
        let roots = match &options.ca_cert {
            Some(path) => {
                let unusable = |reason: String| {
                    let what = format!("could not use the certificates in {}", path.display());
                    Error::new(Kind::Config, what)
                        .with_source(reason)
                        .with_hint("name a readable file of PEM certificates: --ca-cert FILE")
                };
                let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
                Roots::with_pem_bundle(&pem).map_err(unusable)?
            }
            None => Roots::default(),
        };
        let proxy = options.proxy.as_ref().map(|proxy| -> Result<Proxy> {
            // The library's error could show the password.
            let proxy = Proxy::all(proxy.as_str()).map_err(|_| {
                let what = "could not use the proxy: its address is not a URL";
                Error::new(Kind::Config, what).with_hint(
                    "name the proxy as http://, https://, socks5:// or socks5h://HOST:PORT",
                )
            })?;
            Ok(proxy.no_proxy(NoProxy::from_string(NO_PROXY)))
        });
        // With a proxy, the client resolves the name of the proxy only.
        let has_proxy = options.proxy.is_some() || is_any_set(&PROXY_VARIABLES);
        let resolver = (!has_proxy && !options.in_process)
            .then(|| Resolver::new(backend, &options.store_hosts));
        Ok(Self {
            roots,
            proxy: proxy.transpose()?,
            resolver,
        })
    }
}

fn builder() -> ClientBuilder {
    let builder = upload_net::builder()
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_KEEPALIVE_INTERVAL)
        .tcp_keepalive_interval(TCP_KEEPALIVE_INTERVAL);
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(TCP_USER_TIMEOUT);
    builder
}

/// Returns true if one of these environment variables is set and not empty.
fn is_any_set(names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn no_tls(error: reqwest::Error) -> Error {
    Error::new(Kind::Incompatible, "could not set up TLS")
        .with_source(error.without_url())
        .with_hint("check the certificates of the system and of --ca-cert FILE")
}
