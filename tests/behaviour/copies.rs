//! Bytes that the store has already under another key: the store copies them, and each copied part
//! is proved by its SHA-256.
//!
//! Not here: an object with the same content at the same key (`keys`).

use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest as _, Sha256};

use crate::support::bucket::Bucket;
use crate::support::command::{Command, Output};
use crate::support::events::{Event, events, receipts};
use crate::support::proxy::{Fault, Requests};
use crate::support::s3::{S3, encoded};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, files};

/// `bytes_sent` and `bytes_copied` of the event `exit`.
#[track_caller]
fn sent_and_copied(output: &Output) -> (u64, u64) {
    match events(output).pop() {
        Some(Event::Exit {
            bytes_sent,
            bytes_copied,
            ..
        }) => (bytes_sent, bytes_copied),
        other => panic!("{other:?}"),
    }
}

/// `upload put -r DIR s3://BUCKET/PREFIX`.
fn put_folder(bucket: &Bucket, sandbox: &Sandbox, dir: &Path, prefix: &str) -> Command {
    let put = bucket.put(sandbox, &["-r", "--json"]);
    put.arg(dir).arg(bucket.url(prefix))
}

/// A folder with an empty file, a small one, and one of several parts.
fn folder(sandbox: &Sandbox) -> PathBuf {
    fs::create_dir_all(sandbox.path("dir")).unwrap();
    sandbox.file("dir/empty", 0);
    sandbox.file("dir/small", 5000);
    sandbox.file("dir/large", 3 * PART + 700);
    sandbox.path("dir")
}

/// A name with characters that requests encode.
fn renamed(name: &str) -> String {
    format!("{name} é+%2F&=?#")
}

const FOLDER_BYTES: u64 = 5000 + 3 * PART + 700;

#[track_caller]
fn renamed_folder_is_copied(bucket: &Bucket) {
    let sandbox = Sandbox::new();
    let dir = folder(&sandbox);
    let first = put_folder(bucket, &sandbox, &dir, "in/").run().succeeds();
    assert_eq!(sent_and_copied(&first), (FOLDER_BYTES, 0));
    let names = ["empty", "small", "large"];
    for name in names {
        fs::rename(dir.join(name), dir.join(renamed(name))).unwrap();
    }
    let before = bucket.bytes_put();
    let receipt = sandbox.path("receipt");
    let put = put_folder(bucket, &sandbox, &dir, "in/").arg("--receipt");
    let second = put.arg(&receipt).run().succeeds();
    assert_eq!(sent_and_copied(&second), (0, FOLDER_BYTES));
    assert_eq!(bucket.bytes_put() - before, 0, "bytes in bodies of PUTs");
    for name in names {
        let file = dir.join(renamed(name));
        let key = encoded(&format!("in/dir/{}", renamed(name)));
        assert_eq!(bucket.store.sha256(&key), files::sha256(&file), "{key}");
        let old = format!("in/dir/{name}");
        assert_eq!(bucket.store.sha256(&old), files::sha256(&file), "{old}");
    }
    let receipts = receipts(&receipt);
    let large = receipts
        .iter()
        .find(|receipt| receipt.name == renamed("large"));
    let large = large.expect("a receipt of the large file");
    let checksum = files::checksum(&dir.join(renamed("large")), PART);
    assert_eq!(large.checksum, checksum);
    bucket.store.assert_no_open_uploads();
}

#[test]
fn renamed_files_are_copied_to_their_new_keys() {
    renamed_folder_is_copied(&Bucket::new());
}

#[test]
fn renamed_files_are_copied_on_a_real_store() {
    let store = S3::real(&format!("upload-copies-{}", std::process::id()));
    renamed_folder_is_copied(&Bucket::of(store));
}

#[test]
fn renamed_file_is_not_sent_to_a_gateway_that_makes_the_keys() {
    let world = World::new();
    for size in [5000, 2 * PART + 1] {
        let old = world.sandbox.file("old.bin", size);
        world.put(&old).run().succeeds();
        let new = world.sandbox.path("new.bin");
        fs::rename(&old, &new).unwrap();
        let before = world.bytes_put();
        let output = world.put(&new).arg("--json").run().succeeds();
        assert_eq!(sent_and_copied(&output), (0, size));
        assert_eq!(world.bytes_put(), before);
        let store = world.store();
        let sums: Vec<String> = store
            .objects()
            .iter()
            .map(|key| store.sha256(key))
            .collect();
        let copies = sums.iter().filter(|sum| **sum == files::sha256(&new));
        assert_eq!(copies.count(), 2, "{sums:?}");
        fs::remove_file(&new).unwrap();
    }
}

