//! `upload put --trust-journal`: files that the journal has as uploaded are not asked about.

use std::fs;

use crate::support::command::Output;
use crate::support::events::{Event, events};
use crate::support::world::World;

const FILES: usize = 600;

/// A directory `card` with small files.
fn card(world: &World, count: usize) {
    fs::create_dir_all(world.sandbox.path("card")).unwrap();
    for number in 0..count {
        let path = world.sandbox.path(format!("card/{number:04}"));
        fs::write(path, format!("file {number}")).unwrap();
    }
}

/// The sources that were stored already, and those of them about which the store was not asked.
#[track_caller]
fn counts(output: &Output) -> (u64, u64) {
    match events(output).pop() {
        Some(Event::Exit {
            already_stored,
            from_journal,
            ..
        }) => (already_stored, from_journal),
        other => panic!("{other:?}"),
    }
}

#[test]
fn store_is_not_asked_about_files_of_the_journal_and_every_report_says_so() {
    let world = World::new();
    card(&world, FILES);
    world.upload(&["put", "-r", "card"]).run().succeeds();
    for key in world.store().objects() {
        world.store().delete(&key);
    }

    let before = (world.proxy.traffic(), world.part_proxy().traffic());
    let trusting = ["put", "-r", "card", "--trust-journal", "--json"];
    let output = world.upload(&trusting).run().succeeds();
    let calls = world.proxy.traffic().since(&before.0);
    assert_eq!((calls.count("GET"), calls.requests()), (1, 1), "{calls:?}");
    let parts = world.part_proxy().traffic().since(&before.1);
    assert_eq!(parts.count("PUT"), 0);
    assert_eq!(counts(&output), (FILES as u64, FILES as u64));
    let mut completed = 0;
    for event in events(&output) {
        match event {
            Event::Plan { from_journal, .. } => assert!(from_journal),
            Event::Completed {
                from_journal,
                already_stored,
                ..
            } => {
                assert!(from_journal && already_stored);
                completed += 1;
            }
            _ => {}
        }
    }
    assert_eq!(completed, FILES);

    let summary = world.upload(&trusting[..4]).run().succeeds();
    let text = "600 files: 600 already uploaded according to the journal (the store was not asked)";
    assert!(summary.stderr().contains(text), "{summary}");
    let dry = world.upload(&trusting[..4]).arg("--dry-run");
    let dry = dry.run().succeeds();
    let text = "600 files are already uploaded according to the journal (the store was not asked)";
    assert!(dry.stderr().contains(text), "{dry}");
    assert!(world.store().objects().is_empty());

    // Without the flag, the objects are missed.
    let output = world.upload(&["put", "-r", "card", "--json"]).run();
    assert_eq!(counts(&output.succeeds()), (0, 0));
    assert_eq!(world.store().objects().len(), FILES);
}

#[test]
fn new_and_changed_files_are_uploaded() {
    let world = World::new();
    card(&world, 3);
    let put = |args: &[&str]| world.upload(&["put", "-r", "--json", "card"]).args(args);
    put(&[]).run().succeeds();
    fs::write(world.sandbox.path("card/0001"), "longer than before").unwrap();
    fs::write(world.sandbox.path("card/new"), "new").unwrap();
    let output = put(&["--trust-journal"]).run().succeeds();
    assert_eq!(counts(&output), (2, 2));
    let stored = world.store().objects();
    let contents: Vec<Vec<u8>> = stored.iter().map(|key| world.store().get(key)).collect();
    for uploaded in [&b"longer than before"[..], b"new"] {
        assert!(contents.iter().any(|content| content == uploaded));
    }
}

#[test]
fn journal_is_not_trusted_for_receipts_streams_and_checks() {
    let world = World::new();
    card(&world, 1);
    for flags in [
        &["--receipt", "r"][..],
        &["--receipt-append", "r"],
        &["--force"],
    ] {
        let put = world.upload(&["put", "card/0000", "--trust-journal"]);
        let output = put.args(flags).run().exits(2);
        assert!(output.stderr().contains("cannot be used with"), "{output}");
    }
    let put = world.upload(&["put", "-", "--name", "x", "--trust-journal"]);
    let output = put.run().exits(2);
    assert!(output.stderr().contains("not for a stream"), "{output}");

    let hook = ["--hook", "check=exec:/bin/true"];
    let world = World::with_args(&hook);
    card(&world, 1);
    let put = ["put", "--json", "card/0000", "--trust-journal"];
    world.upload(&put).run().succeeds();
    assert_eq!(counts(&world.upload(&put).run().succeeds()), (1, 0));
    let output = world.upload(&put).args(["--wait", "none"]).run();
    assert_eq!(counts(&output.succeeds()), (1, 1));
}
