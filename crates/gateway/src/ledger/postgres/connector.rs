//! Makes connections for the pool, and pauses after a failure.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deadpool::managed::{Hook, Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::{ClientWrapper, ManagerConfig, RecyclingMethod};
use tokio_postgres::NoTls;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::PostgresAddress;
use super::tls;
use crate::ledger::sql::{Result, SqlError};
use upload_types::backoff::Backoff;
use upload_types::sync::lock;

/// The pause after connecting failed.
const CONNECT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// A manager of the pool's connections.
pub(super) struct Connector {
    manager: deadpool_postgres::Manager,
    /// Connections that are being made. The pool counts a connection only after it is made.
    connecting: Arc<AtomicUsize>,
    pause: Mutex<Pause>,
}

/// Consecutive failures to connect.
#[derive(Debug, Default)]
struct Pause {
    failures: u32,
    last_failure: Option<Instant>,
    is_reported: bool,
}

impl Pause {
    /// The time until the next attempt to connect.
    fn remaining(&self, now: Instant) -> Duration {
        match self.last_failure {
            Some(at) => CONNECT_BACKOFF
                .delay(self.failures)
                .saturating_sub(now.saturating_duration_since(at)),
            None => Duration::ZERO,
        }
    }
}

impl Connector {
    /// # Errors
    /// [`SqlError::Config`] if TLS is required and cannot be set up.
    pub(super) fn new(address: &PostgresAddress) -> Result<Self> {
        let config = address.config().clone();
        let settings = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = if address.requires_tls() {
            let tls = MakeRustlsConnect::new(tls::client_config(address)?);
            deadpool_postgres::Manager::from_config(config, tls, settings)
        } else {
            deadpool_postgres::Manager::from_config(config, NoTls, settings)
        };
        Ok(Self {
            manager,
            connecting: Arc::default(),
            pause: Mutex::default(),
        })
    }

    /// The hook that the pool must run when it has counted a new connection.
    pub(super) fn on_counted(&self) -> Hook<Self> {
        let connecting = Arc::clone(&self.connecting);
        Hook::sync_fn(move |_, _| {
            connecting.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        })
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.connecting.load(Ordering::SeqCst) > 0
    }

    /// The time until the next attempt to connect.
    pub(super) fn pause_remaining(&self) -> Duration {
        lock(&self.pause).remaining(Instant::now())
    }

    /// Returns true once for each series of failures.
    pub(super) fn must_report(&self) -> bool {
        !std::mem::replace(&mut lock(&self.pause).is_reported, true)
    }

    fn on_connected(&self) {
        let before = std::mem::take(&mut *lock(&self.pause));
        if before.failures > 0 {
            tracing::info!("the ledger's database accepts connections again");
        }
    }

    fn on_connect_failed(&self) {
        let mut pause = lock(&self.pause);
        pause.failures = pause.failures.saturating_add(1);
        pause.last_failure = Some(Instant::now());
    }
}

impl Manager for Connector {
    type Type = ClientWrapper;
    type Error = SqlError;

    async fn create(&self) -> Result<ClientWrapper> {
        if !self.pause_remaining().is_zero() {
            return Err(SqlError::Backoff);
        }
        let connecting = Connecting::new(&self.connecting);
        match self.manager.create().await {
            Ok(client) => {
                self.on_connected();
                connecting.hand_over();
                Ok(client)
            }
            Err(error) => {
                self.on_connect_failed();
                Err(error.into())
            }
        }
    }

    async fn recycle(&self, client: &mut ClientWrapper, _: &Metrics) -> RecycleResult<SqlError> {
        if client.is_closed() {
            return Err(RecycleError::message("the connection is closed"));
        }
        Ok(())
    }

    fn detach(&self, client: &mut ClientWrapper) {
        self.manager.detach(client);
    }
}

/// Counts a connection that is being made, until it fails, its future is dropped, or the pool
/// counts it.
struct Connecting<'a>(&'a AtomicUsize);

impl<'a> Connecting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }

    /// Leaves the decrement to [`Connector::on_counted`].
    fn hand_over(self) {
        std::mem::forget(self);
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_grows_with_each_failure_and_ends() {
        let now = Instant::now();
        let pause = |failures, ago: Duration| {
            let last_failure = now.checked_sub(ago);
            let pause = Pause {
                failures,
                last_failure,
                is_reported: false,
            };
            pause.remaining(now)
        };
        assert_eq!(Pause::default().remaining(now), Duration::ZERO);
        assert_eq!(pause(1, Duration::ZERO), Duration::from_millis(100));
        assert_eq!(pause(3, Duration::ZERO), Duration::from_millis(400));
        assert_eq!(pause(100, Duration::ZERO), Duration::from_secs(2));
        assert_eq!(
            pause(3, Duration::from_millis(300)),
            Duration::from_millis(100)
        );
        assert_eq!(pause(3, Duration::from_secs(9)), Duration::ZERO);
    }
}
