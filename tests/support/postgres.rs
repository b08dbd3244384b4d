//! A ledger database on the PostgreSQL server that `scripts/test` starts, and separate servers for
//! the tests that stop them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use super::reserved_port::ReservedPort;
use super::wait;

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

    /// Starts a standby that follows it: a transaction is committed when the standby has it too.
    #[track_caller]
    pub fn start_standby(&self) -> Standby {
        let standby = Standby::start(self);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let config: Config = self.url.parse().unwrap();
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            for sql in [
                "ALTER SYSTEM SET synchronous_standby_names = '*'",
                "SELECT pg_reload_conf()",
            ] {
                client.batch_execute(sql).await.unwrap();
            }
            client
        });
        // The server applies the setting, and the standby connects, at some later moment.
        wait::until("commits that wait for the standby", || {
            let sql = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
            let rows = runtime.block_on(client.query(sql, &[])).unwrap();
            (!rows.is_empty()).then_some(())
        });
        standby
    }

    /// The options that it was started with.
    fn options(&self) -> String {
        let options = fs::read_to_string(self.data.join("postmaster.opts")).unwrap();
        let (_, options) = options.trim().split_once(' ').unwrap();
        options.to_owned()
    }

    /// Runs `pg_ctl` for its data. Returns true on success.
    fn control(&self, args: &[&str]) -> bool {
        control(&self.pg_ctl, &self.data, args)
    }
}

/// A copy of a server that follows it, until it is promoted. Dropping the value stops it.
pub struct Standby {
    _directory: TempDir,
    _port: ReservedPort,
    url: String,
    pg_ctl: PathBuf,
    data: PathBuf,
}

impl Standby {
    #[track_caller]
    fn start(primary: &Server) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let reserved = ReservedPort::new();
        let port = reserved.addr().port();
        let (server, database) = primary.url.rsplit_once('/').unwrap();
        let (before, _) = server.rsplit_once(':').unwrap();
        let standby = Self {
            url: format!("{before}:{port}/{database}"),
            pg_ctl: primary.pg_ctl.clone(),
            data: directory.path().join("db"),
            _directory: directory,
            _port: reserved,
        };
        let parent = standby.data.parent().unwrap();
        if rustix::process::geteuid().is_root() {
            let chown = Command::new("chown").arg("postgres:").arg(parent).status();
            assert!(chown.unwrap().success());
        }
        let mut copy = as_server_user(&primary.pg_ctl.with_file_name("pg_basebackup"));
        copy.args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d"])
            .arg(&primary.url)
            .arg("-D")
            .arg(&standby.data);
        assert!(copy.status().unwrap().success(), "pg_basebackup failed");
        let options = format!(
            "-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200",
            parent.display()
        );
        let log = parent.join("log");
        let start = ["start", "-l", log.to_str().unwrap(), "-o", &options];
        assert!(
            control(&standby.pg_ctl, &standby.data, &start),
            "the standby does not start: {}",
            fs::read_to_string(&log).unwrap_or_default()
        );
        standby
    }

    /// Its URL, including the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes it accept writes.
    #[track_caller]
    pub fn promote(&self) {
        assert!(
            control(&self.pg_ctl, &self.data, &["promote"]),
            "the standby is not promoted"
        );
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        control(&self.pg_ctl, &self.data, &["stop", "-m", "immediate"]);
    }
}

/// Runs `pg_ctl` for a directory of data. Returns true on success.
fn control(pg_ctl: &Path, data: &Path, args: &[&str]) -> bool {
    let mut command = as_server_user(pg_ctl);
    command.args(["-w", "-s", "-D"]).arg(data).args(args);
    command.status().unwrap().success()
}

/// A program that runs as the server's user, because PostgreSQL must not run as root.
fn as_server_user(program: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
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
