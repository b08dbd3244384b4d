//! Resolves the names of stores, and omits addresses that a presigned URL must not name. The
//! connection goes to a checked address, so a DNS server that changes its response after the check
//! has no effect.
//!
//! Not here: the permitted addresses (`url_policy`). Not used with a proxy, which resolves the
//! names.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;
use tokio::sync::OnceCell;
use upload_net::AddressClass;
use url::Url;

use super::url_policy::{StoreHost, may_name};
use upload_types::error::{Error, Kind, Result};

#[derive(Debug, Clone)]
pub struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Url,
    store_hosts: Vec<StoreHost>,
    /// The classes of the backend's addresses, resolved once.
    backend_classes: OnceCell<Vec<AddressClass>>,
}

impl Resolver {
    pub fn new(backend: &Url, store_hosts: &[StoreHost]) -> Self {
        Self(Arc::new(Inner {
            backend: backend.clone(),
            store_hosts: store_hosts.to_vec(),
            backend_classes: OnceCell::new(),
        }))
    }

    /// The permitted addresses of a name.
    ///
    /// # Errors
    /// [`Kind::Temporary`] if the name has no address, [`Kind::Incompatible`] if none of them is
    /// permitted.
    pub async fn lookup(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let Inner {
            backend,
            store_hosts,
            backend_classes,
        } = &*self.0;
        let not_resolved = |error| {
            let what = format!("could not resolve the store {name}");
            Error::new(Kind::Temporary, what).with_source(error)
        };
        let addresses = lookup_host((name, port)).await.map_err(not_resolved)?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        if store_hosts.iter().any(|store| store.has_name(name)) || backend.host_str() == Some(name)
        {
            return Ok(addresses);
        }
        let backend_classes = backend_classes.get_or_init(|| classes(backend)).await;
        let is_permitted = |address: &SocketAddr| {
            let class = AddressClass::of_ip(address.ip());
            class == AddressClass::Public
                || backend_classes
                    .iter()
                    .any(|backend| may_name(*backend, class))
        };
        let permitted: Vec<SocketAddr> = addresses.into_iter().filter(is_permitted).collect();
        if permitted.is_empty() {
            let what = format!(
                "the backend signed a URL with a name that resolves to a private address (host {name})"
            );
            let hint = format!("if you trust that store, permit it: --store-host {name}");
            return Err(Error::new(Kind::Incompatible, what).with_hint(hint));
        }
        Ok(permitted)
    }
}

/// The classes of the addresses of a URL. Empty if they are unknown.
async fn classes(url: &Url) -> Vec<AddressClass> {
    match url.host() {
        Some(url::Host::Domain(name)) => match lookup_host((name, 0)).await {
            Ok(addresses) => addresses
                .map(|address| AddressClass::of_ip(address.ip()))
                .collect(),
            Err(_) => Vec::new(),
        },
        Some(host) => vec![AddressClass::of_host(&host)],
        None => Vec::new(),
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.lookup(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `localhost` is used instead of a public name that resolves to an address of this machine.
    #[tokio::test]
    async fn name_with_private_address_is_not_resolved() {
        let lookup = async |backend: &str, store_hosts: &[&str]| {
            let store_hosts: Vec<StoreHost> = store_hosts
                .iter()
                .map(|host| host.parse().unwrap())
                .collect();
            Resolver::new(&backend.parse().unwrap(), &store_hosts)
                .lookup("localhost", 443)
                .await
        };
        for backend in ["https://192.0.2.1", "https://10.0.0.1"] {
            let error = lookup(backend, &[]).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Incompatible, "{backend}");
            assert!(error.hint().unwrap().contains("--store-host localhost"));
        }
        for (backend, store_hosts) in [
            ("http://127.0.0.1:8080", &[][..]),
            ("https://192.0.2.1", &["localhost"]),
        ] {
            let addresses = lookup(backend, store_hosts).await.unwrap();
            assert!(!addresses.is_empty(), "{backend}");
        }
    }

    #[tokio::test]
    async fn rejected_name_is_the_cause_of_the_request_error() {
        let resolver = Resolver::new(&"https://192.0.2.1".parse().unwrap(), &[]);
        let client = reqwest::Client::builder()
            .no_proxy()
            .dns_resolver(resolver)
            .build()
            .unwrap();
        let error = client.get("https://localhost:1/").send().await.unwrap_err();
        let causes = std::iter::successors(
            Some(&error as &(dyn std::error::Error + 'static)),
            |error| error.source(),
        );
        let kinds: Vec<Kind> = causes
            .filter_map(|cause| Some(cause.downcast_ref::<Error>()?.kind()))
            .collect();
        assert_eq!(kinds, [Kind::Incompatible]);
    }
}
