//! Opens the ledger and the store that a configuration names, and makes the hooks, the settings of
//! the store's client and the settings of the service from it.
//!
//! Not here: the probe of the store (`store_check`).

use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use url::Url;

use crate::background_task::BackgroundTask;
use crate::config::{Config, StoreConfig, SubjectUse};
use crate::connection_limiter::INTERNAL_LIMITS;
use crate::hooks::Hooks;
use crate::lease::LeaseTerms;
use crate::ledger::Ledger;
use crate::listener::{Listener, http_url};
use crate::metrics::metrics;
use crate::service::ServiceConfig;
use upload_embedded_store as embedded;
use upload_embedded_store::Embedded;
use upload_s3::{CallOutcome, Settings, Store};
use upload_types::DiskFailure;
use upload_types::crash;
use upload_types::error::Result;

/// How long a complete waits for its outcome before it responds that the outcome is unknown.
const COMPLETE_TIMEOUT: Duration = Duration::from_secs(10);

/// The open ledger, and the open embedded store if it is the store of the gateway.
pub struct Resources {
    pub ledger: Ledger,
    pub embedded: Option<Embedded>,
    /// Failures of the disks of both.
    pub disk_failure: DiskFailure,
}

impl Resources {
    /// # Errors
    /// Those of the embedded store and of the ledger.
    pub async fn open(config: &Config) -> Result<Self> {
        let disk_failure = DiskFailure::default();
        let embedded = match &config.store {
            StoreConfig::Embedded { dir } => {
                let embedded = Embedded::open(dir, config.store_lock_timeout).await?;
                Some(embedded.reporting(disk_failure.clone()))
            }
            StoreConfig::S3 { .. } => None,
        };
        crash::point("gateway.start.store_opened");
        let ledger = Box::pin(Ledger::open(&config.ledger)).await?;
        let ledger = ledger.reporting(disk_failure.clone());
        crash::point("gateway.start.ledger_opened");
        Ok(Self {
            ledger,
            embedded,
            disk_failure,
        })
    }

    /// The store, not probed yet, and the task of the listener through which the gateway calls its
    /// embedded store. `gateway` is the address at which this process reaches the gateway.
    ///
    /// # Errors
    /// [`Config`](upload_types::error::Kind::Config) for settings that are not valid,
    /// [`Io`](upload_types::error::Kind::Io) if no address can be bound.
    pub async fn connect_store(
        &self,
        config: &Config,
        gateway: SocketAddr,
    ) -> Result<(Store, Option<BackgroundTask>)> {
        let (internal_url, task) = match &self.embedded {
            Some(embedded) => Some(serve_internally(embedded, gateway.ip()).await?).unzip(),
            None => (None, None),
        };
        let gateway_url = http_url(gateway)?;
        let internal_url = internal_url.as_ref().unwrap_or(&gateway_url);
        let keys = self.embedded.as_ref().map(Embedded::keys);
        let settings = store_settings(config, &gateway_url, internal_url, keys)?;
        Ok((Store::new(settings)?, task))
    }
}

/// Serves the embedded store on a port of its own, so that clients cannot use up the connections
/// that the gateway needs, and so that the store is reachable until the last request has ended.
async fn serve_internally(embedded: &Embedded, ip: IpAddr) -> Result<(Url, BackgroundTask)> {
    let listener = Listener::bind(SocketAddr::new(ip, 0)).await?;
    let url = listener.url()?;
    let router = Router::new().fallback_service(embedded.service());
    let serve = listener.serve(router, INTERNAL_LIMITS, pending());
    Ok((url, BackgroundTask::spawn(serve)))
}

/// The settings of the S3 client. `gateway_url` is the gateway's own address; `internal_url` and
/// `keys` are those of the embedded store.
fn store_settings(
    config: &Config,
    gateway_url: &Url,
    internal_url: &Url,
    keys: Option<(String, String)>,
) -> Result<Settings> {
    let create_headers = config.create_headers()?;
    Ok(match &config.store {
        StoreConfig::Embedded { .. } => Settings {
            bucket: embedded::BUCKET.to_owned(),
            prefix: String::new(),
            endpoint: Some(internal_url.clone()),
            public_endpoint: Some(config.public_url.as_ref().unwrap_or(gateway_url).clone()),
            region: Some(embedded::REGION.to_owned()),
            path_style: true,
            keys,
            create_headers,
            embedded: true,
            cdn: config.cdn_url.clone(),
            network: config.network.clone(),
            observer: record_store_call,
        },
        StoreConfig::S3 {
            bucket,
            prefix,
            endpoint,
            public_endpoint,
            region,
            path_style,
        } => Settings {
            bucket: bucket.clone(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: endpoint.clone(),
            public_endpoint: public_endpoint.clone(),
            region: region.clone(),
            path_style: *path_style,
            keys: None,
            create_headers,
            embedded: false,
            cdn: config.cdn_url.clone(),
            network: config.network.clone(),
            observer: record_store_call,
        },
    })
}

/// The hooks of the configuration.
///
/// # Errors
/// As [`Hooks::new`].
pub fn hooks(config: &Config) -> Result<Hooks> {
    Hooks::new(
        config.hooks.clone(),
        config.on_reject.clone(),
        config.hook_secret.clone(),
        &config.network,
    )
}

/// The settings of the service, from the configuration and the limits of the store.
pub fn service_config(
    config: &Config,
    store: &Store,
    public_url: &Url,
    hooks: Hooks,
) -> ServiceConfig {
    let mut limits = store.limits();
    limits.max_size = config
        .max_size
        .unwrap_or(limits.max_size)
        .min(limits.max_size);
    ServiceConfig {
        limits,
        allow_types: config.allow_types.clone(),
        allow_attributes: config.allow_attributes.clone(),
        client_keys: config.client_keys,
        rate: config.rate,
        quota: config.quota,
        log_subjects: config.subjects == SubjectUse::LogsAndHooks,
        hook_subjects: config.subjects != SubjectUse::Nowhere,
        url_ttl: config.url_ttl,
        lease_terms: LeaseTerms {
            lease_ttl: config.lease_ttl,
            upload_ttl: config.upload_ttl,
        },
        keep_ended: config.keep_ended,
        complete_timeout: COMPLETE_TIMEOUT,
        backend_url: public_url.as_str().trim_end_matches('/').to_owned(),
        hooks,
        client_delete: config.client_delete,
    }
}

fn record_store_call(operation: &'static str, outcome: CallOutcome, elapsed: Duration) {
    metrics().record_store_call(operation, outcome, elapsed);
}
