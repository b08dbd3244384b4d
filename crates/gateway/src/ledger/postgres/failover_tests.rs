//! Servers that become standbys or stop responding, passwords that change, and poolers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;

use super::address::PostgresAddress;
use super::pool::{MAX_CONNECTIONS, Pool};
use super::pooler::shares_connections;
use super::tests::{
    INSERT_OWNER, admin, count_owners, end_connections, new_schema, new_schema_url, schema_of,
    with_parameters,
};
use super::transaction::PgTransaction;
use crate::ledger::sql::{self, TransactionEnd, values};
use crate::ledger::{Ledger, LedgerConfig};
use upload_types::error::Kind;

fn address(url: &str) -> PostgresAddress {
    PostgresAddress::parse(url, None).unwrap()
}

/// The URL with these servers instead of its own.
fn with_servers(url: &str, servers: &str) -> String {
    let (before, rest) = url.split_once('@').unwrap();
    let (_, path) = rest.split_once('/').unwrap();
    format!("{before}@{servers}/{path}")
}

fn server_of(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

/// The processes of the server that the pool is connected to.
async fn backends(address: &PostgresAddress) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY pid";
    let rows = admin().await.query(sql, &[&schema_of(address)]).await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

fn backend(tx: &PgTransaction<'_>) -> sql::Result<Vec<u64>> {
    tx.query("SELECT pg_backend_pid()::bigint", &[], |row| row.number(0))
}

/// Makes the pool open all its connections.
async fn open_all(pool: &Arc<Pool>) {
    let reads = (0..MAX_CONNECTIONS).map(|_| {
        pool.read(|tx| {
            tx.query("SELECT 1::bigint FROM pg_sleep(0.2)", &[], |row| {
                row.number(0)
            })
        })
    });
    for read in join_all(reads).await {
        read.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_accepts_no_writes_is_not_used() {
    let url = new_schema_url().await;
    let read_only = url.replace(
        "options=",
        "options=-cdefault_transaction_read_only%3Don%20",
    );
    let error = Pool::open(&address(&read_only)).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Temporary);
    assert!(error.hint().unwrap().contains("HOST,HOST"), "{error:?}");
    // Nothing listens at the first server.
    let url = with_servers(&url, &format!("127.0.0.1:1,{}", server_of(&url)));
    let (pool, _) = Pool::open(&address(&url)).await.unwrap();
    assert_eq!(count_owners(&pool).await, 0);
}

/// PostgreSQL reports it as it does for a server that became a standby.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_a_server_that_became_read_only_are_replaced() {
    let address = new_schema().await;
    let (pool, _) = Pool::open(&address).await.unwrap();
    open_all(&pool).await;
    let before = backends(&address).await;
    assert_eq!(before.len(), MAX_CONNECTIONS);
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    pool.write(move |tx| {
        if counter.fetch_add(1, Ordering::SeqCst) == 0 {
            tx.execute_batch("SET TRANSACTION READ ONLY")?;
        }
        tx.execute(INSERT_OWNER, values!["a", "a"])?;
        Ok(((), TransactionEnd::Commit))
    })
    .await
    .unwrap();
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    assert_eq!(count_owners(&pool).await, 1);
    let began = Instant::now();
    while backends(&address)
        .await
        .iter()
        .any(|pid| before.contains(pid))
    {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "connections to the read-only server stay open"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_password_is_read_again() {
    let url = new_schema_url().await;
    let schema = schema_of(&address(&url));
    let role = format!(
        "CREATE ROLE {schema} LOGIN PASSWORD 'first'; GRANT ALL ON SCHEMA {schema} TO {schema}"
    );
    admin().await.batch_execute(&role).await.unwrap();
    let file = Arc::new(Mutex::new("first"));
    let url = with_parameters(&url, &format!("user={schema}&password="));
    let origin = {
        let (file, url) = (Arc::clone(&file), url.clone());
        Arc::new(move || PostgresAddress::parse(&format!("{url}{}", file.lock().unwrap()), None))
    };
    let address = origin().unwrap().with_origin(origin);
    let config = LedgerConfig::Postgres(Box::new(address.clone()));
    let ledger = Ledger::open(&config).await.unwrap();
    let change = format!("ALTER ROLE {schema} PASSWORD 'second'");
    admin().await.batch_execute(&change).await.unwrap();
    end_connections(&address).await;
    for _ in 0..2 {
        // The second failure is during the pause after the first one, and has the same reason.
        let error = ledger.check_writes(Timestamp::now()).await.unwrap_err();
        assert!(error.reason().unwrap().contains("login"), "{error:?}");
        assert!(!format!("{error:?}").contains("first"), "{error:?}");
    }
    *file.lock().unwrap() = "second";
    let began = Instant::now();
    while ledger.check_writes(Timestamp::now()).await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the password is not read again"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Accepts connections and forwards the first `count` of them. The others get no response.
async fn pooler_of(server: String, count: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let accepted = AtomicUsize::new(0);
        let mut held = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            if accepted.fetch_add(1, Ordering::SeqCst) >= count {
                held.push(client);
                continue;
            }
            let server = server.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(&server).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_does_not_respond_delays_only_the_first_connection() {
    let url = new_schema_url().await;
    let silent = pooler_of(String::new(), 0).await;
    let url = with_servers(&url, &format!("{silent},{}", server_of(&url)));
    let address = address(&with_parameters(&url, "connect_timeout=1"));
    let (pool, _) = Pool::open(&address).await.unwrap();
    let began = Instant::now();
    for _ in 0..3 {
        end_connections(&address).await;
        assert_eq!(count_owners(&pool).await, 0);
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_go_on_if_a_pooler_serves_few_connections() {
    let url = new_schema_url().await;
    let pooler = pooler_of(server_of(&url), 2).await;
    let (pool, _) = Pool::open(&address(&with_servers(&url, &pooler.to_string())))
        .await
        .unwrap();
    let began = Instant::now();
    let reads = (0..4 * MAX_CONNECTIONS).map(|_| {
        pool.read(|tx| {
            tx.query(
                "SELECT pg_backend_pid()::bigint FROM pg_sleep(0.02)",
                &[],
                |row| row.number(0),
            )
        })
    });
    let mut backends: Vec<u64> = join_all(reads)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    assert_eq!(backends.len(), 4 * MAX_CONNECTIONS);
    backends.sort_unstable();
    backends.dedup();
    assert_eq!(backends.len(), 2);
    // Each connection that the pooler holds costs its time limit.
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_share_a_connection_are_recognized() {
    let connect = async || {
        let url = super::tests::server_url();
        let config: tokio_postgres::Config = url.parse().unwrap();
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let (one, other) = (connect().await, connect().await);
    assert!(!shares_connections(&one, &other).await.unwrap());
    assert!(shares_connections(&one, &one).await.unwrap());
}

/// A pooler that exchanges connections loses prepared statements.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_are_not_prepared_after_one_was_lost() {
    let address = new_schema().await;
    let (pool, _) = Pool::open(&address).await.unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let insert = |tx: &PgTransaction<'_>, name: &str| {
        let other = format!("{name}2");
        let rows = [values![name, name], values![&other, &other]].map(|row| *row);
        tx.execute_each(INSERT_OWNER, &rows)
    };
    let changed = pool.write(move |tx| {
        insert(tx, "a")?;
        if counter.fetch_add(1, Ordering::SeqCst) == 0 {
            tx.execute_batch("DEALLOCATE ALL")?;
        }
        Ok((insert(tx, "b")?, TransactionEnd::Commit))
    });
    assert_eq!(changed.await.unwrap(), [1, 1]);
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    assert_eq!(count_owners(&pool).await, 4);
    let prepared = pool.read(|tx| {
        backend(tx)?;
        tx.query("SELECT count(*) FROM pg_prepared_statements", &[], |row| {
            row.number(0)
        })
    });
    assert_eq!(prepared.await.unwrap(), [0]);
}
