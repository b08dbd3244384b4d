//! Keys that the client chooses, at `s3://` and at `embedded`: their form, their default, and an
//! object that is at the key already.
//!
//! Not here: a gateway that permits keys (`keys_at_gateways`), and two uploads at one key
//! (`keys_at_once`).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::bucket::Bucket;
use crate::support::command::{Command, Output};
use crate::support::events::{Event, Receipt, events, failure_kind, receipts};
use crate::support::proxy::{Fault, Requests, Traffic};
use crate::support::sandbox::Sandbox;
use crate::support::{PART, files};

const KEY: &str = "releases/1.2.3/app.tar.gz";

/// `upload put FILE s3://BUCKET/releases/1.2.3/`.
fn put(bucket: &Bucket, sandbox: &Sandbox, file: &Path, args: &[&str]) -> Command {
    let destination = bucket.url("releases/1.2.3/");
    let put = bucket.put(sandbox, args);
    put.arg(file).arg(destination)
}

/// A file `app.tar.gz` in a folder of its own.
fn file_in(sandbox: &Sandbox, folder: &str, size: u64) -> PathBuf {
    fs::create_dir_all(sandbox.path(folder)).unwrap();
    sandbox.file(&format!("{folder}/app.tar.gz"), size)
}

/// Another machine, without a journal, which has a copy of the file.
fn other_machine(file: &Path) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let copy = sandbox.path(file.file_name().unwrap());
    fs::copy(file, &copy).unwrap();
    (sandbox, copy)
}

/// Asserts that no part of an object was sent since `before`. The probe of a new ledger puts
/// objects of its own.
#[track_caller]
fn assert_nothing_sent(bucket: &Bucket, before: &Traffic) {
    let traffic = bucket.proxy.traffic().since(before);
    let sent: Vec<_> = traffic
        .by_method("PUT")
        .filter(|exchange| exchange.path.contains("releases"))
        .collect();
    assert!(sent.is_empty(), "{sent:?}");
}

#[track_caller]
fn receipt_of(sandbox: &Sandbox, put: Command) -> (Output, Receipt) {
    let path = sandbox.path("receipt.jsonl");
    let output = put.arg("--receipt").arg(&path).run().succeeds();
    let mut receipts = receipts(&path);
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    (output, receipts.remove(0))
}

