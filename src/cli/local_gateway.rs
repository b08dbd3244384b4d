//! The gateway in this process, for the backends `embedded` and `s3://…`. The client calls it over
//! loopback, like any other gateway.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use url::Url;

use super::backend_spec::BackendSpec;
use super::settings::Target;
use upload_gateway::{
    Auth, ClientKeys, Config, LedgerConfig, OnReject, ProbePolicy, Quota, Running, StoreConfig,
    SubjectUse,
};
use upload_types::attributes::Attribute;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Proof;
use upload_types::{DiskFailure, Token};

// No operator could choose other values: the gateway runs for one command only.
const URL_TTL: Duration = Duration::from_mins(15);
const UPLOAD_TTL: Duration = Duration::from_hours(168);
const LEASE_TIME: Duration = Duration::from_mins(1);
/// How long the ledger keeps the rows of uploads that were aborted or have expired.
const KEEP_ENDED: Duration = Duration::from_hours(90 * 24);
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

pub struct LocalGateway {
    running: Running,
    token: Token,
}

impl LocalGateway {
    /// Starts a gateway on a free port of loopback. Only this process has its token.
    ///
    /// # Errors
    /// As [`upload_gateway::start`].
    pub async fn start(target: &Target, lock_timeout: Duration) -> Result<Self> {
        let token = Token::new(format!(
            "{}{}",
            uuid::Uuid::new_v4().simple(),
            uuid::Uuid::new_v4().simple()
        ));
        let config = config(target, token.clone(), lock_timeout)?;
        let running = Box::pin(upload_gateway::start(config)).await;
        let running = running.map_err(with_hint_for_clients)?;
        Ok(Self { running, token })
    }

    pub fn url(&self) -> &Url {
        self.running.url()
    }

    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The failure of a disk of the embedded store or of the ledger, once there is one.
    pub fn disk_failure(&self) -> &DiskFailure {
        self.running.disk_failure()
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// The hint for a client whose ledger cannot be used.
const LEDGER_HINT: &str = "move the ledger away to begin a new one, or name a journal in another \
                           directory with --journal FILE: the ledger is beside it";

/// The error of a gateway in the process of a client, which has no flag `--ledger`.
fn with_hint_for_clients(error: Error) -> Error {
    let hint = error.hint().unwrap_or_default();
    if !hint.contains("--ledger") {
        return error;
    }
    let alternatives = hint.split("; or ");
    let usable = alternatives.filter(|text| !text.contains("--ledger"));
    let usable: Vec<&str> = usable.collect();
    let hint = match usable.as_slice() {
        [] => LEDGER_HINT.to_owned(),
        usable => usable.join("; or "),
    };
    error.with_hint(hint)
}

/// The id of the process that has the embedded store open, if it is known.
pub fn store_holder(target: &Target) -> Option<u32> {
    let dir = target.local.as_ref()?.store_dir.as_ref()?;
    upload_embedded_store::lock_holder(dir)
}

fn config(target: &Target, token: Token, lock_timeout: Duration) -> Result<Config> {
    let remote = || Error::new(Kind::Other, "a remote backend is not started here");
    let paths = target.local.as_ref().ok_or_else(remote)?;
    let (store, ledger, probe, proof) = match &target.spec {
        // Tests check that the embedded store enforces SHA-256, so that no probe is needed.
        BackendSpec::Embedded => {
            let store = StoreConfig::Embedded {
                dir: paths.store_dir.clone().ok_or_else(remote)?,
            };
            let ledger = paths.embedded_ledger().ok_or_else(remote)?;
            (store, ledger, ProbePolicy::Off, Some(Proof::Sha256))
        }
        BackendSpec::S3 { bucket, prefix } => {
            let s3 = target.connection.s3.clone();
            let store = StoreConfig::S3 {
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                endpoint: s3.endpoint,
                public_endpoint: None,
                region: s3.region,
                path_style: s3.path_style,
            };
            let ledger = paths.s3_ledger(&target.spec, &target.connection.s3.service());
            (store, ledger, ProbePolicy::Require, None)
        }
        BackendSpec::Url(_) | BackendSpec::Companion(_) => return Err(remote()),
    };
    Ok(Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        metrics_listen: None,
        public_url: None,
        cdn_url: None,
        store,
        store_credentials_file: None,
        store_presigned_puts: false,
        ledger: LedgerConfig::Sqlite(ledger),
        auth: Auth::Private(token),
        companion_path: None,
        allow_origins: Vec::new(),
        rate: None,
        quota: Quota::default(),
        limit_rules: Vec::new(),
        subjects: SubjectUse::default(),
        allow_types: vec!["*/*".into()],
        allow_attributes: Attribute::ALL.into(),
        // The caller has the credentials of the store.
        client_keys: ClientKeys::All,
        max_size: None,
        url_ttl: URL_TTL,
        upload_ttl: UPLOAD_TTL,
        lease_ttl: LEASE_TIME,
        keep_ended: Some(KEEP_ENDED),
        sweep_interval: Some(SWEEP_INTERVAL),
        events: None,
        report_orphans: false,
        sse: None,
        required_headers: Vec::new(),
        probe,
        proof,
        hooks: Vec::new(),
        hook_secret: None,
        on_reject: OnReject::default(),
        // The caller has the credentials of the store.
        client_delete: true,
        network: target.connection.network.clone(),
        store_lock_timeout: lock_timeout,
        drain_time: Duration::ZERO,
    })
}
