//! The gateway: begins, signs, lists, completes and aborts uploads for clients that hold no storage credentials.
//!
//! Border: sees `names`, `error`, `wire` and `plan` of the crate and nothing of the client; never touches a byte of a
//! file. The embedded store, which does, is a store like any other that happens to live in this process.

use axum::Router;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use url::Url;

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::Token;
use upload_types::wire::Proof;

mod auth;
mod body;
mod companion;
mod cors;
pub mod events;
pub mod hooks;
mod lease;
pub mod ledger;
mod limits;
mod listen;
mod metrics;
mod openapi;
mod opened;
mod probing;
mod problem;
mod round;
mod routes;
pub mod rules;
mod service;
mod settings;

pub use auth::{Algorithm, Issuer};
pub use probing::{Probed, probe};
pub use round::round;
pub use service::{Action, Goes, Swept};
pub use settings::{check, name as proof_name};

use auth::{Authenticator, PushSecret};
use cors::Origins;
use events::{Events, Inbox, Listened};
use hooks::{Hook, Hooks, OnReject};
use lease::Terms;
pub use ledger::LedgerConfig;
pub use limits::{Quota, Rate};
use opened::Opened;
use routes::{Gateway, Webhook};
use service::{Rules, Service};
use upload_embedded_store::Embedded;
use upload_s3::Store;

/// How long a complete waits for its decision before it answers that there is none yet.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long requests under way may take when the gateway stops.
pub const STOP_WAIT: Duration = Duration::from_secs(10);

/// How a gateway is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where metrics may be read, by everybody who reaches it; by default nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// What signed URLs and answers name; by default the address listened on.
    pub public_url: Option<Url>,
    pub store: StoreConfig,
    /// What objects are read through, in the place of presigned URLs.
    pub cdn: Option<Url>,
    /// Where to write the embedded store's endpoint and keys, for other S3 clients.
    pub store_credentials: Option<PathBuf>,
    pub ledger: LedgerConfig,
    pub auth: Auth,
    /// Beneath which path Uppy Companion's routes are; by default nowhere.
    pub companion: Option<String>,
    /// Origins whose pages may use the gateway and its embedded store.
    pub allow_origins: Vec<String>,
    /// How many URLs an owner may have signed.
    pub rate: Option<Rate>,
    /// How much an owner may have here.
    pub quota: Quota,
    /// Globs of content types.
    pub allow_types: Vec<String>,
    /// Largest upload in bytes; by default the store's limit.
    pub max_size: Option<u64>,
    /// How long a signed URL lives at least.
    pub url_ttl: Duration,
    /// How long an unfinished upload lives without a call about it.
    pub upload_ttl: Duration,
    /// How long its driver may be silent before another may take an upload over.
    pub lease: Duration,
    /// How often what nobody holds is brought to its end; None leaves it to other gateways.
    pub sweep_every: Option<Duration>,
    /// Where the store's own events come from.
    pub events: Option<Events>,
    /// Whether to tell the log of multipart uploads in the bucket that the ledger does not know.
    pub survey: bool,
    /// Value of `x-amz-server-side-encryption` (`AES256`, `aws:kms` or `aws:kms:KEY-ID`).
    pub sse: Option<String>,
    /// Further headers a bucket demands when an object is created.
    pub required_headers: Vec<(String, String)>,
    pub probe: Probe,
    /// What the store is held to enforce; by default as probed.
    pub checksum: Option<Proof>,
    /// What is run for each verified upload, in this order, before it is ready.
    pub hooks: Vec<Hook>,
    /// Signs webhooks.
    pub hook_secret: Option<Token>,
    pub on_reject: OnReject,
    /// How long to wait for the embedded store's lock.
    pub lock_wait: Duration,
    /// How long to go on serving, and to say that nothing more is to be sent here, before the listener closes.
    pub drain: Duration,
}

#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// A store in this process, under a directory.
    Embedded { dir: PathBuf },
    /// Anything that speaks S3.
    S3 {
        bucket: String,
        prefix: String,
        endpoint: Option<Url>,
        region: Option<String>,
        path_style: bool,
    },
}

