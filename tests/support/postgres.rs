//! A ledger database on the PostgreSQL server that `scripts/test` starts, and a separate server for
//! the test that stops it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

/// A database for one test. Dropping the value drops the database.
pub struct Database {
    name: String,
    url: String,
    /// A connection to another database of the server.
    admin: Client,
    runtime: Runtime,
}

impl Database {
    #[track_caller]
    pub fn new() -> Self {
        let server = env::var("UPLOAD_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!(
                "UPLOAD_TEST_POSTGRES is not set: this test needs PostgreSQL; `scripts/test` starts one"
            )
        });
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let admin = runtime.block_on(async {
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
        let (server_url, _) = server.rsplit_once('/').unwrap();
        let database = Self {
            url: format!("{server_url}/{name}"),
            name,
            admin,
            runtime,
        };
        database.run(&format!("CREATE DATABASE {}", database.name));
        database
    }

    /// Its URL, including the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The environment variable that names it to a gateway.
    pub fn env(&self) -> (&str, &str) {
        ("UPLOAD_LEDGER", &self.url)
    }

    /// Ends all connections and rejects new ones, as a server does while it restarts.
    #[track_caller]
    pub fn reject_connections(&self) {
        self.run(&format!(
            "ALTER DATABASE {} WITH ALLOW_CONNECTIONS false",
            self.name
        ));
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1";
        self.runtime
            .block_on(self.admin.query(end, &[&self.name]))
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
            .block_on(self.admin.batch_execute(sql))
            .unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // An error here must not hide the failure of the test.
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = self.runtime.block_on(self.admin.batch_execute(&drop));
    }
}

/// A PostgreSQL server for one test, started by `scripts/stores/postgres.sh`. Dropping the value
/// stops it and removes its data.
pub struct Server {
    stores: TempDir,
    url: String,
    /// The path of `pg_ctl`, which may not be in `PATH`.
    pg_ctl: PathBuf,
    data: PathBuf,
}

impl Server {
    #[track_caller]
    pub fn start() -> Self {
        let stores = tempfile::tempdir().unwrap();
        let output = script("postgres.sh")
            .env("UPLOAD_STORES", stores.path())
            .output()
            .unwrap();
        let (stdout, stderr) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8_lossy(&output.stderr),
        );
        let url = stdout
            .trim()
            .strip_prefix("export UPLOAD_TEST_POSTGRES=")
            .unwrap_or_else(|| panic!("PostgreSQL does not start: {stdout} {stderr}"));
        let state =
            |name: &str| fs::read_to_string(stores.path().join("run/postgres").join(name)).unwrap();
        let pid = state("pid").split_whitespace().next().unwrap().to_owned();
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        let data = Path::new(state("data").trim()).join("db");
        Self {
            url: url.to_owned(),
            pg_ctl: program.with_file_name("pg_ctl"),
            data,
            stores,
        }
    }

    /// Its URL, including the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops it. `fast` ends connections cleanly, `immediate` as in a crash.
    #[track_caller]
    pub fn stop(&self, mode: &str) {
        assert!(
            self.control(&["stop", "-m", mode]),
            "PostgreSQL does not stop"
        );
    }

    /// Starts it at the same address, with the same data.
    #[track_caller]
    pub fn restart(&self) {
        let log = self.data.join("restart.log");
        let log = log.to_str().unwrap();
        assert!(
            self.control(&["start", "-l", log, "-o", &self.options()]),
            "PostgreSQL does not restart"
        );
    }

    /// The options that it was started with.
    fn options(&self) -> String {
        let options = fs::read_to_string(self.data.join("postmaster.opts")).unwrap();
        let (_, options) = options.trim().split_once(' ').unwrap();
        options.to_owned()
    }

    /// Runs `pg_ctl` as the server's user, because PostgreSQL must not run as root. Returns true on
    /// success.
    fn control(&self, args: &[&str]) -> bool {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
                .arg(&self.pg_ctl);
            command
        } else {
            Command::new(&self.pg_ctl)
        };
        command
            .args(["-w", "-s", "-D"])
            .arg(&self.data)
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
        // Removes its data.
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
