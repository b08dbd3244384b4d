//! Everything a behaviour needs in one value: client machine, gateway with its store, and the proxy between them.
//!
//! Border: it wires; what is wired lives in the other files. Signed URLs name the proxy, so each byte a client sends, to
//! the gateway or to the store, passes it and is counted.

use std::path::Path;

use super::command::{Command, Output};
use super::events::Receipt;
use super::gateway::Gateway;
use super::proxy::Proxy;
use super::s3::{self, S3};
use super::sandbox::Sandbox;
use super::{PART, files};

pub struct World {
    pub sandbox: Sandbox,
    /// In front of the gateway, and of the store in it.
    pub proxy: Proxy,
    pub gateway: Gateway,
    /// In front of a store that is not the gateway's own.
    store_proxy: Option<Proxy>,
}

/// Parts in flight in [`World::put`].
pub const JOBS: u64 = 2;

impl World {
    #[track_caller]
    pub fn new() -> Self {
        Self::with_args(&[])
    }

    /// With further arguments to `upload serve`.
    #[track_caller]
    pub fn with_args(args: &[&str]) -> Self {
        Self::over(args, &[], None)
    }

    #[track_caller]
    fn over(args: &[&str], envs: &[(&str, &str)], store_proxy: Option<Proxy>) -> Self {
        let proxy = Proxy::start();
        let url = proxy.url();
        Self::with_public_url(&url, proxy, args, envs, store_proxy)
    }

    /// A gateway that is known by another name than its proxy's.
    #[track_caller]
    pub fn with_public_url(
        url: &str,
        proxy: Proxy,
        args: &[&str],
        envs: &[(&str, &str)],
        store_proxy: Option<Proxy>,
    ) -> Self {
        let mut all = vec!["--public-url", url];
        all.extend(args);
        let gateway = Gateway::start(&all, envs);
        proxy.forward_to(gateway.addr());
        Self {
            sandbox: Sandbox::new(),
            proxy,
            gateway,
            store_proxy,
        }
    }

    /// A gateway in front of a bucket somewhere else.
    #[track_caller]
    pub fn on_store(store: &S3) -> Self {
        Self::on_store_with_args(store, &[])
    }

    /// With further arguments to `upload serve`.
    #[track_caller]
    pub fn on_store_with_args(store: &S3, args: &[&str]) -> Self {
        let store_proxy = Proxy::start();
        store_proxy.forward_to(store.addr());
        let (bucket, endpoint) = (format!("s3://{}", store.bucket()), store_proxy.url());
        let place = [
            "--store",
            &bucket,
            "--s3-endpoint",
            &endpoint,
            "--s3-path-style",
        ];
        Self::over(&[&place, args].concat(), &store.envs(), Some(store_proxy))
    }

    /// The proxy that the bytes of parts pass.
    pub fn part_proxy(&self) -> &Proxy {
        self.store_proxy.as_ref().unwrap_or(&self.proxy)
    }

    pub fn upload(&self, args: &[&str]) -> Command {
        self.sandbox
            .upload(args)
            .env("UPLOAD_BACKEND", self.proxy.url())
    }

    /// `upload put PATH` through the proxy, in parts of [`PART`], [`JOBS`] at a time.
    pub fn put(&self, path: &Path) -> Command {
        self.upload(&["put", "--part-size", "5MiB", "--jobs", "2"])
            .arg(path)
    }

    /// `upload resume`, as many at a time.
    pub fn resume(&self) -> Command {
        self.upload(&["resume", "--jobs", "2"])
    }

    pub fn store(&self) -> S3 {
        self.gateway.store()
    }

    /// Bytes of PUT bodies that came by.
    pub fn bytes_put(&self) -> u64 {
        self.part_proxy().traffic().bytes("PUT")
    }

    /// Kills the gateway and starts it again in its place.
    #[track_caller]
    pub fn restart_gateway(&mut self) {
        self.gateway.kill9();
        self.gateway.restart();
    }

    /// Asserts that the store holds exactly one object, with the file's bytes, and nothing half done.
    #[track_caller]
    pub fn assert_holds_only(&self, file: &Path) {
        self.store().assert_holds_only(file);
    }
}

/// Asserts that a receipt is about this file, cut every `part_size` bytes.
#[track_caller]
pub fn assert_receipt_matches(receipt: &Receipt, file: &Path, part_size: u64) {
    let size = file.metadata().unwrap().len();
    assert_eq!(receipt.size, size);
    assert_eq!(receipt.part_size, part_size);
    assert_eq!(u64::from(receipt.parts), size.div_ceil(part_size).max(1));
    assert_eq!(receipt.checksum, files::checksum(file, part_size));
    // On a store without checksums (Ceph 16) it is the payload's hash.
    let of_ours = receipt.location.starts_with("embedded:") || !s3::lacks("sha256");
    assert_eq!(receipt.proof, if of_ours { "sha256" } else { "payload" });
    if receipt.parts == 1 {
        assert_eq!(
            receipt.sha256.as_deref(),
            Some(files::sha256(file).as_str())
        );
    }
}

/// What a run that was cut off `kills` times may have sent in all.
pub fn max_bytes_sent(size: u64, kills: u64) -> u64 {
    size + kills * JOBS * PART
}

/// The one location a successful run prints.
#[track_caller]
pub fn location(output: Output) -> String {
    output.succeeds().line().to_owned()
}
