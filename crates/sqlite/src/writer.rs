//! A thread that owns one SQLite connection. Jobs that wait for it share a commit (group commit).
//!
//! Not here: the rows. They belong to the ledger and to the embedded store's manifest.
//!
//! Each writing job runs in a savepoint, so that an error undoes its own rows only. No job returns
//! before the commit, including reads between writes. If the commit fails, all jobs of the group
//! fail.

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::oneshot;

use upload_types::crash;

/// The maximum number of jobs in one commit.
const MAX_GROUP_JOBS: usize = 256;
/// The capacity of the statement cache: neither the ledger nor the manifest has more statements.
const CACHED_STATEMENTS: usize = 64;

/// Sends the result of a job, given the result of its group's commit.
type Reply = Box<dyn FnOnce(Result<(), &rusqlite::Error>) + Send>;
/// Runs a job on the connection, or passes it the reason why it cannot run.
type Run = Box<dyn FnOnce(Result<&Connection, WriterError>) -> (TransactionEnd, Reply) + Send>;

enum Job {
    Read(Run),
    Write(Run),
}

/// The end of a job's savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEnd {
    Commit,
    RollBack,
}

/// Sends jobs to the thread. When it is dropped, the thread runs the jobs in its queue and ends.
#[derive(Debug)]
pub struct Writer(mpsc::Sender<Job>);

/// The reason why the result of a job is unknown.
#[derive(Debug)]
pub enum WriterError {
    /// The job did not start, or was not made durable. The text is SQLite's.
    Failed(String),
    /// As [`WriterError::Failed`], because the disk is full or read-only.
    DiskFailure(String),
    /// The thread has ended.
    Stopped,
}

impl fmt::Display for WriterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) | Self::DiskFailure(reason) => f.write_str(reason),
            Self::Stopped => f.write_str("the database thread has ended"),
        }
    }
}

impl std::error::Error for WriterError {}

impl From<&rusqlite::Error> for WriterError {
    fn from(error: &rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull | ErrorCode::ReadOnly) => Self::DiskFailure(text),
            _ => Self::Failed(text),
        }
    }
}

impl Writer {
    /// Starts a thread of that name for the connection. `guard` is dropped after the connection is
    /// closed.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        name: &str,
        connection: Connection,
        guard: impl Send + 'static,
    ) -> io::Result<Self> {
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        let (jobs, queue) = mpsc::channel();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                run_jobs(connection, &queue);
                drop(guard);
            })?;
        Ok(Self(jobs))
    }

    /// Runs `read` in a transaction and returns its value once the rows that it saw are durable.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<T, WriterError> {
        let job = job(
            |connection| (read(connection), TransactionEnd::Commit),
            |value, committed| committed.map(|()| value),
        );
        self.send(job, Job::Read).await
    }

    /// Runs `write` in a transaction and returns its value once the rows are durable, or rolled
    /// back if it returns [`TransactionEnd::RollBack`].
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> (T, TransactionEnd) + Send + 'static,
    ) -> Result<T, WriterError> {
        self.write_then(write, |value, committed| committed.map(|()| value))
            .await
    }

    /// Like [`Writer::write`]. After the commit, `then` runs on the thread, even if the caller no
    /// longer waits.
    pub async fn write_then<T: Send + 'static, U: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> (T, TransactionEnd) + Send + 'static,
        then: impl FnOnce(T, Result<(), WriterError>) -> Result<U, WriterError> + Send + 'static,
    ) -> Result<U, WriterError> {
        self.send(job(write, then), Job::Write).await
    }

    async fn send<T>(
        &self,
        (run, result): (Run, oneshot::Receiver<Result<T, WriterError>>),
        kind: fn(Run) -> Job,
    ) -> Result<T, WriterError> {
        self.0.send(kind(run)).map_err(|_| WriterError::Stopped)?;
        result.await.map_err(|_| WriterError::Stopped)?
    }
}

