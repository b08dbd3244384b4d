//! A client or a gateway that is killed (SIGKILL) in mid-transfer loses no stored part.
//!
//! Not here: other signals (`signals`), a source that changes after the kill (`source_changes`).

use std::fs;
use std::path::Path;

use crate::support::command::Command;
use crate::support::events::{Event, events, parts_so_far, upload_id};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests};
use crate::support::random::Rng;
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::{World, max_bytes_sent};
use crate::support::{MIB, PART, files};

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

/// Kills the client four times, continues each time with the command of `next_command`, and asserts
/// that the upload completes within the bound of sent bytes.
fn kill_four_times(seed: u64, next_command: impl Fn(&World, &Path) -> Command) {
    let mut rng = Rng::new(seed);
    let world = World::new();
    let size = 40 * MIB;
    let file = world.sandbox.file("film.bin", size);
    let mut next = world.put(&file);
    for _ in 0..4 {
        world
            .run_until_blocked(next, rng.between(1, 9 * MIB))
            .kill9();
        next = next_command(&world, &file);
    }
    world.proxy.unblock();
    next.run().succeeds();
    world.assert_holds_only(&file);
    assert_eq!(
        world.proxy.traffic().posts("/v1/uploads"),
        1,
        "the upload was begun again"
    );
    let sent = world.bytes_put();
    assert!(
        (size..=max_bytes_sent(size, 4)).contains(&sent),
        "{sent} bytes were sent"
    );
}

#[test]
fn killed_upload_is_finished_by_resume() {
    kill_four_times(1, |world, _| world.resume());
}

#[test]
fn killed_upload_is_finished_by_the_same_put() {
    kill_four_times(2, World::put);
}

#[test]
fn stored_parts_are_not_sent_again() {
    let world = World::new();
    let size = 8 * PART;
    let file = world.sandbox.file("film.bin", size);
    let (_, stored) = world.put_and_kill_after_parts(&file, 3);
    let before = world.proxy.traffic();
    let output = world.resume().arg("--json").run().succeeds();
    let saved = resumed_bytes(&events(&output));
    assert!(saved >= 3 * PART, "only {saved} bytes were resumed");
    let after = world.proxy.traffic().since(&before);
    assert_eq!(after.bytes("PUT"), size - saved);
    for part in stored {
        assert_eq!(after.attempts(part), 0, "part {part} was sent again");
    }
    world.assert_holds_only(&file);
}

#[test]
fn resume_prints_the_resumed_bytes() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    world.put_and_kill_after_parts(&file, 3);
    world.resume().run().succeeds().stderr_contains("resumed");
}

#[test]
fn put_survives_a_restart_of_the_gateway() {
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let running = world.run_until_blocked(world.put(&file), 17 * MIB);
    world.gateway.kill9();
    world.proxy.unblock();
    world.gateway.restart();
    running.wait().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn upload_is_resumed_after_client_and_gateway_died() {
    let mut world = World::new();
    let size = 8 * PART;
    let file = world.sandbox.file("film.bin", size);
    let running = world.run_until_blocked(world.put(&file), 17 * MIB);
    world.restart_gateway();
    running.kill9();
    world.proxy.unblock();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
    let sent = world.bytes_put();
    assert!(sent <= max_bytes_sent(size, 2), "{sent} bytes were sent");
}

/// The client is killed before it receives the response to complete.
#[test]
fn resume_after_a_lost_response_to_complete_sends_no_part() {
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

/// A gateway that lost its ledger reports the upload as unknown; the client begins a new one.
#[test]
fn lost_ledger_makes_put_begin_a_new_upload() {
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 6 * PART);
    world.put_and_kill_after_parts(&file, 2);
    world.gateway.kill9();
    let ledgers = world
        .gateway
        .sandbox()
        .files()
        .into_iter()
        .filter(|path| path.display().to_string().contains("gateway.db"));
    let removed = ledgers.map(|path| fs::remove_file(path).unwrap()).count();
    assert!(removed > 0, "no ledger was found");
    world.gateway.restart();
    world.put(&file).run().succeeds();
    let store = world.store();
    let objects = store.objects();
    assert_eq!(objects.len(), 1);
    assert_eq!(store.sha256(&objects[0]), files::sha256(&file));
}

/// The embedded backend runs in the client's process, so gateway and store are killed with it.
#[test]
fn embedded_backend_survives_kills_of_its_process() {
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
        running.wait_for("`part` events", |running| {
            (parts_so_far(&running.stdout()) >= parts).then_some(())
        });
        output = Some(running.kill9());
    }
    let id = upload_id(output.unwrap().stdout()).unwrap();
    sandbox.upload(["resume"]).run().succeeds();
    let output = sandbox.upload(["cat", &id]).run().succeeds();
    assert_eq!(
        files::sha256_of(output.stdout_bytes()),
        files::sha256(&file)
    );
    // An S3 client reads the same store.
    let gateway = Gateway::start_in(sandbox, &[], &[]);
    gateway.store().assert_holds_only(&file);
}

#[test]
fn second_process_with_the_same_upload_names_the_first() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let first = world.run_until_blocked(world.put(&file), PART);
    let second = world.put(&file).args(["--give-up-after", "1s"]);
    let second = second.run().exits(75);
    assert!(
        second.stderr().contains(&format!("pid {}", first.pid())),
        "{second}"
    );
    world.proxy.unblock();
    first.wait().succeeds();
    world.assert_holds_only(&file);
}
