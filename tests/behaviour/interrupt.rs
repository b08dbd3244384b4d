//! A client or a gateway that dies in mid-transfer loses nothing and sends little twice.
//!
//! Border: death without warning (`kill -9`); asking politely is `signals`, a source that changes meanwhile is `changed`.

use std::fs;
use std::path::Path;

use crate::support::command::{Command, Running};
use crate::support::events::{Event, events, parts_so_far};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests};
use crate::support::random::Rng;
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::{World, max_bytes_sent};
use crate::support::{MIB, PART, files};

/// The upload's id, once lines of `--json` name it.
pub fn upload_id(stdout: &str) -> Option<String> {
    let mut lines = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.find_map(|line| line["upload"].as_str().map(str::to_owned))
}

/// Runs `command` until the proxy has passed so many bytes of parts; the run then hangs there.
#[track_caller]
pub fn held(world: &World, command: Command, bytes: u64) -> Running {
    world.part_proxy().block_after(bytes);
    let running = command.spawn();
    world.part_proxy().wait_until_blocked();
    running
}

/// `put --json`, killed when the store has taken at least `parts` parts and the journal knows; gives the upload's id and
/// the numbers of these parts.
#[track_caller]
pub fn kill_after_parts(world: &World, file: &Path, parts: usize) -> (String, Vec<u64>) {
    let bytes = (parts as u64 + 2) * PART - 1;
    let mut running = held(world, world.put(file).arg("--json"), bytes);
    running.wait_for("parts", |running| {
        (parts_so_far(&running.stdout()) >= parts).then_some(())
    });
    let output = running.kill9();
    world.proxy.unblock();
    let lines = output
        .lines()
        .into_iter()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let numbers = lines
        .filter(|line| line["type"] == "part")
        .filter_map(|line| line["number"].as_u64())
        .collect();
    (upload_id(output.stdout()).expect("an upload"), numbers)
}

fn resumed_bytes(events: &[Event]) -> u64 {
    events
        .iter()
        .map(|event| {
            if let Event::Plan { resumed_bytes, .. } = event {
                *resumed_bytes
            } else {
                0
            }
        })
        .sum()
}

/// Kills the client four times, each time going on with what `again` gives, then lets it end.
fn killed_four_times(seed: u64, again: impl Fn(&World, &Path) -> Command) {
    let mut rng = Rng::new(seed);
    let world = World::new();
    let size = 40 * MIB;
    let file = world.sandbox.file("film.bin", size);
    let mut next = world.put(&file);
    for _ in 0..4 {
        held(&world, next, rng.between(1, 9 * MIB)).kill9();
        next = again(&world, &file);
    }
    world.proxy.unblock();
    next.run().succeeds();
    world.assert_holds_only(&file);
    assert_eq!(
        world.proxy.traffic().posts("/v1/uploads"),
        1,
        "begun more than once"
    );
    let sent = world.bytes_put();
    assert!(
        (size..=max_bytes_sent(size, 4)).contains(&sent),
        "{sent} bytes were sent"
    );
}

#[test]
fn a_client_that_is_killed_resumes() {
    killed_four_times(1, |world, _| world.resume());
}

#[test]
fn a_client_that_is_killed_goes_on_by_the_same_put() {
    killed_four_times(2, World::put);
}

#[test]
fn parts_that_are_stored_are_not_sent_again() {
    let world = World::new();
    let size = 8 * PART;
    let file = world.sandbox.file("film.bin", size);
    let (_, stored) = kill_after_parts(&world, &file, 3);
    let before = world.proxy.traffic();
    let output = world.resume().arg("--json").run().succeeds();
    let saved = resumed_bytes(&events(&output));
    assert!(saved >= 3 * PART, "only {saved} bytes were saved");
    let after = world.proxy.traffic().since(&before);
    assert_eq!(after.bytes("PUT"), size - saved);
    for part in stored {
        assert_eq!(after.attempts(part), 0, "part {part} was sent again");
    }
    world.assert_holds_only(&file);
}

