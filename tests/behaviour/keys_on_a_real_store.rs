//! Chosen keys in an S3 server of another project, which `scripts/test` starts.

use std::fs;
use std::process;

use crate::keys::unusual_keys;
use crate::support::PART;
use crate::support::bucket::Bucket;
use crate::support::events::{Event, events, failure_kind};
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;

fn bucket(name: &str) -> Bucket {
    Bucket::of(S3::real(&format!("upload-keys-{name}-{}", process::id())))
}

#[test]
fn unusual_keys_are_read_back_by_another_client() {
    let bucket = bucket("unusual");
    let sandbox = Sandbox::new();
    for (index, key) in unusual_keys().into_iter().enumerate() {
        let file = sandbox.file(&format!("{index}.bin"), 1000 + index as u64);
        let path = file.to_str().unwrap();
        let args = [path, "--backend", &bucket.url(""), "--key", &key];
        bucket.put(&sandbox, &args).run().succeeds();
        assert_eq!(bucket.store.get_encoded(&key), fs::read(&file).unwrap());
    }
}

#[test]
fn second_machine_compares_content_and_replaces_only_on_request() {
    let bucket = bucket("compared");
    for (index, size) in [3000, 2 * PART + 1].into_iter().enumerate() {
        let destination = bucket.url(&format!("releases/{index}/"));
        let (one, two) = (Sandbox::new(), Sandbox::new());
        let file = one.file("app.tar.gz", size);
        let copy = two.path("app.tar.gz");
        fs::copy(&file, &copy).unwrap();
        let put = |sandbox: &Sandbox, args: &[&str]| {
            let file = sandbox.path("app.tar.gz");
            let put = bucket.put(sandbox, args).arg(file).arg(&destination);
            put.arg("--json").run()
        };
        put(&one, &[]).succeeds();
        let again = put(&two, &[]).succeeds();
        let is_there = |event: &Event| {
            matches!(
                event,
                Event::Completed {
                    already_stored: true,
                    ..
                }
            )
        };
        assert!(events(&again).iter().any(is_there), "{again}");
        let key = format!("releases/{index}/app.tar.gz");
        crate::support::files::flip_byte(&copy, 1);
        let refused = put(&two, &[]).exits(77);
        assert_eq!(failure_kind(&refused), "exists");
        assert_eq!(bucket.store.get(&key), fs::read(&file).unwrap());
        put(&two, &["--if-exists", "overwrite"]).succeeds();
        assert_eq!(bucket.store.get(&key), fs::read(&copy).unwrap());
        bucket.store.assert_no_open_uploads();
    }
}

#[test]
fn object_that_appears_during_an_upload_is_not_replaced() {
    let bucket = bucket("raced");
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 2 * PART);
    let other = vec![7; 1000];
    let put = bucket.put(&sandbox, &["--json"]).arg(&file);
    bucket.proxy.block_after(PART + PART / 2);
    let running = put.arg(bucket.url("in/")).spawn();
    bucket.proxy.wait_until_blocked();
    bucket.store.put("in/app.tar.gz", &other);
    bucket.proxy.unblock();
    let output = running.wait().exits(77);
    assert_eq!(failure_kind(&output), "exists");
    assert_eq!(bucket.store.get("in/app.tar.gz"), other);
    bucket.store.assert_no_open_uploads();
}
