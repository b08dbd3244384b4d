//! Makes connections for the pool, and pauses after a failure. A connection is replaced after some
//! time.
//!
//! Not here: the servers of an address (`hosts`).

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deadpool::managed::{Hook, Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;

use super::address::PostgresAddress;
use super::failure::reason;
use super::hosts::Hosts;
use super::target::CurrentTarget;
use crate::ledger::sql::{Result, SqlError};
use upload_types::backoff::Backoff;
use upload_types::saturating;
use upload_types::sync::lock;

/// The pause after connecting failed.
const CONNECT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// An attempt to connect that takes longer is a failure if the pool ends it.
pub(super) const SLOW_CONNECT_AFTER: Duration = Duration::from_millis(500);
/// A connection is replaced after this long, and a random part of the spread.
const MIN_LIFETIME: Duration = Duration::from_mins(25);
const LIFETIME_SPREAD: Duration = Duration::from_mins(10);

/// A connection of the pool.
pub(super) struct Connection {
    client: ClientWrapper,
    replace_at: Instant,
}

/// When a connection made now is replaced; `random` is between 0 and 1.
fn replace_at(now: Instant, random: f64) -> Instant {
    now + MIN_LIFETIME + LIFETIME_SPREAD.mul_f64(random)
}

impl Deref for Connection {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

/// A manager of the pool's connections.
pub(super) struct Connector {
    target: CurrentTarget,
    hosts: Hosts,
    /// Connections that are being made. The pool counts a connection only after it is made.
    connecting: Arc<AtomicUsize>,
    pause: Mutex<Pause>,
}

/// Consecutive failures to connect.
#[derive(Debug, Default)]
struct Pause {
    failures: u32,
    last_failure: Option<Instant>,
    /// For the operator, if it is known.
    reason: Option<&'static str>,
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
        Ok(Self {
            target: CurrentTarget::new(address)?,
            hosts: Hosts::default(),
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

    /// The time limit for an attempt to connect to all servers.
    pub(super) fn time_limit(&self) -> Duration {
        let target = self.target.get();
        let servers = saturating::to_u32(target.address().servers().len());
        target.address().connect_timeout().saturating_mul(servers)
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

    fn on_connect_failed(&self, reason: Option<&'static str>) {
        let mut pause = lock(&self.pause);
        pause.failures = pause.failures.saturating_add(1);
        pause.last_failure = Some(Instant::now());
        pause.reason = reason;
    }

    /// Returns true if no connection may be made now. After a failure, one attempt is made at a
    /// time.
    fn must_wait(&self) -> bool {
        let pause = lock(&self.pause);
        !pause.remaining(Instant::now()).is_zero() || (pause.failures > 0 && self.is_connecting())
    }
}

impl Manager for Connector {
    type Type = Connection;
    type Error = SqlError;

    async fn create(&self) -> Result<Connection> {
        if self.must_wait() {
            return Err(SqlError::Backoff(lock(&self.pause).reason));
        }
        let connecting = Connecting::new(self);
        let target = self.target.read_again().await;
        // On the heap, because it is large, and rarely runs.
        match Box::pin(self.hosts.connect(&target)).await {
            Ok(client) => {
                self.on_connected();
                connecting.hand_over();
                Ok(Connection {
                    client,
                    replace_at: replace_at(Instant::now(), fastrand::f64()),
                })
            }
            Err(error) => {
                connecting.fail(reason(&error));
                Err(error)
            }
        }
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<SqlError> {
        if connection.is_closed() {
            return Err(RecycleError::message("the connection is closed"));
        }
        if connection.replace_at <= Instant::now() {
            return Err(RecycleError::message("the connection is old"));
        }
        Ok(())
    }
}

/// Counts a connection that is being made, until it fails, its future is dropped, or the pool
/// counts it.
struct Connecting<'a> {
    connector: &'a Connector,
    began: Instant,
    has_ended: bool,
}

impl<'a> Connecting<'a> {
    fn new(connector: &'a Connector) -> Self {
        connector.connecting.fetch_add(1, Ordering::SeqCst);
        Self {
            connector,
            began: Instant::now(),
            has_ended: false,
        }
    }

    /// Leaves the decrement to [`Connector::on_counted`].
    fn hand_over(self) {
        std::mem::forget(self);
    }

    fn fail(mut self, reason: Option<&'static str>) {
        self.has_ended = true;
        self.connector.on_connect_failed(reason);
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        if !self.has_ended && self.began.elapsed() >= SLOW_CONNECT_AFTER {
            self.connector.on_connect_failed(None);
        }
        self.connector.connecting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_replaced_after_half_an_hour_at_different_times() {
        let now = Instant::now();
        let minutes = |random| (replace_at(now, random) - now).as_secs() / 60;
        assert_eq!([0.0, 0.5, 1.0].map(minutes), [25, 30, 35]);
    }

    #[test]
    fn pause_grows_with_each_failure_and_ends() {
        let now = Instant::now();
        let pause = |failures, ago: Duration| {
            let last_failure = now.checked_sub(ago);
            let pause = Pause {
                failures,
                last_failure,
                ..Pause::default()
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
