//! From a configured backend to one that can be called: a gateway or a Companion elsewhere, or a gateway started in this process.
//!
//! Border: the start and the end of a connection; what is said over it is the verb's.

use std::sync::Arc;
use std::time::Duration;

use super::backend_spec::BackendSpec;
use super::settings::{Connection, Settings};
use crate::backend::{Backend, Bearer, Limiter, Options};
use upload_types::error::Result;

/// A backend that can be called.
pub struct Connected {
    pub backend: Arc<Backend>,
    /// As the user names it, as journal and receipts keep it.
    pub name: String,
    #[cfg(feature = "gateway")]
    local: Option<super::local_gateway::Local>,
}

impl Connected {
    /// Connects, starting a gateway in this process where that is what the backend means. `lock_wait` is how
    /// long to wait for another process that holds the embedded store, `limiter` how fast parts may go.
    ///
    /// # Errors
    /// As the gateway's start and [`Backend::native`].
    #[cfg_attr(
        not(feature = "gateway"),
        expect(
            clippy::unused_async,
            reason = "only a gateway in this process is waited for"
        )
    )]
    pub async fn new(
        settings: &Settings,
        spec: &BackendSpec,
        connection: &Connection,
        lock_wait: Duration,
        limiter: Arc<Limiter>,
    ) -> Result<Self> {
        match spec {
            BackendSpec::Url(url) | BackendSpec::Companion(url) => {
                let bearer = Bearer::new(connection.token.clone(), connection.token_file.clone());
                let options = options(connection, limiter, false);
                let backend = match spec {
                    BackendSpec::Companion(_) => Backend::companion(url, bearer, options)?,
                    _ => Backend::native(url, bearer, options)?,
                };
                Ok(Self {
                    backend: Arc::new(backend),
                    name: spec.to_string(),
                    #[cfg(feature = "gateway")]
                    local: None,
                })
            }
            #[cfg(feature = "gateway")]
            BackendSpec::Embedded | BackendSpec::S3 { .. } => {
                let local =
                    super::local_gateway::start(settings, spec, connection, lock_wait).await?;
                let options = options(connection, limiter, true);
                Ok(Self {
                    backend: Arc::new(Backend::native(
                        local.url(),
                        Some(local.token.clone()),
                        options,
                    )?),
                    name: spec.to_string(),
                    local: Some(local),
                })
            }
            #[cfg(not(feature = "gateway"))]
            BackendSpec::Embedded | BackendSpec::S3 { .. } => {
                use upload_types::error::{Error, Kind};
                let _ = (settings, lock_wait, limiter);
                Err(Error::new(
                    Kind::Config,
                    format!("this build has no gateway for {spec}"),
                ))
            }
        }
    }

    /// Whether the backend runs in this process.
    #[cfg_attr(
        not(feature = "gateway"),
        expect(clippy::unused_self, reason = "no backend runs here")
    )]
    pub fn is_here(&self) -> bool {
        #[cfg(feature = "gateway")]
        return self.local.is_some();
        #[cfg(not(feature = "gateway"))]
        false
    }

    /// Ends what was started.
    #[cfg_attr(
        not(feature = "gateway"),
        expect(
            clippy::unused_async,
            reason = "only a gateway in this process is waited for"
        )
    )]
    pub async fn close(self) {
        drop(self.backend);
        #[cfg(feature = "gateway")]
        if let Some(local) = self.local {
            local.stop().await;
        }
    }
}

fn options(connection: &Connection, limiter: Arc<Limiter>, own: bool) -> Options {
    Options {
        ca_cert: connection.ca_cert.clone(),
        proxy: connection
            .proxy
            .as_ref()
            .map(|proxy| proxy.expose().clone()),
        allow_insecure_http: connection.allow_insecure_http,
        store_hosts: connection.store_hosts.clone(),
        headers: if own {
            Vec::new()
        } else {
            connection.headers.clone()
        },
        own,
        limiter,
        stall_after: connection.stall_after,
    }
}
