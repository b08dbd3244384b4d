//! What everything a gateway does begins with: its ledger, and the embedded store where that is the store, open; and the way to the
//! store.
//!
//! Border: opens; whether the store is good enough is `probing`, and what is done with them is `gateway` and `round`.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use url::Url;

use super::ledger::Ledger;
use super::{Aside, Config, StoreConfig, bind, listen, settings, url_of};
use upload_embedded_store::Embedded;
use upload_s3::Store;
use upload_types::crash;
use upload_types::error::Result;

pub struct Opened {
    pub embedded: Option<Embedded>,
    pub ledger: Ledger,
}

impl Opened {
    /// # Errors
    /// As [`start`](super::start), of store and ledger.
    pub async fn open(config: &Config) -> Result<Self> {
        let embedded = match &config.store {
            StoreConfig::Embedded { dir } => Some(Embedded::open(dir, config.lock_wait).await?),
            StoreConfig::S3 { .. } => None,
        };
        crash::point("gateway.start.stored");
        let ledger = Ledger::open(&config.ledger).await?;
        crash::point("gateway.start.remembers");
        Ok(Self { embedded, ledger })
    }

    /// The store, not probed, and what serves the gateway's own way to the embedded one. `local` is where the gateway itself can be
    /// reached.
    ///
    /// # Errors
    /// [`Config`](upload_types::error::Kind::Config) for settings that cannot be, [`Io`](upload_types::error::Kind::Io) where nothing can be
    /// listened on.
    pub async fn store(
        &self,
        config: &Config,
        local: SocketAddr,
    ) -> Result<(Store, Option<Aside>)> {
        let (url, inside) = match &self.embedded {
            Some(embedded) => Some(inside(embedded, local.ip()).await?).unzip(),
            None => (None, None),
        };
        let local = url_of(local)?;
        let keys = self.embedded.as_ref().map(Embedded::keys);
        let store = Store::new(settings::store(
            config,
            &local,
            url.as_ref().unwrap_or(&local),
            keys,
        )?)?;
        Ok((store, inside))
    }
}

/// The gateway's own way to the embedded store: there for as long as requests are under way, and no client takes its places.
async fn inside(embedded: &Embedded, ip: IpAddr) -> Result<(Url, Aside)> {
    let (listener, address) = bind(SocketAddr::new(ip, 0)).await?;
    let url = url_of(address)?;
    let router = Router::new().fallback_service(embedded.service());
    let bounds = listen::Bounds {
        told: false,
        ..listen::BOUNDS
    };
    Ok((
        url,
        Aside(tokio::spawn(listen::serve(
            listener,
            router,
            bounds,
            std::future::pending(),
        ))),
    ))
}
