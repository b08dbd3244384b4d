//! PostgreSQL as it comes and goes: connections that end, servers that are away, gateways that stand in each other's way.
//!
//! Border: needs the server that `scripts/test` starts; what the ledger itself does on it is `ledger/tests`.

use std::env;
use upload_types::sync::lock;

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::*;
use crate::ledger::db::values;
use crate::ledger::{Ledger, LedgerConfig};

fn server() -> String {
    env::var("UPLOAD_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("UPLOAD_TEST_POSTGRES is not set: this test needs PostgreSQL; `scripts/test` starts one and names it")
    })
}

/// Somebody else who is connected to the server's own database, or to `database`.
async fn stranger(database: Option<&str>) -> Client {
    let mut config: tokio_postgres::Config = server().parse().unwrap();
    if let Some(database) = database {
        config.dbname(database);
    }
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn join(url: &str, what: &str) -> String {
    format!("{url}{}{what}", if url.contains('?') { '&' } else { '?' })
}

/// Tables of its own, which search paths lead to.
pub async fn fresh() -> Address {
    Address::parse(&fresh_url().await, None).unwrap()
}

/// Runs `sql` as somebody else, from wherever it is called.
pub fn meddle(address: &Address, sql: &str) {
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

async fn fresh_url() -> String {
    let schema = format!("ledger_{}", Uuid::new_v4().simple());
    stranger(None)
        .await
        .batch_execute(&format!("CREATE SCHEMA {schema}"))
        .await
        .unwrap();
    join(
        &server(),
        &format!("options=-csearch_path%3D{schema}&application_name={schema}"),
    )
}

/// The name of its tables' schema, which its connections bear too.
fn name(address: &Address) -> String {
    address.config().get_application_name().unwrap().to_owned()
}

async fn end_connections(address: &Address) {
    let sql =
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1";
    stranger(None)
        .await
        .query(sql, &[&name(address)])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_start_at_once_agree() {
    let address = fresh().await;
    let starts = (0..6).map(|_| Pool::open(&address));
    let found: Vec<_> = futures_util::future::join_all(starts)
        .await
        .into_iter()
        .map(|found| found.unwrap().1)
        .collect();
    assert!(found.iter().all(|id| *id == found[0]), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_newer_version_are_refused_and_left_as_they_are() {
    let address = fresh().await;
    Pool::open(&address).await.unwrap();
    let table = format!("{}.schema_version", name(&address));
    let somebody = stranger(None).await;
    somebody
        .batch_execute(&format!("UPDATE {table} SET version = version + 1"))
        .await
        .unwrap();
    let error = Pool::open(&address).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("newer version"), "{error}");
    // Tables that are only just there, of an older one.
    let older = fresh().await;
    let steps = format!(
        "CREATE TABLE {0}.schema_version (version BIGINT NOT NULL); INSERT INTO {0}.schema_version VALUES (0)",
        name(&older)
    );
    somebody.batch_execute(&steps).await.unwrap();
    Pool::open(&older).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_are_replaced() {
    let address = fresh().await;
    let ledger = Ledger::open(&LedgerConfig::Postgres(Box::new(address.clone())))
        .await
        .unwrap();
    for n in 0..3 {
        ledger
            .owner(&format!("subject {n}"), format!("{n:026}"))
            .await
            .unwrap();
        end_connections(&address).await;
        ledger.ping().await.unwrap();
    }
}

/// In the middle of a transaction: it begins anew, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_whose_connection_ends_is_done_again() {
    let address = fresh().await;
    let (pool, _) = Pool::open(&address).await.unwrap();
    let (handle, to_end) = (Handle::current(), address.clone());
    let tries = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&tries);
    let done = pool.write(move |db| {
        *lock(&counted) += 1;
        db.execute(
            "INSERT INTO owner (subject, segment) VALUES (?1, ?2)",
            values!["a", "a"],
        )?;
        if *lock(&counted) == 1 {
            handle.block_on(end_connections(&to_end));
        }
        db.execute(
            "INSERT INTO owner (subject, segment) VALUES (?1, ?2)",
            values!["b", "b"],
        )?;
        Ok(((), true))
    });
    done.await.unwrap();
    assert_eq!(*lock(&tries), 2);
    let count = pool
        .read(|db| db.find("SELECT count(*) FROM owner", &[], |row| row.number(0)))
        .await
        .unwrap();
    assert_eq!(count, Some(2));
}

/// PostgreSQL has taken all of it back by then, whatever the work makes of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_goes_on_behind_a_failure_is_no_success() {
    let (pool, _) = Pool::open(&fresh().await).await.unwrap();
    let done = pool.write(|db| {
        db.execute(
            "INSERT INTO owner (subject, segment) VALUES (?1, ?2)",
            values!["a", "a"],
        )?;
        let _ = db.execute(
            "INSERT INTO owner (subject, segment) VALUES (?1, ?2)",
            values!["a", "a"],
        );
        Ok(((), true))
    });
    done.await.unwrap_err();
    let count = pool
        .read(|db| db.find("SELECT count(*) FROM owner", &[], |row| row.number(0)))
        .await
        .unwrap();
    assert_eq!(count, Some(0));
}

/// What the database said to COMMIT nobody heard: that is no success, and it is not done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_not_answered_is_an_error() {
    let address = fresh().await;
    let (pool, _) = Pool::open(&address).await.unwrap();
    let (handle, to_end) = (Handle::current(), address.clone());
    let tries = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&tries);
    let done = pool.write(move |db| {
        *lock(&counted) += 1;
        db.execute(
            "INSERT INTO owner (subject, segment) VALUES (?1, ?2)",
            values!["a", "a"],
        )?;
        handle.block_on(end_connections(&to_end));
        Ok(((), true))
    });
    done.await.unwrap_err();
    assert_eq!(*lock(&tries), 1);
}

