//! The network settings of a process: trusted certificate authorities and the proxy. Every
//! connection to another machine uses the same value.
//!
//! Not here: reading the settings. The command line does it.

use std::fmt;

use reqwest::{Client, ClientBuilder, NoProxy, Proxy};
use url::Url;

use crate::address::AddressClass;
use crate::roots::Roots;

/// Requests to this machine bypass every proxy.
const LOOPBACK_HOSTS: &str = "localhost,127.0.0.0/8,::1";
const NO_PROXY_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// The environment variables in which the HTTP library looks for a proxy.
pub const PROXY_VARIABLES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// Trusted authorities and the proxy. The default trusts the authorities of the system, and uses
/// the proxy from the environment.
#[derive(Clone, Default)]
pub struct Network {
    roots: Roots,
    /// Replaces the proxy from the environment.
    proxy: Option<Proxy>,
}

/// Does not show the proxy, whose URL may have a password.
impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("has_own_proxy", &self.proxy.is_some())
            .finish_non_exhaustive()
    }
}

impl Network {
    /// `proxy` replaces the proxy from the environment. Hosts in `NO_PROXY` bypass it as well.
    ///
    /// # Errors
    /// The reason, if the proxy cannot be used. It never contains the URL, which may contain a
    /// password.
    pub fn new(roots: Roots, proxy: Option<&Url>) -> Result<Self, String> {
        let proxy = proxy.map(|url| {
            let proxy =
                Proxy::all(url.as_str()).map_err(|_| "its address is not a URL".to_owned())?;
            let bypassed = first_set(&NO_PROXY_VARIABLES).unwrap_or_default();
            let bypassed = NoProxy::from_string(&format!("{LOOPBACK_HOSTS},{bypassed}"));
            Ok::<_, String>(proxy.no_proxy(bypassed))
        });
        Ok(Self {
            roots,
            proxy: proxy.transpose()?,
        })
    }

    /// Whether a proxy is configured, here or in the environment. Hosts may be exempt from it.
    #[must_use]
    pub fn has_proxy(&self) -> bool {
        self.proxy.is_some() || first_set(&PROXY_VARIABLES).is_some()
    }

    /// Builds a client for hosts of this class. `builder` may be called twice.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn client(
        &self,
        class: AddressClass,
        builder: impl Fn() -> ClientBuilder,
    ) -> reqwest::Result<Client> {
        self.roots.build(|| self.with_proxy(class, builder()))
    }

    /// Builds a client that uses no proxy. `builder` may be called twice.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn unproxied_client(&self, builder: impl Fn() -> ClientBuilder) -> reqwest::Result<Client> {
        self.roots.build(|| builder().no_proxy())
    }

    /// Builds a client for plain HTTP to hosts of this class. It trusts no certificate, because
    /// reading the system's authorities takes 20 ms or more.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn plain_client(
        &self,
        class: AddressClass,
        builder: ClientBuilder,
    ) -> reqwest::Result<Client> {
        self.with_proxy(class, builder).tls_certs_only([]).build()
    }

    fn with_proxy(&self, class: AddressClass, builder: ClientBuilder) -> ClientBuilder {
        match &self.proxy {
            _ if class.bypasses_proxy() => builder.no_proxy(),
            Some(proxy) => builder.proxy(proxy.clone()),
            None => builder,
        }
    }
}

/// The value of the first of these environment variables that is set and not empty.
fn first_set(names: &[&str]) -> Option<String> {
    let values = names.iter().filter_map(|name| std::env::var(name).ok());
    values.into_iter().find(|value| !value.is_empty())
}
