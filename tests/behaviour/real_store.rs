//! A store that nobody here wrote: client and gateway die on the way, a bit flips, and it holds one object and nothing
//! half done.
//!
//! Border: needs the S3 server that `scripts/test` starts; without it these tests fail and say so.

use std::process;

use crate::interrupt::held;
use crate::support::dice::Dice;
use crate::support::events::receipts;
use crate::support::proxy::{Fault, Requests};
use crate::support::s3::{S3, lacks};
use crate::support::world::{World, bound, proves};
use crate::support::{MIB, PART, files};

/// A bucket of its own.
#[track_caller]
fn bucket(name: &str) -> S3 {
    S3::real(&format!("upload-{name}-{}", process::id()))
}

#[test]
fn client_and_gateway_die_and_the_object_is_right() {
    let mut dice = Dice::new(4);
    let store = bucket("killed");
    let mut world = World::on(&store);
    let before = world.bytes_put();
    let size = 48 * MIB;
    let file = world.sandbox.file("film.bin", size);
    let mut next = world.put(&file);
    for _ in 0..3 {
        held(&world, next, dice.between(1, 12 * MIB)).kill9();
        next = world.resume();
    }
    let receipt = world.sandbox.path("receipt");
    let running = held(&world, next.arg("--receipt").arg(&receipt), 2 * MIB);
    world.gateway.kill9();
    world.data().open();
    world.gateway.start_again();
    running.wait().succeeds();

    store.holds_only(&file);
    let receipts = receipts(&receipt);
    proves(&receipts[0], &file, PART);
    let said = store.head(&receipts[0].key);
    let checksum = files::checksum(&file, PART);
    assert_eq!(
        said.header("x-amz-checksum-sha256"),
        Some(checksum.as_str()).filter(|_| !lacks("composite"))
    );
    let sent = world.bytes_put() - before;
    assert!(sent <= bound(size, 4), "{sent} bytes were sent");
}

#[test]
fn a_bit_that_flips_on_the_way_is_refused_and_sent_again() {
    let store = bucket("flipped");
    let world = World::on(&store);
    let before = world.data().traffic();
    let file = world.sandbox.file("film.bin", 3 * PART);
    world
        .data()
        .spoil(Requests::put().nth(2), Fault::FlipBit { at: PART / 2 });
    world.put(&file).run().succeeds();
    store.holds_only(&file);
    let traffic = world.data().traffic().since(&before);
    assert_eq!(traffic.count("PUT"), 4);
    assert_eq!(
        traffic
            .of("PUT")
            .filter(|exchange| exchange.status == Some(400))
            .count(),
        1,
        "{traffic:?}"
    );
}

#[test]
fn a_file_of_any_size_arrives_whole() {
    let store = bucket("sizes");
    let world = World::on(&store);
    let receipt = world.sandbox.path("receipt");
    for size in [0, 1, PART, PART + 1] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        world
            .put(&file)
            .arg("--receipt")
            .arg(&receipt)
            .run()
            .succeeds();
        let receipts = receipts(&receipt);
        let receipt = receipts.last().unwrap();
        proves(receipt, &file, PART);
        assert_eq!(
            files::sha256_of(&store.get(&receipt.key)),
            files::sha256(&file)
        );
    }
    store.holds_nothing_open();
}
