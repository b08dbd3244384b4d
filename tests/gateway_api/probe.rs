//! Probes of the store: data that interrupted probes leave, and the result for the embedded store.
//!
//! Not here: probes of other stores (`tests/s3_stores`).

use jiff::{SignedDuration, Timestamp};
use upload_s3::{Capability, ProbeDepth, Profile};
use upload_types::Key;

use crate::gateway::*;

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// Creates uploads and objects as an interrupted probe leaves them, and others that must stay.
async fn leave_probe_data(gateway: &TestGateway) -> Vec<Key> {
    let store = gateway.store();
    let key = |text: &str| text.parse::<Key>().unwrap();
    let open = [
        format!("uploads/probe/{ID}"),
        "uploads/probe/notes".into(),
        format!("uploads/o/{ID}"),
    ];
    for open in &open {
        store
            .create(&key(open), &new_object("text/plain", "token"))
            .await
            .unwrap();
    }
    let mut objects = Vec::new();
    for (object_key, body) in [
        (format!("uploads/probe/{ID}-source"), b"of a probe"),
        ("uploads/o/two".into(), b"of a user "),
    ] {
        let signed = store
            .sign_put(
                &key(&object_key),
                &new_object("text/plain", "token"),
                &part_spec(1, body),
                Duration::from_mins(5),
            )
            .await
            .unwrap();
        etag(&gateway.put(&SignedPart::Put(signed), body.to_vec()).await);
        objects.push(key(&object_key));
    }
    objects
}

async fn open_keys(gateway: &TestGateway) -> Vec<String> {
    gateway.store().open_uploads(None).await.unwrap().0
}

#[tokio::test]
async fn stale_probe_data_is_deleted_and_nothing_else() {
    let gateway = TestGateway::new().await;
    let objects = leave_probe_data(&gateway).await;
    let (store, now) = (gateway.store(), Timestamp::now());
    // The probe could still be running.
    assert_eq!(
        store
            .delete_stale_probes(now + SignedDuration::from_mins(14))
            .await
            .unwrap(),
        0
    );
    assert_eq!(open_keys(&gateway).await.len(), 3);
    assert_eq!(
        store
            .delete_stale_probes(now + SignedDuration::from_mins(16))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        open_keys(&gateway).await,
        [format!("uploads/o/{ID}"), "uploads/probe/notes".into()]
    );
    assert!(store.head(&objects[0]).await.unwrap().is_none());
    assert!(store.head(&objects[1]).await.unwrap().is_some());
}

#[tokio::test]
async fn next_gateway_deletes_data_of_an_interrupted_probe() {
    let gateway = TestGateway::new().await;
    let objects = leave_probe_data(&gateway).await;
    let TestGateway {
        dir,
        running,
        client,
        token,
    } = gateway;
    running.stop().await;
    let manifest = rusqlite::Connection::open(dir.path().join("store/store.db")).unwrap();
    manifest
        .execute("UPDATE upload SET created_ms = created_ms - 3600000", [])
        .unwrap();
    drop(manifest);
    let mut config = config(dir.path(), Auth::None);
    (config.probe, config.proof) = (ProbePolicy::Require, None);
    let running = upload_gateway::start(config).await.unwrap();
    let gateway = TestGateway {
        dir,
        running,
        client,
        token,
    };
    assert_eq!(
        open_keys(&gateway).await,
        [format!("uploads/o/{ID}"), "uploads/probe/notes".into()]
    );
    assert!(gateway.store().head(&objects[0]).await.unwrap().is_none());
}

/// The gateway starts with the known profile; a full probe must find the same.
#[tokio::test]
async fn full_probe_of_the_embedded_store_finds_its_known_profile() {
    let gateway = TestGateway::new().await;
    let (found, known) = (
        gateway.store().probe(ProbeDepth::Full, None).await.unwrap(),
        Profile::embedded(),
    );
    for capability in Capability::ALL {
        let (support, observation) = (found.support(capability), found.observed(capability));
        assert_eq!(
            support,
            known.support(capability),
            "{}: {observation}",
            capability.name()
        );
    }
    assert!(open_keys(&gateway).await.is_empty());
    let manifest = rusqlite::Connection::open(gateway.dir.path().join("store/store.db")).unwrap();
    let objects: i64 = manifest
        .query_row("SELECT count(*) FROM object", [], |row| row.get(0))
        .unwrap();
    assert_eq!(objects, 0);
}