/// `bytes_sent`, `already_stored` and `skipped` of the event `exit`.
#[track_caller]
fn counts(output: &Output) -> (u64, u64, u64) {
    match events(output).pop() {
        Some(Event::Exit {
            bytes_sent,
            already_stored,
            skipped,
            ..
        }) => (
            bytes_sent,
            already_stored,
            skipped.get("exists").copied().unwrap_or(0),
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn destination_names_bucket_and_key() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 3000);
    let other = sandbox.file("notes.txt", 10);
    let path = file.to_str().unwrap();
    for (destination, key) in [
        ("", "app.tar.gz"),
        ("in/", "in/app.tar.gz"),
        ("in/v1.tgz", "in/v1.tgz"),
    ] {
        let output = bucket
            .put(&sandbox, &[path, &bucket.url(destination)])
            .run();
        let location = output.succeeds().line().to_owned();
        assert!(
            location.ends_with(&format!("/embedded/{key}")),
            "{location}"
        );
        assert_eq!(bucket.store.sha256(key), files::sha256(&file));
        let list = bucket.upload(&sandbox, &["list", "--all", "--json"]);
        let list = list.run().succeeds();
        let newest: Value = serde_json::from_str(list.lines().pop().unwrap()).unwrap();
        assert_eq!(
            (&newest["key"], &newest["backend"]),
            (&key.into(), &"s3://embedded".into())
        );
    }
    let both = bucket.put(&sandbox, &[path, other.to_str().unwrap(), &bucket.url("b")]);
    both.run().succeeds();
    let mut keys = bucket.store.objects();
    keys.sort();
    assert_eq!(
        keys,
        [
            "app.tar.gz",
            "b/app.tar.gz",
            "b/notes.txt",
            "in/app.tar.gz",
            "in/v1.tgz"
        ]
    );
    bucket.store.assert_no_open_uploads();
}

/// In CI, each run has a new machine without a journal.
#[test]
fn second_machine_sends_nothing_if_the_content_is_the_same() {
    for size in [0, 3000, 3 * PART + 1] {
        let bucket = Bucket::new();
        let sandbox = Sandbox::new();
        let file = sandbox.file("app.tar.gz", size);
        let first = put(&bucket, &sandbox, &file, &[]).run().succeeds();
        let etag = bucket.store.head(KEY).header("etag").unwrap().to_owned();
        let (machine, copy) = other_machine(&file);
        let before = bucket.proxy.traffic();
        let (again, receipt) = receipt_of(&machine, put(&bucket, &machine, &copy, &[]));
        assert_eq!(again.line(), first.line());
        assert!(again.stderr().contains("already uploaded"), "{again}");
        assert_nothing_sent(&bucket, &before);
        assert_eq!((receipt.id.as_str(), receipt.key.as_str()), ("", KEY));
        assert_eq!(
            (receipt.size, receipt.location.as_str()),
            (size, again.line())
        );
        assert_eq!(receipt.bucket.as_deref(), Some("embedded"));
        if size < PART {
            assert_eq!(receipt.sha256, Some(files::sha256(&file)));
        }
        // Once more on that machine, for a program.
        let args = ["--json", "--sha256"];
        let (third, receipt) = receipt_of(&machine, put(&bucket, &machine, &copy, &args));
        assert_eq!(counts(&third), (0, 1, 0));
        assert_eq!(receipt.sha256, Some(files::sha256(&file)));
        assert_nothing_sent(&bucket, &before);
        assert_eq!(bucket.store.head(KEY).header("etag"), Some(etag.as_str()));
        bucket.store.assert_holds_only(&file);
    }
}

/// The gateway has verified the object, but the process was killed before it recorded that.
#[test]
fn object_that_disappears_while_the_client_is_dead_is_uploaded_again() {
    for size in [3000, 2 * PART] {
        let bucket = Bucket::new();
        let sandbox = Sandbox::new();
        let file = sandbox.file("app.tar.gz", size);
        let killed = put(&bucket, &sandbox, &file, &[]);
        let killed = killed.env("UPLOAD_CRASH", "transfer.verified:1").run();
        assert_eq!(killed.code(), None, "{killed}");
        bucket.store.assert_holds_only(&file);
        bucket.store.delete(KEY);
        put(&bucket, &sandbox, &file, &[]).run().succeeds();
        bucket.store.assert_holds_only(&file);
        bucket.store.assert_no_open_uploads();
    }
}

#[test]
fn other_content_at_the_key_exits_with_77_and_stays() {
    for (size, other_size) in [(3000, 3000), (3000, 3001), (2 * PART, 2 * PART)] {
        let bucket = Bucket::new();
        let sandbox = Sandbox::new();
        let file = sandbox.file("app.tar.gz", size);
        put(&bucket, &sandbox, &file, &[]).run().succeeds();
        let (machine, copy) = other_machine(&file);
        files::resize(&copy, other_size);
        files::flip_byte(&copy, size - 1);
        let before = bucket.proxy.traffic();
        let output = put(&bucket, &machine, &copy, &["--json"]).run().exits(77);
        assert_eq!(failure_kind(&output), "exists");
        assert_nothing_sent(&bucket, &before);
        bucket.store.assert_holds_only(&file);
        let output = put(&bucket, &machine, &copy, &[]).run().exits(77);
        assert!(
            output.stderr().contains("other content (uploaded "),
            "{output}"
        );
        // The hint is a command that replaces the object.
        let hint = output.stderr().split('`').nth(1).unwrap_or_default();
        let hint = shlex::split(hint).unwrap();
        assert!(hint.iter().any(|word| word == "overwrite"), "{hint:?}");
        let hint = bucket.with_keys(machine.upload(&hint[1..]));
        hint.run().succeeds();
        bucket.store.assert_holds_only(&copy);
    }
}

#[test]
fn each_rule_for_an_object_at_the_key_is_followed() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 3000);
    put(&bucket, &sandbox, &file, &[]).run().succeeds();
    let (machine, same) = other_machine(&file);
    let (third, other) = other_machine(&file);
    files::flip_byte(&other, 7);
    let run = |sandbox: &Sandbox, file: &Path, rule: &str| {
        put(&bucket, sandbox, file, &["--json", "--if-exists", rule]).run()
    };
    for (sandbox, file) in [(&machine, &same), (&third, &other)] {
        let before = bucket.proxy.traffic();
        let failed = run(sandbox, file, "fail").exits(77);
        assert_eq!(failure_kind(&failed), "exists");
        let skipped = run(sandbox, file, "skip").succeeds();
        assert_eq!(counts(&skipped), (0, 0, 1));
        let keys: Vec<String> = events(&skipped)
            .into_iter()
            .filter_map(|event| match event {
                Event::Skipped { key, .. } => key,
                _ => None,
            })
            .collect();
        assert_eq!(keys, [KEY]);
        assert_nothing_sent(&bucket, &before);
    }
    let text = put(&bucket, &machine, &same, &["--if-exists", "skip"]).run();
    let text = text.succeeds();
    assert_eq!(text.stdout(), "");
    assert!(text.stderr().contains("was left out"), "{text}");
    bucket.store.assert_holds_only(&file);
    let replaced = run(&third, &other, "overwrite").succeeds();
    assert_eq!(counts(&replaced), (3000, 0, 0));
    bucket.store.assert_holds_only(&other);
    // `fail` also on the machine that has uploaded the object.
    let failed = run(&third, &other, "fail").exits(77);
    assert_eq!(failure_kind(&failed), "exists");
    // `--force` alone replaces.
    let forced = put(&bucket, &machine, &same, &["--force", "--json"]).run();
    assert_eq!(counts(&forced.succeeds()), (3000, 0, 0));
    bucket.store.assert_holds_only(&same);
}