#[test]
fn only_the_changed_part_of_a_file_is_sent() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("image.raw", 4 * PART);
    let put = |args: &[&str]| {
        let put = bucket
            .put(&sandbox, args)
            .args(["--json", "--if-exists", "overwrite"]);
        put.arg(&file).arg(bucket.url("image.raw"))
    };
    put(&[]).run().succeeds();
    files::flip_byte(&file, PART + 17);
    let output = put(&[]).run().succeeds();
    assert_eq!(sent_and_copied(&output), (PART, 3 * PART));
    assert_eq!(bucket.store.sha256("image.raw"), files::sha256(&file));
    // Appended bytes change the last part, and add others.
    files::resize(&file, 5 * PART + 9);
    let output = put(&[]).run().succeeds();
    assert_eq!(sent_and_copied(&output), (PART + 9, 4 * PART));
    assert_eq!(bucket.store.sha256("image.raw"), files::sha256(&file));
    // `--force` relies on nothing that was stored before.
    let output = put(&["--force"]).run().succeeds();
    assert_eq!(sent_and_copied(&output), (5 * PART + 9, 0));
}

#[test]
fn bytes_are_sent_if_the_earlier_object_is_gone_or_replaced() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let put = |file: &Path| {
        let put = bucket.put(&sandbox, &["--json"]).arg(file);
        put.arg(bucket.url("in/")).run().succeeds()
    };
    let mut file = sandbox.file("film0", 2 * PART);
    put(&file);
    let rename = |file: &mut PathBuf, name: &str| {
        let new = file.with_file_name(name);
        fs::rename(&*file, &new).unwrap();
        *file = new;
    };
    bucket.store.delete("in/film0");
    rename(&mut file, "film1");
    assert_eq!(sent_and_copied(&put(&file)), (2 * PART, 0));
    bucket.store.put("in/film1", b"other");
    rename(&mut file, "film2");
    assert_eq!(sent_and_copied(&put(&file)), (2 * PART, 0));
    assert_eq!(bucket.store.sha256("in/film2"), files::sha256(&file));
    bucket.store.assert_no_open_uploads();
}

#[test]
fn bytes_are_sent_if_the_store_does_not_prove_the_copy() {
    const SIZE: usize = 5000;
    let sha256 = BASE64_STANDARD.encode(Sha256::digest(vec![b'x'; SIZE]));
    let text = |from: &str, to: &str| Fault::ReplaceText(from.to_owned(), to.to_owned());
    for fault in [
        Fault::s3(501, "NotImplemented"),
        Fault::s3(403, "AccessDenied"),
        Fault::s3(503, "SlowDown"),
        Fault::DropResponse,
        text("ChecksumSHA256", "ChecksumSHA512"),
        // The SHA-256 of no bytes.
        text(&sha256, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    ] {
        let bucket = Bucket::new();
        let sandbox = Sandbox::new();
        let old = sandbox.path("old");
        fs::write(&old, vec![b'x'; SIZE]).unwrap();
        let put = |file: &Path| {
            let put = bucket.put(&sandbox, &["--json"]).arg(file);
            put.arg(bucket.url("in/")).run().succeeds()
        };
        put(&old);
        let new = old.with_file_name("new");
        fs::rename(&old, &new).unwrap();
        let copies = Requests::put().with_text("x-amz-copy-source-if-match");
        bucket.proxy.inject(copies, fault);
        assert_eq!(sent_and_copied(&put(&new)), (SIZE as u64, 0));
        assert_eq!(bucket.store.sha256("in/new"), files::sha256(&new));
    }
}

#[test]
fn interrupted_put_of_a_renamed_file_is_continued_without_sending_it() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let old = sandbox.file("old", 3 * PART);
    let put = |file: &Path| {
        let put = bucket.put(&sandbox, &["--json"]).arg(file);
        put.arg(bucket.url("in/"))
    };
    put(&old).run().succeeds();
    let new = old.with_file_name("new");
    fs::rename(&old, &new).unwrap();
    let before = bucket.bytes_put();
    let killed = put(&new).env("UPLOAD_CRASH", "transfer.stored:1").run();
    assert_eq!(killed.code(), None, "{killed}");
    let resume = bucket.upload(&sandbox, &["resume", "--json"]);
    let output = resume.run().succeeds();
    assert_eq!(sent_and_copied(&output).0, 0);
    assert_eq!(bucket.bytes_put(), before);
    assert_eq!(bucket.store.sha256("in/new"), files::sha256(&new));
}
