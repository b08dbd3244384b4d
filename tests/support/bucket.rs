//! A bucket that `upload` reaches as `s3://…`, with a proxy that counts what it receives.

use super::command::Command;
use super::gateway::Gateway;
use super::proxy::Proxy;
use super::s3::S3;
use super::sandbox::Sandbox;

pub struct Bucket {
    /// Of an embedded store, the gateway that runs it.
    _keeper: Option<Gateway>,
    pub store: S3,
    pub proxy: Proxy,
}

impl Bucket {
    /// A bucket of an embedded store, at an endpoint of its own. All of them have the same name.
    pub fn new() -> Self {
        let keeper = Gateway::start(&[], &[]);
        let store = keeper.store();
        Self {
            _keeper: Some(keeper),
            ..Self::of(store)
        }
    }

    /// A bucket of another store.
    pub fn of(store: S3) -> Self {
        let proxy = Proxy::start();
        proxy.forward_to(store.addr());
        Self {
            _keeper: None,
            store,
            proxy,
        }
    }

    /// Adds the keys of this bucket, as the configuration of a machine has them.
    pub fn with_keys(&self, command: Command) -> Command {
        let envs = self.store.envs();
        let keys = envs.iter().filter(|(name, _)| *name != "AWS_REGION");
        keys.fold(command, |command, (name, value)| command.env(name, value))
    }

    pub fn endpoint(&self) -> [String; 3] {
        let path_style = "--s3-path-style".to_owned();
        ["--s3-endpoint".to_owned(), self.proxy.url(), path_style]
    }

    /// `s3://BUCKET/REST`.
    pub fn url(&self, rest: &str) -> String {
        format!("s3://{}/{rest}", self.store.bucket())
    }

    /// A command without any S3 flag.
    pub fn upload(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        self.with_keys(sandbox.upload(args))
    }

    /// `upload put ARGS…` in parts of 5 MiB, with two in flight, and the flags of this endpoint.
    pub fn put(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let put = ["put", "--part-size", "5MiB", "--jobs", "2"];
        let put = sandbox.upload(put).args(self.endpoint());
        self.with_keys(put).args(args)
    }

    /// Bytes in the bodies of all PUTs.
    pub fn bytes_put(&self) -> u64 {
        self.proxy.traffic().bytes("PUT")
    }
}
