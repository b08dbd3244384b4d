//! Events of the store, from a queue or pushed: they confirm an upload after its client or gateway
//! died, and an invalid message goes to the dead-letter queue.
//!
//! Needs the S3 server that `scripts/test` starts, with queues. Only Ceph pushes events, but it has
//! no queues, so its test is run by hand.

use std::time::Duration;
use std::{fs, process};

use rusqlite::Connection;

use crate::support::PART;
use crate::support::gateway::store_args;
use crate::support::s3::{S3, lacks};
use crate::support::wait;
use crate::support::world::World;

/// A bucket, a queue for its events, and a gateway that reads the queue and never sweeps.
#[track_caller]
fn world_with_queue(name: &str) -> (S3, String, World) {
    assert!(
        !lacks("queue"),
        "this S3 server has no queues; LocalStack has (scripts/stores/localstack.sh)"
    );
    let name = format!("upload-{name}-{}", process::id());
    let store = S3::real(&name);
    let queue = store.create_queue(&name);
    let events = format!("sqs:{queue}");
    let world = World::on_store_with(
        &store,
        &["--events", &events, "--sweep-every", "never"],
        &[],
    );
    (store, queue, world)
}

/// A bucket whose store pushes events to a gateway that never sweeps.
#[track_caller]
fn world_with_push(name: &str) -> (S3, World) {
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
    let world = World::on_store_with(&store, &args, &[]);
    store.push_events_to(
        &name,
        &format!("{}/v1/events/s3", world.gateway.url()),
        secret,
    );
    (store, world)
}

/// Waits until an upload is ready in the gateway's ledger.
#[track_caller]
fn wait_until_ready(world: &World) {
    let ledger = Connection::open(world.gateway.sandbox().ledger()).unwrap();
    ledger.busy_timeout(Duration::from_secs(10)).unwrap();
    let ready = || {
        ledger
            .query_row("SELECT 1 FROM upload WHERE state = 'ready'", [], |_| Ok(()))
            .ok()
    };
    wait::until("a ready upload in the ledger", ready);
}

#[test]
fn queue_event_confirms_an_upload_without_its_client() {
    let (store, _, world) = world_with_queue("alone");
    assert_confirmed_without_client(&store, &world);
}

#[test]
#[ignore = "needs a store that pushes events: scripts/stores/ceph.sh"]
fn pushed_event_confirms_an_upload_without_its_client() {
    let (store, world) = world_with_push("pushed");
    assert_confirmed_without_client(&store, &world);
}

/// The client dies after its last part. Nothing but the event makes the gateway confirm the upload.
#[track_caller]
fn assert_confirmed_without_client(store: &S3, world: &World) {
    let file = world.sandbox.file("note.txt", 1000);
    let died = world
        .put(&file)
        .env("UPLOAD_CRASH", "backend.put.response:1")
        .run();
    assert_ne!(died.code(), Some(0), "{died}");
    wait_until_ready(world);
    store.assert_holds_only(&file);
    let location = world.resume().run().succeeds();
    assert_eq!(location.lines().len(), 1);
    store.assert_holds_only(&file);
}

#[test]
fn queue_event_confirms_a_complete_of_a_dead_gateway() {
    let (store, _, mut world) = world_with_queue("left");
    let file = world.sandbox.file("film.bin", 2 * PART);
    world.gateway.kill9();
    world
        .gateway
        .restart_with_crash_point("gateway.complete.store_responded:1");
    let client = world.put(&file).spawn();
    world.gateway.wait();
    // The client repeats its complete, but the dead gateway's lease on it lasts a minute.
    world.gateway.restart();
    wait_until_ready(&world);
    client.wait().succeeds();
    store.assert_holds_only(&file);
}

#[test]
fn invalid_message_goes_to_the_dead_letter_queue() {
    let (store, queue, world) = world_with_queue("poison");
    store.send_message(&queue, "no event at all");
    store.send_message(&queue, r#"{"Records":[{"eventName":"ObjectCreated:Put"}]}"#);
    wait::until("both dead letters", || {
        (store.count_messages(&format!("{queue}-dead")) == 2).then_some(())
    });
    let file = world.sandbox.file("note.txt", 1000);
    world.put(&file).run().succeeds();
    wait::until("an empty queue", || {
        (store.count_messages(&queue) == 0).then_some(())
    });
    store.assert_holds_only(&file);
}

#[test]
fn missing_queue_is_reported_at_the_start() {
    let (store, queue, world) = world_with_queue("absent");
    let (bucket, events) = (
        format!("s3://{}", store.bucket()),
        format!("sqs:{queue}-not"),
    );
    let endpoint = format!("http://{}", store.addr());
    let mut serve = world
        .sandbox
        .upload(["serve", "--listen", "127.0.0.1:0", "--events", &events])
        .args(store_args(&bucket, &endpoint));
    for (name, value) in store.envs() {
        serve = serve.env(name, value);
    }
    serve
        .run()
        .exits(78)
        .stderr_contains("QueueDoesNotExist")
        .stderr_contains("--events");
}
