//! Keys of the files of directories, lists and maps, and of streams.
//!
//! Not here: keys of single files (`keys`), the search for files (`folders`, `path_lists`), and how
//! streams are read (`pipes`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use serde_json::Value;

use crate::support::bucket::Bucket;
use crate::support::command::Command;
use crate::support::events::{Event, events, failure_kind};
use crate::support::sandbox::Sandbox;
use crate::support::{MIB, files};

const FILES: [&str; 4] = ["a.txt", "DCIM/a.txt", "DCIM/100/ä b+%.txt", ".hidden"];

/// A directory `card`, and its relative paths with their content.
fn card(sandbox: &Sandbox) {
    for path in FILES {
        let file = sandbox.path("card").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("content of {path}")).unwrap();
    }
}

/// Asserts that the bucket has the files of `card` below `prefix`, and nothing else.
#[track_caller]
fn assert_card_below(bucket: &Bucket, prefix: &str) {
    let mut expected: Vec<String> = FILES.iter().map(|path| format!("{prefix}{path}")).collect();
    expected.sort();
    let mut stored = bucket.store.objects();
    stored.sort();
    assert_eq!(stored, expected);
    for path in FILES {
        let stored = bucket.store.get_encoded(&format!("{prefix}{path}"));
        assert_eq!(stored, format!("content of {path}").into_bytes());
    }
}

/// The content of each object.
fn contents(bucket: &Bucket) -> BTreeMap<String, Vec<u8>> {
    let keys = bucket.store.objects().into_iter();
    keys.map(|key| {
        let content = bucket.store.get_encoded(&key);
        (key, content)
    })
    .collect()
}

fn bytes_sent(events: &[Event]) -> u64 {
    match events.last() {
        Some(Event::Exit { bytes_sent, .. }) => *bytes_sent,
        other => panic!("{other:?}"),
    }
}

#[test]
fn directory_keeps_its_name_and_its_paths_below_the_destination() {
    for (directory, prefix) in [
        ("card", "in/2026/card/"),
        ("card/", "in/2026/card/"),
        ("card/.", "in/2026/"),
    ] {
        let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
        card(&sandbox);
        let put = |sandbox: &Sandbox| {
            let put = bucket.put(sandbox, &["-r", "--json", directory]);
            put.arg(bucket.url("in/2026/")).run().succeeds()
        };
        put(&sandbox);
        assert_card_below(&bucket, prefix);
        // Again, with and without the journal: nothing is sent.
        let second = Sandbox::new();
        card(&second);
        for sandbox in [&sandbox, &second] {
            assert_eq!(bytes_sent(&events(&put(sandbox))), 0, "{directory}");
        }
        assert_card_below(&bucket, prefix);
    }
}

#[test]
fn prefix_chooses_the_keys_of_a_directory_in_the_embedded_store() {
    let sandbox = Sandbox::new();
    card(&sandbox);
    let put = sandbox.upload([
        "put",
        "-r",
        "--backend",
        "embedded",
        "--prefix",
        "p/q",
        "card",
        "--json",
    ]);
    let events = events(&put.run().succeeds());
    let mut keys: Vec<String> = events
        .into_iter()
        .filter_map(|event| match event {
            Event::Completed { receipt, .. } => Some(receipt.key),
            _ => None,
        })
        .collect();
    keys.sort();
    let mut expected: Vec<String> = FILES
        .iter()
        .map(|path| format!("p/q/card/{path}"))
        .collect();
    expected.sort();
    assert_eq!(keys, expected);
}