#[test]
fn resume_says_how_much_it_saved() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    kill_after_parts(&world, &file, 3);
    world.resume().run().succeeds().stderr_contains("MiB");
}

#[test]
fn a_gateway_that_is_killed_and_started_again_goes_unnoticed() {
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let running = held(&world, world.put(&file), 17 * MIB);
    world.gateway.kill9();
    world.proxy.unblock();
    world.gateway.restart();
    running.wait().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn client_and_gateway_may_die_together() {
    let mut world = World::new();
    let size = 8 * PART;
    let file = world.sandbox.file("film.bin", size);
    let running = held(&world, world.put(&file), 17 * MIB);
    world.restart_gateway();
    running.kill9();
    world.proxy.unblock();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
    let sent = world.bytes_put();
    assert!(sent <= max_bytes_sent(size, 2), "{sent} bytes were sent");
}

/// Whether the object is there is not for the client to guess, nor for its successor.
#[test]
fn a_client_that_is_killed_before_it_hears_of_the_end_asks_again() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 3 * PART);
    world
        .proxy
        .inject(Requests::complete().nth(1), Fault::DropResponse);
    let running = world.put(&file).spawn();
    wait::until("a call of complete", || {
        (world.proxy.traffic().posts("/complete") > 0).then_some(())
    });
    running.kill9();
    let before = world.proxy.traffic();
    world.resume().run().succeeds();
    assert_eq!(
        world.proxy.traffic().since(&before).count("PUT"),
        0,
        "parts were sent again"
    );
    world.assert_holds_only(&file);
}

/// A gateway that has lost its memory knows no upload; the file must arrive all the same.
#[test]
fn a_ledger_that_is_lost_costs_a_new_upload() {
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 6 * PART);
    kill_after_parts(&world, &file, 2);
    world.gateway.kill9();
    let ledgers = world
        .gateway
        .sandbox()
        .files()
        .into_iter()
        .filter(|path| path.display().to_string().contains("gateway.db"));
    let gone = ledgers.map(|path| fs::remove_file(path).unwrap()).count();
    assert!(gone > 0, "there is no ledger to lose");
    world.gateway.restart();
    world.put(&file).run().succeeds();
    let store = world.store();
    let objects = store.objects();
    assert_eq!(objects.len(), 1);
    assert_eq!(store.sha256(&objects[0]), files::sha256(&file));
}

/// Gateway and store in the client's own process die with it.
#[test]
fn the_embedded_backend_is_killed_with_its_client() {
    let mut rng = Rng::new(3);
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 60 * MIB);
    let args = [
        "put",
        "--backend",
        "embedded",
        "--part-size",
        "5MiB",
        "--jobs",
        "2",
        "--json",
    ];
    let mut output = None;
    for _ in 0..3 {
        let parts = usize::try_from(rng.between(1, 4)).unwrap();
        let mut running = sandbox.upload(args).arg(&file).spawn();
        running.wait_for("parts", |running| {
            (parts_so_far(&running.stdout()) >= parts).then_some(())
        });
        output = Some(running.kill9());
    }
    let id = upload_id(output.unwrap().stdout()).unwrap();
    sandbox.upload(["resume"]).run().succeeds();
    let back = sandbox.upload(["cat", &id]).run().succeeds();
    assert_eq!(files::sha256_of(back.stdout_bytes()), files::sha256(&file));
    // The same store, seen by an S3 client.
    let gateway = Gateway::start_in(sandbox, &[], &[]);
    gateway.store().assert_holds_only(&file);
}

#[test]
fn a_second_process_on_the_same_upload_names_the_first() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let first = held(&world, world.put(&file), PART);
    let second = world.put(&file).run().exits(75);
    assert!(
        second.stderr().contains(&format!("pid {}", first.pid())),
        "{second}"
    );
    world.proxy.unblock();
    first.wait().succeeds();
    world.assert_holds_only(&file);
}