fn job<T: Send + 'static, U: Send + 'static>(
    run: impl FnOnce(&Connection) -> (T, TransactionEnd) + Send + 'static,
    then: impl FnOnce(T, Result<(), WriterError>) -> Result<U, WriterError> + Send + 'static,
) -> (Run, oneshot::Receiver<Result<U, WriterError>>) {
    let (sender, receiver) = oneshot::channel();
    let run: Run = Box::new(move |connection| {
        let value = connection.map(run);
        let end = value
            .as_ref()
            .map_or(TransactionEnd::RollBack, |(_, end)| *end);
        let reply: Reply = Box::new(move |committed| {
            let committed = committed.map_err(WriterError::from);
            let result = value.and_then(|(value, _)| then(value, committed));
            // The caller may no longer wait. The job is done nevertheless.
            let _ = sender.send(result);
        });
        (end, reply)
    });
    (run, receiver)
}

fn run_jobs(mut connection: Connection, queue: &mpsc::Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Read(run) => run_read(&mut connection, run),
            Job::Write(run) => run_group(&mut connection, run, queue),
        }
    }
}

/// Runs a read that belongs to no group.
fn run_read(connection: &mut Connection, run: Run) {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred);
    let (_, reply) = run(transaction.as_deref().map_err(WriterError::from));
    drop(transaction);
    reply(Ok(()));
}

/// Runs a write and the jobs that are queued after it, commits, and replies to all of them.
fn run_group(connection: &mut Connection, first: Run, queue: &mpsc::Receiver<Job>) {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => return first(Err(WriterError::from(&error))).1(Ok(())),
    };
    let mut replies = Vec::new();
    let mut next = Some(Job::Write(first));
    let mut executed = Ok(());
    while let Some(job) = next.take() {
        match job {
            Job::Read(run) => replies.push(run(Ok(&transaction)).1),
            Job::Write(run) => executed = run_in_savepoint(&transaction, run, &mut replies),
        }
        if executed.is_ok() && replies.len() < MAX_GROUP_JOBS {
            next = queue.try_recv().ok();
        }
    }
    crash::point("gateway.writer.executed");
    let committed = match executed {
        Ok(()) => transaction.commit(),
        Err(error) => {
            drop(transaction);
            Err(error)
        }
    };
    crash::point("gateway.writer.committed");
    for reply in replies {
        reply(committed.as_ref().copied());
        crash::point("gateway.writer.replied");
    }
}

