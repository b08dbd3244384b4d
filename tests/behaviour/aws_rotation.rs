//! AWS keys that expire or are replaced while a client or a gateway uses them.

use std::fs;
use std::path::PathBuf;

use crate::support::PART;
use crate::support::command::Command;
use crate::support::gateway::{Gateway, store_args};
use crate::support::proxy::{Fault, Proxy, Requests, Response};
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;

/// The access keys of the store, before and after their renewal.
const OLD: &str = "AKIAOLDOLDOLDOLDOLD0";
const NEW: &str = "AKIANEWNEWNEWNEWNEW0";

/// A store behind a proxy, and a file with keys for it.
struct World {
    sandbox: Sandbox,
    proxy: Proxy,
    keeper: Gateway,
    keys: PathBuf,
}

impl World {
    fn new() -> Self {
        let (keeper, sandbox, proxy) = (Gateway::start(&[], &[]), Sandbox::new(), Proxy::start());
        proxy.forward_to(keeper.addr());
        let keys = sandbox.path("aws-keys");
        let mut world = Self {
            sandbox,
            proxy,
            keeper,
            keys,
        };
        world.accept_only(OLD);
        world.write_keys(OLD);
        world
    }

    fn store(&self) -> S3 {
        self.keeper.store()
    }

    /// Replaces the keys of the client or gateway.
    fn write_keys(&self, access_key: &str) {
        let text = format!(
            "[default]\naws_access_key_id = {access_key}\n\
             aws_secret_access_key = secret-of-{access_key}\n"
        );
        let temporary = self.sandbox.path("aws-keys.new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, &self.keys).unwrap();
    }

    /// Replaces the keys of the store.
    fn accept_only(&mut self, access_key: &str) {
        self.keeper.kill9();
        let files = self.keeper.sandbox().files();
        let mut key_files = files.iter().filter(|path| path.ends_with("keys"));
        let path = key_files.next().expect("a file with the keys of the store");
        fs::write(path, format!("{access_key}\nsecret-of-{access_key}\n")).unwrap();
        self.keeper.restart();
    }

    /// The store responds so to the old keys from now on.
    fn reject_old_keys(&mut self, response: Response) {
        let old = Requests::any().with_text(OLD);
        self.proxy.inject(old, Fault::Respond(response));
        self.accept_only(NEW);
    }

    fn expire_old_keys(&mut self) {
        self.reject_old_keys(Response::s3(400, "ExpiredToken"));
    }

    /// `put` of `file` without a gateway.
    fn put(&self, file: &str) -> Command {
        self.sandbox
            .upload(["put", file, "--backend", "s3://embedded", "--jobs", "1"])
            .args(["--s3-endpoint", &self.proxy.url(), "--part-size", "5MiB"])
            .env("AWS_SHARED_CREDENTIALS_FILE", &self.keys)
            .env("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// A gateway in front of the store.
    fn gateway(&self) -> Gateway {
        let keys = self.keys.to_str().unwrap();
        let envs = [("AWS_SHARED_CREDENTIALS_FILE", keys)];
        let args = store_args("s3://embedded", &self.proxy.url()).map(str::to_owned);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Gateway::start(&args, &envs)
    }

    /// `put` of `file` through a gateway.
    fn put_through(&self, gateway: &Gateway, file: &str) -> Command {
        self.sandbox
            .upload(["put", file, "--backend", &gateway.url(), "--jobs", "1"])
            .args(["--part-size", "5MiB"])
    }
}

#[test]
fn put_continues_with_keys_that_were_renewed_during_the_upload() {
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    // The probe sends less than a part.
    world.proxy.block_after(PART + PART / 2);
    let put = world.put("film.bin").spawn();
    world.proxy.wait_until_blocked();
    world.expire_old_keys();
    world.write_keys(NEW);
    world.proxy.unblock();
    put.wait().succeeds();
    world.store().assert_holds_only(&file);
}

#[test]
fn put_through_a_gateway_continues_with_renewed_keys() {
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let gateway = world.gateway();
    world.proxy.block_after(PART + PART / 2);
    let put = world.put_through(&gateway, "film.bin").spawn();
    world.proxy.wait_until_blocked();
    world.expire_old_keys();
    world.write_keys(NEW);
    world.proxy.unblock();
    put.wait().succeeds();
    world.store().assert_holds_only(&file);
}

#[test]
fn put_ends_when_expired_keys_are_not_renewed() {
    let mut world = World::new();
    world.sandbox.file("film.bin", 4 * PART);
    world.proxy.block_after(PART + PART / 2);
    let put = world.put("film.bin").arg("--json").spawn();
    world.proxy.wait_until_blocked();
    world.expire_old_keys();
    world.proxy.unblock();
    let output = put.wait().exits(77);
    assert!(output.stdout().contains("credentials_rejected"), "{output}");
    assert!(
        output.stdout().contains("AWS credentials have expired"),
        "{output}"
    );
    let rejected = world.proxy.traffic().0;
    let rejected = rejected
        .iter()
        .filter(|request| request.status == Some(400));
    assert!(rejected.count() < 30);
    // Renewed keys continue the upload.
    world.write_keys(NEW);
    let bytes = world.proxy.traffic().bytes("PUT");
    world.put("film.bin").run().succeeds();
    assert!(world.proxy.traffic().bytes("PUT") - bytes < 4 * PART);
}

#[test]
fn gateway_reads_keys_again_that_its_store_does_not_know() {
    for code in ["InvalidAccessKeyId", "ExpiredToken", "InvalidToken"] {
        let mut world = World::new();
        world.sandbox.file("small.bin", 1000);
        world.sandbox.file("large.bin", 2 * PART);
        let gateway = world.gateway();
        world.write_keys(NEW);
        world.reject_old_keys(Response::s3(403, code));
        for file in ["small.bin", "large.bin"] {
            world.put_through(&gateway, file).run().succeeds();
        }
        assert_eq!(world.store().objects().len(), 2);
    }
}

#[test]
fn put_with_expired_keys_ends_before_it_sends_anything() {
    let mut world = World::new();
    world.sandbox.file("film.bin", 2 * PART);
    world.expire_old_keys();
    let output = world.put("film.bin").run().exits(77);
    output.stderr_contains("AWS credentials have expired");
    assert_eq!(world.proxy.traffic().bytes("PUT"), 0);
    // The bare response to a HEAD does not hide the cause either.
    world.write_keys(NEW);
    world.put("film.bin").run().succeeds();
}

#[test]
fn keys_of_a_process_are_renewed_during_the_upload() {
    // No file of the AWS configuration changes.
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let document = world.sandbox.path("keys.json");
    let write = |key: &str| {
        let keys = format!(r#""AccessKeyId":"{key}","SecretAccessKey":"secret-of-{key}""#);
        fs::write(&document, format!(r#"{{"Version":1,{keys}}}"#)).unwrap();
    };
    write(OLD);
    let config = format!(
        "[default]\ncredential_process = cat {}\n",
        document.display()
    );
    fs::write(&world.keys, config).unwrap();
    world.proxy.block_after(PART + PART / 2);
    let put = world.put("film.bin").spawn();
    world.proxy.wait_until_blocked();
    world.expire_old_keys();
    write(NEW);
    world.proxy.unblock();
    put.wait().succeeds();
    world.store().assert_holds_only(&file);
}
