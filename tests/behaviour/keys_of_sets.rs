//! Keys of the files of directories, lists and maps, and of streams.
//!
//! Not here: keys of single files (`keys`), the search for files (`folders`, `path_lists`), and how
//! streams are read (`pipes`).

use std::fs::{self, File};
use std::path::Path;

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

#[test]
fn changed_file_of_a_directory_follows_the_rule_for_existing_objects() {
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    card(&sandbox);
    let put = |args: &[&str]| {
        let put = bucket.put(&sandbox, args);
        put.args(["-r", "--json", "card"])
            .arg(bucket.url("in/"))
            .run()
    };
    put(&[]).succeeds();
    let changed = sandbox.path("card/a.txt");
    fs::write(&changed, "other content").unwrap();
    assert_eq!(failure_kind(&put(&[]).exits(77)), "exists");
    assert_card_below(&bucket, "in/card/");
    let skipped = events(&put(&["--if-exists", "skip"]).succeeds());
    let reasons: Vec<&str> = skipped
        .iter()
        .filter_map(|event| match event {
            Event::Skipped { reason, key, .. } => {
                assert_eq!(key.as_deref(), Some("in/card/a.txt"));
                Some(reason.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(reasons, ["exists"]);
    assert_card_below(&bucket, "in/card/");
    put(&["--if-exists", "overwrite"]).succeeds();
    assert_eq!(bucket.store.get("in/card/a.txt"), b"other content");
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
