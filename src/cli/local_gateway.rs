//! The gateway in this process, for the backends `embedded` and `s3://…`.
//!
//! Border: with `serve`, the one door between client and gateway: the client talks to it over loopback as to any other.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::backend_spec::BackendSpec;
use super::settings::{Connection, Settings};
use upload_gateway::hooks::OnReject;
use upload_gateway::{Auth, Config, LedgerConfig, Probe, Quota, Running, StoreConfig};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::Token;
use upload_types::wire::Proof;

/// A gateway of one run has no operator who could choose otherwise.
const URL_TTL: Duration = Duration::from_mins(15);
const UPLOAD_TTL: Duration = Duration::from_hours(168);
const LEASE: Duration = Duration::from_mins(1);
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// A gateway of this run.
pub struct Local {
    running: Running,
    /// Lets this run, and nobody else, use it.
    pub token: Token,
}

impl Local {
    pub fn url(&self) -> &Url {
        &self.running.url
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// Starts a gateway on loopback.
///
/// # Errors
/// As [`upload_gateway::start`].
pub async fn start(
    settings: &Settings,
    spec: &BackendSpec,
    connection: &Connection,
    lock_wait: Duration,
) -> Result<Local> {
    let token = Token::new(format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    ));
    let (store, ledger, probe, checksum) = match spec {
        // It is ours and enforces SHA-256; the tests hold it to that.
        BackendSpec::Embedded => {
            let store = StoreConfig::Embedded {
                dir: settings.store_dir()?,
            };
            (store, "embedded.db", Probe::Off, Some(Proof::Sha256))
        }
        BackendSpec::S3 { bucket, prefix } => {
            let s3 = connection.s3.clone();
            let store = StoreConfig::S3 {
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                endpoint: s3.endpoint,
                region: s3.region,
                path_style: s3.path_style,
            };
            (store, "direct.db", Probe::Require, None)
        }
        BackendSpec::Url(_) | BackendSpec::Companion(_) => {
            return Err(Error::new(
                Kind::Other,
                "a gateway elsewhere is not started here",
            ));
        }
    };
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        metrics_listen: None,
        public_url: None,
        cdn: None,
        store,
        store_credentials: None,
        ledger: LedgerConfig::Sqlite(beside(settings.journal()?, ledger)),
        auth: Auth::Private(token.clone()),
        companion: None,
        allow_origins: Vec::new(),
        // A run has nobody to share with.
        rate: None,
        quota: Quota::default(),
        allow_types: vec!["*/*".into()],
        max_size: None,
        url_ttl: URL_TTL,
        upload_ttl: UPLOAD_TTL,
        lease: LEASE,
        sweep_every: Some(SWEEP_EVERY),
        // Nobody reads a log here.
        events: None,
        survey: false,
        sse: None,
        required_headers: Vec::new(),
        probe,
        checksum,
        hooks: Vec::new(),
        hook_secret: None,
        on_reject: OnReject::default(),
        lock_wait,
        drain: Duration::ZERO,
    };
    Ok(Local {
        running: upload_gateway::start(config).await?,
        token,
    })
}

fn beside(mut journal: PathBuf, name: &str) -> PathBuf {
    journal.set_file_name(name);
    journal
}