/// A server's connections are counted, and many gateways may want them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_room_for_two_connections_the_others_wait() {
    let url = fresh_url().await;
    let schema = name(&Address::parse(&url, None).unwrap());
    let role = format!(
        "CREATE ROLE {schema} LOGIN PASSWORD 'two' CONNECTION LIMIT 2; GRANT ALL ON SCHEMA {schema} TO {schema}"
    );
    stranger(None).await.batch_execute(&role).await.unwrap();
    let address =
        Address::parse(&join(&url, &format!("user={schema}&password=two")), None).unwrap();
    let (pool, _) = Pool::open(&address).await.unwrap();
    let works = (0..4 * CONNECTIONS).map(|_| {
        pool.read(|db| {
            let sleep = "SELECT count(*) FROM pg_stat_activity, pg_sleep(0.01) WHERE usename = current_user";
            db.find(sleep, &[], |row| row.number(0))
        })
    });
    let seen = futures_util::future::join_all(works).await;
    let seen: Vec<u64> = seen
        .into_iter()
        .map(|seen| seen.unwrap().unwrap())
        .collect();
    assert_eq!(seen.iter().max(), Some(&2), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_nobodys_error() {
    let address = fresh().await;
    let (pool, _) = Pool::open(&address).await.unwrap();
    let insert = "INSERT INTO owner (subject, segment) VALUES ('a', 'a'), ('b', 'b')";
    pool.write(move |db| Ok((db.execute(insert, &[])?, true)))
        .await
        .unwrap();
    let meet = Arc::new(std::sync::Barrier::new(2));
    let both = [["a", "b"], ["b", "a"]].map(|order| {
        let (meet, first) = (Arc::clone(&meet), std::sync::atomic::AtomicBool::new(true));
        pool.write(move |db| {
            let rename = "UPDATE owner SET segment = segment || 'x' WHERE subject = ?1";
            db.execute(rename, values![order[0]])?;
            if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                meet.wait();
            }
            Ok((db.execute(rename, values![order[1]])?, true))
        })
    });
    let [one, other] = both;
    let (one, other) = tokio::join!(one, other);
    assert_eq!((one.unwrap(), other.unwrap()), (1, 1));
    let sql = "SELECT segment FROM owner ORDER BY segment";
    assert_eq!(
        pool.read(move |db| db.query(sql, &[], |row| row.text(0)))
            .await
            .unwrap(),
        ["axx", "bxx"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_said_at_once_and_found_again() {
    let database = format!("ledger_{}", Uuid::new_v4().simple());
    let somebody = stranger(None).await;
    somebody
        .batch_execute(&format!("CREATE DATABASE {database}"))
        .await
        .unwrap();
    let (server, query) = server()
        .split_once('?')
        .map_or((server(), String::new()), |(a, b)| {
            (a.into(), format!("?{b}"))
        });
    let url = format!("{}/{database}{query}", server.rsplit_once('/').unwrap().0);
    let address =
        Address::parse(&join(&url, &format!("application_name={database}")), None).unwrap();
    let ledger = Ledger::open(&LedgerConfig::Postgres(Box::new(address.clone())))
        .await
        .unwrap();
    let allow = async |yes| {
        let sql = format!("ALTER DATABASE {database} WITH ALLOW_CONNECTIONS {yes}");
        somebody.batch_execute(&sql).await.unwrap();
    };
    allow(false).await;
    end_connections(&address).await;
    let began = Instant::now();
    for _ in 0..20 {
        ledger.ping().await.unwrap_err();
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    allow(true).await;
    let began = Instant::now();
    while ledger.ping().await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it was not found again"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(ledger);
    end_connections(&address).await;
    somebody
        .batch_execute(&format!("DROP DATABASE {database}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why_without_the_password() {
    let wrong = server().replacen("postgres://", "", 1);
    let (_, place) = wrong.split_once('@').unwrap();
    let address = Address::parse(&format!("postgres://postgres:hush@{place}"), None).unwrap();
    let error = Pool::open(&address).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(
        !format!("{error:?}").contains("hush") && format!("{error:?}").contains("28P01"),
        "{error:?}"
    );
    let nobody = Address::parse("postgres://u@127.0.0.1:1/l", None).unwrap();
    assert_eq!(
        Pool::open(&nobody).await.err().unwrap().kind(),
        Kind::Temporary
    );
}

/// The server's certificate is for `localhost`, and `ca.pem` vouches for it.
#[tokio::test]
async fn over_tls_the_servers_name_and_certificate_count() {
    let url = fresh_url().await;
    let roots =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/chaos/tls/ca.pem").replace('/', "%2F");
    let named = |host: &str, more: &str| {
        let url = join(&url.replacen("@127.0.0.1:", &format!("@{host}:"), 1), more);
        Address::parse(&url, None).unwrap()
    };
    let trusted = format!("sslmode=require&sslrootcert={roots}");
    let (pool, _) = Pool::open(&named("localhost", &trusted)).await.unwrap();
    let used = "SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()";
    assert_eq!(
        pool.read(move |db| db.find(used, &[], |row| row.number(0)))
            .await
            .unwrap(),
        Some(1)
    );
    for untrusted in [
        named("localhost", "sslmode=require"),
        named("127.0.0.1", &trusted),
    ] {
        let error = Pool::open(&untrusted).await.err().unwrap();
        assert!(
            format!("{error:?}").to_lowercase().contains("certificate"),
            "{error:?}"
        );
    }
}
