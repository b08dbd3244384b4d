//! An object at the key of a file that differs from it in its content or in attributes that the
//! command names: `--if-exists same` and `update`.
//!
//! Not here: the other rules (`keys`).

use std::fs;

use crate::hints::command;
use crate::support::bucket::Bucket;
use crate::support::command::{Command, Output};
use crate::support::events::{Event, events, failure_kind};
use crate::support::sandbox::Sandbox;

/// `upload put site.css s3://BUCKET/web/`.
fn put(bucket: &Bucket, sandbox: &Sandbox, args: &[&str]) -> Command {
    let file = sandbox.path("site.css");
    let put = bucket.put(sandbox, args);
    put.arg("--json").arg(file).arg(bucket.url("web/"))
}

/// The bytes that a run has sent, and the sources that were stored already.
#[track_caller]
fn counts(output: &Output) -> (u64, u64) {
    match events(output).pop() {
        Some(Event::Exit {
            bytes_sent,
            already_stored,
            ..
        }) => (bytes_sent, already_stored),
        other => panic!("{other:?}"),
    }
}

/// The same content with another attribute is not what the command asks for.
#[test]
fn attribute_that_the_object_lacks_is_not_ignored() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("site.css"), "a {}").unwrap();
    let max_age = |seconds: &str| ["--cache-control".to_owned(), format!("max-age={seconds}")];
    let first = max_age("1");
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    put(&bucket, &sandbox, &first).run().succeeds();
    // With the journal, and on a machine without one.
    let fresh = Sandbox::new();
    fs::write(fresh.path("site.css"), "a {}").unwrap();
    let second = max_age("2");
    let second: Vec<&str> = second.iter().map(String::as_str).collect();
    for machine in [&sandbox, &fresh] {
        let output = put(&bucket, machine, &second).run().exits(77);
        assert_eq!(failure_kind(&output), "exists");
        let output = put(&bucket, machine, &first).run().succeeds();
        assert_eq!(counts(&output), (0, 1));
        // Attributes that the command does not name are not compared.
        let output = put(&bucket, machine, &[]).run().succeeds();
        assert_eq!(counts(&output), (0, 1));
    }
    for other in [
        &["--meta", "a=b"][..],
        &["--content-type", "text/plain"],
        &["--content-language", "de"],
        &["--tag", "a=b"],
    ] {
        let output = put(&bucket, &fresh, other).run().exits(77);
        assert_eq!(failure_kind(&output), "exists", "{other:?}");
    }
    let head = bucket.store.head("web/site.css");
    assert_eq!(head.header("cache-control"), Some("max-age=1"));
}

#[test]
fn update_replaces_an_object_only_if_it_differs() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let update = |machine: &Sandbox, args: &[&str]| {
        let args = [&["--if-exists", "update"], args].concat();
        put(&bucket, machine, &args).run().succeeds()
    };
    fs::write(sandbox.path("site.css"), "a {}").unwrap();
    assert_eq!(counts(&update(&sandbox, &[])), (4, 0));
    assert_eq!(counts(&update(&sandbox, &[])), (0, 1));
    let fresh = Sandbox::new();
    fs::write(fresh.path("site.css"), "a {}").unwrap();
    assert_eq!(
        counts(&update(&fresh, &[])),
        (0, 1),
        "the content is the same"
    );

    for (machine, content) in [(&fresh, "b {}"), (&sandbox, "c{}")] {
        fs::write(machine.path("site.css"), content).unwrap();
        assert_eq!(counts(&update(machine, &[])), (content.len() as u64, 0));
        assert_eq!(bucket.store.get("web/site.css"), content.as_bytes());
        assert_eq!(counts(&update(machine, &[])), (0, 1));
    }
    let attribute = ["--cache-control", "no-cache"];
    // The store copies the content.
    assert_eq!(counts(&update(&sandbox, &attribute)), (0, 0));
    let head = bucket.store.head("web/site.css");
    assert_eq!(head.header("cache-control"), Some("no-cache"));
    assert_eq!(counts(&update(&sandbox, &attribute)), (0, 1));
    bucket.store.assert_no_open_uploads();
}

/// Of a directory, only the files that differ from their objects are sent.
#[test]
fn update_of_a_directory_on_a_fresh_machine_sends_what_differs() {
    let bucket = Bucket::new();
    let machine = |changed: usize| {
        let sandbox = Sandbox::new();
        fs::create_dir_all(sandbox.path("site")).unwrap();
        for number in 0..50 {
            let version = if number == changed { 2 } else { 1 };
            let path = sandbox.path(format!("site/{number}"));
            fs::write(path, format!("{number} version {version}")).unwrap();
        }
        sandbox
    };
    let put = |sandbox: &Sandbox| {
        let args = ["--if-exists", "update", "--json", "-r", "site"];
        let put = bucket.put(sandbox, &args).arg(bucket.url("web/"));
        put.run().succeeds()
    };
    put(&machine(99));
    let output = put(&machine(7));
    assert_eq!(counts(&output), ("7 version 2".len() as u64, 49));
    assert_eq!(bucket.store.get("web/site/7"), b"7 version 2");
    assert_eq!(bucket.store.get("web/site/8"), b"8 version 1");
    assert_eq!(bucket.store.objects().len(), 50);
}

/// The command of the hint makes the object that the failed command asked for.
#[test]
fn hint_of_a_conflict_asks_for_the_same_object() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let object = [
        "--cache-control",
        "max-age=60, public",
        "--content-type",
        "text/x-own",
        "--meta",
        "a=b c",
        "--tag",
        "team=web",
    ];
    fs::write(sandbox.path("site.css"), "a {}").unwrap();
    put(&bucket, &sandbox, &object).run().succeeds();
    fs::write(sandbox.path("site.css"), "b {}").unwrap();
    let file = sandbox.path("site.css");
    let again = bucket
        .put(&sandbox, &object)
        .arg(file)
        .arg(bucket.url("web/"));
    let output = again.run().exits(77);
    let command = command(&output);
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    bucket.upload(&sandbox, &words).run().succeeds();
    assert_eq!(bucket.store.get("web/site.css"), b"b {}");
    let head = bucket.store.head("web/site.css");
    for (name, value) in [
        ("cache-control", "max-age=60, public"),
        ("content-type", "text/x-own"),
        ("x-amz-meta-a", "b c"),
        ("x-amz-tagging-count", "1"),
    ] {
        assert_eq!(head.header(name), Some(value), "{words:?}");
    }
}

/// An upload that never began, at a key that has an object now, leaves nothing to abort.
#[test]
fn upload_that_never_began_is_aborted_although_an_object_is_at_its_key() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("site.css"), "a {}").unwrap();
    let killed = put(&bucket, &sandbox, &[]).env("UPLOAD_CRASH", "journal.full.durable:1");
    assert_eq!(killed.run().code(), None);
    bucket.store.put("web/site.css", b"of another program");
    let file = sandbox.path("site.css").display().to_string();
    bucket.upload(&sandbox, &["abort", &file]).run().succeeds();
    let list = bucket.upload(&sandbox, &["list"]).run().succeeds();
    assert_eq!(list.stdout(), "");
    assert_eq!(bucket.store.get("web/site.css"), b"of another program");
}
