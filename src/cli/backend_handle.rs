//! Connects to a backend: a remote gateway or Companion, or a gateway that is started in this
//! process.
//!
//! Not here: calls to the backend, which the verbs and the engine make.

use std::sync::Arc;
use std::time::Duration;

use super::backend_spec::BackendSpec;
#[cfg(feature = "gateway")]
use super::local_gateway::{LocalGateway, store_holder};
use super::notices::Notices;
use super::resource_limits::GatewayPlace;
use super::settings::{Connection, Settings, Target};
use crate::backend::{Backend, Bearer, Limiter, Options};
use crate::journal::S3Service;
use crate::report::LogWriter;
use upload_types::DiskFailure;
use upload_types::error::Result;

/// How long to wait for another process that has the embedded store open.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// The time until a wait for the embedded store is reported.
const STORE_NOTICE_DELAY: Duration = Duration::from_secs(1);

/// A backend that can be called, and the gateway in this process, if any.
pub struct BackendHandle {
    backend: Arc<Backend>,
    name: String,
    s3_service: Option<S3Service>,
    #[cfg(feature = "gateway")]
    local: Option<LocalGateway>,
}

impl BackendHandle {
    /// Connects without a rate limit.
    ///
    /// # Errors
    /// As [`BackendHandle::with_limits`].
    pub async fn connect(target: &Target, settings: &Settings) -> Result<Self> {
        let notices = Notices::new(settings, LogWriter::default());
        Self::with_limits(target, LOCK_TIMEOUT, Arc::default(), &notices).await
    }

    /// Connects. `lock_timeout` is for another process that has the embedded store open, and a
    /// notice reports a long wait for it; `limiter` limits the rate of parts.
    ///
    /// # Errors
    /// Those of starting a gateway, and of [`Backend::gateway`].
    pub async fn with_limits(
        target: &Target,
        lock_timeout: Duration,
        limiter: Arc<Limiter>,
        notices: &Notices,
    ) -> Result<Self> {
        let report_waiting = async {
            tokio::time::sleep(STORE_NOTICE_DELAY).await;
            if target.spec == BackendSpec::Embedded {
                let holder =
                    store_holder(target).map_or_else(String::new, |pid| format!(" (pid {pid})"));
                notices.show(&format!(
                    "waiting for the embedded store: another process{holder} has it open"
                ));
            }
            std::future::pending().await
        };
        tokio::select! {
            opened = Self::open(target, lock_timeout, limiter) => opened,
            never = report_waiting => never,
        }
    }

    async fn open(target: &Target, lock_timeout: Duration, limiter: Arc<Limiter>) -> Result<Self> {
        match &target.spec {
            BackendSpec::Url(url) | BackendSpec::Companion(url) => {
                let connection = &target.connection;
                let bearer = Bearer::new(connection.token.clone(), connection.token_file.clone());
                let options = options(connection, limiter, GatewayPlace::Remote);
                let backend = match &target.spec {
                    BackendSpec::Companion(_) => Backend::companion(url, bearer, options)?,
                    _ => Backend::gateway(url, bearer, options)?,
                };
                Ok(Self {
                    backend: Arc::new(backend),
                    name: target.name(),
                    s3_service: None,
                    #[cfg(feature = "gateway")]
                    local: None,
                })
            }
            BackendSpec::Embedded | BackendSpec::S3 { .. } => {
                Self::in_process(target, lock_timeout, limiter).await
            }
        }
    }

    #[cfg(feature = "gateway")]
    async fn in_process(
        target: &Target,
        lock_timeout: Duration,
        limiter: Arc<Limiter>,
    ) -> Result<Self> {
        let local = LocalGateway::start(target, lock_timeout).await?;
        let options = options(&target.connection, limiter, GatewayPlace::InProcess);
        let backend = Backend::gateway(local.url(), Some(local.token().clone()), options)?;
        Ok(Self {
            backend: Arc::new(backend),
            name: target.name(),
            s3_service: target.s3_service(),
            local: Some(local),
        })
    }

    /// Not reached: in such a build, [`BackendSpec::parse`] rejects these backends.
    #[cfg(not(feature = "gateway"))]
    #[expect(clippy::unused_async, reason = "awaited in builds with a gateway")]
    async fn in_process(target: &Target, _: Duration, _: Arc<Limiter>) -> Result<Self> {
        use upload_types::error::{Error, Kind};
        Err(Error::new(
            Kind::Config,
            format!("this build contains no gateway for {}", target.name()),
        ))
    }

    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// The name of the backend in journal and receipts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For an `s3://` backend: how its bucket is reached.
    pub fn s3_service(&self) -> Option<&S3Service> {
        self.s3_service.as_ref()
    }

    /// The failure of a disk of the gateway in this process, once there is one.
    #[cfg_attr(
        not(feature = "gateway"),
        expect(clippy::unused_self, reason = "always remote without a gateway")
    )]
    pub fn disk_failure(&self) -> DiskFailure {
        #[cfg(feature = "gateway")]
        if let Some(local) = &self.local {
            return local.disk_failure().clone();
        }
        DiskFailure::default()
    }

    #[cfg_attr(
        not(feature = "gateway"),
        expect(clippy::unused_self, reason = "always remote without a gateway")
    )]
    pub fn gateway_place(&self) -> GatewayPlace {
        #[cfg(feature = "gateway")]
        if self.local.is_some() {
            return GatewayPlace::InProcess;
        }
        GatewayPlace::Remote
    }

    /// Disconnects, and stops the gateway in this process.
    #[cfg_attr(
        not(feature = "gateway"),
        expect(clippy::unused_async, reason = "awaited in builds with a gateway")
    )]
    pub async fn close(self) {
        drop(self.backend);
        #[cfg(feature = "gateway")]
        if let Some(local) = self.local {
            local.stop().await;
        }
    }
}

/// Not reached: such a build has no embedded store.
#[cfg(not(feature = "gateway"))]
fn store_holder(_: &Target) -> Option<u32> {
    None
}

fn options(connection: &Connection, limiter: Arc<Limiter>, gateway: GatewayPlace) -> Options {
    let in_process = gateway == GatewayPlace::InProcess;
    Options {
        network: connection.network.clone(),
        allow_insecure_http: connection.allow_insecure_http,
        store_hosts: connection.store_hosts.clone(),
        headers: if in_process {
            Vec::new()
        } else {
            connection.headers.clone()
        },
        in_process,
        limiter,
        stall_after: connection.stall_after,
    }
}