/// Puts the files that `sources` names, changes `card/a.txt`, which has this key, and puts them
/// with each rule for existing objects.
fn change_and_put_with_each_rule(sandbox: &Sandbox, sources: &[&str], changed_key: &str) {
    let bucket = Bucket::new();
    let put = |args: &[&str]| {
        let put = bucket.put(sandbox, args).arg("--json").args(sources);
        put.arg(bucket.url("in/")).run()
    };
    put(&[]).succeeds();
    let mut stored = contents(&bucket);
    assert_eq!(stored[changed_key], b"content of a.txt");
    fs::write(sandbox.path("card/a.txt"), "other content").unwrap();
    assert_eq!(failure_kind(&put(&[]).exits(77)), "exists");
    assert_eq!(contents(&bucket), stored);
    let skipped = events(&put(&["--if-exists", "skip"]).succeeds());
    let reasons: Vec<&str> = skipped
        .iter()
        .filter_map(|event| match event {
            Event::Skipped { reason, key, .. } => {
                assert_eq!(key.as_deref(), Some(changed_key));
                Some(reason.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["exists"]);
    assert_eq!(contents(&bucket), stored);
    put(&["--if-exists", "overwrite"]).succeeds();
    stored.insert(changed_key.to_owned(), b"other content".to_vec());
    assert_eq!(contents(&bucket), stored);
}

#[test]
fn changed_file_of_a_directory_follows_the_rule_for_existing_objects() {
    let sandbox = Sandbox::new();
    card(&sandbox);
    change_and_put_with_each_rule(&sandbox, &["-r", "card"], "in/card/a.txt");
}

#[test]
fn changed_file_of_a_list_follows_the_rule_for_existing_objects() {
    let sandbox = Sandbox::new();
    card(&sandbox);
    fs::write(sandbox.path("list"), "card/a.txt\ncard/DCIM/a.txt\n").unwrap();
    change_and_put_with_each_rule(&sandbox, &["--files-from", "list"], "in/card/a.txt");
}

#[test]
fn changed_file_of_a_map_follows_the_rule_for_existing_objects() {
    let sandbox = Sandbox::new();
    card(&sandbox);
    let lines = [
        r#"{"path":"card/a.txt","key":"one/first.txt"}"#,
        r#"{"path":"card/DCIM/a.txt","key":"one/second.txt"}"#,
    ];
    fs::write(sandbox.path("map"), lines.join("\n")).unwrap();
    change_and_put_with_each_rule(&sandbox, &["--map", "map"], "one/first.txt");
}

fn completed_so_far(stdout: &str) -> u64 {
    stdout.matches(r#""type":"completed""#).count() as u64
}

#[test]
fn killed_put_of_a_directory_continues_with_the_same_command() {
    const FILES: u64 = 100;
    const SIZE: u64 = 100_000;
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    fs::create_dir(sandbox.path("card")).unwrap();
    let names: Vec<String> = (0..FILES).map(|number| format!("card/{number}")).collect();
    let files: Vec<_> = names.iter().map(|name| sandbox.file(name, SIZE)).collect();
    let put = || {
        let put = bucket.put(&sandbox, &["-r", "--json", "card"]);
        put.arg(bucket.url("in/"))
    };
    let mut completed = 0;
    for wanted in [10, 20, 30] {
        // About 20 further files, of which two are in flight when the process is killed.
        bucket.proxy.block_after(20 * SIZE);
        let mut running = put().spawn();
        running.wait_for("completed files", |running| {
            (completed_so_far(&running.stdout()) >= wanted).then_some(())
        });
        completed = completed_so_far(running.kill9().stdout());
        bucket.proxy.unblock();
    }
    let output = put().run().succeeds();
    let sent = bytes_sent(&events(&output));
    assert!(sent <= (FILES - completed) * SIZE, "{sent} bytes were sent");
    let expected: BTreeMap<String, Vec<u8>> = names
        .iter()
        .zip(&files)
        .map(|(name, file)| (format!("in/{name}"), fs::read(file).unwrap()))
        .collect();
    assert!(contents(&bucket) == expected, "{output}");
    bucket.store.assert_no_open_uploads();
}

#[test]
fn map_names_keys_and_listed_files_keep_their_relative_paths() {
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    card(&sandbox);
    let map = sandbox.path("map.jsonl");
    let lines = [
        r#"{"path":"card/a.txt","key":"one/first.txt","content_type":"text/x-one"}"#,
        r#"{"path":"card/DCIM/a.txt"}"#,
    ];
    fs::write(&map, lines.join("\n")).unwrap();
    let put = bucket
        .put(&sandbox, &["--map"])
        .arg(&map)
        .arg(bucket.url("m/"));
    put.run().succeeds();
    assert_eq!(bucket.store.get("one/first.txt"), b"content of a.txt");
    assert_eq!(
        bucket.store.get("m/card/DCIM/a.txt"),
        b"content of DCIM/a.txt"
    );
    let head = bucket.store.head("one/first.txt");
    assert_eq!(head.header("content-type"), Some("text/x-one"));

    let list = sandbox.path("list.txt");
    fs::write(&list, "card/.hidden\n").unwrap();
    let put = bucket
        .put(&sandbox, &["--files-from"])
        .arg(&list)
        .arg(bucket.url("l/"));
    put.run().succeeds();
    assert_eq!(bucket.store.get("l/card/.hidden"), b"content of .hidden");
    assert_eq!(bucket.store.objects().len(), 3);
}

#[test]
fn two_files_of_a_map_with_one_key_are_refused_and_the_others_are_sent() {
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    card(&sandbox);
    let map = sandbox.path("map.jsonl");
    let lines = [
        r#"{"path":"card/a.txt","key":"same"}"#,
        r#"{"path":"card/DCIM/a.txt","key":"same"}"#,
        r#"{"path":"card/.hidden","key":"../up"}"#,
        r#"{"path":"card/DCIM/100/ä b+%.txt","key":"last"}"#,
    ];
    fs::write(&map, lines.join("\n")).unwrap();
    let put = bucket
        .put(&sandbox, &["--json", "--map"])
        .arg(&map)
        .arg(bucket.url(""));
    put.run().exits(2);
    let mut stored = bucket.store.objects();
    stored.sort();
    assert_eq!(stored, ["last", "same"]);
    assert_eq!(bucket.store.get("same"), b"content of a.txt");
}

/// `upload put - s3://BUCKET/KEY < FILE`.
fn put_stream(
    bucket: &Bucket,
    sandbox: &Sandbox,
    file: &Path,
    key: &str,
    args: &[&str],
) -> Command {
    let put = bucket.put(sandbox, args);
    let put = put.arg("-").arg(bucket.url(key));
    put.stdin_from(File::open(file).unwrap())
}

const KEY: &str = "dumps/2026/db.sql.zst";

#[test]
fn stream_has_the_key_and_the_name_of_its_destination_and_replaces_only_on_request() {
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    let first = sandbox.file("first", 7 * MIB + 3);
    let second = sandbox.file("second", 6 * MIB);
    files::flip_byte(&second, 1);
    put_stream(&bucket, &sandbox, &first, KEY, &[])
        .run()
        .succeeds();
    assert_eq!(bucket.store.get(KEY), fs::read(&first).unwrap());
    let list = bucket.upload(&sandbox, &["list", "--all", "--json"]);
    let line: Value = serde_json::from_str(list.run().succeeds().line()).unwrap();
    assert_eq!(line["name"], "db.sql.zst");
    for rule in ["same", "fail"] {
        let refused = put_stream(
            &bucket,
            &sandbox,
            &second,
            KEY,
            &["--json", "--if-exists", rule],
        );
        assert_eq!(failure_kind(&refused.run().exits(77)), "exists", "{rule}");
    }
    put_stream(&bucket, &sandbox, &second, KEY, &["--if-exists", "skip"])
        .run()
        .succeeds();
    assert_eq!(bucket.store.get(KEY), fs::read(&first).unwrap());
    put_stream(
        &bucket,
        &sandbox,
        &second,
        KEY,
        &["--if-exists", "overwrite"],
    )
    .run()
    .succeeds();
    assert_eq!(bucket.store.get(KEY), fs::read(&second).unwrap());
    assert_eq!(bucket.store.objects(), [KEY]);
    bucket.store.assert_no_open_uploads();
}
