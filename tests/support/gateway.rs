//! `upload serve` as a process that can be killed and restarted with the same files and port.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::process::Signal;

use super::command::Running;
use super::reserved_port::ReservedPort;
use super::s3::S3;
use super::sandbox::Sandbox;
use super::wait;

/// Arguments of `upload serve` for a bucket (`s3://NAME`) of a store at `endpoint`.
pub fn store_args<'a>(bucket: &'a str, endpoint: &'a str) -> [&'a str; 5] {
    [
        "--store",
        bucket,
        "--s3-endpoint",
        endpoint,
        "--s3-path-style",
    ]
}

/// A running gateway. Dropping it kills the process.
pub struct Gateway {
    sandbox: Sandbox,
    args: Vec<String>,
    envs: Vec<(String, String)>,
    port: ReservedPort,
    running: Option<Running>,
}

impl Gateway {
    /// Runs `upload serve ARGS…` on a free port, with the embedded store unless `args` name
    /// another, and waits until it listens.
    #[track_caller]
    pub fn start(args: &[&str], envs: &[(&str, &str)]) -> Self {
        Self::start_in(Sandbox::new(), args, envs)
    }

    /// As [`Gateway::start`], in a sandbox that may hold the files of an earlier run.
    #[track_caller]
    pub fn start_in(sandbox: Sandbox, args: &[&str], envs: &[(&str, &str)]) -> Self {
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        if !args.iter().any(|arg| arg == "--store") {
            args.extend([
                "--store-credentials".to_owned(),
                sandbox.path("credentials").display().to_string(),
            ]);
        }
        let envs = envs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut gateway = Self {
            sandbox,
            args,
            envs,
            port: ReservedPort::new(),
            running: None,
        };
        gateway.run();
        gateway
    }

    #[track_caller]
    fn run(&mut self) {
        let mut command = self
            .sandbox
            .upload(["serve", "--listen", &self.addr().to_string()])
            .args(&self.args);
        for (name, value) in &self.envs {
            command = command.env(name, value);
        }
        let mut running = command.spawn();
        running.wait_for("`listening on http://…`", |running| {
            let stderr = running.stderr();
            stderr.contains("listening on http://").then_some(())
        });
        self.running = Some(running);
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    pub fn url(&self) -> String {
        self.port.url()
    }

    /// The address of its metrics, if it was started with `--metrics-listen`.
    #[track_caller]
    pub fn metrics_addr(&self) -> SocketAddr {
        wait::until("`metrics on http://…`", || {
            let stderr = self.stderr();
            let (_, rest) = stderr.split_once("metrics on http://")?;
            rest.split_once("/metrics\n")?.0.parse().ok()
        })
    }

    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the gateway runs").pid()
    }

    pub fn stderr(&self) -> String {
        self.running
            .as_ref()
            .map(Running::stderr)
            .unwrap_or_default()
    }

    /// Kills it with SIGKILL; returns its standard error.
    #[track_caller]
    pub fn kill9(&mut self) -> String {
        let output = self.running.take().expect("the gateway runs").kill9();
        output.stderr().to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        self.running
            .as_ref()
            .expect("the gateway runs")
            .signal(signal);
    }

    /// Ends it with SIGTERM.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.wait();
    }

    /// Starts it with the same port, ledger and store.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "the gateway is already running");
        self.run();
    }

    /// Starts it with a crash point (`NAME:HIT`), at which it dies.
    #[track_caller]
    pub fn restart_with_crash_point(&mut self, point: &str) {
        self.envs
            .push(("UPLOAD_CRASH".to_owned(), point.to_owned()));
        self.restart();
        self.envs.pop();
    }

    /// Waits for its end; returns its standard error.
    #[track_caller]
    pub fn wait(&mut self) -> String {
        self.running
            .take()
            .expect("the gateway runs")
            .wait()
            .stderr()
            .to_owned()
    }

    /// The sandbox of its ledger, store and credentials.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Makes a token with `upload serve token add`.
    #[track_caller]
    pub fn token(&self, name: &str) -> String {
        self.sandbox
            .upload(["serve", "token", "add", name])
            .run()
            .succeeds()
            .line()
            .to_owned()
    }

    /// An S3 client of the embedded store.
    #[track_caller]
    pub fn store(&self) -> S3 {
        S3::from_credentials(&self.credentials())
    }

    fn credentials(&self) -> String {
        let path: PathBuf = self.sandbox.path("credentials");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}