#[test]
fn rule_of_the_configuration_file_applies_unless_a_flag_names_another() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 3000);
    let config = sandbox.path("config.toml");
    fs::write(&config, "if_exists = \"skip\"\nkey_style = \"uuid\"\n").unwrap();
    let config = ["--json", "--config", config.to_str().unwrap()];
    put(&bucket, &sandbox, &file, &config).run().succeeds();
    assert_eq!(bucket.store.objects(), [KEY], "a destination names the key");
    let (machine, copy) = other_machine(&file);
    let skipped = put(&bucket, &machine, &copy, &config).run().succeeds();
    assert_eq!(counts(&skipped), (0, 0, 1));
    let same = [&config[..], &["--if-exists", "same"]].concat();
    let same = put(&bucket, &machine, &copy, &same).run().succeeds();
    assert_eq!(counts(&same), (0, 1, 0));
    let backend = ["--backend", &bucket.url("in"), copy.to_str().unwrap()];
    let made = bucket.put(&machine, &[&config[..], &backend].concat());
    made.run().succeeds();
    let keys = bucket.store.objects();
    let is_made = |key: &String| key.starts_with("in/uploads/");
    assert!(keys.iter().any(is_made), "{keys:?}");
}

#[test]
fn object_without_a_checksum_is_not_taken_for_the_same() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 3000);
    let bytes = fs::read(&file).unwrap();
    bucket.store.put(KEY, &bytes);
    let without = Fault::RemoveHeader("x-amz-checksum-sha256");
    let head = Requests::store_head().with_text("releases");
    bucket.proxy.inject(head, without);
    let output = put(&bucket, &sandbox, &file, &[]).run().exits(77);
    assert!(output.stderr().contains("cannot be compared"), "{output}");
    let sized = file_in(&sandbox, "other", 10);
    let output = put(&bucket, &sandbox, &sized, &[]).run().exits(77);
    assert!(output.stderr().contains("other content"), "{output}");
    assert_eq!(bucket.store.get(KEY), bytes);
}