/// Who may use the API.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Everybody who reaches it: on loopback only.
    None,
    /// Whoever holds a token of the ledger.
    Tokens,
    /// Whoever holds a token that one of these issuers signed; `tokens` says whether those of the ledger count too.
    Jwt { issuers: Vec<Issuer>, tokens: bool },
    /// Whoever holds this one token, made for one run in one process.
    Private(Token),
}

/// Whether the store is tried with a wrong body and a wrong length at start-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Do not start when it takes them.
    Require,
    Warn,
    Off,
}

/// A gateway that is up and answers. Dropped, it ends as [`Running::stop`] would have it, but nobody waits for it.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, `http://host:port`.
    pub url: Url,
    /// Where its metrics are.
    pub metrics_url: Option<Url>,
    server: JoinHandle<()>,
    /// Dropped or sent to, it asks the server to end.
    end: oneshot::Sender<()>,
    stopping: Arc<AtomicBool>,
    drain: Duration,
    tasks: Vec<Aside>,
    metrics: Option<Aside>,
    inside: Option<Aside>,
}

/// What a gateway does unasked. Ends with it, at whatever point: as after a crash, the next one goes on.
#[derive(Debug)]
struct Aside(JoinHandle<()>);

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Running {
    /// Ends when the gateway does by itself, which is always an error.
    ///
    /// # Errors
    /// What ended it.
    pub async fn wait(&mut self) -> Result<()> {
        let ended = Error::new(Kind::Io, "the gateway has ended");
        match (&mut self.server).await {
            Ok(()) => Err(ended),
            Err(error) => Err(ended.with_source(error)),
        }
    }

    /// Says that nothing more is to be sent here, and serves for as long as it was told to; then takes no more
    /// connections, lets requests under way end, for up to ten seconds, and ends.
    pub async fn stop(self) {
        let Self {
            mut server,
            end,
            tasks,
            metrics,
            inside,
            stopping,
            drain,
            ..
        } = self;
        stopping.store(true, Ordering::Relaxed);
        drop(tasks);
        sleep(drain).await;
        drop(end);
        if timeout(STOP_WAIT, &mut server).await.is_err() {
            server.abort();
        }
        drop((metrics, inside));
    }
}

/// Opens ledger and store, begins to listen, and tries the store; it answers its API from then on.
///
/// # Errors
/// [`Kind::Config`] for settings that cannot be (no authentication away from loopback, a store
/// that enforces nothing), [`Kind::Busy`] when another process holds the embedded store,
/// [`Kind::DatabaseUnusable`] for a ledger that does not open, [`Kind::Io`]
/// for an address that is taken, [`Kind::Temporary`] for a store that does not answer.
pub async fn start(config: Config) -> Result<Running> {
    settings::check(&config)?;
    let hooks = Hooks::new(
        config.hooks.clone(),
        config.on_reject.clone(),
        config.hook_secret.clone(),
    )?;
    let opened = Opened::open(&config).await?;
    let (listener, address) = bind(config.listen).await?;
    let aside = match config.metrics_listen {
        Some(place) => Some(bind(place).await?),
        None => None,
    };
    let (store, inside) = opened.store(&config, within_reach(address)).await?;
    let Opened { embedded, ledger } = opened;
    let queue = events::queue(config.events.as_ref(), &store).await?;
    let url = url_of(address)?;
    let public_url = config.public_url.clone().unwrap_or_else(|| url.clone());

    let guard = Authenticator::new(&config.auth, ledger.clone())?;
    let gateway = Arc::new(Gateway::new(guard));
    let router = router(&gateway, &config, embedded.as_ref(), &public_url);
    let (end, ended) = oneshot::channel::<()>();
    let quit = async { drop(ended.await) };
    let server = tokio::spawn(listen::serve(listener, router, listen::BOUNDS, quit));
    let (metrics_url, metrics) = match aside {
        Some((listener, address)) => {
            let router = routes::operations(Arc::clone(&gateway));
            let serve = listen::serve(listener, router, listen::ASIDE, pending());
            (Some(url_of(address)?), Some(Aside(tokio::spawn(serve))))
        }
        None => (None, None),
    };
    let (stopping, drain) = (gateway.health.stopping(), config.drain);
    let running = Running {
        url,
        metrics_url,
        server,
        end,
        stopping,
        drain,
        tasks: Vec::new(),
        metrics,
        inside,
    };

    let store = match probing::hold(store, &ledger, &config).await {
        Ok(store) => store,
        Err(error) => {
            Running {
                drain: Duration::ZERO,
                ..running
            }
            .stop()
            .await;
            return Err(error);
        }
    };
    if let (Some(path), Some(embedded)) = (&config.store_credentials, &embedded) {
        settings::write_credentials(path, &public_url, &embedded.keys())?;
    }
    let rules = self::rules(&config, &store, &public_url, hooks);
    crash::point("gateway.start.ready");
    tracing::info!(url = %running.url, proof = ?store.proof(), "listening");
    let service = Service::new(ledger, store, rules);
    let mut tasks = unasked(&config, &service, queue);
    if service.has_hooks().await? {
        tasks.push(Aside(tokio::spawn(Arc::clone(&service).keep_hooking())));
    }
    if let Some(Events::Webhook(secret)) = &config.events {
        let inbox = Inbox::open(Arc::clone(&service));
        let _ = gateway.events.set(Webhook {
            guard: PushSecret::new(secret),
            inbox,
        });
    }
    // The cell was made above and is filled here alone.
    let _ = gateway.service.set(service);
    Ok(Running { tasks, ..running })
}

