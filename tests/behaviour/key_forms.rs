//! `upload put --no-normalize`: keys with the bytes of names.
//!
//! Not here: the checks of keys (`keys`).

use std::fs;

use crate::support::bucket::Bucket;
use crate::support::events::{Event, events};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{MIB, PART};

/// As macOS writes `ü.txt`.
const DECOMPOSED: &str = "u\u{308}.txt";
const COMPOSED: &str = "\u{fc}.txt";

fn stored(bucket: &Bucket) -> Vec<String> {
    let mut keys = bucket.store.objects();
    keys.sort();
    keys
}

#[test]
fn names_keep_their_bytes_in_the_keys_of_a_bucket() {
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    fs::create_dir(sandbox.path("d")).unwrap();
    let path = format!("d/{DECOMPOSED}");
    fs::write(sandbox.path(&path), "one").unwrap();
    let put = |args: &[&str]| {
        let put = bucket.put(&sandbox, args).arg("--json");
        put.arg(bucket.url("p/")).run().succeeds()
    };
    put(&[&path]);
    assert_eq!(stored(&bucket), [format!("p/{COMPOSED}")]);
    put(&["--no-normalize", &path]);
    let expected = [format!("p/{DECOMPOSED}"), format!("p/{COMPOSED}")];
    assert_eq!(stored(&bucket), expected);
    // Again: nothing is sent. A directory without the flag is another set.
    put(&["--no-normalize", "-r", "d/."]);
    put(&["-r", "d/."]);
    let sent = put(&["--no-normalize", "-r", "d/."]);
    let Some(Event::Exit { bytes_sent, .. }) = events(&sent).pop() else {
        panic!("{sent}");
    };
    assert_eq!((bytes_sent, stored(&bucket)), (0, expected.to_vec()));
    let list = bucket.upload(&sandbox, &["list", "--all", "--json"]);
    let list = list.run().succeeds();
    let lines = list.lines();
    let sets = lines.iter().filter(|line| line.contains(r#""type":"set""#));
    assert_eq!(sets.count(), 2);
}

#[test]
fn hint_and_resume_keep_the_bytes_of_a_name() {
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    let file = sandbox.file(DECOMPOSED, 3 * PART);
    let put = || {
        let put = bucket.put(&sandbox, &["--no-normalize"]);
        put.arg(&file).arg(bucket.url("p/"))
    };
    bucket.proxy.block_after(PART + MIB);
    let running = put().spawn();
    bucket.proxy.wait_until_blocked();
    running.kill9();
    bucket.proxy.unblock();
    bucket.upload(&sandbox, &["resume"]).run().succeeds();
    assert_eq!(stored(&bucket), [format!("p/{DECOMPOSED}")]);
    fs::write(&file, "other").unwrap();
    let output = put().run().exits(77);
    let hint = output.stderr().split('`').nth(1).unwrap_or_default();
    let words = shlex::split(hint).unwrap();
    bucket
        .with_keys(sandbox.upload(&words[1..]))
        .run()
        .succeeds();
    let key = format!("p/{DECOMPOSED}");
    assert_eq!(stored(&bucket), std::slice::from_ref(&key));
    assert_eq!(bucket.store.get_encoded(&key), b"other");
}

#[test]
fn flag_is_an_error_with_a_gateway() {
    let world = World::new();
    let file = world.sandbox.file("a", 1);
    let output = world.put(&file).arg("--no-normalize").run().exits(78);
    assert!(output.stderr().contains("a gateway normalises"), "{output}");
    assert!(world.store().objects().is_empty());
}

#[test]
fn embedded_store_keeps_the_bytes_of_a_key() {
    let sandbox = Sandbox::new();
    sandbox.file("a", 1);
    let put = [
        "put",
        "a",
        "--backend",
        "embedded",
        "--json",
        "--no-normalize",
    ];
    let put = sandbox.upload(put).args(["--key", DECOMPOSED]);
    let output = put.run().succeeds();
    let key = events(&output).into_iter().find_map(|event| match event {
        Event::Completed { receipt, .. } => Some(receipt.key),
        _ => None,
    });
    assert_eq!(key.as_deref(), Some(DECOMPOSED));
}
