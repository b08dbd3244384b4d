//! Names of stores, looked up; addresses that no signed URL may lead to are left out. What is connected to is what was looked
//! at, so a name that is answered otherwise a moment later gains nothing.
//!
//! Border: asks the system and decides nothing: which addresses may be is `hosts`. Not used where a proxy looks up.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;
use tokio::sync::OnceCell;
use upload_net::AddressClass;
use url::Url;

use super::hosts::{StoreHost, may_lead};
use upload_types::error::{Error, Kind, Result};

#[derive(Debug, Clone)]
pub struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Url,
    named: Vec<StoreHost>,
    /// Where the backend is; looked up once.
    classes: OnceCell<Vec<AddressClass>>,
}

impl Resolver {
    pub fn new(backend: &Url, named: &[StoreHost]) -> Self {
        Self(Arc::new(Inner {
            backend: backend.clone(),
            named: named.to_vec(),
            classes: OnceCell::new(),
        }))
    }

    /// The addresses of a name that may be connected to.
    ///
    /// # Errors
    /// [`Kind::Temporary`] for a name that is not found, [`Kind::Incompatible`] for one that leads only where it may not.
    pub async fn lookup(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let lost = |error| {
            Error::new(Kind::Temporary, format!("could not find the store {name}"))
                .with_source(error)
        };
        let found: Vec<SocketAddr> = lookup_host((name, port)).await.map_err(lost)?.collect();
        if self.0.named.iter().any(|named| named.is(name))
            || self.0.backend.host_str() == Some(name)
        {
            return Ok(found);
        }
        let backend = self
            .0
            .classes
            .get_or_init(|| self.0.backend_classes())
            .await;
        let may = |address: &SocketAddr| permitted(AddressClass::of_ip(address.ip()), backend);
        let open: Vec<SocketAddr> = found.into_iter().filter(may).collect();
        if open.is_empty() {
            let what = format!(
                "the backend signed a URL whose name leads to a private address (host {name})"
            );
            let hint = format!("if that store is yours, name it: --store-host {name}");
            return Err(Error::new(Kind::Incompatible, what).with_hint(hint));
        }
        Ok(open)
    }
}

impl Inner {
    async fn backend_classes(&self) -> Vec<AddressClass> {
        match self.backend.host() {
            Some(url::Host::Domain(name)) => {
                let found = lookup_host((name, 0)).await;
                found.map_or_else(
                    |_| Vec::new(),
                    |found| {
                        found
                            .map(|address| AddressClass::of_ip(address.ip()))
                            .collect()
                    },
                )
            }
            Some(host) => vec![AddressClass::of_host(&host)],
            None => Vec::new(),
        }
    }
}

/// Whether an address of this class is as near as the backend itself.
fn permitted(class: AddressClass, backend: &[AddressClass]) -> bool {
    class == AddressClass::Public || backend.iter().any(|backend| may_lead(*backend, class))
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.lookup(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `localhost` stands for a public name that somebody answers with an address of this machine.
    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_followed() {
        let lookup = async |backend: &str, named: &[&str]| {
            let named: Vec<StoreHost> = named.iter().map(|host| host.parse().unwrap()).collect();
            Resolver::new(&backend.parse().unwrap(), &named)
                .lookup("localhost", 443)
                .await
        };
        let refused = lookup("https://192.0.2.1", &[]).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Incompatible);
        assert!(refused.hint().unwrap().contains("--store-host localhost"));
        assert_eq!(
            lookup("https://10.0.0.1", &[]).await.unwrap_err().kind(),
            Kind::Incompatible
        );
        assert!(
            !lookup("http://127.0.0.1:8080", &[])
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            !lookup("https://192.0.2.1", &["localhost"])
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn why_a_name_was_not_followed_is_told_through_the_client() {
        let resolver = Resolver::new(&"https://192.0.2.1".parse().unwrap(), &[]);
        let client = reqwest::Client::builder()
            .no_proxy()
            .dns_resolver(resolver)
            .build()
            .unwrap();
        let mut error: &dyn std::error::Error =
            &client.get("https://localhost:1/").send().await.unwrap_err();
        while let Some(cause) = error.source() {
            error = cause;
        }
        assert!(error.to_string().contains("private address"), "{error}");
    }
}
