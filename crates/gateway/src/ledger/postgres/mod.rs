//! A ledger in PostgreSQL, for any number of gateways: a few connections, and one transaction for each piece of work.
//!
//! Border: which connection runs what, when it is run again and when it is given up; what goes over a connection is
//! `session`, how one is made `address` and `tls`, the tables `schema`.
//!
//! Work that did not commit is run again: on another connection when its own was lost, on the same one when PostgreSQL ended a
//! deadlock with it. What became of a lost commit nobody knows, so that is an error: who asked asks again, and each
//! operation takes being asked twice. While the database is away everybody hears so at once; while it only has no room for one
//! more connection, work waits for one that there is.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_postgres::error::SqlState;

use super::db::{self, Db, Failed};
use upload_types::error::{Error, Kind};
use upload_types::sync::lock;

mod address;
mod schema;
mod session;
#[cfg(test)]
pub(super) mod tests;
mod tls;

pub use address::Address;
pub(super) use session::Open;
use session::{Access, Ended, Session};

/// Connections of one gateway, made when there is work for them.
const CONNECTIONS: usize = 8;
/// How often one piece of work is tried.
const ATTEMPTS: u32 = 5;
/// After a connection could not be made, the next is tried after this long; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(2);

pub(super) struct Pool {
    address: Address,
    handle: Handle,
    /// One for each connection there may be.
    places: Arc<Semaphore>,
    sessions: Mutex<Sessions>,
    /// A connection is idle, or there is one less.
    changed: Condvar,
}

#[derive(Default)]
struct Sessions {
    idle: Vec<Session>,
    /// Idle, at work, or being made.
    open: usize,
    away: Option<Away>,
}

/// The database did not let us in.
struct Away {
    since: Instant,
    wait: Duration,
}

impl Pool {
    /// Connects, brings the tables up to date, and gives the ledger's instance id.
    ///
    /// # Errors
    /// [`Kind::Config`] for a database that does not let us in or that a newer version wrote, [`Kind::Temporary`] for one that
    /// does not answer.
    pub async fn open(address: &Address) -> upload_types::error::Result<(Arc<Self>, String)> {
        let pool = Arc::new(Self {
            address: address.clone(),
            handle: Handle::current(),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            sessions: Mutex::default(),
            changed: Condvar::new(),
        });
        let opened = pool
            .write(|db| Ok((schema::step_up(db)?, true)))
            .await
            .map_err(cannot_open)?;
        Ok((pool, opened?))
    }

    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl Fn(&Db<'_>) -> db::Result<T> + Send + 'static,
    ) -> db::Result<T> {
        self.run(Access::Read, move |db| Ok((job(db)?, true))).await
    }

    /// Commits what `job` wrote if it says so.
    pub async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl Fn(&Db<'_>) -> db::Result<(T, bool)> + Send + 'static,
    ) -> db::Result<T> {
        self.run(Access::Write, job).await
    }

    /// Goes on to its end when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        access: Access,
        job: impl Fn(&Db<'_>) -> db::Result<(T, bool)> + Send + 'static,
    ) -> db::Result<T> {
        let pool = Arc::clone(self);
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| Failed::Gone)?;
        let work = tokio::task::spawn_blocking(move || {
            let done = pool.attempts(access, &job);
            drop(place);
            done
        });
        work.await.map_err(|_| Failed::Gone)?
    }

    fn attempts<T>(
        &self,
        access: Access,
        job: &dyn Fn(&Db<'_>) -> db::Result<(T, bool)>,
    ) -> db::Result<T> {
        let mut attempt = 1;
        loop {
            let session = self.session()?;
            let (ended, whole) = session.run(access, job);
            self.give_back(whole.then_some(session));
            match ended {
                Ok(value) => return Ok(value),
                Err(Ended::NotCommitted(error)) if attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "the ledger's work is done again");
                    // Two that stood in each other's way do not meet again.
                    thread::sleep(Duration::from_millis(fastrand::u64(0..10 << attempt)));
                    attempt += 1;
                }
                Err(Ended::NotCommitted(error) | Ended::For(error)) => return Err(error),
            }
        }
    }

    /// A connection that was good when it was last looked at: an idle one, a new one, or, where none can be made, the next of
    /// ours that comes back.
    fn session(&self) -> db::Result<Session> {
        let mut sessions = lock(&self.sessions);
        loop {
            while let Some(session) = sessions.idle.pop() {
                if !session.is_lost() {
                    return Ok(session);
                }
                sessions.open -= 1;
            }
            let shut = sessions
                .away
                .as_ref()
                .map(|away| away.wait.saturating_sub(away.since.elapsed()));
            match shut.filter(|shut| !shut.is_zero()) {
                Some(_) if sessions.open == 0 => return Err(Failed::Away),
                Some(shut) => {
                    let waited = self.changed.wait_timeout(sessions, shut);
                    sessions = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    sessions.open += 1;
                    drop(sessions);
                    let connected = Session::connect(&self.address, &self.handle);
                    sessions = lock(&self.sessions);
                    match connected {
                        Ok(session) => {
                            if sessions.away.take().is_some() {
                                tracing::info!("the ledger's database lets us in again");
                            }
                            return Ok(session);
                        }
                        Err(error) => self.shut_out(&mut sessions, error)?,
                    }
                }
            }
        }
    }

    /// Takes note that a connection could not be made.
    ///
    /// # Errors
    /// Why, where there is no other.
    fn shut_out(&self, sessions: &mut Sessions, error: Failed) -> db::Result<()> {
        sessions.open -= 1;
        self.changed.notify_all();
        let wait = sessions
            .away
            .as_ref()
            .map_or(FIRST_WAIT, |away| (away.wait * 2).min(LAST_WAIT));
        let first = sessions
            .away
            .replace(Away {
                since: Instant::now(),
                wait,
            })
            .is_none();
        if sessions.open == 0 {
            return Err(error);
        }
        if first {
            tracing::warn!(%error, open = sessions.open, "the ledger's database takes no further connection");
        }
        Ok(())
    }

    /// None: it is lost.
    fn give_back(&self, session: Option<Session>) {
        let mut sessions = lock(&self.sessions);
        match session {
            Some(session) => sessions.idle.push(session),
            None => sessions.open -= 1,
        }
        self.changed.notify_all();
    }
}

/// Why a ledger is not opened: by what the server itself says, else it does not answer.
fn cannot_open(failed: Failed) -> Error {
    let said = match &failed {
        Failed::Postgres(error) => error.code().cloned(),
        _ => None,
    };
    let later = [
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::LOCK_NOT_AVAILABLE,
    ];
    // A pooler that gives each transaction another connection, and knows nothing of prepared statements.
    let mixed = [
        SqlState::DUPLICATE_PSTATEMENT,
        SqlState::INVALID_SQL_STATEMENT_NAME,
    ];
    let (kind, hint) = match said {
        Some(code) if mixed.contains(&code) => (
            Kind::Config,
            "the pooler in between has to keep a connection for each session (PgBouncer: pool_mode=session)",
        ),
        Some(code) if !later.contains(&code) => (
            Kind::Config,
            "check user, password and database in --ledger, and what the user may do there",
        ),
        _ => (
            Kind::Temporary,
            "check the host and sslmode in --ledger, and that PostgreSQL runs there; then start again",
        ),
    };
    Error::new(kind, "could not open the ledger in PostgreSQL")
        .with_hint(hint)
        .with_source(failed)
}
