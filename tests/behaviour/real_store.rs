//! An S3 server of another project as the store: kills, corrupted parts and files of several sizes.
//! `scripts/test` starts the server; without it these tests fail.

use std::process;

use crate::support::events::receipts;
use crate::support::proxy::{Fault, Requests};
use crate::support::random::Rng;
use crate::support::s3::{S3, lacks};
use crate::support::world::{World, assert_receipt_matches, max_bytes_sent};
use crate::support::{MIB, PART, files};

/// A bucket for one test.
#[track_caller]
fn bucket(name: &str) -> S3 {
    S3::real(&format!("upload-{name}-{}", process::id()))
}

#[test]
fn put_survives_kills_of_client_and_gateway() {
    let mut rng = Rng::new(4);
    let store = bucket("killed");
    let mut world = World::on_store(&store);
    let before = world.bytes_put();
    let size = 48 * MIB;
    let file = world.sandbox.file("film.bin", size);
    let mut next = world.put(&file);
    for _ in 0..3 {
        world
            .run_until_blocked(next, rng.between(1, 12 * MIB))
            .kill9();
        next = world.resume();
    }
    let receipt = world.sandbox.path("receipt");
    let running = world.run_until_blocked(next.arg("--receipt").arg(&receipt), 2 * MIB);
    world.gateway.kill9();
    world.part_proxy().unblock();
    world.gateway.restart();
    running.wait().succeeds();

    store.assert_holds_only(&file);
    let receipts = receipts(&receipt);
    assert_receipt_matches(&receipts[0], &file, PART);
    let head = store.head(&receipts[0].key);
    let checksum = files::checksum(&file, PART);
    assert_eq!(
        head.header("x-amz-checksum-sha256"),
        Some(checksum.as_str()).filter(|_| !lacks("composite"))
    );
    let sent = world.bytes_put() - before;
    assert!(sent <= max_bytes_sent(size, 4), "{sent} bytes were sent");
}

#[test]
fn corrupted_part_is_rejected_and_sent_again() {
    let store = bucket("flipped");
    let world = World::on_store(&store);
    let before = world.part_proxy().traffic();
    let file = world.sandbox.file("film.bin", 3 * PART);
    world
        .part_proxy()
        .inject(Requests::put().nth(2), Fault::FlipBit { at: PART / 2 });
    world.put(&file).run().succeeds();
    store.assert_holds_only(&file);
    let traffic = world.part_proxy().traffic().since(&before);
    assert_eq!(traffic.count("PUT"), 4);
    assert_eq!(
        traffic
            .by_method("PUT")
            .filter(|exchange| exchange.status == Some(400))
            .count(),
        1,
        "{traffic:?}"
    );
}

#[test]
fn put_stores_files_of_any_size() {
    let store = bucket("sizes");
    let world = World::on_store(&store);
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
        assert_receipt_matches(receipt, &file, PART);
        assert_eq!(
            files::sha256_of(&store.get(&receipt.key)),
            files::sha256(&file)
        );
    }
    store.assert_no_open_uploads();
}

#[test]
fn stream_is_stored_whole() {
    let store = bucket("stream");
    let world = World::on_store(&store);
    for (name, size) in [("film.bin", 2 * PART + 7), ("note.txt", 3), ("empty", 0)] {
        let file = world.sandbox.file(name, size);
        let receipt = world.sandbox.path(format!("{name}.receipt"));
        world
            .upload(&[
                "put",
                "-",
                "--name",
                name,
                "--part-size",
                "5MiB",
                "--allow-empty",
            ])
            .arg("--receipt")
            .arg(&receipt)
            .stdin_from(std::fs::File::open(&file).unwrap())
            .run()
            .succeeds();
        let receipt = receipts(&receipt).remove(0);
        assert_eq!(receipt.sha256, Some(files::sha256(&file)), "{name}");
        assert_eq!(store.sha256(&receipt.key), files::sha256(&file), "{name}");
        let head = store.head(&receipt.key);
        assert_eq!(
            head.header("x-amz-checksum-sha256"),
            Some(receipt.checksum.as_str()).filter(|_| !lacks("composite")),
            "{name}"
        );
    }
    store.assert_no_open_uploads();
}
