//! A client's sandbox, a gateway with its store, and the proxies between them.
//!
//! Presigned URLs name a proxy, so that it counts each byte that a client sends to the gateway or
//! to the store.

use std::path::Path;

use super::command::{Command, Output, Running};
use super::events::{Receipt, parts_so_far, upload_id};
use super::gateway::{Gateway, store_args};
use super::proxy::Proxy;
use super::s3::{self, S3};
use super::sandbox::Sandbox;
use super::{PART, files};

pub struct World {
    pub sandbox: Sandbox,
    /// In front of the gateway, and of its embedded store.
    pub proxy: Proxy,
    pub gateway: Gateway,
    /// In front of an external store.
    store_proxy: Option<Proxy>,
}

/// The `--jobs` of [`World::put`]: parts in flight.
pub const JOBS: u64 = 2;

impl World {
    #[track_caller]
    pub fn new() -> Self {
        Self::with_args(&[])
    }

    /// With further arguments to `upload serve`.
    #[track_caller]
    pub fn with_args(args: &[&str]) -> Self {
        Self::start(args, &[], None)
    }

    #[track_caller]
    fn start(args: &[&str], envs: &[(&str, &str)], store_proxy: Option<Proxy>) -> Self {
        let proxy = Proxy::start();
        let url = proxy.url();
        Self::with_public_url(&url, proxy, args, envs, store_proxy)
    }

    /// With a public URL, which may be that of another proxy.
    #[track_caller]
    pub fn with_public_url(
        url: &str,
        proxy: Proxy,
        args: &[&str],
        envs: &[(&str, &str)],
        store_proxy: Option<Proxy>,
    ) -> Self {
        let gateway = Gateway::start(&[&["--public-url", url], args].concat(), envs);
        proxy.forward_to(gateway.addr());
        Self {
            sandbox: Sandbox::new(),
            proxy,
            gateway,
            store_proxy,
        }
    }

    /// With an external store.
    #[track_caller]
    pub fn on_store(store: &S3) -> Self {
        Self::on_store_with(store, &[], &[])
    }

    /// With an external store, further arguments to `upload serve` and environment variables.
    #[track_caller]
    pub fn on_store_with(store: &S3, args: &[&str], envs: &[(&str, &str)]) -> Self {
        let store_proxy = Proxy::start();
        store_proxy.forward_to(store.addr());
        let (bucket, endpoint) = (format!("s3://{}", store.bucket()), store_proxy.url());
        Self::start(
            &[&store_args(&bucket, &endpoint), args].concat(),
            &[&store.envs(), envs].concat(),
            Some(store_proxy),
        )
    }

    /// The proxy that relays parts.
    pub fn part_proxy(&self) -> &Proxy {
        self.store_proxy.as_ref().unwrap_or(&self.proxy)
    }

    pub fn upload(&self, args: &[&str]) -> Command {
        self.sandbox
            .upload(args)
            .env("UPLOAD_BACKEND", self.proxy.url())
    }

    /// `upload put PATH` through the proxy, in parts of [`PART`], with [`JOBS`] in flight.
    pub fn put(&self, path: &Path) -> Command {
        self.upload(&["put", "--part-size", "5MiB", "--jobs", "2"])
            .arg(path)
    }

    /// `upload resume` through the proxy, with [`JOBS`] in flight.
    pub fn resume(&self) -> Command {
        self.upload(&["resume", "--jobs", "2"])
    }

    /// Runs `command` until the proxy has relayed this many bytes of parts and blocks the rest.
    #[track_caller]
    pub fn run_until_blocked(&self, command: Command, bytes: u64) -> Running {
        self.part_proxy().block_after(bytes);
        let running = command.spawn();
        self.part_proxy().wait_until_blocked();
        running
    }

    /// Runs `put --json` and kills it when at least `parts` parts are stored and in the journal.
    /// Returns the upload id and the numbers of these parts.
    #[track_caller]
    pub fn put_and_kill_after_parts(&self, file: &Path, parts: usize) -> (String, Vec<u64>) {
        let bytes = (parts as u64 + JOBS) * PART - 1;
        let mut running = self.run_until_blocked(self.put(file).arg("--json"), bytes);
        running.wait_for("`part` events", |running| {
            (parts_so_far(&running.stdout()) >= parts).then_some(())
        });
        let output = running.kill9();
        self.part_proxy().unblock();
        let events = output
            .lines()
            .into_iter()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let numbers = events
            .filter(|event| event["type"] == "part")
            .filter_map(|event| event["number"].as_u64())
            .collect();
        (upload_id(output.stdout()).expect("an upload id"), numbers)
    }

    pub fn store(&self) -> S3 {
        self.gateway.store()
    }

    /// Bytes in the bodies of all PUTs.
    pub fn bytes_put(&self) -> u64 {
        self.part_proxy().traffic().bytes("PUT")
    }

    /// Kills the gateway and restarts it.
    #[track_caller]
    pub fn restart_gateway(&mut self) {
        self.gateway.kill9();
        self.gateway.restart();
    }

    /// Asserts that the store holds exactly one object, with the file's bytes, and no open
    /// multipart upload.
    #[track_caller]
    pub fn assert_holds_only(&self, file: &Path) {
        self.store().assert_holds_only(file);
    }
}

/// Asserts that a receipt matches this file in parts of `part_size` bytes.
#[track_caller]
pub fn assert_receipt_matches(receipt: &Receipt, file: &Path, part_size: u64) {
    let size = file.metadata().unwrap().len();
    assert_eq!(receipt.size, size);
    assert_eq!(receipt.part_size, part_size);
    assert_eq!(u64::from(receipt.parts), size.div_ceil(part_size).max(1));
    assert_eq!(receipt.checksum, files::checksum(file, part_size));
    // A store without checksums (Ceph 16) enforces the hash of the payload instead.
    let has_checksums = receipt.location.starts_with("embedded:") || !s3::lacks("sha256");
    assert_eq!(
        receipt.proof,
        if has_checksums { "sha256" } else { "payload" }
    );
    if receipt.parts == 1 {
        assert_eq!(
            receipt.sha256.as_deref(),
            Some(files::sha256(file).as_str())
        );
    }
}

/// The most bytes that several runs may send in total for a file of `size` bytes if `kills` of them
/// are killed.
pub fn max_bytes_sent(size: u64, kills: u64) -> u64 {
    size + kills * JOBS * PART
}

/// The location that a successful run prints.
#[track_caller]
pub fn location(output: Output) -> String {
    output.succeeds().line().to_owned()
}