/// Another program has put the same bytes, in one piece and with its SHA-256.
#[test]
fn object_of_another_program_with_the_same_content_is_already_uploaded() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 2 * PART + 3);
    bucket.store.put(KEY, &fs::read(&file).unwrap());
    let before = bucket.proxy.traffic();
    let put = put(&bucket, &sandbox, &file, &["--json"]);
    let (output, receipt) = receipt_of(&sandbox, put);
    assert_eq!(counts(&output), (0, 1, 0));
    assert_eq!(
        (receipt.parts, receipt.sha256),
        (1, Some(files::sha256(&file)))
    );
    assert_nothing_sent(&bucket, &before);
}

#[test]
fn put_with_a_key_continues_after_a_kill() {
    let bucket = Bucket::new();
    for verb in ["put", "resume"] {
        let sandbox = Sandbox::new();
        let file = sandbox.file("app.tar.gz", 8 * PART);
        bucket.proxy.block_after(4 * PART - 1);
        let running = put(&bucket, &sandbox, &file, &["--if-exists", "overwrite"]).spawn();
        bucket.proxy.wait_until_blocked();
        running.kill9();
        bucket.proxy.unblock();
        let before = bucket.bytes_put();
        let again = match verb {
            "put" => put(&bucket, &sandbox, &file, &["--if-exists", "overwrite"]),
            _ => bucket.upload(&sandbox, &["resume"]).args(bucket.endpoint()),
        };
        let output = again.run().succeeds();
        assert!(output.line().ends_with(KEY), "{output}");
        assert!(bucket.bytes_put() - before <= 7 * PART, "{verb}");
        bucket.store.assert_holds_only(&file);
        bucket.store.delete(KEY);
    }
}

/// The unfinished upload may replace the object that was there when it began.
#[test]
fn put_without_overwrite_does_not_continue_an_upload_with_overwrite() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 3 * PART);
    let other = vec![7; 10];
    bucket.store.put(KEY, &other);
    bucket.proxy.block_after(2 * PART);
    let running = put(&bucket, &sandbox, &file, &["--if-exists", "overwrite"]).spawn();
    bucket.proxy.wait_until_blocked();
    running.kill9();
    bucket.proxy.unblock();
    put(&bucket, &sandbox, &file, &[]).run().exits(77);
    assert_eq!(bucket.store.get(KEY), other);
    bucket.store.assert_no_open_uploads();
}

#[test]
fn same_file_under_another_key_is_another_upload() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 3000);
    let run = |prefix: &str| {
        let (file, backend) = (file.to_str().unwrap(), bucket.url(""));
        let args = [file, "--json", "--prefix", prefix, "--backend", &backend];
        counts(&bucket.put(&sandbox, &args).run().succeeds())
    };
    assert_eq!(run("a"), (3000, 0, 0));
    assert_eq!(run("b/"), (0, 0, 0), "the store copies it");
    for prefix in ["a/", "b"] {
        assert_eq!(run(prefix), (0, 1, 0), "the journal has its upload");
    }
    let mut keys = bucket.store.objects();
    keys.sort();
    assert_eq!(keys, ["a/app.tar.gz", "b/app.tar.gz"]);
}

#[test]
fn recorded_upload_whose_object_was_replaced_follows_the_rule() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 3000);
    put(&bucket, &sandbox, &file, &[]).run().succeeds();
    let other = vec![7; 3000];
    bucket.store.put(KEY, &other);
    let output = put(&bucket, &sandbox, &file, &["--json"]).run().exits(77);
    assert_eq!(failure_kind(&output), "exists");
    assert_eq!(bucket.store.get(KEY), other);
    let skipped = put(&bucket, &sandbox, &file, &["--if-exists", "skip"]).run();
    skipped.succeeds();
    assert_eq!(bucket.store.get(KEY), other);
    let replaced = put(&bucket, &sandbox, &file, &["--if-exists", "overwrite"]).run();
    replaced.succeeds();
    bucket.store.assert_holds_only(&file);
}

/// Keys that a program is likely to encode wrongly.
pub fn unusual_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "a b/c  d.bin",
        "a+b%20c%.bin",
        "%2e%2e/x",
        "ü/写真 é \u{1f600}.bin",
        "=&?#;:@,'\"<>[]{}|^`~!$*().bin",
    ]
    .map(str::to_owned)
    .to_vec();
    let longest = format!("{}/{}", "ü".repeat(255), "k".repeat(1024 - 511));
    assert_eq!(longest.len(), 1024);
    keys.push(longest);
    keys
}

