//! What a gateway leaves that dies while it tries its store, and the next one that starts there.
//!
//! Border: what the probe finds is tested on stores of all kinds; here, that of the embedded store it finds what is known.

use jiff::{SignedDuration, Timestamp};
use upload_s3::{Capability, ProbeDepth, Profile};
use upload_types::names::Key;

use crate::world::*;

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// Leaves what a probe has in the midst of its work, and beside it what is others'.
async fn left(world: &World) -> Vec<Key> {
    let store = world.store();
    let key = |text: &str| text.parse::<Key>().unwrap();
    let open = [
        format!("uploads/probe/{ID}"),
        "uploads/probe/notes".into(),
        format!("uploads/o/{ID}"),
    ];
    for open in &open {
        store
            .create(&key(open), &object("text/plain", "token"))
            .await
            .unwrap();
    }
    let mut objects = Vec::new();
    for (object_key, body) in [
        (format!("uploads/probe/{ID}-source"), b"of a probe"),
        ("uploads/o/two".into(), b"somebody's"),
    ] {
        let signed = store
            .sign_put(
                &key(&object_key),
                &object("text/plain", "token"),
                &spec(1, body),
                Duration::from_mins(5),
            )
            .await
            .unwrap();
        etag(&world.put(&SignedPart::Put(signed), body.to_vec()).await);
        objects.push(key(&object_key));
    }
    objects
}

async fn open(world: &World) -> Vec<String> {
    world.store().open_uploads(None).await.unwrap().0
}

#[tokio::test]
async fn what_a_probe_left_is_taken_away_and_nothing_else() {
    let world = World::new().await;
    let objects = left(&world).await;
    let (store, now) = (world.store(), Timestamp::now());
    // It may be at work still.
    assert_eq!(
        store
            .delete_stale_probes(now + SignedDuration::from_mins(14))
            .await
            .unwrap(),
        0
    );
    assert_eq!(open(&world).await.len(), 3);
    assert_eq!(
        store
            .delete_stale_probes(now + SignedDuration::from_mins(16))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        open(&world).await,
        [format!("uploads/o/{ID}"), "uploads/probe/notes".into()]
    );
    assert!(store.head(&objects[0]).await.unwrap().is_none());
    assert!(store.head(&objects[1]).await.unwrap().is_some());
}

#[tokio::test]
async fn the_next_gateway_takes_away_what_the_one_before_left_in_its_probe() {
    let world = World::new().await;
    let objects = left(&world).await;
    let World {
        place,
        running,
        client,
        token,
    } = world;
    running.stop().await;
    let manifest = rusqlite::Connection::open(place.path().join("store/store.db")).unwrap();
    manifest
        .execute("UPDATE upload SET created_ms = created_ms - 3600000", [])
        .unwrap();
    drop(manifest);
    let mut again = config(place.path(), Auth::None);
    (again.probe, again.proof) = (ProbePolicy::Require, None);
    let running = upload_gateway::start(again).await.unwrap();
    let world = World {
        place,
        running,
        client,
        token,
    };
    assert_eq!(
        open(&world).await,
        [format!("uploads/o/{ID}"), "uploads/probe/notes".into()]
    );
    assert!(world.store().head(&objects[0]).await.unwrap().is_none());
}

/// A start goes by what is written there, and tries only a little of it.
#[tokio::test]
async fn of_the_embedded_store_a_full_probe_finds_what_is_known() {
    let world = World::new().await;
    let (found, known) = (
        world.store().probe(ProbeDepth::Full, None).await.unwrap(),
        Profile::embedded(),
    );
    for capability in Capability::ALL {
        let (held, did) = (found.support(capability), found.observed(capability));
        assert_eq!(
            held,
            known.support(capability),
            "{}: {did}",
            capability.name()
        );
    }
    assert!(open(&world).await.is_empty());
    let manifest = rusqlite::Connection::open(world.place.path().join("store/store.db")).unwrap();
    let objects: i64 = manifest
        .query_row("SELECT count(*) FROM object", [], |row| row.get(0))
        .unwrap();
    assert_eq!(objects, 0);
}
