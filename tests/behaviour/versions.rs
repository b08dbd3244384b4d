//! A bucket that keeps versions: what the gateway deletes is gone, with its versions and without a
//! delete marker. `scripts/test` starts the server; without it these tests fail.

use std::process;

use serde_json::Value;

use crate::support::PART;
use crate::support::gateway::store_args;
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;

/// A bucket with versioning.
#[track_caller]
fn bucket(name: &str) -> S3 {
    let store = S3::real(&format!("upload-versions-{name}-{}", process::id()));
    store.enable_versioning();
    store
}

/// Waits until the bucket has no version and no delete marker below a prefix.
#[track_caller]
fn wait_until_empty(store: &S3, prefix: &str) {
    wait::until("the versions to be deleted", || {
        let versions = store.versions();
        let has_any = versions.iter().any(|key| key.starts_with(prefix));
        (!has_any).then_some(())
    });
}

#[test]
fn rejected_and_removed_objects_leave_no_version() {
    let store = bucket("rejected");
    let reject = "case $(cat) in *reject-me*) exit 10;; esac";
    let arg = format!("check={reject}");
    let hook = [
        "--hook",
        "check=exec:/bin/sh",
        "--hook-arg",
        "check=-c",
        "--hook-arg",
        &arg,
        "--client-delete",
    ];
    let world = World::on_store_with(&store, &hook, &[]);
    for size in [100, PART + 1] {
        let bad = world.sandbox.file(&format!("reject-me-{size}.bin"), size);
        world.put(&bad).run().exits(77);
        wait_until_empty(&store, "uploads/");
    }
    let good = world.sandbox.file("good.bin", 100);
    world.put(&good).run().succeeds();
    assert_eq!(store.versions().len(), 1);
    world.upload(&["rm"]).arg(&good).run().succeeds();
    assert_eq!(store.versions(), [""; 0]);
}

#[test]
fn object_in_quarantine_leaves_no_version_at_its_key() {
    let store = bucket("quarantine");
    let hook = [
        "--hook",
        "check=exec:/bin/sh",
        "--hook-arg",
        "check=-c",
        "--hook-arg",
        "check=exit 10",
        "--on-reject",
        "quarantine:bad",
    ];
    let world = World::on_store_with(&store, &hook, &[]);
    let file = world.sandbox.file("film.bin", 100);
    world.put(&file).run().exits(77);
    wait_until_empty(&store, "uploads/");
    let versions = store.versions();
    assert!(
        matches!(versions.as_slice(), [key] if key.starts_with("bad/uploads/")),
        "{versions:?}"
    );
}

#[test]
fn probe_leaves_no_version_and_reports_that_deletions_are_complete() {
    let store = bucket("probe");
    let sandbox = Sandbox::new();
    let (bucket, endpoint) = (
        format!("s3://{}", store.bucket()),
        format!("http://{}", store.addr()),
    );
    let mut probe = sandbox
        .upload(["serve", "--probe", "--json"])
        .args(store_args(&bucket, &endpoint));
    for (name, value) in store.envs() {
        probe = probe.env(name, value);
    }
    let output = probe.run().succeeds();
    let report: Value = serde_json::from_str(output.line()).unwrap();
    let text = report.to_string();
    assert!(text.contains("gone, its version too"), "{text}");
    assert_eq!(store.versions(), [""; 0]);
}
