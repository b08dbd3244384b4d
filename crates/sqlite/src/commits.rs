//! One SQLite connection on a thread of its own, where whatever waits to be written shares a commit.
//!
//! Border: when work is run, made durable and answered; the rows are its owner's (`ledger`, the embedded store's manifest).
//!
//! Each writer runs in a savepoint, so that its error or its second thoughts undo its own rows alone. Nothing is answered
//! before the commit, reads among the writers included; when the commit fails, all of them have failed.

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use upload_types::crash;

/// The most pieces of work that one commit waits for.
const GROUP: usize = 256;
/// More statements than either owner has.
const STATEMENTS: usize = 64;

/// Answers a piece of work, once its group has ended so.
type Answer = Box<dyn FnOnce(Result<(), &rusqlite::Error>) + Send>;
/// Runs on the connection, or learns that it cannot; tells whether its rows are to be kept.
type Work = Box<dyn FnOnce(Result<&Connection, Lost>) -> (bool, Answer) + Send>;

enum Job {
    Read(Work),
    Write(Work),
}

/// The way to the thread; it ends when this is dropped, after what waits there.
#[derive(Debug)]
pub struct Commits(mpsc::Sender<Job>);

/// Why nothing is known of a piece of work.
#[derive(Debug)]
pub enum Lost {
    /// It did not begin, or was not made durable; what SQLite said.
    Failed(String),
    /// The thread has ended.
    Gone,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Gone => f.write_str("its thread has ended"),
        }
    }
}

impl std::error::Error for Lost {}

impl From<&rusqlite::Error> for Lost {
    fn from(error: &rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Commits {
    /// Gives the connection a thread of that name. `keep` is dropped after the connection.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        name: &str,
        connection: Connection,
        keep: impl Send + 'static,
    ) -> io::Result<Self> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let (jobs, queue) = mpsc::channel();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                serve(connection, &queue);
                drop(keep);
            })?;
        Ok(Self(jobs))
    }

    /// What `read` makes of rows as one transaction sees them, once they are durable.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let work = work(
            |connection| (read(connection), true),
            |value, ended| ended.map(|()| value),
        );
        self.ask(work, Job::Read).await
    }

    /// What `write` gives, once its rows are durable: those are kept if it says so.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> (T, bool) + Send + 'static,
    ) -> Result<T, Lost> {
        self.write_and(write, |value, ended| ended.map(|()| value))
            .await
    }

    /// As [`Commits::write`]; `then` runs on the thread when the commit is over, also when nobody waits any more.
    pub async fn write_and<T: Send + 'static, U: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> (T, bool) + Send + 'static,
        then: impl FnOnce(T, Result<(), Lost>) -> Result<U, Lost> + Send + 'static,
    ) -> Result<U, Lost> {
        self.ask(work(write, then), Job::Write).await
    }

    async fn ask<T>(
        &self,
        (work, answer): (Work, oneshot::Receiver<Result<T, Lost>>),
        kind: fn(Work) -> Job,
    ) -> Result<T, Lost> {
        self.0.send(kind(work)).map_err(|_| Lost::Gone)?;
        answer.await.map_err(|_| Lost::Gone)?
    }
}

fn work<T: Send + 'static, U: Send + 'static>(
    run: impl FnOnce(&Connection) -> (T, bool) + Send + 'static,
    then: impl FnOnce(T, Result<(), Lost>) -> Result<U, Lost> + Send + 'static,
) -> (Work, oneshot::Receiver<Result<U, Lost>>) {
    let (tell, answer) = oneshot::channel();
    let work: Work = Box::new(move |connection| {
        let done = connection.map(run);
        let keep = done.as_ref().is_ok_and(|(_, keep)| *keep);
        let answer: Answer = Box::new(move |ended| {
            let answer = done.and_then(|(value, _)| then(value, ended.map_err(Lost::from)));
            // Who asked may have gone; the work is done all the same.
            let _ = tell.send(answer);
        });
        (keep, answer)
    });
    (work, answer)
}

fn serve(mut connection: Connection, queue: &mpsc::Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Read(work) => alone(&mut connection, work),
            Job::Write(work) => group(&mut connection, work, queue),
        }
    }
}

/// Runs a read that no writer waits beside.
fn alone(connection: &mut Connection, work: Work) {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred);
    let (_, answer) = work(transaction.as_deref().map_err(Lost::from));
    drop(transaction);
    answer(Ok(()));
}

/// Runs a writer and what waits behind it, commits, and answers them all.
fn group(connection: &mut Connection, first: Work, queue: &mpsc::Receiver<Job>) {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => return first(Err(Lost::from(&error))).1(Ok(())),
    };
    let mut answers = Vec::new();
    let mut next = Some(Job::Write(first));
    let mut whole = Ok(());
    while let Some(job) = next.take() {
        match job {
            Job::Read(work) => answers.push(work(Ok(&transaction)).1),
            Job::Write(work) => whole = apart(&transaction, work, &mut answers),
        }
        if whole.is_ok() && answers.len() < GROUP {
            next = queue.try_recv().ok();
        }
    }
    crash::point("gateway.commits.gathered");
    let ended = match whole {
        Ok(()) => transaction.commit(),
        Err(error) => {
            drop(transaction);
            Err(error)
        }
    };
    crash::point("gateway.commits.durable");
    for answer in answers {
        answer(ended.as_ref().copied());
        crash::point("gateway.commits.answered");
    }
}

