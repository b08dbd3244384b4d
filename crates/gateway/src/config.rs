//! The configuration of a gateway, and the checks that need no ledger, store or socket.
//!
//! Not here: command line and configuration file (`cli/serve` of the client).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::auth::{Auth, Issuer, LimitRule};
use crate::cors;
use crate::events::EventSource;
use crate::hooks::{Hook, OnReject};
use crate::key_patterns::{self, ClientKeys};
use crate::ledger::LedgerConfig;
use crate::limits::{Quota, Rate};
use crate::validation;
use upload_embedded_store as embedded;
use upload_net::{AddressClass, Network};
use upload_types::Token;
use upload_types::attributes::Attribute;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Proof;

/// The first path segments of the API's routes and of the embedded store.
const RESERVED_SEGMENTS: [&str; 6] = [
    "v1",
    "healthz",
    "readyz",
    "openapi.json",
    "metrics",
    embedded::BUCKET,
];

/// The configuration of a gateway.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address of the API. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// The address of the metrics, which need no authentication. By default, no metrics are served.
    pub metrics_listen: Option<SocketAddr>,
    /// The URL by which clients reach the gateway. By default the address it listens on.
    pub public_url: Option<Url>,
    pub store: StoreConfig,
    /// The base of the URLs for reading objects, instead of presigned URLs.
    pub cdn_url: Option<Url>,
    /// The file to which endpoint and keys of the embedded store are written, for other S3 clients.
    pub store_credentials_file: Option<PathBuf>,
    /// The embedded store also accepts presigned PUTs whose length is not signed.
    pub store_presigned_puts: bool,
    pub ledger: LedgerConfig,
    pub auth: Auth,
    /// The path of the routes of Uppy Companion. By default, these routes do not exist.
    pub companion_path: Option<String>,
    /// Origins of the pages that may use the gateway and its embedded store.
    pub allow_origins: Vec<String>,
    /// The rate of calls and signed URLs per owner.
    pub rate: Option<Rate>,
    pub quota: Quota,
    /// Limits of some owners instead of `rate`, `quota` and `allow_types`.
    pub limit_rules: Vec<LimitRule>,
    pub subjects: SubjectUse,
    /// Globs of content types.
    pub allow_types: Vec<String>,
    /// The attributes that clients may choose for their objects.
    pub allow_attributes: BTreeSet<Attribute>,
    /// The keys that clients may choose.
    pub client_keys: ClientKeys,
    /// Maximum size of an upload in bytes. By default the limit of the store.
    pub max_size: Option<u64>,
    /// Minimum lifetime of a signed URL.
    pub url_ttl: Duration,
    /// An unfinished upload expires this long after the last call about it.
    pub upload_ttl: Duration,
    /// A lease ends this long after the last call of its holder.
    pub lease_ttl: Duration,
    /// How long the rows of uploads that have ended without an object are kept in the ledger;
    /// forever if `None`.
    pub keep_ended: Option<Duration>,
    /// The interval of sweeps. `None` leaves them to other gateways.
    pub sweep_interval: Option<Duration>,
    /// The source of the store's events.
    pub events: Option<EventSource>,
    /// Enables log lines about multipart uploads in the bucket that the ledger does not name.
    pub report_orphans: bool,
    /// Server-side encryption: `AES256`, `aws:kms` or `aws:kms:KEY-ID`.
    pub sse: Option<String>,
    /// Additional headers that the bucket requires for the creation of an object.
    pub required_headers: Vec<(String, String)>,
    pub probe: ProbePolicy,
    /// The proof that the store must enforce. By default the one that the probe finds.
    pub proof: Option<Proof>,
    /// The hooks that run for each verified upload before it is ready, in this order.
    pub hooks: Vec<Hook>,
    /// The key that signs webhooks.
    pub hook_secret: Option<Token>,
    pub on_reject: OnReject,
    /// True if clients may delete the objects of their finished uploads.
    pub client_delete: bool,
    /// The settings of connections to the store, issuers and webhooks.
    pub network: Network,
    /// How long to wait for the lock of the embedded store.
    pub store_lock_timeout: Duration,
    /// How long a stopping gateway still serves requests while it reports that it is not ready.
    pub drain_time: Duration,
}

