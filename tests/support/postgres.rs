//! A database for a ledger, on the PostgreSQL that `scripts/test` starts: made, taken away for a while, looked into. And a whole
//! server, for the test that stops it.
//!
//! Border: what gateways write there is their own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
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
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let somebody = runtime.block_on(async {
            let (client, connection) = server
                .parse::<Config>()
                .unwrap()
                .connect(NoTls)
                .await
                .unwrap();
            tokio::spawn(connection);
            client
        });
        let name = format!("upload_{}", Uuid::new_v4().simple());
        let (place, _) = server.rsplit_once('/').unwrap();
        let database = Self {
            url: format!("{place}/{name}"),
            name,
            somebody,
            runtime,
        };
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
    pub fn reject_connections(&self) {
        self.run(&format!(
            "ALTER DATABASE {} WITH ALLOW_CONNECTIONS false",
            self.name
        ));
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1";
        self.runtime
            .block_on(self.somebody.query(end, &[&self.name]))
            .unwrap();
    }

    #[track_caller]
    pub fn accept_connections(&self) {
        self.run(&format!(
            "ALTER DATABASE {} WITH ALLOW_CONNECTIONS true",
            self.name
        ));
    }

    #[track_caller]
    fn run(&self, sql: &str) {
        self.runtime
            .block_on(self.somebody.batch_execute(sql))
            .unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test that fails tells of itself.
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = self.runtime.block_on(self.somebody.batch_execute(&drop));
    }
}

/// A PostgreSQL of one test's own, as `scripts/stores/postgres.sh` makes it. Dropped, it is gone.
pub struct Server {
    stores: TempDir,
    url: String,
    /// `pg_ctl`, which is not on everybody's path.
    control: PathBuf,
    place: PathBuf,
}

impl Server {
    #[track_caller]
    pub fn start() -> Self {
        let stores = tempfile::tempdir().unwrap();
        let told = script("postgres.sh")
            .env("UPLOAD_STORES", stores.path())
            .output()
            .unwrap();
        let (said, wrong) = (
            String::from_utf8(told.stdout).unwrap(),
            String::from_utf8_lossy(&told.stderr),
        );
        let url = said
            .trim()
            .strip_prefix("export UPLOAD_TEST_POSTGRES=")
            .unwrap_or_else(|| panic!("{said} {wrong}"));
        let run =
            |name: &str| fs::read_to_string(stores.path().join("run/postgres").join(name)).unwrap();
        let pid = run("pid").split_whitespace().next().unwrap().to_owned();
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        let place = Path::new(run("data").trim()).join("db");
        Self {
            url: url.to_owned(),
            control: program.with_file_name("pg_ctl"),
            place,
            stores,
        }
    }

    /// Its URL, password and all.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it: `fast` in order, `immediate` at a blow.
    #[track_caller]
    pub fn stop(&self, mode: &str) {
        assert!(
            self.control(&["stop", "-m", mode]),
            "PostgreSQL does not stop"
        );
    }

    /// At the same address, with the same data.
    #[track_caller]
    pub fn restart(&self) {
        let log = self.place.join("again.log");
        let log = log.to_str().unwrap();
        assert!(
            self.control(&["start", "-l", log, "-o", &self.options()]),
            "PostgreSQL does not start again"
        );
    }

    /// What it was started with.
    fn options(&self) -> String {
        let options = fs::read_to_string(self.place.join("postmaster.opts")).unwrap();
        let (_, options) = options.trim().split_once(' ').unwrap();
        options.to_owned()
    }

    /// As the user whose it is: PostgreSQL is not run by root.
    fn control(&self, args: &[&str]) -> bool {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
                .arg(&self.control);
            command
        } else {
            Command::new(&self.control)
        };
        command
            .args(["-w", "-s", "-D"])
            .arg(&self.place)
            .args(args)
            .current_dir("/");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control(&["stop", "-m", "immediate"]);
        // What it has written goes too.
        let _ = script("stop.sh")
            .arg("postgres")
            .env("UPLOAD_STORES", self.stores.path())
            .output();
    }
}

fn script(name: &str) -> Command {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo"));
    Command::new(root.join("scripts/stores").join(name))
}
