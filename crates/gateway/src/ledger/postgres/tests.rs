//! Tests of PostgreSQL's failures: lost connections, unreachable servers, conflicts between
//! gateways. They need the server that `scripts/test` starts.
//!
//! Not here: tests of operations (`ledger/tests`).

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::address::PostgresAddress;
use super::migrate::migrate;
use super::pool::{MAX_CONNECTIONS, Pool};
use super::transaction::PgTransaction;
use crate::ledger::schema::POSTGRES_MIGRATIONS;
use crate::ledger::sql::{TransactionEnd, values};
use crate::ledger::{Ledger, LedgerConfig};
use upload_types::error::Kind;

pub(super) const INSERT_OWNER: &str =
    "INSERT INTO owner (subject, segment, created_at) VALUES (?1, ?2, 0)";

pub(super) fn server_url() -> String {
    env::var("UPLOAD_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("UPLOAD_TEST_POSTGRES is not set: this test needs PostgreSQL; `scripts/test` starts one and sets the variable")
    })
}

/// A client outside of the ledger, connected to the server's default database.
pub(super) async fn admin() -> Client {
    let config: tokio_postgres::Config = server_url().parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(super) fn with_parameters(url: &str, parameters: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{parameters}")
}

/// The URL of a new schema. The schema's name is also the application name of its connections.
pub(super) async fn new_schema_url() -> String {
    let schema = format!("ledger_{}", Uuid::new_v4().simple());
    admin()
        .await
        .batch_execute(&format!("CREATE SCHEMA {schema}"))
        .await
        .unwrap();
    let parameters = format!("options=-csearch_path%3D{schema}&application_name={schema}");
    with_parameters(&server_url(), &parameters)
}

/// The address of a new schema.
pub async fn new_schema() -> PostgresAddress {
    PostgresAddress::parse(&new_schema_url().await, None).unwrap()
}

/// The name of the schema at an address.
pub(super) fn schema_of(address: &PostgresAddress) -> String {
    address.config().get_application_name().unwrap().to_owned()
}

/// Runs `sql` on a separate connection and runtime. Can be called from any thread.
pub fn execute_sql(address: &PostgresAddress, sql: &str) {
    let run = async {
        let (client, connection) = address.config().connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    };
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    thread::scope(|scope| scope.spawn(|| runtime().block_on(run)).join().unwrap());
}

/// Ends all connections of the ledger, and waits until they have ended.
pub(super) async fn end_connections(address: &PostgresAddress) {
    let sql =
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1";
    admin()
        .await
        .query(sql, &[&schema_of(address)])
        .await
        .unwrap();
}

pub(super) async fn count_owners(pool: &Arc<Pool>) -> u64 {
    let count =
        |tx: &PgTransaction<'_>| tx.query("SELECT count(*) FROM owner", &[], |row| row.number(0));
    pool.read(count).await.unwrap()[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_starts_agree_on_the_instance() {
    let address = new_schema().await;
    let starts = (0..6).map(|_| Pool::open(&address));
    let ids: Vec<String> = join_all(starts)
        .await
        .into_iter()
        .map(|opened| opened.unwrap().1)
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_newer_version_are_rejected() {
    let address = new_schema().await;
    Pool::open(&address).await.unwrap();
    let table = format!("{}.schema_version", schema_of(&address));
    admin()
        .await
        .batch_execute(&format!("UPDATE {table} SET version = version + 1"))
        .await
        .unwrap();
    let error = Pool::open(&address).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_build_before_the_first_release_are_rejected() {
    let address = new_schema().await;
    Pool::open(&address).await.unwrap();
    let table = format!("{}.schema_version", schema_of(&address));
    let old = format!("UPDATE {table} SET version = 1");
    admin().await.batch_execute(&old).await.unwrap();
    let error = Pool::open(&address).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("first release"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_an_older_version_are_migrated() {
    // The version table exists, and no migration has run.
    let empty = new_schema().await;
    let sql = format!(
        "CREATE TABLE {0}.schema_version (version BIGINT NOT NULL); INSERT INTO {0}.schema_version VALUES (0)",
        schema_of(&empty)
    );
    admin().await.batch_execute(&sql).await.unwrap();
    Pool::open(&empty).await.unwrap();

    // A second migration runs once, and keeps the rows.
    let (pool, instance_id) = Pool::open(&new_schema().await).await.unwrap();
    pool.write(|tx| {
        tx.execute(INSERT_OWNER, values!["a", "a"])?;
        Ok(((), TransactionEnd::Commit))
    })
    .await
    .unwrap();
    let newer = [
        POSTGRES_MIGRATIONS[0],
        "ALTER TABLE owner ADD COLUMN note BIGINT NOT NULL DEFAULT 7",
    ];
    for _ in 0..2 {
        let migrated = pool
            .write(move |tx| Ok((migrate(tx, &newer)?, TransactionEnd::Commit)))
            .await
            .unwrap();
        assert_eq!(migrated.as_ref(), Ok(&instance_id));
    }
    let notes = pool.read(|tx| tx.query("SELECT note FROM owner", &[], |row| row.number(0)));
    assert_eq!(notes.await.unwrap(), [7]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_are_replaced() {
    let address = new_schema().await;
    let config = LedgerConfig::Postgres(Box::new(address.clone()));
    let ledger = Ledger::open(&config).await.unwrap();
    for n in 0..3 {
        ledger
            .owner_segment(&format!("subject {n}"), format!("{n:026}"))
            .await
            .unwrap();
        end_connections(&address).await;
        ledger.check_writes(Timestamp::now()).await.unwrap();
    }
}

/// The connection ends between two statements of a transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transaction_is_repeated_after_a_lost_connection() {
    let address = new_schema().await;
    let (pool, _) = Pool::open(&address).await.unwrap();
    let handle = Handle::current();
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    pool.write(move |tx| {
        let attempt = counter.fetch_add(1, Ordering::SeqCst);
        tx.execute(INSERT_OWNER, values!["a", "a"])?;
        if attempt == 0 {
            handle.block_on(end_connections(&address));
        }
        tx.execute(INSERT_OWNER, values!["b", "b"])?;
        Ok(((), TransactionEnd::Commit))
    })
    .await
    .unwrap();
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    assert_eq!(count_owners(&pool).await, 2);
}

/// PostgreSQL has rolled the transaction back before the COMMIT.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ignored_statement_failure_fails_the_operation() {
    let (pool, _) = Pool::open(&new_schema().await).await.unwrap();
    let written = pool.write(|tx| {
        tx.execute(INSERT_OWNER, values!["a", "a"])?;
        let _ = tx.execute(INSERT_OWNER, values!["a", "a"]);
        Ok(((), TransactionEnd::Commit))
    });
    written.await.unwrap_err();
    assert_eq!(count_owners(&pool).await, 0);
}

/// The outcome of the COMMIT is unknown, and a repetition could write twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_without_response_is_not_repeated() {
    let address = new_schema().await;
    let (pool, _) = Pool::open(&address).await.unwrap();
    let handle = Handle::current();
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let written = pool.write(move |tx| {
        counter.fetch_add(1, Ordering::SeqCst);
        tx.execute(INSERT_OWNER, values!["a", "a"])?;
        handle.block_on(end_connections(&address));
        Ok(((), TransactionEnd::Commit))
    });
    written.await.unwrap_err();
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
}

/// A connection with an open transaction must not return to the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panicking_operation_leaves_no_open_transaction() {
    let (pool, _) = Pool::open(&new_schema().await).await.unwrap();
    for _ in 0..2 * MAX_CONNECTIONS {
        let written = pool.write(|tx| {
            tx.execute(INSERT_OWNER, values!["a", "a"])?;
            let changed = tx.execute(INSERT_OWNER, values!["b", "b"])?;
            assert_eq!(changed, 0, "a defect of an operation");
            Ok(((), TransactionEnd::Commit))
        });
        written.await.unwrap_err();
    }
    assert_eq!(count_owners(&pool).await, 0);
}

/// A server limits its connections, and several gateways share them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_wait_if_connections_are_limited() {
    let url = new_schema_url().await;
    let schema = schema_of(&PostgresAddress::parse(&url, None).unwrap());
    let role = format!(
        "CREATE ROLE {schema} LOGIN PASSWORD 'two' CONNECTION LIMIT 2; GRANT ALL ON SCHEMA {schema} TO {schema}"
    );
    admin().await.batch_execute(&role).await.unwrap();
    let url = with_parameters(&url, &format!("user={schema}&password=two"));
    let address = PostgresAddress::parse(&url, None).unwrap();
    let (pool, _) = Pool::open(&address).await.unwrap();
    let reads = (0..4 * MAX_CONNECTIONS).map(|_| {
        pool.read(|tx| {
            let sql = "SELECT count(*) FROM pg_stat_activity, pg_sleep(0.01) WHERE usename = current_user";
            tx.query(sql, &[], |row| row.number(0))
        })
    });
    let connections: Vec<u64> = join_all(reads)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    assert_eq!(connections.len(), 4 * MAX_CONNECTIONS);
    assert_eq!(connections.iter().max(), Some(&2), "{connections:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlock_is_resolved_by_repetition() {
    let (pool, _) = Pool::open(&new_schema().await).await.unwrap();
    let insert =
        "INSERT INTO owner (subject, segment, created_at) VALUES ('a', 'a', 0), ('b', 'b', 0)";
    pool.write(move |tx| Ok((tx.execute(insert, &[])?, TransactionEnd::Commit)))
        .await
        .unwrap();
    let barrier = Arc::new(Barrier::new(2));
    let [one, other] = [["a", "b"], ["b", "a"]].map(|order| {
        let (barrier, is_first) = (Arc::clone(&barrier), AtomicBool::new(true));
        pool.write(move |tx| {
            let update = "UPDATE owner SET segment = segment || 'x' WHERE subject = ?1";
            tx.execute(update, values![order[0]])?;
            if is_first.swap(false, Ordering::SeqCst) {
                barrier.wait();
            }
            let changed = tx.execute(update, values![order[1]])?;
            Ok((changed, TransactionEnd::Commit))
        })
    });
    let (one, other) = tokio::join!(one, other);
    assert_eq!((one.unwrap(), other.unwrap()), (1, 1));
    let sql = "SELECT segment FROM owner ORDER BY segment";
    let segments = pool.read(move |tx| tx.query(sql, &[], |row| row.text(0)));
    assert_eq!(segments.await.unwrap(), ["axx", "bxx"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_database_fails_fast_and_recovers() {
    let database = format!("ledger_{}", Uuid::new_v4().simple());
    let admin = admin().await;
    admin
        .batch_execute(&format!("CREATE DATABASE {database}"))
        .await
        .unwrap();
    let (server, query) = server_url()
        .split_once('?')
        .map_or((server_url(), String::new()), |(server, query)| {
            (server.into(), format!("?{query}"))
        });
    let url = format!("{}/{database}{query}", server.rsplit_once('/').unwrap().0);
    let url = with_parameters(&url, &format!("application_name={database}"));
    let address = PostgresAddress::parse(&url, None).unwrap();
    let config = LedgerConfig::Postgres(Box::new(address.clone()));
    let ledger = Ledger::open(&config).await.unwrap();
    let allow_connections = async |yes| {
        let sql = format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS {yes}");
        admin.batch_execute(&sql).await.unwrap();
    };
    allow_connections(false).await;
    end_connections(&address).await;
    let began = Instant::now();
    for _ in 0..20 {
        ledger.check_writes(Timestamp::now()).await.unwrap_err();
    }
    let elapsed = began.elapsed();
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    allow_connections(true).await;
    let began = Instant::now();
    while ledger.check_writes(Timestamp::now()).await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the ledger does not recover"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(ledger);
    end_connections(&address).await;
    admin
        .batch_execute(&format!("DROP DATABASE {database}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn rejected_login_error_has_the_reason_and_no_password() {
    let url = server_url();
    let (_, host_and_database) = url.split_once('@').unwrap();
    let url = format!("postgres://postgres:hush@{host_and_database}");
    let address = PostgresAddress::parse(&url, None).unwrap();
    let error = Pool::open(&address).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(
        !format!("{error:?}").contains("hush") && format!("{error:?}").contains("28P01"),
        "{error:?}"
    );
    let closed_port = PostgresAddress::parse("postgres://u@127.0.0.1:1/l", None).unwrap();
    assert_eq!(
        Pool::open(&closed_port).await.err().unwrap().kind(),
        Kind::Temporary
    );
}

/// The server's certificate is for `localhost`, signed by `ca.pem`.
#[tokio::test]
async fn tls_verifies_name_and_certificate() {
    let url = new_schema_url().await;
    let roots =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/chaos/tls/ca.pem").replace('/', "%2F");
    let address = |host: &str, parameters: &str| {
        let url = url.replacen("@127.0.0.1:", &format!("@{host}:"), 1);
        PostgresAddress::parse(&with_parameters(&url, parameters), None).unwrap()
    };
    let trusted = format!("sslmode=require&sslrootcert={roots}");
    let (pool, _) = Pool::open(&address("localhost", &trusted)).await.unwrap();
    let sql = "SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()";
    let encrypted = pool.read(move |tx| tx.query(sql, &[], |row| row.number(0)));
    assert_eq!(encrypted.await.unwrap(), [1]);
    for untrusted in [
        address("localhost", "sslmode=require"),
        address("127.0.0.1", &trusted),
    ] {
        let error = Pool::open(&untrusted).await.err().unwrap();
        assert!(
            format!("{error:?}").to_lowercase().contains("certificate"),
            "{error:?}"
        );
    }
    let missing_file = address("localhost", "sslmode=require&sslrootcert=%2Fnone.pem");
    let error = Pool::open(&missing_file).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
}
