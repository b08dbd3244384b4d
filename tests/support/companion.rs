//! An Uppy Companion as npm has it, before a bucket of its own, and a proxy on each side of it.
//!
//! Border: it wires; the program is the one that `scripts/stores/companion.sh` installed and `UPLOAD_TEST_COMPANION` names.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::command::{Command, Running};
use super::proxy::Proxy;
use super::s3::S3;
use super::sandbox::Sandbox;

pub struct Companion {
    pub sandbox: Sandbox,
    /// In front of Companion.
    pub api: Proxy,
    /// In front of the store, for parts and for what Companion asks of it.
    pub data: Proxy,
    pub store: S3,
    running: Running,
}

impl Companion {
    /// As a developer starts it: it says what the store said.
    #[track_caller]
    pub fn start(bucket: &str) -> Self {
        Self::with(bucket, &[])
    }

    /// As it runs in production: of what went wrong it says nothing.
    #[track_caller]
    pub fn in_production(bucket: &str) -> Self {
        Self::with(
            bucket,
            &[
                ("NODE_ENV", "production"),
                ("COMPANION_UPLOAD_URLS", "http://127.0.0.1"),
            ],
        )
    }

    #[track_caller]
    fn with(bucket: &str, envs: &[(&str, &str)]) -> Self {
        let place = env::var("UPLOAD_TEST_COMPANION").unwrap_or_else(|_| {
            panic!(
                "UPLOAD_TEST_COMPANION is not set: `scripts/test` installs a Companion and names it"
            )
        });
        let program = |name: &str| PathBuf::from(&place).join(name);
        let store = S3::real(&format!("upload-companion-{bucket}-{}", std::process::id()));
        let (sandbox, api, data) = (Sandbox::new(), Proxy::start(), Proxy::start());
        data.forward_to(store.addr());
        let mut command = sandbox
            .command(&env::var("UPLOAD_TEST_NODE").unwrap_or_else(|_| "node".to_owned()))
            .arg("--require")
            .arg(program("loopback.cjs"))
            .arg(program("node_modules/@uppy/companion/bin/companion"));
        let [(_, key), (_, secret), (_, region)] = store.envs();
        let (endpoint, datadir) = (data.url(), sandbox.path("tmp").display().to_string());
        for (name, value) in [
            ("COMPANION_AWS_KEY", key),
            ("COMPANION_AWS_SECRET", secret),
            ("COMPANION_AWS_REGION", region),
            ("COMPANION_AWS_BUCKET", store.bucket()),
            ("COMPANION_AWS_ENDPOINT", &endpoint),
            ("COMPANION_AWS_FORCE_PATH_STYLE", "true"),
            ("COMPANION_DATADIR", &datadir),
            ("COMPANION_DOMAIN", "127.0.0.1"),
            ("COMPANION_PROTOCOL", "http"),
            ("COMPANION_SECRET", "for tests"),
            ("COMPANION_PREAUTH_SECRET", "for tests too"),
            ("COMPANION_CLIENT_ORIGINS", "http://127.0.0.1"),
            ("COMPANION_PORT", "0"),
        ] {
            command = command.env(name, value);
        }
        for (name, value) in envs {
            command = command.env(name, value);
        }
        let mut running = command.spawn();
        let port: u16 = running.wait_for("`loopback port …`", |running| {
            let stderr = running.stderr();
            stderr
                .split_once("loopback port ")?
                .1
                .split_once('.')?
                .0
                .parse()
                .ok()
        });
        api.forward_to(SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            sandbox,
            api,
            data,
            store,
            running,
        }
    }

    pub fn backend(&self) -> String {
        format!("companion+{}", self.api.url())
    }

    pub fn upload(&self, args: &[&str]) -> Command {
        self.sandbox
            .upload(args)
            .env("UPLOAD_BACKEND", self.backend())
    }

    /// `upload put PATH` in parts of 5 MiB, two at a time.
    pub fn put(&self, path: &Path) -> Command {
        self.upload(&["put", "--part-size", "5MiB", "--jobs", "2"])
            .arg(path)
    }

    pub fn resume(&self) -> Command {
        self.upload(&["resume", "--jobs", "2"])
    }

    /// Runs `command` until so many bytes of parts have passed, and kills it there.
    #[track_caller]
    pub fn kill_amid(&self, command: Command, bytes: u64) -> super::command::Output {
        self.data.block_after(bytes);
        let running = command.spawn();
        self.data.wait_until_blocked();
        let output = running.kill9();
        self.data.unblock();
        output
    }

    /// How many uploads were begun.
    pub fn begun(&self) -> u64 {
        self.api.traffic().posts("/s3/multipart")
    }

    /// What it has said on standard error.
    pub fn stderr(&self) -> String {
        self.running.stderr()
    }
}