#[test]
fn unusual_keys_are_read_back_by_another_client() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    for (index, key) in unusual_keys().into_iter().enumerate() {
        let file = sandbox.file(&format!("{index}.bin"), 1000 + index as u64);
        let path = file.to_str().unwrap();
        let put = bucket.put(
            &sandbox,
            &[path, "--backend", &bucket.url(""), "--key", &key],
        );
        put.run().succeeds();
        assert_eq!(bucket.store.get_encoded(&key), fs::read(&file).unwrap());
        let cat = bucket.upload(&sandbox, &["cat", path]).run().succeeds();
        assert_eq!(cat.stdout_bytes(), fs::read(&file).unwrap());
        // On another machine, by the destination.
        let (machine, copy) = other_machine(&file);
        let destination = bucket.url(&key);
        let args = [copy.to_str().unwrap(), "--json", &destination];
        let again = bucket.put(&machine, &args).run().succeeds();
        assert_eq!(counts(&again), (0, 1, 0), "{key}");
    }
}

/// macOS decomposes the names of files.
#[test]
fn key_is_normalised() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("u\u{308}.bin", 1000);
    let destination = bucket.url("in/");
    let put = || {
        let args = ["--json", file.to_str().unwrap(), &destination];
        bucket.put(&sandbox, &args).run().succeeds()
    };
    assert_eq!(counts(&put()), (1000, 0, 0));
    assert_eq!(bucket.store.objects(), ["in/\u{fc}.bin"]);
    assert_eq!(counts(&put()), (0, 1, 0));
}

#[test]
fn wrong_keys_exit_with_2_before_anything_is_sent() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 10);
    let path = file.to_str().unwrap();
    let backend = bucket.url("in");
    let before = bucket.proxy.traffic();
    let long = "x".repeat(1022);
    for key in ["", "/a", "a/", "a//b", "a/../b", ".", "a\tb", &long] {
        let args = [path, "--backend", &backend, "--key", key];
        let output = bucket.put(&sandbox, &args).run().exits(2);
        assert!(output.stderr().contains("a key must"), "{output}");
    }
    let long = bucket.url(&format!("{}/", "y".repeat(1020)));
    for args in [
        &[path, &long][..],
        &[path, &bucket.url("/a")],
        &[path, path, "--backend", &backend, "--key", "k"],
        &[path, "--key", "k", &bucket.url("a")],
        &[path, "--prefix", "p", &bucket.url("a")],
        &[path, "--key-style", "uuid", &bucket.url("a")],
        &[path, "--backend", &backend, &bucket.url("a")],
        &[&bucket.url("a"), path],
        &[&bucket.url("a")],
    ] {
        bucket.put(&sandbox, args).run().exits(2);
    }
    assert_eq!(bucket.proxy.traffic().since(&before).0.len(), 0);
}

#[test]
fn two_files_with_one_key_exit_with_2_and_are_named() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("a")).unwrap();
    fs::create_dir_all(sandbox.path("b")).unwrap();
    let (one, two) = (sandbox.file("a/x.bin", 10), sandbox.file("b/x.bin", 10));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let before = bucket.proxy.traffic();
    let to_bucket = bucket.put(&sandbox, &[one, two, &bucket.url("in/")]);
    let to_store = sandbox.upload(["put", one, two, "--prefix", "in", "--backend", "embedded"]);
    for put in [to_bucket, to_store] {
        let output = put.run().exits(2);
        for path in [one, two, "in/x.bin"] {
            assert!(output.stderr().contains(path), "{output}");
        }
    }
    assert_eq!(bucket.proxy.traffic().since(&before).0.len(), 0);
    // The same file twice is one source.
    bucket
        .put(&sandbox, &[one, one, &bucket.url("in/")])
        .run()
        .succeeds();
    assert_eq!(bucket.store.objects(), ["in/x.bin"]);
}

