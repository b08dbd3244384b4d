//! An object in the bucket shows the name of its file, and when the file was modified.
//!
//! Not here: the metadata of `--meta` alone (`put`).

use std::fs::{File, FileTimes};
use std::path::Path;
use std::process;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use upload_types::decode_words;

use crate::support::PART;
use crate::support::events::receipts;
use crate::support::s3::{Response, S3};
use crate::support::world::World;

/// HeadObject of the object that a `put` of this file makes.
#[track_caller]
fn head_of(world: &World, file: &Path, args: &[&str]) -> Response {
    let receipt = world.sandbox.path("receipt.json");
    let put = world.put(file).args(args).arg("--receipt").arg(&receipt);
    put.run().succeeds();
    world.store().head(&receipts(&receipt)[0].key)
}

#[track_caller]
fn set_modified(file: &Path, nanoseconds: u64) {
    let time = UNIX_EPOCH + Duration::from_nanos(nanoseconds);
    let times = FileTimes::new().set_modified(time);
    File::options()
        .write(true)
        .open(file)
        .and_then(|file| file.set_times(times))
        .unwrap();
}

#[test]
fn object_has_name_and_mtime_of_its_file() {
    let world = World::new();
    for size in [10, 2 * PART] {
        let file = world.sandbox.file(&format!("holiday {size}.mov"), size);
        set_modified(&file, 1_700_000_000_250_000_000);
        let head = head_of(&world, &file, &[]);
        let name = format!("holiday {size}.mov");
        assert_eq!(head.header("x-amz-meta-name"), Some(name.as_str()));
        assert_eq!(head.header("x-amz-meta-mtime"), Some("1700000000.25"));
    }
}

#[test]
fn name_that_is_not_ascii_is_an_encoded_word() {
    let world = World::new();
    let file = world.sandbox.file("写真.jpg", 10);
    let head = head_of(&world, &file, &[]);
    let encoded = format!("=?UTF-8?B?{}?=", BASE64_STANDARD.encode("写真.jpg"));
    assert_eq!(head.header("x-amz-meta-name"), Some(encoded.as_str()));
}

#[test]
fn metadata_of_the_user_replaces_name_and_mtime() {
    let world = World::new();
    let file = world.sandbox.file("film.mov", 10);
    let args = ["--meta", "name=clip", "--meta", "mtime=never"];
    let head = head_of(&world, &file, &args);
    assert_eq!(head.header("x-amz-meta-name"), Some("clip"));
    assert_eq!(head.header("x-amz-meta-mtime"), Some("never"));
}

#[test]
fn file_that_was_touched_during_its_upload_keeps_the_upload() {
    let world = World::new();
    let file = world.sandbox.file("film.mov", 6 * PART);
    set_modified(&file, 1_700_000_000_000_000_000);
    world.put_and_kill_after_parts(&file, 2);
    let open = world.store().open_uploads();
    set_modified(&file, 1_800_000_000_000_000_000);
    let sent = world.bytes_put();
    world.put(&file).run().succeeds();
    assert!(world.bytes_put() - sent < 6 * PART);
    assert_eq!(world.store().objects(), open);
    let head = world.store().head(&open[0]);
    assert_eq!(head.header("x-amz-meta-mtime"), Some("1700000000"));
}

#[test]
fn metadata_that_fills_the_limit_of_the_store_leaves_name_and_mtime_out() {
    let world = World::new();
    let file = world.sandbox.file("film.mov", 10);
    let long = format!("k={}", "v".repeat(2000));
    let head = head_of(&world, &file, &["--meta", &long]);
    assert_eq!(head.header("x-amz-meta-k").map(str::len), Some(2000));
    assert_eq!(head.header("x-amz-meta-name"), None);
    assert_eq!(head.header("x-amz-meta-mtime"), None);
}

#[test]
fn metadata_in_any_script_comes_back_with_both_stores() {
    let real = S3::real(&format!("upload-metadata-{}", process::id()));
    for (world, store) in [(World::new(), None), (World::on_store(&real), Some(&real))] {
        for size in [10, 2 * PART] {
            let file = world.sandbox.file(&format!("{size}.bin"), size);
            let receipt = world.sandbox.path("receipt.json");
            let put = world.put(&file).arg("--receipt").arg(&receipt);
            let put = put.args(["--meta", "Title=Käse und 写真  zwei"]);
            let put = put.args([
                "--meta",
                "shot_by=A B",
                "--meta",
                "empty=",
                "--meta",
                "x=a  b",
            ]);
            put.run().succeeds();
            let receipt = receipts(&receipt).pop().unwrap();
            assert!(receipt.unproven.is_empty(), "{:?}", receipt.unproven);
            let head = match store {
                Some(store) => store.head(&receipt.key),
                None => world.store().head(&receipt.key),
            };
            let header = |name| head.header(name).unwrap_or_default();
            for (name, text) in [
                ("x-amz-meta-title", "Käse und 写真  zwei"),
                ("x-amz-meta-shot_by", "A B"),
                ("x-amz-meta-empty", ""),
                ("x-amz-meta-x", "a  b"),
            ] {
                // LocalStack returns the texts in another encoding, as S3 does.
                assert_eq!(decode_words(header(name)), text);
            }
            if store.is_none() {
                let encoded = BASE64_STANDARD.encode("Käse und 写真  zwei");
                let encoded = format!("=?UTF-8?B?{encoded}?=");
                assert_eq!(header("x-amz-meta-title"), encoded);
            }
            let id = receipt.id.as_str();
            let status = world
                .upload(&["status", "--remote", "--json", id])
                .run()
                .succeeds();
            let status: serde_json::Value = serde_json::from_str(status.line()).unwrap();
            let metadata = &status["remote"]["metadata"];
            assert_eq!(metadata["title"], "Käse und 写真  zwei", "{status}");
        }
    }
}