/// Runs a write in a savepoint, so that only its own rows are undone if it rolls back.
///
/// # Errors
/// If the transaction and its savepoints no longer exist. Some failures, such as a full disk, roll
/// back the whole transaction, and SQLite would then commit the next statement on its own.
fn run_in_savepoint(
    transaction: &Connection,
    run: Run,
    replies: &mut Vec<Reply>,
) -> rusqlite::Result<()> {
    let execute = |sql| transaction.prepare_cached(sql)?.execute([]).map(|_| ());
    if let Err(error) = execute("SAVEPOINT job") {
        replies.push(run(Err(WriterError::from(&error))).1);
        return Err(error);
    }
    let (end, reply) = run(Ok(transaction));
    replies.push(reply);
    if end == TransactionEnd::RollBack {
        execute("ROLLBACK TO job")?;
    }
    execute("RELEASE job")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use futures_util::future::join_all;
    use tempfile::TempDir;

    use super::*;

    const TABLES: &str =
        "PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL; CREATE TABLE number (n INTEGER PRIMARY KEY);
        CREATE TABLE deferred (n REFERENCES number (n) DEFERRABLE INITIALLY DEFERRED);";

    struct Fixture {
        path: PathBuf,
        writer: Writer,
        _dir: TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("numbers.db");
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch(TABLES).unwrap();
            Self {
                path,
                writer: Writer::start("numbers", connection, ()).unwrap(),
                _dir: dir,
            }
        }

        /// The rows that another process sees.
        fn durable(&self) -> Vec<i64> {
            numbers(&Connection::open(&self.path).unwrap())
        }

        /// Runs each SQL text as one job, all of them in one group. Returns the replies.
        async fn group(&self, all: &[&'static str]) -> Vec<Result<bool, WriterError>> {
            let (start, wait) = mpsc::channel::<()>();
            let first = self
                .writer
                .write(move |_| (wait.recv().is_ok(), TransactionEnd::Commit));
            let others = join_all(all.iter().map(|sql| {
                self.writer.write(|connection| {
                    let is_ok = connection.execute_batch(sql).is_ok();
                    let end = if is_ok {
                        TransactionEnd::Commit
                    } else {
                        TransactionEnd::RollBack
                    };
                    (is_ok, end)
                })
            }));
            // All are queued before the first can end.
            let (_, others, ()) =
                tokio::join!(biased; first, others, async { start.send(()).unwrap() });
            others
        }
    }

    fn numbers(connection: &Connection) -> Vec<i64> {
        let mut rows = connection
            .prepare("SELECT n FROM number ORDER BY rowid")
            .unwrap();
        rows.query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[tokio::test]
    async fn failed_job_undoes_its_own_rows_only() {
        let fixture = Fixture::new();
        let half = "INSERT INTO number VALUES (2); INSERT INTO number VALUES (1)";
        let replies = fixture
            .group(&[
                "INSERT INTO number VALUES (1)",
                half,
                "INSERT INTO number VALUES (3)",
            ])
            .await;
        assert!(
            matches!(replies[..], [Ok(true), Ok(false), Ok(true)]),
            "{replies:?}"
        );
        assert_eq!(fixture.durable(), [1, 3]);
    }

    #[tokio::test]
    async fn failed_commit_fails_the_whole_group() {
        let fixture = Fixture::new();
        let replies = fixture
            .group(&[
                "INSERT INTO number VALUES (1)",
                "INSERT INTO deferred VALUES (9)",
                "no SQL",
            ])
            .await;
        assert!(
            replies
                .iter()
                .all(|reply| matches!(reply, Err(WriterError::Failed(_)))),
            "{replies:?}"
        );
        assert_eq!(fixture.durable(), Vec::<i64>::new());
        let replies = fixture.group(&["INSERT INTO number VALUES (2)"]).await;
        assert!(matches!(replies[..], [Ok(true)]));
        assert_eq!(fixture.durable(), [2]);
    }

    /// As on a full disk: earlier rows are gone, and later statements must not commit on their own.
    #[tokio::test]
    async fn transaction_rolled_back_midway_fails_earlier_jobs() {
        let fixture = Fixture::new();
        let replies = fixture
            .group(&[
                "INSERT INTO number VALUES (1)",
                "ROLLBACK",
                "INSERT INTO number VALUES (3)",
            ])
            .await;
        assert!(
            matches!(replies[..], [Err(_), Err(_), Ok(true)]),
            "{replies:?}"
        );
        assert_eq!(fixture.durable(), [3]);
    }

    #[tokio::test]
    async fn jobs_run_in_order_and_share_a_commit() {
        let fixture = Fixture::new();
        let path = fixture.path.clone();
        let (start, wait) = mpsc::channel::<()>();
        let insert = |n: i64| {
            fixture.writer.write(move |connection| {
                let inserted = connection.execute("INSERT INTO number VALUES (?1)", [n]);
                (inserted, TransactionEnd::Commit)
            })
        };
        let first = fixture
            .writer
            .write(move |_| (wait.recv().is_ok(), TransactionEnd::Commit));
        let read = fixture.writer.read(move |connection| {
            let committed = numbers(&Connection::open(path).unwrap());
            (numbers(connection), committed)
        });
        let start = async { start.send(()).unwrap() };
        let (_, _, read, _, ()) = tokio::join!(biased; first, insert(7), read, insert(5), start);
        assert_eq!(read.unwrap(), (vec![7], vec![]));
        assert_eq!(fixture.durable(), [5, 7]);
        assert_eq!(fixture.writer.read(numbers).await.unwrap(), [5, 7]);
    }

    #[tokio::test]
    async fn write_completes_without_a_waiting_caller() {
        let fixture = Fixture::new();
        let (sender, receiver) = oneshot::channel();
        let (run, result) = job(
            |connection| {
                let inserted = connection.execute("INSERT INTO number VALUES (1)", []);
                (inserted, TransactionEnd::Commit)
            },
            move |_, committed| {
                let _ = sender.send(committed);
                Ok(())
            },
        );
        fixture.writer.0.send(Job::Write(run)).unwrap();
        drop(result);
        receiver.await.unwrap().unwrap();
        assert_eq!(fixture.durable(), [1]);
    }
}
