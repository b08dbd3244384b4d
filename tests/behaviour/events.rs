//! The store's own word, through a real queue or pushed by the store itself: what is there is confirmed, whoever died; what is no
//! event ends in the dead-letter queue.
//!
//! Border: needs the S3 server that `scripts/test` starts, with queues. Of those in `scripts/stores` Ceph alone pushes, and
//! has none: that test is run by hand.

use std::time::Duration;
use std::{fs, process};

use rusqlite::Connection;

use crate::support::PART;
use crate::support::s3::{S3, lacks};
use crate::support::wait;
use crate::support::world::World;

/// A bucket whose events go to a queue of its own, and a gateway that listens to it and sweeps nothing.
#[track_caller]
fn queued(name: &str) -> (S3, String, World) {
    assert!(
        !lacks("queue"),
        "this store has no queues: LocalStack's has (scripts/stores/localstack.sh)"
    );
    let name = format!("upload-{name}-{}", process::id());
    let store = S3::real(&name);
    let queue = store.queue(&name);
    let events = format!("sqs:{queue}");
    let world = World::on_store_with_args(&store, &["--events", &events, "--sweep-every", "never"]);
    (store, queue, world)
}

/// A bucket whose store pushes events to the gateway, which sweeps nothing.
#[track_caller]
fn pushed(name: &str) -> (S3, World) {
    let name = format!("upload-{name}-{}", process::id());
    let store = S3::real(&name);
    let secret = "f0e1d2c3b4a5968778695a4b3c2d1e0f";
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, secret).unwrap();
    let file = file.path().to_str().unwrap();
    let args = [
        "--events",
        "webhook",
        "--events-secret-file",
        file,
        "--sweep-every",
        "never",
    ];
    let world = World::on_store_with_args(&store, &args);
    store.push_to(
        &name,
        &format!("{}/v1/events/s3", world.gateway.url()),
        secret,
    );
    (store, world)
}

/// Waits until the upload is ready in the gateway's ledger.
#[track_caller]
fn wait_until_ready(world: &World) {
    let ledger =
        Connection::open(world.gateway.sandbox().path("home/state/upload/gateway.db")).unwrap();
    ledger.busy_timeout(Duration::from_secs(10)).unwrap();
    let ready = || {
        ledger
            .query_row("SELECT 1 FROM upload WHERE state = 'ready'", [], |_| Ok(()))
            .ok()
    };
    wait::until("the event to be looked into", ready);
}

#[test]
fn a_client_that_died_behind_its_last_byte_has_uploaded() {
    let (store, _, world) = queued("alone");
    is_confirmed_without_its_client(&store, &world);
}

#[test]
#[ignore = "needs a store that pushes: scripts/stores/ceph.sh"]
fn what_a_store_pushes_is_looked_into() {
    let (store, world) = pushed("pushed");
    is_confirmed_without_its_client(&store, &world);
}

#[track_caller]
fn is_confirmed_without_its_client(store: &S3, world: &World) {
    let file = world.sandbox.file("note.txt", 1000);
    let died = world
        .put(&file)
        .env("UPLOAD_CRASH", "backend.put.response:1")
        .run();
    assert_ne!(died.code(), Some(0), "{died}");
    // Nobody asks the gateway for it: the store does.
    wait_until_ready(world);
    store.assert_holds_only(&file);
    let location = world.resume().run().succeeds();
    assert_eq!(location.lines().len(), 1);
    store.assert_holds_only(&file);
}

#[test]
fn a_gateway_that_died_behind_complete_learns_it_from_the_store() {
    let (store, _, mut world) = queued("left");
    let file = world.sandbox.file("film.bin", 2 * PART);
    world.gateway.kill9();
    world
        .gateway
        .restart_with_crash_point("gateway.complete.store_responded:1");
    let client = world.put(&file).spawn();
    world.gateway.wait();
    // The client asks too, but the lease of the first complete lives for a minute, and nobody sweeps.
    world.gateway.restart();
    wait_until_ready(&world);
    client.wait().succeeds();
    store.assert_holds_only(&file);
}

#[test]
fn what_is_no_event_goes_to_the_dead_letter_queue_and_stops_nothing() {
    let (store, queue, world) = queued("poison");
    store.send_message(&queue, "no event at all");
    store.send_message(&queue, r#"{"Records":[{"eventName":"ObjectCreated:Put"}]}"#);
    wait::until("both dead letters", || {
        (store.messages(&format!("{queue}-dead")) == 2).then_some(())
    });
    let file = world.sandbox.file("note.txt", 1000);
    world.put(&file).run().succeeds();
    wait::until("an empty queue", || {
        (store.messages(&queue) == 0).then_some(())
    });
    store.assert_holds_only(&file);
}

#[test]
fn a_queue_that_is_not_there_is_told_of_at_the_start() {
    let (store, queue, world) = queued("absent");
    let (bucket, events) = (
        format!("s3://{}", store.bucket()),
        format!("sqs:{queue}-not"),
    );
    let endpoint = format!("http://{}", store.addr());
    let place = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--store",
        &bucket,
        "--s3-endpoint",
        &endpoint,
        "--s3-path-style",
    ];
    let mut serve = world.sandbox.upload(place).args(["--events", &events]);
    for (name, value) in store.envs() {
        serve = serve.env(name, value);
    }
    serve
        .run()
        .exits(78)
        .stderr_contains("QueueDoesNotExist")
        .stderr_contains("--events");
}