/// Runs a writer so that only its own rows go when it does not keep them.
///
/// # Errors
/// When the transaction is gone, and its savepoints with it: some failures (a full disk) take all of it back, and what ran
/// next would commit by itself.
fn apart(transaction: &Connection, work: Work, answers: &mut Vec<Answer>) -> rusqlite::Result<()> {
    let run = |sql| transaction.prepare_cached(sql)?.execute([]).map(|_| ());
    if let Err(error) = run("SAVEPOINT work") {
        answers.push(work(Err(Lost::from(&error))).1);
        return Err(error);
    }
    let (keep, answer) = work(Ok(transaction));
    answers.push(answer);
    if !keep {
        run("ROLLBACK TO work")?;
    }
    run("RELEASE work")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use futures_util::future::join_all;
    use tempfile::TempDir;

    use super::*;

    const TABLES: &str =
        "PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL; CREATE TABLE number (n INTEGER PRIMARY KEY);
        CREATE TABLE debt (n REFERENCES number (n) DEFERRABLE INITIALLY DEFERRED);";

    struct World {
        path: PathBuf,
        commits: Commits,
        _place: TempDir,
    }

    impl World {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("numbers.db");
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch(TABLES).unwrap();
            Self {
                path,
                commits: Commits::start("numbers", connection, ()).unwrap(),
                _place: place,
            }
        }

        /// What another process finds.
        fn durable(&self) -> Vec<i64> {
            numbers(&Connection::open(&self.path).unwrap())
        }

        /// Runs each SQL as one piece of work, all of them in one group; what they were answered.
        async fn group(&self, all: &[&'static str]) -> Vec<Result<bool, Lost>> {
            let (go, wait) = mpsc::channel::<()>();
            let first = self.commits.write(move |_| (wait.recv().is_ok(), true));
            let others = join_all(all.iter().map(|sql| {
                self.commits.write(|connection| {
                    let done = connection.execute_batch(sql).is_ok();
                    (done, done)
                })
            }));
            // All are asked before the first may end.
            let (_, others, ()) =
                tokio::join!(biased; first, others, async { go.send(()).unwrap() });
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
    async fn one_that_fails_undoes_its_own_rows_alone() {
        let world = World::new();
        let half = "INSERT INTO number VALUES (2); INSERT INTO number VALUES (1)";
        let answers = world
            .group(&[
                "INSERT INTO number VALUES (1)",
                half,
                "INSERT INTO number VALUES (3)",
            ])
            .await;
        assert!(
            matches!(answers[..], [Ok(true), Ok(false), Ok(true)]),
            "{answers:?}"
        );
        assert_eq!(world.durable(), [1, 3]);
    }

    #[tokio::test]
    async fn a_commit_that_fails_fails_them_all() {
        let world = World::new();
        let answers = world
            .group(&[
                "INSERT INTO number VALUES (1)",
                "INSERT INTO debt VALUES (9)",
                "no SQL",
            ])
            .await;
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer, Err(Lost::Failed(_)))),
            "{answers:?}"
        );
        assert_eq!(world.durable(), Vec::<i64>::new());
        let answers = world.group(&["INSERT INTO number VALUES (2)"]).await;
        assert!(matches!(answers[..], [Ok(true)]));
        assert_eq!(world.durable(), [2]);
    }

    /// As after a disk that was full: what came before is gone, and what comes next must not commit by itself.
    #[tokio::test]
    async fn a_transaction_that_is_taken_back_under_way_fails_what_came_before() {
        let world = World::new();
        let answers = world
            .group(&[
                "INSERT INTO number VALUES (1)",
                "ROLLBACK",
                "INSERT INTO number VALUES (3)",
            ])
            .await;
        assert!(
            matches!(answers[..], [Err(_), Err(_), Ok(true)]),
            "{answers:?}"
        );
        assert_eq!(world.durable(), [3]);
    }

    #[tokio::test]
    async fn they_run_in_order_and_share_a_commit() {
        let world = World::new();
        let path = world.path.clone();
        let (go, wait) = mpsc::channel::<()>();
        let insert = |n: i64| {
            world.commits.write(move |connection| {
                (
                    connection.execute("INSERT INTO number VALUES (?1)", [n]),
                    true,
                )
            })
        };
        let first = world.commits.write(move |_| (wait.recv().is_ok(), true));
        let seen = world.commits.read(move |connection| {
            (
                numbers(connection),
                numbers(&Connection::open(path).unwrap()),
            )
        });
        let go = async { go.send(()).unwrap() };
        let (_, _, seen, _, ()) = tokio::join!(biased; first, insert(7), seen, insert(5), go);
        assert_eq!(seen.unwrap(), (vec![7], vec![]));
        assert_eq!(world.durable(), [5, 7]);
        assert_eq!(world.commits.read(numbers).await.unwrap(), [5, 7]);
    }

    #[tokio::test]
    async fn a_writer_that_nobody_waits_for_writes_all_the_same() {
        let world = World::new();
        let (tell, told) = oneshot::channel();
        let work = work(
            |connection| {
                (
                    connection.execute("INSERT INTO number VALUES (1)", []),
                    true,
                )
            },
            move |_, ended| {
                let _ = tell.send(ended);
                Ok(())
            },
        );
        world.commits.0.send(Job::Write(work.0)).unwrap();
        drop(work.1);
        told.await.unwrap().unwrap();
        assert_eq!(world.durable(), [1]);
    }
}
