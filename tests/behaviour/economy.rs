//! What an upload costs on the wire: requests and bytes, counted. A guard against growing slower without anybody noticing.
//!
//! Border: counts, never seconds (`benches/peers` measures those). The bounds are what it takes today: whoever needs fewer
//! requests lowers them, whoever needs more says why.

use std::path::PathBuf;

use crate::interrupt::kill_after_parts;
use crate::support::proxy::{Fault, Requests, Traffic};
use crate::support::world::World;
use crate::support::{MIB, PART};

/// Requests of one run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// To the gateway: what it is and may do; begin; signing; complete; several of these at once; and whatever else.
    hello: u64,
    begin: u64,
    sign: u64,
    complete: u64,
    batch: u64,
    other: u64,
    /// To the store.
    put: u64,
    bytes_put: u64,
}

impl Cost {
    fn of(traffic: &Traffic) -> Self {
        let hello = traffic
            .by_method("GET")
            .filter(|exchange| exchange.path == "/v1")
            .count() as u64;
        let (begin, put) = (traffic.posts("/v1/uploads"), traffic.count("PUT"));
        let (sign, complete, batch) = (
            traffic.posts("/sign"),
            traffic.posts("/complete"),
            traffic.posts("/v1/batch"),
        );
        let other = traffic.0.len() as u64 - hello - begin - sign - complete - batch - put;
        Self {
            hello,
            begin,
            sign,
            complete,
            batch,
            other,
            put,
            bytes_put: traffic.bytes("PUT"),
        }
    }

    /// Asserts that no figure is above what is allowed.
    #[track_caller]
    fn is_within(self, allowed: Self) {
        let within = self.hello <= allowed.hello
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

/// Runs `upload put` with its defaults, and tells what it cost.
#[track_caller]
fn cost_of_put(world: &World, files: &[PathBuf]) -> Cost {
    let before = world.proxy.traffic();
    world.upload(&["put"]).args(files).run().succeeds();
    Cost::of(&world.proxy.traffic().since(&before))
}

fn small(world: &World, count: u64) -> Vec<PathBuf> {
    (0..count)
        .map(|number| world.sandbox.file(&format!("{number}.bin"), 10 << 10))
        .collect()
}

/// Parts of 8 MiB. Signing goes ahead as far as there are parts on the wire, so how many calls it takes depends on who is
/// quicker: at most one for each part.
#[test]
fn one_big_file() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 64 * MIB);
    let allowed = Cost {
        hello: 1,
        begin: 1,
        sign: 8,
        complete: 1,
        put: 8,
        bytes_put: 64 * MIB,
        ..Cost::default()
    };
    cost_of_put(&world, &[file]).is_within(allowed);
}

#[test]
fn one_small_file() {
    let world = World::new();
    let allowed = Cost {
        hello: 1,
        begin: 1,
        complete: 1,
        put: 1,
        bytes_put: 10 << 10,
        ..Cost::default()
    };
    cost_of_put(&world, &small(&world, 1)).is_within(allowed);
}

/// Whatever comes up while a call is under way goes out in the next one: how many calls it takes depends on who is quicker, but
/// begins, which wait for nothing, go by the dozen.
#[test]
fn many_small_files_in_one_command() {
    let world = World::new();
    let cost = cost_of_put(&world, &small(&world, 200));
    assert!(cost.begin + cost.complete + cost.batch <= 220, "{cost:?}");
    let calls = Cost {
        begin: 0,
        complete: 0,
        batch: 0,
        ..cost
    };
    assert_eq!(
        calls,
        Cost {
            hello: 1,
            put: 200,
            bytes_put: 200 * (10 << 10),
            ..Cost::default()
        }
    );
}

/// Whatever the store has is not sent again, and to find that out takes a claim, a look at the upload, and a page of its parts.
/// (The last answers before the kill may have been lost, so that the store may have more than was seen to be answered.)
#[test]
fn a_resumed_upload() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 12 * PART);
    kill_after_parts(&world, &file, 6);
    let before = world.proxy.traffic();
    let stored = before
        .by_method("PUT")
        .filter(|exchange| exchange.status == Some(200))
        .count() as u64;
    world.resume().run().succeeds();
    let left = 12 - stored;
    let cost = Cost::of(&world.proxy.traffic().since(&before));
    let (put, bytes_put) = (left, left * PART);
    cost.is_within(Cost {
        hello: 1,
        sign: left,
        complete: 1,
        other: 3,
        put,
        bytes_put,
        ..Cost::default()
    });
}

#[test]
fn a_repeated_put() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    cost_of_put(&world, std::slice::from_ref(&file));
    cost_of_put(&world, &[file]).is_within(Cost {
        hello: 1,
        other: 1,
        ..Cost::default()
    });
}

/// Each of them waits longer and longer, but there is always another one whose turn it is.
#[test]
fn many_files_do_not_storm_a_store_that_takes_nothing() {
    let world = World::new();
    let files = small(&world, 128);
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
    // A hundred, those that were on the wire then, and one now and then.
    assert!(attempts <= 100 + 16 + 10, "{attempts} attempts");
    world.proxy.clear_faults();
    world.upload(&["put"]).args(&files).run().succeeds();
    assert_eq!(world.store().objects().len(), files.len());
}
