//! `--sha256`: the receipt has the SHA-256 of the whole file, and the file is the one that was
//! sent.

use std::fs;
use std::path::Path;

use crate::support::command::Command;
use crate::support::events::{Receipt, receipts};
use crate::support::proxy::{Fault, Requests, WHOLE_BODY};
use crate::support::world::World;
use crate::support::{PART, files, wait};

/// Runs a command that completes one upload; returns its receipt.
#[track_caller]
fn receipt_of(world: &World, command: Command) -> Receipt {
    let path = world.sandbox.path("receipt.json");
    command.arg("--receipt").arg(&path).run().succeeds();
    let receipts = receipts(&path);
    let [receipt] = receipts.as_slice() else {
        panic!("one receipt expected: {receipts:?}")
    };
    fs::remove_file(&path).unwrap();
    receipt.clone()
}

#[track_caller]
fn assert_has_sha256(receipt: &Receipt, file: &Path) {
    assert_eq!(receipt.sha256, Some(files::sha256(file)));
}

#[test]
fn receipt_has_the_sha256_of_a_file_of_several_parts_only_if_wanted() {
    let world = World::new();
    let plain = world.sandbox.file("plain.bin", 2 * PART + 1);
    assert_eq!(receipt_of(&world, world.put(&plain)).sha256, None);
    for size in [0, PART, PART + 1, 3 * PART] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        let receipt = receipt_of(&world, world.put(&file).arg("--sha256"));
        assert_has_sha256(&receipt, &file);
    }
}

#[test]
fn put_adds_the_sha256_to_the_receipt_of_a_stored_file() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    world.put(&file).run().succeeds();
    let before = world.bytes_put();
    let receipt = receipt_of(&world, world.put(&file).arg("--sha256"));
    assert_has_sha256(&receipt, &file);
    // The journal keeps it.
    assert_has_sha256(&receipt_of(&world, world.put(&file)), &file);
    assert_eq!(world.bytes_put(), before);
    let listed = world.upload(&["list", "--all", "--json"]).run().succeeds();
    let listed: serde_json::Value = serde_json::from_str(listed.line()).unwrap();
    assert_eq!(listed["receipt"]["sha256"], files::sha256(&file));
}

#[test]
fn resume_of_a_killed_put_reads_the_whole_file() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 6 * PART);
    world.put_and_kill_after_parts(&file, 2);
    let receipt = receipt_of(&world, world.resume().arg("--sha256"));
    assert_has_sha256(&receipt, &file);
    world.assert_holds_only(&file);
}

#[test]
fn resume_after_a_lost_completion_reads_the_whole_file() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let withheld = Fault::StallAfter { bytes: WHOLE_BODY };
    world.proxy.inject(Requests::complete(), withheld);
    let put = world.put(&file).spawn();
    wait::until("the object", || {
        (!world.store().objects().is_empty()).then_some(())
    });
    put.kill9();
    world.proxy.clear_faults();
    let receipt = receipt_of(&world, world.resume().arg("--sha256"));
    assert_has_sha256(&receipt, &file);
}

#[test]
fn resume_of_a_finished_upload_adds_the_sha256_unless_file_or_object_differ() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let id = receipt_of(&world, world.put(&file)).id;
    let resume = || world.resume().args([id.as_str(), "--sha256"]);
    let [key] = &world.store().objects()[..] else {
        panic!("one object")
    };
    let bytes = fs::read(&file).unwrap();
    let mut other = bytes.clone();
    other[0] ^= 1;
    fs::write(&file, &other).unwrap();
    let output = resume().run().exits(65);
    assert_eq!(output.stdout(), "");
    fs::write(&file, &bytes).unwrap();
    assert_has_sha256(&receipt_of(&world, resume()), &file);
    let again = world.sandbox.file("again.bin", 2 * PART);
    let id = receipt_of(&world, world.put(&again)).id;
    for object in world.store().objects() {
        if object != *key {
            world.store().delete(&object);
        }
    }
    let resume = world.resume().args([id.as_str(), "--sha256"]);
    resume.run().exits(1);
    assert_eq!(world.store().objects(), [key.as_str()]);
}

/// Another process has completed the upload while this one waited for it.
#[test]
fn resume_adds_the_sha256_to_an_upload_that_another_process_has_completed() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let first = world.run_until_blocked(world.put(&file), PART);
    let path = world.sandbox.path("receipt.json");
    let resume = world.resume().args(["--json", "--sha256", "--receipt"]);
    let mut waiting = resume.arg(&path).spawn();
    waiting.wait_for_stdout("\"blocked\"");
    world.proxy.unblock();
    first.wait().succeeds();
    waiting.wait().succeeds();
    assert_has_sha256(&receipts(&path)[0], &file);
}