#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a process has one")]
pub enum StoreConfig {
    /// A store in this process, in a directory.
    Embedded { dir: PathBuf },
    /// An S3-compatible service.
    S3 {
        bucket: String,
        prefix: String,
        endpoint: Option<Url>,
        /// The endpoint in URLs for clients, if it differs from `endpoint`.
        public_endpoint: Option<Url>,
        region: Option<String>,
        path_style: bool,
    },
}

impl StoreConfig {
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded { .. })
    }
}

/// The places outside of the ledger at which the subjects of owners appear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SubjectUse {
    /// In logs and in the documents of hooks.
    #[default]
    LogsAndHooks,
    Hooks,
    Nowhere,
}

/// The reaction to the probe of the store at startup, which sends a wrong body and a wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbePolicy {
    /// The gateway does not start if the store accepts them.
    Require,
    /// The gateway starts, and logs a warning if the store accepts them.
    Warn,
    /// The store is not probed.
    Off,
}

impl Config {
    /// Checks the configuration without opening anything.
    ///
    /// # Errors
    /// [`Kind::Config`] for a configuration with which no gateway can run.
    pub fn validate(&self) -> Result<()> {
        self.validate_access()?;
        self.validate_store()?;
        self.validate_urls()?;
        self.validate_hooks()?;
        let is_invalid_origin = |text: &&String| cors::parse_origin(text).is_none();
        if let Some(text) = self.allow_origins.iter().find(is_invalid_origin) {
            return Err(
                config_error(format!("{text:?} is not the origin of a page")).with_hint(
                    "use scheme://host[:port] without a path, such as https://app.example or \
                 capacitor://localhost, and one --allow-origin for each origin",
                ),
            );
        }
        let is_invalid_glob = |glob: &&String| !validation::is_type_glob(glob);
        let own = self.limit_rules.iter();
        let own = own.flat_map(|rule| rule.limits.allow_types.iter().flatten());
        if let Some(glob) = self.allow_types.iter().chain(own).find(is_invalid_glob) {
            return Err(
                config_error(format!("{glob:?} is not type/subtype, type/* or */*"))
                    .with_hint("name one content type in each glob, such as video/mp4 or video/*"),
            );
        }
        let own = self.limit_rules.iter();
        let mut patterns = own.flat_map(|rule| rule.limits.keys.iter().flatten());
        if let Some(pattern) = patterns.find(|pattern| !key_patterns::is_key_pattern(pattern)) {
            return Err(
                config_error(format!("{pattern:?} is not a pattern of keys"))
                    .with_hint(key_patterns::PATTERN_HINT),
            );
        }
        let path = self.companion_path.as_ref();
        if let Some(path) = path.filter(|path| !is_companion_path(path)) {
            return Err(
                config_error(format!("the routes of Companion cannot be below {path:?}"))
                    .with_hint(
                        "use / or a path such as /companion, of letters, digits and -._~, \
                     that does not begin with a path of the API",
                    ),
            );
        }
        Ok(())
    }

    fn validate_access(&self) -> Result<()> {
        match &self.auth {
            Auth::None => {
                if !AddressClass::of_ip(self.listen.ip()).is_loopback() {
                    let listen = self.listen;
                    return Err(config_error(format!(
                        "authentication is required to listen on {listen}"
                    ))
                    .with_hint("use --auth tokens, or listen on 127.0.0.1"));
                }
                // A reverse proxy connects from loopback, even for clients on other machines.
                let is_public = |url: &Url| !AddressClass::of_url(url).is_loopback();
                if self.public_url.as_ref().is_some_and(is_public) {
                    return Err(config_error("authentication is required for a public URL")
                        .with_hint("use --auth tokens, or omit --public-url"));
                }
                Ok(())
            }
            Auth::Jwt { issuers, .. } => issuers.iter().try_for_each(Issuer::check),
            Auth::Tokens | Auth::Private(_) => Ok(()),
        }
    }

