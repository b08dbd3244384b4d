//! Events of the store: duplicated, in any order, and about any key.
//!
//! Not here: messages that are pushed (`tests/gateway_api`), and a real queue (`tests/behaviour`).

use axum::http::Method;
use jiff::Timestamp;
use serde_json::json;

use super::fixture::{Fixture, Interference, PART, UPLOAD_ID_QUERY, is_pending, receipt};
use crate::events;
use crate::service::confirm::Confirmation;
use upload_types::wire::{BeginResponse, Code, UploadState};

impl Fixture {
    /// An upload of a single PUT. Its client crashed before it requested the complete.
    async fn send_without_complete(&self) -> BeginResponse {
        self.send_parts(77).await.0
    }

    async fn confirm(&self, upload: &BeginResponse) -> Confirmation {
        self.service.confirm(&upload.key).await.unwrap()
    }
}

#[tokio::test]
async fn matching_object_completes_the_upload() {
    let fixture = Fixture::new().await;
    let upload = fixture.send_without_complete().await;
    assert_eq!(fixture.confirm(&upload).await, Confirmation::Decided);
    let status = fixture
        .service
        .status(&fixture.owner, upload.id.as_str())
        .await
        .unwrap();
    assert_eq!(status.state, UploadState::Ready);
    let object = fixture.service.store.head(&upload.key).await.unwrap();
    assert_eq!(status.receipt.unwrap().etag, object.unwrap().etag);
}

#[tokio::test]
async fn repeated_events_in_any_order_change_nothing() {
    let fixture = Fixture::new().await;
    let complete = fixture.send_without_complete().await;
    let pending = fixture.begin_as("b", 77).await.unwrap().response;
    let aborted = fixture.begin_as("c", 5).await.unwrap().response;
    fixture.abort(&aborted).await.unwrap();
    assert_eq!(fixture.confirm(&complete).await, Confirmation::Decided);
    let receipt = async || fixture.row(&complete).await.receipt;
    let before = receipt().await;
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let upload = random.choice([&complete, &pending, &aborted]).unwrap();
        assert_eq!(fixture.confirm(upload).await, Confirmation::NothingToDo);
    }
    assert_eq!(fixture.state(&pending).await, UploadState::Pending);
    assert_eq!(fixture.state(&aborted).await, UploadState::Aborted);
    assert_eq!(receipt().await, before);
}

#[tokio::test]
async fn event_alone_proves_nothing() {
    let fixture = Fixture::new().await;
    let without_object = fixture.begin_as("other", 77).await.unwrap().response;
    assert_eq!(
        fixture.confirm(&without_object).await,
        Confirmation::NothingToDo
    );
    let with_parts = fixture.send_parts(2 * PART).await.0;
    assert_eq!(
        fixture.confirm(&with_parts).await,
        Confirmation::NothingToDo,
        "parts are not an object"
    );
    assert_eq!(fixture.state(&with_parts).await, UploadState::Uploading);
    assert!(
        fixture.requests(&Method::POST, UPLOAD_ID_QUERY).is_empty(),
        "the client has not requested a complete"
    );
    let unknown = "uploads/unknown/key".parse().unwrap();
    assert_eq!(
        fixture.service.confirm(&unknown).await.unwrap(),
        Confirmation::UnknownKey
    );
}

#[tokio::test]
async fn message_stays_in_the_queue_until_it_is_processed() {
    let fixture = Fixture::new().await;
    let upload = fixture.send_without_complete().await;
    let object =
        json!({ "bucket": { "name": fixture.service.bucket() }, "object": { "key": upload.key } });
    let record = json!({ "eventName": "ObjectCreated:Put", "s3": object });
    let message = json!({ "Records": [record] }).to_string();
    let process = async || events::process_message(&fixture.service, &message, 1, true).await;
    fixture.interfere(Method::HEAD, "", Interference::Unavailable);
    assert_eq!(process().await, events::Disposition::Redeliver);
    fixture.stop_interfering();
    assert_eq!(process().await, events::Disposition::Delete);
    assert_eq!(fixture.state(&upload).await, UploadState::Ready);
}

#[tokio::test]
async fn event_fails_while_the_object_cannot_be_checked() {
    let fixture = Fixture::new().await;
    let upload = fixture.send_without_complete().await;
    fixture.interfere(Method::HEAD, "", Interference::Unavailable);
    let refusal = fixture.service.confirm(&upload.key).await.unwrap_err();
    assert_eq!(refusal.code, Code::StoreUnavailable);
    fixture.stop_interfering();
    assert_eq!(fixture.confirm(&upload).await, Confirmation::Decided);
}

#[tokio::test]
async fn event_decides_an_abandoned_complete_before_the_lease_ends() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    fixture.interfere(Method::HEAD, "", Interference::Unavailable);
    assert!(is_pending(&fixture.complete(&upload, &request).await));
    fixture.stop_interfering();
    let second_gateway = fixture.second_gateway().await;
    assert_eq!(
        second_gateway.confirm(&upload.key).await.unwrap(),
        Confirmation::Decided
    );
    assert_eq!(
        receipt(fixture.complete(&upload, &request).await).checksum,
        Some(request.checksum)
    );
}

#[tokio::test]
async fn object_that_arrives_after_the_end_is_removed_by_the_next_sweep() {
    let fixture = Fixture::new().await;
    let upload = fixture.send_without_complete().await;
    // As after an abort that did not find the object.
    fixture.execute_sql("UPDATE upload SET state = 'aborted'");
    assert_eq!(fixture.confirm(&upload).await, Confirmation::NothingToDo);
    fixture.service.sweep(None).await.unwrap();
    assert!(!fixture.has_object(&upload).await);
}

#[tokio::test]
async fn unknown_keys_are_counted_and_forgotten() {
    let fixture = Fixture::new().await;
    let key: upload_types::Key = "uploads/unknown/key".parse().unwrap();
    let long_ago: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let old_key: upload_types::Key = "uploads/unknown/old".parse().unwrap();
    fixture
        .service
        .record_unknown_key(&old_key, long_ago)
        .await
        .unwrap();
    for _ in 0..3 {
        fixture
            .service
            .record_unknown_key(&key, Timestamp::now())
            .await
            .unwrap();
    }
    let connection = rusqlite::Connection::open(fixture.dir.path().join("ledger.db")).unwrap();
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