#[test]
fn dry_run_names_the_keys() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let (one, two) = (sandbox.file("one.bin", 10), sandbox.file("two.bin", 20));
    let args = [one.to_str().unwrap(), two.to_str().unwrap()];
    let run = |more: &[&str]| {
        let destination = bucket.url("in/");
        let args = [&args[..], &["--dry-run"], more, &[&destination]].concat();
        bucket.put(&sandbox, &args).run().succeeds()
    };
    let text = run(&[]);
    for key in ["key in/one.bin", "key in/two.bin"] {
        assert!(text.stderr().contains(key), "{text}");
    }
    let keys: Vec<_> = events(&run(&["--json"]))
        .into_iter()
        .filter_map(|event| match event {
            Event::Plan { key, .. } => Some(key.unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(keys, ["in/one.bin", "in/two.bin"]);
    assert_eq!(bucket.store.objects(), [""; 0]);
}

#[test]
fn verbs_work_with_chosen_keys() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 3000);
    put(&bucket, &sandbox, &file, &[]).run().succeeds();
    let run = |verb: &[&str]| {
        let command = bucket.upload(&sandbox, verb).arg(&file);
        command.run().succeeds()
    };
    assert_eq!(run(&["cat"]).stdout_bytes(), fs::read(&file).unwrap());
    assert!(run(&["url"]).line().contains(KEY));
    let status = run(&["status", "--remote", "--json"]);
    let status: Value = serde_json::from_str(status.line()).unwrap();
    assert_eq!(
        (&status["key"], &status["remote"]["key"]),
        (&KEY.into(), &KEY.into())
    );
    run(&["rm"]);
    assert_eq!(bucket.store.objects(), [""; 0]);

    let big = file_in(&sandbox, "big", 4 * PART);
    bucket.proxy.block_after(2 * PART);
    let running = put(&bucket, &sandbox, &big, &[]).spawn();
    bucket.proxy.wait_until_blocked();
    running.kill9();
    bucket.proxy.unblock();
    let list = bucket
        .upload(&sandbox, &["list", "--json"])
        .run()
        .succeeds();
    let list: Value = serde_json::from_str(list.line()).unwrap();
    assert_eq!(list["key"], KEY);
    let status = bucket
        .upload(&sandbox, &["status"])
        .arg(&big)
        .run()
        .succeeds();
    assert!(status.stdout().contains(KEY), "{status}");
    let abort = bucket.upload(&sandbox, &["abort"]).arg(&big);
    abort.run().succeeds();
    bucket.store.assert_no_open_uploads();
    // The key is free again.
    let other = file_in(&sandbox, "other", 10);
    put(&bucket, &sandbox, &other, &[]).run().succeeds();
    bucket.store.assert_holds_only(&other);
}

#[test]
fn embedded_store_takes_chosen_keys() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 3000);
    let put = |file: &Path, args: &[&str]| {
        let put = sandbox.upload(["put", "--backend", "embedded", "--json"]);
        put.arg(file).args(args).run()
    };
    let made = put(&file, &[]).succeeds();
    assert!(made.stdout().contains("embedded:uploads/"), "{made}");
    let chosen = put(&file, &["--key", KEY]).succeeds();
    assert!(
        chosen.stdout().contains(&format!("\"embedded:{KEY}\"")),
        "{chosen}"
    );
    assert_eq!(counts(&put(&file, &["--key", KEY]).succeeds()), (0, 1, 0));
    let other = file_in(&sandbox, "other", 3000);
    let failed = put(&other, &["--prefix", "releases/1.2.3"]).exits(77);
    assert_eq!(failure_kind(&failed), "exists");
    let reserved = put(&other, &["--key", "uploads/probe/x"]).exits(77);
    assert_eq!(failure_kind(&reserved), "not_acceptable");
}

#[test]
fn companion_takes_no_chosen_key() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("app.tar.gz", 10);
    for flags in [["--key", "k"], ["--prefix", "p"], ["--if-exists", "fail"]] {
        let put = sandbox.upload(["put", "--backend", "companion+http://127.0.0.1:9"]);
        let output = put.arg(&file).args(flags).run().exits(78);
        assert!(output.stderr().contains("Companion"), "{output}");
        assert!(output.stderr().contains(flags[0]), "{output}");
    }
}
