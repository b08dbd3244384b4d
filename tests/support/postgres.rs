//! A database for a ledger, on the PostgreSQL that `scripts/test` starts: made, taken away for a while, looked into.
//!
//! Border: what gateways write there is their own.

use std::env;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

/// One of its own for each test. Dropped, it is gone.
pub struct Database {
    name: String,
    url: String,
    /// Somebody who is connected to another database of the server.
    somebody: Client,
    runtime: Runtime,
}

impl Database {
    #[track_caller]
    pub fn new() -> Self {
        let server = env::var("UPLOAD_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!(
                "UPLOAD_TEST_POSTGRES is not set: this test needs PostgreSQL; `scripts/test` starts one and names it"
            )
        });
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let somebody = runtime.block_on(async {
            let (client, connection) = server.parse::<Config>().unwrap().connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        let name = format!("upload_{}", Uuid::new_v4().simple());
        let (place, _) = server.rsplit_once('/').unwrap();
        let database = Self { url: format!("{place}/{name}"), name, somebody, runtime };
        database.run(&format!("CREATE DATABASE {}", database.name));
        database
    }

    /// Its URL, password and all.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the environment of a gateway names it.
    pub fn env(&self) -> (&str, &str) {
        ("UPLOAD_LEDGER", &self.url)
    }

    /// As while the server is started again: connections end, and there are no new ones.
    #[track_caller]
    pub fn go_away(&self) {
        self.run(&format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false", self.name));
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1";
        self.runtime.block_on(self.somebody.query(end, &[&self.name])).unwrap();
    }

    #[track_caller]
    pub fn come_back(&self) {
        self.run(&format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", self.name));
    }

    #[track_caller]
    fn run(&self, sql: &str) {
        self.runtime.block_on(self.somebody.batch_execute(sql)).unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test that fails tells of itself.
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = self.runtime.block_on(self.somebody.batch_execute(&drop));
    }
}
