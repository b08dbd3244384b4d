//! The two HTTP clients of a backend: one for its API, one for its store. A client for TLS is built
//! when it is first needed, because reading the system's certificate authorities takes longer than
//! everything else before the first request.
//!
//! Not here: requests (`api`, `store`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use upload_net::AddressClass;
use url::Url;

use super::clocks::ServerClock;
use super::options::Options;
use super::resolver::Resolver;
use super::response::proxy_login_required;
use super::timeouts::{TCP_USER_TIMEOUT, Timeouts};
use upload_types::error::{Error, Kind, Result};

/// An idle connection is probed after this long.
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The connections to a backend and its store. Clones share them.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Url,
    options: Options,
    clock: ServerClock,
    api: Client,
    /// The client for stores on this machine, without a proxy.
    local_store: OnceLock<Client>,
    store: OnceLock<Client>,
    /// Resolves names of stores. Absent if a proxy resolves them or the backend runs in this
    /// process.
    resolver: Option<Resolver>,
}

impl Connections {
    /// # Errors
    /// [`Kind::Incompatible`] for plain HTTP to another machine and if TLS cannot be set up.
    pub fn new(backend: &Url, options: Options) -> Result<Self> {
        let is_local = AddressClass::of_url(backend).is_loopback();
        if backend.scheme() != "https" && !is_local && !options.allow_insecure_http {
            let what =
                "could not use plain http: it would expose the token and the file to the network";
            return Err(Error::new(Kind::Incompatible, what).with_hint(
                "use https, or pass --allow-insecure-http if you trust the whole network path",
            ));
        }
        let class = AddressClass::of_url(backend);
        let network = &options.network;
        let api = if is_local && backend.scheme() == "http" {
            network.plain_client(class, builder())
        } else {
            network.client(class, builder)
        };
        // With a proxy, the client resolves the name of the proxy only.
        let resolver = (!network.has_proxy() && !options.in_process)
            .then(|| Resolver::new(backend, &options.store_hosts));
        Ok(Self(Arc::new(Inner {
            backend: backend.clone(),
            api: api.map_err(no_tls)?,
            options,
            clock: ServerClock::default(),
            local_store: OnceLock::new(),
            store: OnceLock::new(),
            resolver,
        })))
    }

    /// New connections with the same options, for example because the open ones may be broken after
    /// the machine was suspended.
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

    /// The host of a URL as messages name it, with the proxy that requests to it use.
    fn host(&self, url: &Url) -> String {
        let host = url.host_str().unwrap_or_default();
        let port = url
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        let proxy = self.0.options.network.proxy_of(url);
        let proxy = proxy.map_or_else(String::new, |proxy| format!(" through proxy {proxy}"));
        format!("{host}{port}{proxy}")
    }

    /// Adds the host and the proxy to the error of a request without a response.
    pub fn name_host(&self, url: &Url, error: Error) -> Error {
        let proxy = self.0.options.network.proxy_of(url);
        match error.kind() {
            Kind::Temporary => {
                let error = error.with_unreached(self.host(url));
                match proxy {
                    Some(proxy) => error.through(&proxy),
                    None => error,
                }
            }
            // No server has rejected the request: it is the error of a proxy.
            Kind::Unauthorized if proxy.is_some() => proxy_login_required(proxy),
            _ => error,
        }
    }

    /// The host of the backend as messages name it; `None` if the backend runs in this process.
    pub fn backend_host(&self) -> Option<String> {
        (!self.0.options.in_process).then(|| self.host(&self.0.backend))
    }

    pub fn timeouts(&self) -> Timeouts {
        Timeouts::new(self.0.options.stall_after)
    }

    /// The clock of the backend.
    pub fn clock(&self) -> &ServerClock {
        &self.0.clock
    }

    /// The client for requests to the backend.
    pub fn api(&self) -> &Client {
        &self.0.api
    }

    /// The client for requests to the store of a presigned URL.
    ///
    /// # Errors
    /// [`Kind::Incompatible`] if TLS cannot be set up.
    pub fn store(&self, url: &Url) -> Result<&Client> {
        let class = AddressClass::of_url(url);
        let cell = if class.bypasses_proxy() {
            &self.0.local_store
        } else {
            &self.0.store
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = || {
            let builder = builder().http1_only();
            match self.0.resolver.clone() {
                Some(resolver) => builder.dns_resolver(resolver),
                None => builder,
            }
        };
        let client = self.0.options.network.client(class, builder);
        let client = client.map_err(no_tls)?;
        Ok(cell.get_or_init(|| client))
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

fn no_tls(error: reqwest::Error) -> Error {
    Error::new(Kind::Incompatible, "could not set up TLS")
        .with_source(error.without_url())
        .with_hint("check the certificates of the system and of --ca-cert FILE")
}
