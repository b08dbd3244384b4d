//! The HTTP clients: one for the backend's API, one for the store. What may speak TLS is made when it is needed: reading a
//! system's certificate authorities takes longer than all else before the first request.
//!
//! Border: how they are set up; what they are asked for is `http`'s.

use std::sync::{Arc, OnceLock};

use reqwest::{Client, ClientBuilder, NoProxy, Proxy};
use upload_net::{AddressClass, Roots, build_plain};
use url::Url;

use super::http::{DEAD, KEEP_ALIVE, Options, is_any_set};
use super::resolver::Resolver;
use upload_types::error::{Error, Kind, Result};

/// The variables by which reqwest takes a proxy.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

#[derive(Debug, Clone)]
pub struct Clients(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: Client,
    data: OnceLock<Client>,
    setup: Setup,
}

/// What was asked for, read and understood.
#[derive(Debug)]
struct Setup {
    roots: Roots,
    proxy: Option<Proxy>,
    /// For stores; none where a proxy looks names up.
    resolver: Option<Resolver>,
}

impl Clients {
    /// # Errors
    /// [`Kind::Config`] for a certificate file or a proxy that cannot be used, [`Kind::Incompatible`] where TLS cannot be set up.
    pub fn new(backend: &Url, options: &Options) -> Result<Self> {
        let setup = Setup::read(backend, options)?;
        let local = AddressClass::of_url(backend).is_loopback();
        let api = || {
            let mut made = builder();
            if local {
                // A proxy would not find what runs on this machine.
                made = made.no_proxy();
            } else if let Some(proxy) = setup.proxy.clone() {
                made = made.proxy(proxy);
            }
            made
        };
        let api = if local && backend.scheme() == "http" {
            build_plain(api()).map_err(no_tls)?
        } else {
            setup.roots.build(api).map_err(no_tls)?
        };
        Ok(Self(Arc::new(Inner {
            api,
            data: OnceLock::new(),
            setup,
        })))
    }

    pub fn api(&self) -> &Client {
        &self.0.api
    }

    /// # Errors
    /// [`Kind::Incompatible`] where TLS cannot be set up.
    pub fn data(&self) -> Result<&Client> {
        let Inner { data, setup, .. } = &*self.0;
        if let Some(client) = data.get() {
            return Ok(client);
        }
        let client = setup.roots.build(|| {
            let mut http1 = builder().http1_only();
            if let Some(resolver) = setup.resolver.clone() {
                http1 = http1.dns_resolver(resolver);
            }
            match setup.proxy.clone() {
                Some(proxy) => http1.proxy(proxy),
                None => http1,
            }
        });
        let client = client.map_err(no_tls)?;
        Ok(data.get_or_init(|| client))
    }
}

impl Setup {
    fn read(backend: &Url, options: &Options) -> Result<Self> {
        let roots = match &options.ca_cert {
            Some(path) => {
                let unusable = |error: String| {
                    Error::new(Kind::Config, format!("could not use {}", path.display()))
                        .with_source(error)
                };
                let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
                Roots::with_pem_bundle(&pem).map_err(unusable)?
            }
            None => Roots::default(),
        };
        let proxy = options.proxy.as_ref().map(|proxy| -> Result<Proxy> {
            let proxy = Proxy::all(proxy.as_str()).map_err(|_| {
                Error::new(
                    Kind::Config,
                    "could not use the proxy: its address is not a URL",
                )
            })?;
            Ok(proxy.no_proxy(NoProxy::from_string("localhost,127.0.0.0/8,::1")))
        });
        // With a proxy in the environment, what is looked up is the proxy.
        let proxied = options.proxy.is_some() || is_any_set(&PROXIES);
        let resolver =
            (!proxied && !options.own).then(|| Resolver::new(backend, &options.store_hosts));
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
        .tcp_keepalive(KEEP_ALIVE)
        .tcp_keepalive_interval(KEEP_ALIVE);
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(DEAD);
    builder
}

fn no_tls(error: reqwest::Error) -> Error {
    Error::new(Kind::Incompatible, "could not set up TLS").with_source(error.without_url())
}
