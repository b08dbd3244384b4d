//! The network settings of a process: trusted certificate authorities and the proxy. Every
//! connection to another machine uses the same value.
//!
//! Not here: reading the settings. The command line does it.

use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
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
    /// The same proxy, for messages.
    matcher: Option<Arc<Matcher>>,
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
        let Some(url) = proxy else {
            return Ok(Self {
                roots,
                ..Self::default()
            });
        };
        let proxy = Proxy::all(url.as_str()).map_err(|_| "its address is not a URL".to_owned())?;
        let bypassed = first_set(&NO_PROXY_VARIABLES).unwrap_or_default();
        let bypassed = format!("{LOOPBACK_HOSTS},{bypassed}");
        let matcher = Matcher::builder().all(url.as_str()).no(bypassed.as_str());
        Ok(Self {
            roots,
            proxy: Some(proxy.no_proxy(NoProxy::from_string(&bypassed))),
            matcher: Some(Arc::new(matcher.build())),
        })
    }

    /// The proxy for requests to this URL, as `HOST:PORT`; `None` without a proxy.
    #[must_use]
    pub fn proxy_of(&self, url: &Url) -> Option<String> {
        if AddressClass::of_url(url).bypasses_proxy() {
            return None;
        }
        // Only scheme and host decide. The rest of the URL may be secret.
        let host = url.host_str()?;
        let target = format!("{}://{host}", url.scheme()).parse().ok()?;
        let proxy = match &self.matcher {
            Some(matcher) => matcher.intercept(&target),
            None => Matcher::from_system().intercept(&target),
        }?;
        let host = proxy.uri().host()?;
        Some(match proxy.uri().port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_proxy_without_its_password() {
        let proxy: Url = "http://user:secret@proxy.example:3128".parse().unwrap();
        let network = Network::new(Roots::default(), Some(&proxy)).unwrap();
        let of = |url: &str| network.proxy_of(&url.parse().unwrap());
        let through = Some("proxy.example:3128".to_owned());
        assert_eq!(of("https://store.example/key?X-Amz-Signature=1"), through);
        assert_eq!(of("http://127.0.0.1:9000/"), None);
        assert_eq!(of("https://localhost/"), None);
        assert_eq!(of("http://169.254.169.254/"), None);
    }
}
