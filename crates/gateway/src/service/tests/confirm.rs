//! What the store's own events come to: however often, in whatever order, about whatever key.
//!
//! Border: messages are read and pushed in `tests/gateway_api/events.rs`; a real queue is in `tests/behaviour/events.rs`.

use serde_json::json;

use super::*;
use crate::events;

impl World {
    /// An upload of one PUT whose client died before it asked for complete.
    async fn put_alone(&self) -> BeginResponse {
        self.sent(77).await.0
    }

    async fn confirm(&self, upload: &BeginResponse) -> Confirmed {
        self.service.confirm(&upload.key).await.unwrap()
    }
}

#[tokio::test]
async fn an_object_that_is_there_and_right_is_a_finished_upload() {
    let world = World::new().await;
    let upload = world.put_alone().await;
    assert_eq!(world.confirm(&upload).await, Confirmed::Decided);
    let status = world
        .service
        .status(&world.owner, upload.id.as_str())
        .await
        .unwrap();
    assert_eq!(status.state, UploadState::Ready);
    let head = world
        .service
        .store
        .head(&upload.key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.receipt.unwrap().etag, head.etag);
}

#[tokio::test]
async fn told_again_in_any_order_nothing_changes() {
    let world = World::new().await;
    let (first, second, aborted) = (
        world.put_alone().await,
        world.begin_as("b", 77).await,
        world.begin_as("c", 5).await,
    );
    let (second, aborted) = (second.unwrap().0, aborted.unwrap().0);
    world
        .service
        .abort(&world.owner, aborted.id.as_str(), None)
        .await
        .unwrap();
    assert_eq!(world.confirm(&first).await, Confirmed::Decided);
    let receipt = world
        .service
        .status(&world.owner, first.id.as_str())
        .await
        .unwrap()
        .receipt;
    let mut dice = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let upload = dice.choice([&first, &second, &aborted]).unwrap();
        assert_eq!(world.confirm(upload).await, Confirmed::Nothing);
    }
    assert_eq!(world.state(&second).await, UploadState::Pending);
    assert_eq!(world.state(&aborted).await, UploadState::Aborted);
    assert_eq!(
        world
            .service
            .status(&world.owner, first.id.as_str())
            .await
            .unwrap()
            .receipt,
        receipt
    );
}

#[tokio::test]
async fn an_event_alone_proves_nothing() {
    let world = World::new().await;
    let (upload, _) = world.begin_as("other", 77).await.unwrap();
    assert_eq!(world.confirm(&upload).await, Confirmed::Nothing);
    let parts = world.sent(2 * PART).await.0;
    assert_eq!(
        world.confirm(&parts).await,
        Confirmed::Nothing,
        "parts are no object"
    );
    assert_eq!(world.state(&parts).await, UploadState::Uploading);
    assert!(
        world.asked(&Method::POST, "uploadId").is_empty(),
        "nobody asked for complete"
    );
    let stranger = "uploads/somebody/else".parse().unwrap();
    assert_eq!(
        world.service.confirm(&stranger).await.unwrap(),
        Confirmed::Unknown
    );
}

/// It comes again only if it stays in the queue.
#[tokio::test]
async fn a_message_stays_in_the_queue_until_it_was_looked_into() {
    let world = World::new().await;
    let upload = world.put_alone().await;
    let object =
        json!({ "bucket": { "name": world.service.bucket() }, "object": { "key": upload.key } });
    let record = json!({ "eventName": "ObjectCreated:Put", "s3": object });
    let message = json!({ "Records": [record] }).to_string();
    let settle = async || events::settle(&world.service, &message, 1, true).await;
    world.set(Method::HEAD, "", Mood::Down);
    assert_eq!(settle().await, events::Fate::Leave);
    world.heal();
    assert_eq!(settle().await, events::Fate::Delete);
    assert_eq!(world.state(&upload).await, UploadState::Ready);
}

#[tokio::test]
async fn a_store_that_does_not_tell_is_asked_again() {
    let world = World::new().await;
    let upload = world.put_alone().await;
    world.set(Method::HEAD, "", Mood::Down);
    assert_eq!(
        world.service.confirm(&upload.key).await.unwrap_err().code,
        Code::StoreUnavailable
    );
    world.heal();
    assert_eq!(world.confirm(&upload).await, Confirmed::Decided);
}

#[tokio::test]
async fn a_complete_that_its_gateway_left_is_decided_while_the_lease_lives() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    world.set(Method::HEAD, "", Mood::Down);
    assert!(matches!(
        world.complete(&upload, &request).await,
        Ok(Completion::Deciding(UploadState::Completing))
    ));
    world.heal();
    assert_eq!(
        world.twin().await.confirm(&upload.key).await.unwrap(),
        Confirmed::Decided
    );
    assert_eq!(
        receipt(world.complete(&upload, &request).await).checksum,
        Some(request.checksum)
    );
}

#[tokio::test]
async fn what_lands_after_the_end_is_swept_away_at_once() {
    let world = World::new().await;
    let upload = world.put_alone().await;
    // As after an abort that did not see it.
    world.ledger("UPDATE upload SET state = 'aborted'");
    assert_eq!(world.confirm(&upload).await, Confirmed::Nothing);
    world.service.sweep().await.unwrap();
    assert!(
        world
            .service
            .store
            .head(&upload.key)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn strangers_are_counted_and_forgotten() {
    let world = World::new().await;
    let key: upload_types::names::Key = "uploads/somebody/else".parse().unwrap();
    let old: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let other: upload_types::names::Key = "uploads/somebody/old".parse().unwrap();
    world.service.note_stranger(&other, old).await.unwrap();
    for _ in 0..3 {
        world
            .service
            .note_stranger(&key, Timestamp::now())
            .await
            .unwrap();
    }
    let connection = rusqlite::Connection::open(world.place.path().join("ledger.db")).unwrap();
    let mut rows = connection
        .prepare("SELECT key, events FROM unknown_key")
        .unwrap();
    let rows: Vec<(String, i64)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rows, [(key.to_string(), 3)]);
}