/// Listens, and where that is.
async fn bind(place: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let taken =
        |error| Error::new(Kind::Io, format!("could not listen on {place}")).with_source(error);
    let listener = TcpListener::bind(place).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    Ok((listener, address))
}

/// How the operations are to behave, as the configuration says it and the store can.
fn rules(config: &Config, store: &Store, public_url: &Url, hooks: Hooks) -> Rules {
    let mut limits = store.limits();
    limits.max_size = config
        .max_size
        .unwrap_or(limits.max_size)
        .min(limits.max_size);
    Rules {
        limits,
        allow_types: config.allow_types.clone(),
        rate: config.rate,
        quota: config.quota,
        url_ttl: config.url_ttl,
        terms: Terms {
            lease: config.lease,
            upload: config.upload_ttl,
        },
        patience: PATIENCE,
        backend: public_url.as_str().trim_end_matches('/').to_owned(),
        hooks,
    }
}

/// Whatever the listener serves: the API, Companion's routes, and behind them the embedded store.
fn router(
    gateway: &Arc<Gateway>,
    config: &Config,
    embedded: Option<&Embedded>,
    public_url: &Url,
) -> Router {
    let origins = Arc::new(Origins::new(&config.allow_origins, public_url));
    let mut router = routes::router(Arc::clone(gateway));
    if let Some(root) = &config.companion {
        let root = root.trim_end_matches('/');
        router = router.merge(companion::router(
            Arc::clone(gateway),
            Arc::clone(&origins),
            root,
        ));
    }
    let router = match embedded {
        Some(embedded) if config.companion.is_some() => {
            router.fallback_service(embedded.service().for_browsers(public_url))
        }
        Some(embedded) => router.fallback_service(embedded.service()),
        None => router.fallback(routes::no_such_path),
    };
    routes::told(
        router,
        (!config.allow_origins.is_empty()).then_some(&*origins),
    )
}

/// What the gateway does without being asked.
fn unasked(config: &Config, service: &Arc<Service>, queue: Option<Listened>) -> Vec<Aside> {
    let sweep = config
        .sweep_every
        .map(|every| tokio::spawn(Arc::clone(service).keep_sweeping(every, config.survey)));
    let consume = queue.map(|queue| tokio::spawn(events::consume(Arc::clone(service), queue)));
    [sweep, consume].into_iter().flatten().map(Aside).collect()
}

/// An address this process itself can reach the listener at.
fn within_reach(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn url_of(address: SocketAddr) -> Result<Url> {
    format!("http://{address}")
        .parse()
        .map_err(|error| Error::new(Kind::Other, "not an address").with_source(error))
}
