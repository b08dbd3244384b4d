//! `--spool`: parts of a stream on disk, so that its producer does not wait for the network.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::thread;

use serde_json::Value;

use crate::support::command::{Command, Running};
use crate::support::events::{Event, events};
use crate::support::proxy::{Fault, Requests};
use crate::support::world::World;
use crate::support::{MIB, PART, wait};

const SIZE: u64 = 20 * PART + 7;

fn put_stream(world: &World, args: &[&str]) -> Command {
    let put = [
        "put",
        "-",
        "--json",
        "--name",
        "dump",
        "--part-size",
        "5MiB",
    ];
    world
        .upload(&put)
        .args(["--jobs", "2", "--buffer", "10MiB"])
        .args(args)
}

/// The producer writes everything while the store accepts nothing.
#[test]
fn producer_does_not_wait_for_a_store_that_is_down() {
    let world = World::new();
    let file = world.sandbox.file("dump", SIZE);
    let bytes = fs::read(&file).unwrap();
    let spool = world.sandbox.path("spool");
    fs::create_dir(&spool).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let put = put_stream(&world, &["--spool", spool.to_str().unwrap()]);
    let put = put.stdin_from(File::from(OwnedFd::from(reader)));
    world.part_proxy().block_after(MIB);
    let running = put.spawn();
    let producer = thread::spawn(move || writer.write_all(&bytes).unwrap());
    // More than the memory holds is read while nothing is stored.
    wait::until("the producer to end", || {
        producer.is_finished().then_some(())
    });
    assert_eq!(
        fs::read_dir(&spool).unwrap().count(),
        0,
        "the spool has a name"
    );
    world.proxy.unblock();
    running.wait().succeeds();
    world.assert_holds_only(&file);
}

/// Parts from the disk are sent again as those from memory are.
#[test]
fn spooled_parts_are_sent_again_after_failures() {
    let world = World::new();
    let file = world.sandbox.file("dump", SIZE);
    for part in 4..12 {
        let first = Requests::part(part).nth(1);
        let fault = if part % 2 == 0 {
            Fault::CutAfter { bytes: MIB }
        } else {
            Fault::FlipBit { at: 9 }
        };
        world.proxy.inject(first, fault);
    }
    let put = put_stream(
        &world,
        &["--spool", world.sandbox.path("").to_str().unwrap()],
    );
    let output = put.stdin_from(pipe_of(&file)).run().succeeds();
    let retries = events(&output);
    let retries = retries
        .iter()
        .filter(|event| matches!(event, Event::Retry { .. }));
    assert!(retries.count() >= 8, "{output}");
    world.assert_holds_only(&file);
}

#[test]
fn killed_process_leaves_nothing_in_the_spool_and_the_pipeline_continues() {
    let world = World::new();
    let file = world.sandbox.file("dump", SIZE);
    let spool = world.sandbox.path("spool");
    fs::create_dir(&spool).unwrap();
    let args = ["--spool", spool.to_str().unwrap()];
    let put = || put_stream(&world, &args).stdin_from(pipe_of(&file));
    world.part_proxy().block_after(3 * PART);
    let mut running = put().spawn();
    // Memory has two parts, and the store at most three.
    running.wait_for("parts in the spool", |running| {
        (bytes_read(running) > 6 * PART).then_some(())
    });
    running.kill9();
    world.proxy.unblock();
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
    put().run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn spool_that_cannot_be_written_ends_the_command_before_it_reads() {
    let world = World::new();
    let file = world.sandbox.file("dump", 10);
    for directory in ["missing", "dump"] {
        let put = put_stream(&world, &["--spool", directory]);
        put.stdin_from(pipe_of(&file)).run().exits(74);
    }
    let put = world.upload(&["put", "dump", "--spool", "."]);
    put.run().exits(2);
    assert_eq!(world.proxy.traffic().count("PUT"), 0);
}

/// The bytes of the stream that were read, by the last progress.
fn bytes_read(running: &Running) -> u64 {
    let lines = running.stdout();
    let mut lines = lines.lines().rev();
    let read = lines.find_map(|line| serde_json::from_str::<Value>(line).ok()?["hashed"].as_u64());
    read.unwrap_or(0)
}

/// A pipe that a thread fills.
fn pipe_of(file: &std::path::Path) -> File {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let bytes = fs::read(file).unwrap();
    thread::spawn(move || {
        // Fails if the command has ended.
        let _ = writer.write_all(&bytes);
    });
    File::from(OwnedFd::from(reader))
}
