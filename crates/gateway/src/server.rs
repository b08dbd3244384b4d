//! Starts and stops a gateway: binds, checks the store, assembles the routes, and runs the
//! background tasks.
//!
//! Not here: opening ledger and store (`bootstrap`), and the operations of the API (`service`).

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::auth::{Authenticator, LastUses};
use crate::background_task::BackgroundTask;
use crate::bootstrap::{self, Resources};
use crate::companion;
use crate::config::Config;
use crate::connection_limiter::{API_LIMITS, METRICS_LIMITS};
use crate::cors::Origins;
use crate::events::EventSource;
use crate::events::{self, EventQueue};
use crate::listener::{Listener, reachable_address};
use crate::reload::{Reloaded, Reloader};
use crate::routes::{self, Gateway};
use crate::service::{Service, SweepSchedule};
use crate::{store_check, store_credentials};
use upload_embedded_store::Embedded;
use upload_types::DiskFailure;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

/// How long active requests may take when the gateway stops.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A gateway that serves requests. If it is dropped, it stops without the drain time, and the
/// caller does not wait for the end.
#[derive(Debug)]
pub struct Running {
    url: Url,
    metrics_url: Option<Url>,
    server: JoinHandle<()>,
    /// The server shuts down when this is dropped.
    shutdown: oneshot::Sender<()>,
    /// Makes the gateway report that it is not ready.
    is_stopping: Arc<AtomicBool>,
    reloader: Reloader,
    drain_time: Duration,
    /// Writes the uses of tokens that are not in the ledger yet.
    last_uses: Arc<LastUses>,
    tasks: Vec<BackgroundTask>,
    metrics_task: Option<BackgroundTask>,
    /// Serves the embedded store to the gateway itself.
    internal_task: Option<BackgroundTask>,
    disk_failure: DiskFailure,
}

impl Running {
    /// The address of the API, `http://host:port`.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The address of the metrics.
    #[must_use]
    pub fn metrics_url(&self) -> Option<&Url> {
        self.metrics_url.as_ref()
    }

    /// The failure of a disk of the embedded store or of the ledger, once there is one.
    #[must_use]
    pub fn disk_failure(&self) -> &DiskFailure {
        &self.disk_failure
    }

    /// Applies another configuration, as far as it can change while the gateway runs.
    ///
    /// # Errors
    /// As [`Config::validate`], and for hooks that cannot be used. Then nothing has changed.
    pub fn reload(&mut self, config: Config) -> Result<Reloaded> {
        let reloaded = self.reloader.reload(config)?;
        self.drain_time = self.reloader.config().drain_time;
        Ok(reloaded)
    }

    /// Waits for the server to end on its own, which is always an error.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub async fn wait(&mut self) -> Result<()> {
        let error = Error::new(Kind::Io, "the gateway has stopped unexpectedly");
        match (&mut self.server).await {
            Ok(()) => Err(error),
            Err(cause) => Err(error.with_source(cause)),
        }
    }

    /// Reports that the gateway is not ready and serves for the drain time. Then closes the
    /// listener and waits for active requests, at most [`STOP_TIMEOUT`].
    pub async fn stop(self) {
        let Self {
            mut server,
            shutdown,
            is_stopping,
            drain_time,
            tasks,
            metrics_task,
            internal_task,
            last_uses,
            ..
        } = self;
        is_stopping.store(true, Ordering::Relaxed);
        drop(tasks);
        sleep(drain_time).await;
        drop(shutdown);
        if timeout(STOP_TIMEOUT, &mut server).await.is_err() {
            server.abort();
        }
        last_uses.write_last_batch().await;
        drop((metrics_task, internal_task));
    }
}

/// Opens ledger and store, begins to listen, and checks the store. The API is available when this
/// returns.
///
/// # Errors
/// [`Kind::Config`] for a configuration with which no gateway can run, or a store that enforces
/// nothing; [`Kind::Busy`] if another process has locked the embedded store;
/// [`Kind::DatabaseUnusable`] for a ledger that does not open; [`Kind::Io`] for an address that is
/// in use; [`Kind::Temporary`] for a store that does not respond; [`Kind::Unauthorized`] for
/// credentials that the store rejects or that lack a permission; [`Kind::Incompatible`] for a store
/// with an untrusted certificate.
pub async fn start(config: Config) -> Result<Running> {
    // The callers keep a small future.
    Box::pin(start_boxed(config)).await
}

