//! The gateway's memory: which uploads were begun, for whom, and how far they are.
//!
//! Border: plain data in, plain data out; no SQL leaves this folder, and nothing here calls the store or decides what an
//! answer means. One thread owns the connection, so that no caller ever waits on a lock inside the process.

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};

mod owners;
mod parts;
mod schema;
mod uploads;

pub use owners::{ApiToken, NewToken};
pub use parts::{LedgerPart, Signing};
pub use uploads::{NewUpload, Upload};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The ledger. Clones share it; the thread behind it ends with the last of them.
#[derive(Clone)]
pub struct Ledger {
    jobs: mpsc::Sender<Job>,
    instance_id: String,
}

impl Ledger {
    /// Opens the SQLite ledger at `path`, making it (0600, in a directory of 0700) when there is none.
    ///
    /// # Errors
    /// [`Kind::NoJournal`] for a file that is no ledger or cannot be opened, [`Kind::Config`] for one that a newer version
    /// wrote, or a SQLite before 3.51.3.
    pub async fn open(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        let (jobs, queue) = mpsc::channel::<Job>();
        let (opened, answer) = oneshot::channel();
        let run = move || match schema::open(&path) {
            Err(error) => drop(opened.send(Err(error))),
            Ok((mut connection, instance_id)) => {
                if opened.send(Ok(instance_id)).is_ok() {
                    while let Ok(job) = queue.recv() {
                        job(&mut connection);
                    }
                }
            }
        };
        thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(run)
            .map_err(|error| Error::new(Kind::NoJournal, "could not start the ledger's thread").because(error))?;
        let instance_id = answer.await.map_err(|_| gone())??;
        Ok(Self { jobs, instance_id })
    }

    /// Which ledger this is; made once, with the file.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// Whether the ledger answers.
    ///
    /// # Errors
    /// What SQLite said.
    pub async fn ping(&self) -> Result<()> {
        self.read(|connection| connection.query_row("SELECT 1", [], |_| Ok(()))).await
    }

    /// Runs `job` on the ledger's thread.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(done.send(job(connection))));
        self.jobs.send(job).map_err(|_| gone())?;
        let result = answer.await.map_err(|_| gone())?;
        result.map_err(|error| Error::new(Kind::Io, "could not use the ledger").because(error))
    }

    /// Runs `job` in a transaction that takes the write lock at once, and commits it; an error rolls it back.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.attempt(move |transaction| Ok((job(transaction)?, true))).await
    }

    /// As [`Ledger::write`], but commits only what `job` says is to be kept.
    async fn attempt<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<(T, bool)> + Send + 'static,
    ) -> Result<T> {
        self.read(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (value, keep) = job(&transaction)?;
            if keep {
                transaction.commit()?;
            } else {
                transaction.rollback()?;
            }
            Ok(value)
        })
        .await
    }
}

fn gone() -> Error {
    Error::new(Kind::Io, "could not reach the ledger: its thread has ended")
}

/// SQLite's integers are signed; nothing the gateway counts comes near their end.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column that holds something else than this program writes there.
fn damaged(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, what.into())
}
