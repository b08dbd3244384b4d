//! The requests and bytes that an upload costs. The bounds are the present costs: lower them with a
//! change that needs fewer requests; a change that needs more must give a reason.
//!
//! Not here: time (`benches/peers`).

use std::path::PathBuf;

use crate::support::proxy::{Fault, Requests, Traffic};
use crate::support::world::World;
use crate::support::{MIB, PART, wait};

/// Requests of one run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// Requests to the gateway; `info` is `GET /v1`, and one `batch` holds several calls.
    info: u64,
    begin: u64,
    sign: u64,
    complete: u64,
    batch: u64,
    other: u64,
    /// Requests to the store, and the bytes in their bodies.
    put: u64,
    bytes_put: u64,
}

impl Cost {
    fn of(traffic: &Traffic) -> Self {
        let info = traffic
            .by_method("GET")
            .filter(|exchange| exchange.path == "/v1")
            .count() as u64;
        let (begin, put) = (traffic.posts("/v1/uploads"), traffic.count("PUT"));
        let (sign, complete, batch) = (
            traffic.posts("/sign"),
            traffic.posts("/complete"),
            traffic.posts("/v1/batch"),
        );
        let other = traffic.0.len() as u64 - info - begin - sign - complete - batch - put;
        Self {
            info,
            begin,
            sign,
            complete,
            batch,
            other,
            put,
            bytes_put: traffic.bytes("PUT"),
        }
    }

    /// Asserts that no number exceeds the allowed one.
    #[track_caller]
    fn assert_at_most(self, allowed: Self) {
        let within = self.info <= allowed.info
            && self.begin <= allowed.begin
            && self.sign <= allowed.sign
            && self.complete <= allowed.complete
            && self.batch <= allowed.batch
            && self.other <= allowed.other
            && self.put <= allowed.put
            && self.bytes_put <= allowed.bytes_put;
        assert!(within, "\ncost    {self:?}\nallowed {allowed:?}");
    }
}

/// Runs `upload put` with its defaults; returns its cost.
#[track_caller]
fn cost_of_put(world: &World, files: &[PathBuf]) -> Cost {
    let before = world.proxy.traffic();
    world.upload(&["put"]).args(files).run().succeeds();
    Cost::of(&world.proxy.traffic().since(&before))
}

fn small_files(world: &World, count: u64) -> Vec<PathBuf> {
    (0..count)
        .map(|number| world.sandbox.file(&format!("{number}.bin"), 10 << 10))
        .collect()
}

/// The parts have 8 MiB. The number of calls to sign depends on timing and is at most one for each
/// part.
#[test]
fn large_file_costs_one_put_for_each_part() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 64 * MIB);
    let allowed = Cost {
        info: 1,
        begin: 1,
        sign: 8,
        complete: 1,
        put: 8,
        bytes_put: 64 * MIB,
        ..Cost::default()
    };
    cost_of_put(&world, &[file]).assert_at_most(allowed);
}

#[test]
fn small_file_costs_one_begin_put_and_complete() {
    let world = World::new();
    let allowed = Cost {
        info: 1,
        begin: 1,
        complete: 1,
        put: 1,
        bytes_put: 10 << 10,
        ..Cost::default()
    };
    cost_of_put(&world, &small_files(&world, 1)).assert_at_most(allowed);
}

/// Calls that become ready during another call are sent in one batch. The number of batches depends
/// on timing, but many begins share a batch, because a begin waits for no other call.
#[test]
fn many_small_files_are_begun_and_completed_in_batches() {
    let world = World::new();
    let cost = cost_of_put(&world, &small_files(&world, 200));
    assert!(cost.begin + cost.complete + cost.batch <= 220, "{cost:?}");
    let rest = Cost {
        begin: 0,
        complete: 0,
        batch: 0,
        ..cost
    };
    assert_eq!(
        rest,
        Cost {
            info: 1,
            put: 200,
            bytes_put: 200 * (10 << 10),
            ..Cost::default()
        }
    );
}

/// Stored parts are not sent again; finding them takes a claim, a read of the upload, and a page of
/// its parts. The store may hold more parts than the client saw responses.
#[test]
fn resume_costs_three_calls_and_the_missing_parts() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 12 * PART);
    world.put_and_kill_after_parts(&file, 6);
    let before = world.proxy.traffic();
    let stored = before
        .by_method("PUT")
        .filter(|exchange| exchange.status == Some(200))
        .count() as u64;
    world.resume().run().succeeds();
    let left = 12 - stored;
    let cost = Cost::of(&world.proxy.traffic().since(&before));
    let (put, bytes_put) = (left, left * PART);
    cost.assert_at_most(Cost {
        info: 1,
        sign: left,
        complete: 1,
        other: 3,
        put,
        bytes_put,
        ..Cost::default()
    });
}

#[test]
fn repeated_put_costs_two_requests() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    cost_of_put(&world, std::slice::from_ref(&file));
    cost_of_put(&world, &[file]).assert_at_most(Cost {
        info: 1,
        other: 1,
        ..Cost::default()
    });
}

/// Each file backs off, but there is always another file that is due.
#[test]
fn many_files_send_few_requests_to_a_failing_store() {
    let world = World::new();
    let files = small_files(&world, 128);
    let before = world.proxy.traffic();
    world
        .proxy
        .inject(Requests::put(), Fault::s3(500, "InternalError"));
    world
        .upload(&["put", "--jobs", "16", "--give-up-after", "3s"])
        .args(&files)
        .run()
        .exits(75);
    let attempts = world.proxy.traffic().since(&before).count("PUT");
    // The retry budget of a hundred, the 16 on the wire when it was spent, and a few later ones.
    assert!(attempts <= 100 + 16 + 10, "{attempts} attempts");
    world.proxy.clear_faults();
    world.upload(&["put"]).args(&files).run().succeeds();
    assert_eq!(world.store().objects().len(), files.len());
}

/// Returns how many parts are on the wire once at least 200 KiB were sent.
fn parts_in_flight(args: &[&str]) -> u64 {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    // No part ends.
    world.proxy.throttle(1 << 20);
    let put = world.upload(&["put", "--part-size", "5MiB", "--jobs", "4"]);
    let running = put.args(args).arg(&file).spawn();
    wait::until("bytes of parts", || {
        (world.bytes_put() >= 200 << 10).then_some(())
    });
    drop(running);
    world.proxy.traffic().count("PUT")
}

#[test]
fn few_parts_share_a_low_rate_limit() {
    assert_eq!(parts_in_flight(&["--limit-rate", "512KiB/s"]), 1);
    assert_eq!(parts_in_flight(&["--limit-rate", "640KiB/s"]), 2);
    assert!(parts_in_flight(&[]) > 2);
}