    fn validate_store(&self) -> Result<()> {
        let is_proof_known = self.probe != ProbePolicy::Off || self.proof.is_some();
        if !is_proof_known && !self.store.is_embedded() {
            return Err(
                config_error("without a probe, the proof of the store is unknown")
                    .with_hint("state it with --store-checksum, or leave --store-probe at require"),
            );
        }
        self.create_headers().map(drop)
    }

    fn validate_urls(&self) -> Result<()> {
        for (name, url) in [
            ("public URL", &self.public_url),
            ("URL of the CDN", &self.cdn_url),
        ] {
            if url.as_ref().is_some_and(|url| !is_base_url(url)) {
                return Err(config_error(format!(
                    "the {name} must have the form http(s)://host[:port][/path]"
                )));
            }
        }
        let has_path = |url: &Url| url.path() != "/";
        if self.store.is_embedded() && self.public_url.as_ref().is_some_and(has_path) {
            // Signatures cover the path, which a proxy would remove or the store would not know.
            return Err(
                config_error("the public URL of an embedded store must not have a path").with_hint(
                    "give the gateway a host name or a port of its own: --public-url https://HOST",
                ),
            );
        }
        Ok(())
    }

    /// A CDN serves every object at its key, and the client knows the key from the beginning. So
    /// hooks could not withhold an object: see `docs/decisions.md`.
    fn validate_hooks(&self) -> Result<()> {
        if self.hooks.is_empty() || self.cdn_url.is_none() {
            return Ok(());
        }
        Err(config_error(
            "a CDN serves objects before hooks have accepted them: the two cannot be used together",
        )
        .with_hint(
            "leave out --cdn, so that objects are read by presigned URLs (`upload url`); \
                     or leave out --hook",
        ))
    }

    /// The headers of every request that creates an object.
    ///
    /// # Errors
    /// [`Kind::Config`] for an unknown server-side encryption.
    pub fn create_headers(&self) -> Result<BTreeMap<String, String>> {
        let mut headers: BTreeMap<String, String> = self
            .required_headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        let Some(sse) = &self.sse else {
            return Ok(headers);
        };
        let (algorithm, key_id) = match sse.strip_prefix("aws:kms:") {
            Some(key_id) if !key_id.is_empty() => ("aws:kms", Some(key_id)),
            None if matches!(sse.as_str(), "AES256" | "aws:kms") => (sse.as_str(), None),
            _ => {
                return Err(
                    config_error(format!("{sse:?} is not a server-side encryption"))
                        .with_hint("use AES256, aws:kms or aws:kms:KEY-ID"),
                );
            }
        };
        headers.insert(
            "x-amz-server-side-encryption".to_owned(),
            algorithm.to_owned(),
        );
        if let Some(key_id) = key_id {
            headers.insert(
                "x-amz-server-side-encryption-aws-kms-key-id".to_owned(),
                key_id.to_owned(),
            );
        }
        Ok(headers)
    }
}

fn config_error(text: impl Into<String>) -> Error {
    Error::new(Kind::Config, text)
}

/// Returns true for a URL of the form `http(s)://host[:port][/path]`.
fn is_base_url(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// Returns true if the path is valid for the routes of Companion: they must not hide other routes
/// of the gateway.
fn is_companion_path(path: &str) -> bool {
    if path == "/" {
        return true;
    }
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    let first = path.split('/').next().unwrap_or_default();
    path.split('/').all(is_plain) && !RESERVED_SEGMENTS.contains(&first)
}
