//! An unmodified Uppy Companion with a bucket of its own, and a proxy on each side.
//!
//! Not here: the installation. `scripts/stores/companion.sh` installs it; `UPLOAD_TEST_COMPANION`
//! names its directory.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::command::{Command, Running};
use super::proxy::Proxy;
use super::s3::S3;
use super::sandbox::Sandbox;

pub struct Companion {
    pub sandbox: Sandbox,
    /// Between the client and Companion.
    pub api_proxy: Proxy,
    /// Between the store and its clients: `upload` and Companion.
    pub store_proxy: Proxy,
    pub store: S3,
    running: Running,
}

impl Companion {
    /// In development mode: Companion passes the store's errors on.
    #[track_caller]
    pub fn start(bucket: &str) -> Self {
        Self::with(bucket, &[])
    }

    /// In production mode: Companion reports errors without their reason.
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
        let directory = env::var("UPLOAD_TEST_COMPANION").unwrap_or_else(|_| {
            panic!(
                "UPLOAD_TEST_COMPANION is not set: this test needs a Companion; `scripts/test` installs one"
            )
        });
        let program = |name: &str| PathBuf::from(&directory).join(name);
        let store = S3::real(&format!("upload-companion-{bucket}-{}", std::process::id()));
        let (sandbox, api_proxy, store_proxy) = (Sandbox::new(), Proxy::start(), Proxy::start());
        store_proxy.forward_to(store.addr());
        let mut command = sandbox
            .command(&env::var("UPLOAD_TEST_NODE").unwrap_or_else(|_| "node".to_owned()))
            .arg("--require")
            .arg(program("loopback.cjs"))
            .arg(program("node_modules/@uppy/companion/bin/companion"));
        let [(_, key), (_, secret), (_, region)] = store.envs();
        let (endpoint, datadir) = (store_proxy.url(), sandbox.path("tmp").display().to_string());
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
        api_proxy.forward_to(SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            sandbox,
            api_proxy,
            store_proxy,
            store,
            running,
        }
    }

    pub fn backend(&self) -> String {
        format!("companion+{}", self.api_proxy.url())
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

    /// Runs `command` and kills it when the proxy has relayed this many bytes of parts.
    #[track_caller]
    pub fn kill_after_bytes(&self, command: Command, bytes: u64) -> super::command::Output {
        self.store_proxy.block_after(bytes);
        let running = command.spawn();
        self.store_proxy.wait_until_blocked();
        let output = running.kill9();
        self.store_proxy.unblock();
        output
    }

    /// The number of requests to begin an upload.
    pub fn uploads_begun(&self) -> u64 {
        self.api_proxy.traffic().posts("/s3/multipart")
    }
}
