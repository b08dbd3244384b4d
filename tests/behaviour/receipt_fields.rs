//! The fields of a receipt by which its object is found in the store.
//!
//! Not here: the file of `--receipt` (`receipts`), the digests (`put`, `whole_sha256`).

use std::path::Path;

use crate::support::command::Command;
use crate::support::events::{Receipt, receipts};
use crate::support::gateway::{Gateway, store_args};
use crate::support::proxy::{Fault, Requests};
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// Runs a `put` and returns its receipt.
#[track_caller]
fn receipt_of(sandbox: &Sandbox, put: Command) -> Receipt {
    let path = sandbox.path("receipt.json");
    put.arg("--receipt").arg(&path).run().succeeds();
    let receipts = receipts(&path);
    let [receipt] = receipts.as_slice() else {
        panic!("one receipt expected: {receipts:?}")
    };
    receipt.clone()
}

/// `upload put` to a prefix of the store's bucket.
fn put_directly(sandbox: &Sandbox, store: &S3, file: &Path) -> Command {
    let bucket = format!("s3://{}/ct/in", store.bucket());
    let endpoint = format!("http://{}", store.addr());
    let mut put = sandbox
        .upload(["put", "--backend", &bucket])
        .args(["--s3-path-style", "--s3-endpoint", &endpoint])
        .arg(file);
    for (name, value) in store.envs() {
        put = put.env(name, value);
    }
    put
}

#[test]
fn receipt_of_a_bucket_names_the_full_key() {
    let world = World::new();
    let store = world.store();
    for (name, size) in [("small.bin", 10), ("large.bin", 9 << 20)] {
        let file = world.sandbox.file(name, size);
        let receipt = receipt_of(&world.sandbox, put_directly(&world.sandbox, &store, &file));
        assert_eq!(receipt.bucket.as_deref(), Some("embedded"));
        assert_eq!(receipt.name, name);
        assert_eq!(receipt.key, format!("ct/in/{name}"));
        assert!(receipt.location.ends_with(&receipt.key), "{receipt:?}");
        let head = store.head(&receipt.key);
        assert_eq!(head.header("content-length"), Some(&*size.to_string()));
        assert_eq!(head.header("etag"), Some(&*format!("\"{}\"", receipt.etag)));
    }
}

#[test]
fn key_of_a_bucket_with_style_uuid_is_made_by_the_backend() {
    let world = World::new();
    let store = world.store();
    let file = world.sandbox.file("small.bin", 10);
    let put = put_directly(&world.sandbox, &store, &file).args(["--key-style", "uuid"]);
    let receipt = receipt_of(&world.sandbox, put);
    assert!(receipt.key.starts_with("ct/in/uploads/"), "{receipt:?}");
    assert!(receipt.key.ends_with(&format!("{}.bin", receipt.id)));
    assert_eq!(store.objects(), [receipt.key.as_str()]);
}

#[test]
fn receipt_and_status_of_a_gateway_name_the_full_key() {
    let (world, sandbox) = (World::new(), Sandbox::new());
    let store = world.store();
    let (bucket, endpoint) = (
        format!("s3://{}/team", store.bucket()),
        format!("http://{}", store.addr()),
    );
    let gateway = Gateway::start(&store_args(&bucket, &endpoint), &store.envs());
    let file = sandbox.file("film.bin", 10);
    let upload = |args: &[&str]| sandbox.upload(args).env("UPLOAD_BACKEND", gateway.url());
    let receipt = receipt_of(&sandbox, upload(&["put"]).arg(&file));
    assert_eq!(receipt.bucket.as_deref(), Some("embedded"));
    assert_eq!(store.objects(), [receipt.key.as_str()]);
    let status = upload(&["status", "--remote", "--json", &receipt.id]);
    let status = status.run().succeeds();
    let status: serde_json::Value = serde_json::from_str(status.line()).unwrap();
    assert_eq!(status["remote"]["key"], receipt.key);
    assert_eq!(status["remote"]["receipt"]["key"], receipt.key);
    assert_eq!(status["receipt"]["bucket"], "embedded");
}

#[test]
fn receipt_of_an_embedded_store_names_no_bucket() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let receipt = receipt_of(&world.sandbox, world.put(&file));
    assert_eq!((receipt.bucket, receipt.version_id), (None, None));
    assert_eq!(world.store().objects(), [receipt.key]);
}

#[test]
fn receipt_names_the_version_of_the_object() {
    let outer = World::new();
    let world = World::on_store(&outer.store());
    let file = world.sandbox.file("film.bin", 10);
    let versioned = Fault::SetHeader("x-amz-version-id", "3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY");
    world.part_proxy().inject(Requests::any(), versioned);
    let receipt = receipt_of(&world.sandbox, world.put(&file));
    let version = receipt.version_id.as_deref();
    assert_eq!(version, Some("3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY"));
}

#[test]
fn times_of_a_receipt_have_milliseconds() {
    let world = World::new();
    for size in [10, 6 << 20] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        let receipt = receipt_of(&world.sandbox, world.put(&file));
        for time in [&receipt.started, &receipt.finished] {
            let decimals = time.strip_suffix('Z').and_then(|time| time.split_once('.'));
            assert_eq!(
                decimals.map(|(_, decimals)| decimals.len()),
                Some(3),
                "{time}"
            );
        }
    }
}
