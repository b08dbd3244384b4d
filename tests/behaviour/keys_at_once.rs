//! Two uploads at one key at the same time: one makes the object, the other one fails.

use std::fs;
use std::path::Path;

use crate::support::bucket::Bucket;
use crate::support::command::{Command, Output, Running};
use crate::support::events::{Event, events, failure_kind, parts_so_far, upload_id};
use crate::support::sandbox::Sandbox;
use crate::support::{MIB, PART};

/// `upload put FILE s3://BUCKET/at/once.bin`.
fn put(bucket: &Bucket, sandbox: &Sandbox, file: &Path, args: &[&str]) -> Command {
    let args = [&["--json"], args].concat();
    let put = bucket.put(sandbox, &args).arg(file);
    put.arg(bucket.url("at/once.bin"))
}

/// Two machines whose ledgers have the result of the store's probe: its requests would be among
/// those that a test blocks.
fn two_machines(bucket: &Bucket) -> [Sandbox; 2] {
    let machines = [Sandbox::new(), Sandbox::new()];
    for machine in &machines {
        let probe = machine.file("probe.bin", 1);
        let url = bucket.url("probe.bin");
        let put = bucket.put(machine, &[probe.to_str().unwrap(), &url, "--force"]);
        put.run().succeeds();
    }
    bucket.store.delete("probe.bin");
    machines
}

fn wait_until_begun(running: &mut Running) {
    running.wait_for("an upload id", |running| upload_id(&running.stdout()));
}

/// Runs two puts on two machines so that both have begun before either completes.
fn both(bucket: &Bucket, commands: [Command; 2]) -> [Output; 2] {
    let [first, second] = commands;
    bucket.proxy.block_after(PART);
    let mut first = first.spawn();
    bucket.proxy.wait_until_blocked();
    wait_until_begun(&mut first);
    let mut second = second.spawn();
    wait_until_begun(&mut second);
    bucket.proxy.unblock();
    [first.wait(), second.wait()]
}

#[test]
fn one_of_two_machines_makes_the_object_and_the_other_fails() {
    let bucket = Bucket::new();
    let machines = two_machines(&bucket);
    let files = [
        machines[0].file("one.bin", 2 * PART),
        machines[1].file("two.bin", 2 * PART),
    ];
    let commands = [0, 1].map(|nth| put(&bucket, &machines[nth], &files[nth], &[]));
    let outputs = both(&bucket, commands);
    let codes = outputs.each_ref().map(|output| output.code().unwrap());
    let winner = codes.iter().position(|code| *code == 0).expect("a winner");
    let loser = 1 - winner;
    assert_eq!(codes[loser], 77, "{}", outputs[loser]);
    assert_eq!(failure_kind(&outputs[loser]), "exists");
    bucket.store.assert_holds_only(&files[winner]);
}

#[test]
fn two_machines_with_the_same_content_both_succeed() {
    let bucket = Bucket::new();
    let machines = two_machines(&bucket);
    let file = machines[0].file("one.bin", 2 * PART);
    let copy = machines[1].path("one.bin");
    fs::copy(&file, &copy).unwrap();
    let commands = [
        put(&bucket, &machines[0], &file, &[]),
        put(&bucket, &machines[1], &copy, &[]),
    ];
    for output in both(&bucket, commands) {
        output.succeeds();
    }
    bucket.store.assert_holds_only(&file);
}

#[test]
fn second_process_of_a_machine_waits_for_the_first_and_fails() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let one = sandbox.file("one.bin", 4 * PART);
    let two = sandbox.file("two.bin", 4 * PART);
    bucket.proxy.block_after(2 * PART);
    let first = put(&bucket, &sandbox, &one, &[]).spawn();
    bucket.proxy.wait_until_blocked();
    let mut second = put(&bucket, &sandbox, &two, &[]).spawn();
    second.wait_for_stdout(r#""type":"blocked""#);
    bucket.proxy.unblock();
    first.wait().succeeds();
    let output = second.wait().exits(77);
    assert_eq!(failure_kind(&output), "exists");
    assert_eq!(parts_so_far(output.stdout()), 0, "{output}");
    bucket.store.assert_holds_only(&one);
}

#[test]
fn object_that_appears_during_an_upload_is_not_replaced() {
    let bucket = Bucket::new();
    let other = vec![7; 1000];
    for rule in ["same", "fail", "skip", "overwrite"] {
        let sandbox = Sandbox::new();
        let file = sandbox.file("one.bin", 2 * PART);
        if rule == "overwrite" {
            bucket.store.put("at/once.bin", &[1; 10]);
        }
        bucket.proxy.block_after(PART);
        let running = put(&bucket, &sandbox, &file, &["--if-exists", rule]).spawn();
        bucket.proxy.wait_until_blocked();
        bucket.store.put("at/once.bin", &other);
        bucket.proxy.unblock();
        let output = running.wait();
        match rule {
            "skip" => {
                let events = events(&output.succeeds());
                let is_skipped = |event: &Event| matches!(event, Event::Skipped { .. });
                assert!(events.iter().any(is_skipped), "{events:?}");
            }
            _ => assert_eq!(failure_kind(&output.exits(77)), "exists"),
        }
        assert_eq!(bucket.store.get("at/once.bin"), other, "{rule}");
        bucket.store.assert_no_open_uploads();
        bucket.store.delete("at/once.bin");
    }
}

/// As [`object_that_appears_during_an_upload_is_not_replaced`], for an upload by a single PUT: the
/// store refuses it.
#[test]
fn object_that_appears_during_a_single_put_follows_the_rule() {
    let bucket = Bucket::new();
    let other = vec![7; 1000];
    for rule in ["same", "fail", "skip", "overwrite", "update"] {
        let sandbox = Sandbox::new();
        let file = sandbox.file("one.bin", 3 * MIB);
        bucket.proxy.block_after(MIB);
        let running = put(&bucket, &sandbox, &file, &["--if-exists", rule]).spawn();
        bucket.proxy.wait_until_blocked();
        bucket.store.put("at/once.bin", &other);
        bucket.proxy.unblock();
        let output = running.wait();
        match rule {
            "overwrite" | "update" => {
                output.succeeds();
                bucket.store.assert_holds_only(&file);
            }
            "skip" => {
                let events = events(&output.succeeds());
                let is_skipped = |event: &Event| matches!(event, Event::Skipped { .. });
                assert!(events.iter().any(is_skipped), "{events:?}");
                assert_eq!(bucket.store.get("at/once.bin"), other);
            }
            _ => {
                assert_eq!(failure_kind(&output.exits(77)), "exists");
                assert_eq!(bucket.store.get("at/once.bin"), other);
            }
        }
        bucket.store.assert_no_open_uploads();
        // Nothing is left to continue.
        let list = bucket.upload(&sandbox, &["list"]).run().succeeds();
        assert_eq!(list.stdout(), "", "{rule}");
        bucket.store.delete("at/once.bin");
    }
}