async fn start_boxed(config: Config) -> Result<Running> {
    config.validate()?;
    let hooks = bootstrap::hooks(&config)?;
    let resources = Resources::open(&config).await?;
    let listener = Listener::bind(config.listen).await?;
    let metrics_listener = match config.metrics_listen {
        Some(address) => Some(Listener::bind(address).await?),
        None => None,
    };
    let address = reachable_address(listener.address());
    let (store, internal_task) = Box::pin(resources.connect_store(&config, address)).await?;
    let Resources {
        ledger,
        embedded,
        disk_failure,
    } = resources;
    let event_queue = events::open_queue(config.events.as_ref(), &store).await?;
    let url = listener.url()?;
    let public_url = config.public_url.clone().unwrap_or_else(|| url.clone());

    let authenticator = Authenticator::new(&config.auth, ledger.clone(), &config.network)?;
    authenticator.set_limit_rules(&config.limit_rules);
    let last_uses = Arc::clone(authenticator.last_uses());
    let gateway = Arc::new(Gateway::new(authenticator));
    let router = router(&gateway, &config, embedded.as_ref(), &public_url);
    let (shutdown, on_shutdown) = oneshot::channel::<()>();
    let server = listener.serve(router, API_LIMITS, async { drop(on_shutdown.await) });
    let server = tokio::spawn(server);
    let (metrics_url, metrics_task) = match metrics_listener {
        Some(listener) => {
            let url = listener.url()?;
            let router = routes::metrics_router(Arc::clone(&gateway));
            let serve = listener.serve(router, METRICS_LIMITS, pending());
            (Some(url), Some(BackgroundTask::spawn(serve)))
        }
        None => (None, None),
    };
    let mut running = Running {
        url,
        metrics_url,
        server,
        shutdown,
        is_stopping: gateway.health().stop_flag(),
        drain_time: config.drain_time,
        reloader: Reloader::new(Arc::clone(&gateway), public_url.clone(), config.clone()),
        last_uses,
        tasks: Vec::new(),
        metrics_task,
        internal_task,
        disk_failure,
    };

    let store = match Box::pin(store_check::check(store, &ledger, &config)).await {
        Ok(store) => store,
        Err(error) => {
            running.drain_time = Duration::ZERO;
            running.stop().await;
            return Err(error);
        }
    };
    if let (Some(path), Some(embedded)) = (&config.store_credentials_file, &embedded) {
        store_credentials::write(path, &public_url, &embedded.keys())?;
    }
    let service_config = bootstrap::service_config(&config, &store, &public_url, hooks);
    crash::point("gateway.start.ready");
    tracing::info!(url = %running.url, proof = ?store.proof(), "gateway ready");
    let service = Service::new(ledger, store, service_config);
    running.tasks = background_tasks(&config, &service, event_queue);
    let last_uses = Arc::clone(&running.last_uses);
    let write = async move { last_uses.write_batches().await };
    running.tasks.push(BackgroundTask::spawn(write));
    if !service.has_hooks() {
        service.warn_of_uploads_that_wait_for_hooks().await?;
    }
    if let Some(EventSource::Webhook(secret)) = &config.events {
        gateway.accept_events(secret, Arc::clone(&service));
    }
    gateway.serve(service);
    Ok(running)
}

/// The routes of the API and of Companion, with the embedded store as the fallback.
fn router(
    gateway: &Arc<Gateway>,
    config: &Config,
    embedded: Option<&Embedded>,
    public_url: &Url,
) -> Router {
    let origins = Arc::new(Origins::new(&config.allow_origins, public_url));
    let mut router = routes::api_router(Arc::clone(gateway));
    if let Some(path) = &config.companion_path {
        let path = path.trim_end_matches('/');
        let companion = companion::router(Arc::clone(gateway), Arc::clone(&origins), path);
        router = router.merge(companion);
    }
    let router = match embedded {
        Some(embedded) => {
            let mut service = embedded.service();
            if config.store_presigned_puts {
                service = service.with_presigned_puts();
            }
            if config.companion_path.is_some() {
                service = service.for_browsers(public_url);
            }
            router.fallback_service(service)
        }
        None => router.fallback(routes::not_found),
    };
    let has_origins = !config.allow_origins.is_empty();
    routes::with_common_layers(router, has_origins.then_some(&*origins))
}

/// Starts the runner of hooks and, if they are configured, the sweeper and the consumer of the
/// event queue.
fn background_tasks(
    config: &Config,
    service: &Arc<Service>,
    event_queue: Option<EventQueue>,
) -> Vec<BackgroundTask> {
    let mut tasks = Vec::new();
    if let Some(interval) = config.sweep_interval {
        let schedule = SweepSchedule {
            interval,
            report_orphans: config.report_orphans,
        };
        let sweeper = Arc::clone(service).run_sweeper(schedule);
        tasks.push(BackgroundTask::spawn(sweeper));
    }
    if let Some(queue) = event_queue {
        tasks.push(BackgroundTask::spawn(queue.consume(Arc::clone(service))));
    }
    // A reload may add hooks.
    tasks.push(BackgroundTask::spawn(Arc::clone(service).run_hooks()));
    tasks
}
