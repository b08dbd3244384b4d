//! The headers that a store keeps with an object: those that the gateway requests, and those that
//! the holder of a URL adds without a signature.
//!
//! Not here: user metadata (`object_metadata`).

use std::process;

use crate::support::events::receipts;
use crate::support::proxy::{Fault, Proxy, Requests};
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, gateway::store_args};

/// A bucket for one test.
#[track_caller]
fn bucket(name: &str) -> S3 {
    S3::real(&format!("upload-headers-{name}-{}", process::id()))
}

/// The findings of `upload serve --probe --json` with the store of a proxy.
#[track_caller]
fn probe(store: &S3, proxy: &Proxy, args: &[&str], code: i32) -> serde_json::Value {
    let sandbox = Sandbox::new();
    let (name, endpoint) = (format!("s3://{}", store.bucket()), proxy.url());
    let command = sandbox
        .upload(["serve", "--probe", "--json"])
        .args(store_args(&name, &endpoint))
        .args(args);
    let envs = store.envs().into_iter();
    let command = envs.fold(command, |command, (name, value)| command.env(name, value));
    let output = command.run().exits(code);
    serde_json::from_str(output.line()).unwrap()
}

fn support<'a>(found: &'a serde_json::Value, name: &str) -> &'a str {
    let capabilities = found["capabilities"].as_array().unwrap();
    let found = capabilities.iter().find(|one| one["name"] == name);
    found.and_then(|one| one["held"].as_str()).unwrap()
}

#[test]
fn object_with_an_unsigned_header_is_not_verified() {
    let store = bucket("unsigned");
    let world = World::on_store(&store);
    for (name, value) in [
        ("content-encoding", "gzip"),
        ("content-disposition", "inline; filename=x.html"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("content-language", "tlh"),
        ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
    ] {
        let fault = Fault::SetRequestHeader(name, value);
        world.part_proxy().inject(Requests::put().first(1), fault);
        let file = world.sandbox.file(&format!("{name}.bin"), 1000);
        let receipt = world.sandbox.path("receipt.json");
        let put = world.put(&file).arg("--receipt").arg(&receipt);
        // The first object is rejected and deleted; the client begins again.
        put.run().succeeds();
        let key = receipts(&receipt).pop().unwrap().key;
        assert_eq!(store.head(&key).header(name), None);
        assert_eq!(store.objects(), [key.as_str()], "{name}");
        store.delete(&key);
    }
}

#[test]
fn unsigned_header_on_a_part_does_no_harm() {
    let store = bucket("part");
    let world = World::on_store(&store);
    let before = world.part_proxy().traffic();
    world.part_proxy().inject(
        Requests::part(1),
        Fault::SetRequestHeader("cache-control", "no-cache"),
    );
    let file = world.sandbox.file("film.bin", 2 * PART);
    world.put(&file).run().succeeds();
    store.assert_holds_only(&file);
    assert_eq!(world.part_proxy().traffic().since(&before).count("PUT"), 2);
}

#[test]
fn header_that_the_gateway_requires_is_sent_by_the_client_and_kept() {
    let store = bucket("required");
    let header = "cache-control: private, max-age=60";
    let world = World::on_store_with(&store, &["--required-header", header], &[]);
    for size in [10, 2 * PART] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        let receipt = world.sandbox.path("receipt.json");
        let put = world.put(&file).arg("--receipt").arg(&receipt);
        put.run().succeeds();
        let receipt = receipts(&receipt).pop().unwrap();
        let head = store.head(&receipt.key);
        assert_eq!(head.header("cache-control"), Some("private, max-age=60"));
        assert!(receipt.unproven.is_empty(), "{:?}", receipt.unproven);
    }
}

#[test]
fn probe_tells_whether_headers_need_a_signature() {
    let store = bucket("probe");
    let proxy = Proxy::start();
    proxy.forward_to(store.addr());
    // LocalStack keeps unsigned headers, as S3 does.
    let found = probe(&store, &proxy, &[], 0);
    assert_eq!(support(&found, "unsigned-headers"), "no");
    assert_eq!(support(&found, "encryption"), "untried");
    // A store that adds such a header itself is not blamed for it.
    proxy.inject(
        Requests::store_head(),
        Fault::SetHeader("cache-control", "private, max-age=0"),
    );
    let found = probe(&store, &proxy, &[], 0);
    assert_eq!(support(&found, "unsigned-headers"), "refused");
    assert!(store.objects().is_empty() && store.open_uploads().is_empty());
}

#[test]
fn store_that_ignores_the_requested_encryption_is_rejected_or_told() {
    let store = bucket("sse");
    let proxy = Proxy::start();
    proxy.forward_to(store.addr());
    let found = probe(&store, &proxy, &["--sse", "AES256"], 0);
    assert_eq!(support(&found, "encryption"), "yes");
    let plain = Fault::RemoveHeader("x-amz-server-side-encryption");
    proxy.inject(Requests::store_head(), plain.clone());
    let found = probe(&store, &proxy, &["--sse", "AES256"], 78);
    assert_eq!(support(&found, "encryption"), "no");

    let warn = &["--sse", "AES256", "--store-probe", "warn"];
    let world = World::on_store_with(&store, warn, &[]);
    world.part_proxy().inject(Requests::store_head(), plain);
    for size in [10, 2 * PART] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        let receipt = world.sandbox.path("receipt.json");
        let put = world.put(&file).arg("--receipt").arg(&receipt);
        put.run().succeeds();
        let unproven = receipts(&receipt).pop().unwrap().unproven;
        assert_eq!(unproven, ["encryption"]);
    }
}

#[test]
fn required_header_that_an_object_lacks_is_unproven() {
    let store = bucket("class");
    let class = "x-amz-storage-class: STANDARD_IA";
    let world = World::on_store_with(&store, &["--required-header", class], &[]);
    let put = |name: &str| {
        let file = world.sandbox.file(name, 10);
        let receipt = world.sandbox.path("receipt.json");
        let put = world.put(&file).arg("--receipt").arg(&receipt);
        put.run().succeeds();
        receipts(&receipt).pop().unwrap().unproven
    };
    assert!(put("kept").is_empty());
    let fault = Fault::RemoveHeader("x-amz-storage-class");
    world.part_proxy().inject(Requests::store_head(), fault);
    assert_eq!(put("lost"), ["required-headers"]);
}
