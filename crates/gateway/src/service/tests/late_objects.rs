//! Objects that arrive after the end of their upload, objects that vanish, and the quota, which
//! follows both.

use jiff::Timestamp;

use super::fixture::{Fixture, PART, receipt, send};
use crate::limits::Quota;
use crate::problem::Refusal;
use upload_types::wire::{
    BeginResponse, Code, ObjectState, PartSpec, SignRequest, SignedPart, SignedPut, UploadState,
};
use upload_types::{PartNumber, Sha256};

const BODY: &[u8] = &[7; 3];

/// As if the URLs had ended, and the time of the last request.
const WRITES_ENDED: &str =
    "UPDATE upload SET cleanup_at = 1, may_land_until = 1 WHERE cleanup_at > 1";
const URLS_ENDED: &str = "UPDATE upload SET cleanup_at = 1 WHERE cleanup_at > 1";

/// Begins an upload of a single PUT. Returns its signed PUT, too.
async fn begin_signed(fixture: &Fixture, key: &str) -> (BeginResponse, SignedPut) {
    let upload = fixture.begin_as(key, BODY.len()).await.unwrap().response;
    let sign = SignRequest {
        epoch: upload.epoch,
        parts: vec![PartSpec {
            number: PartNumber::FIRST,
            size: BODY.len() as u64,
            sha256: Sha256::of(BODY),
            md5: None,
        }],
        copies: Vec::new(),
        credentials_rejected: false,
    };
    let id = upload.id.as_str();
    let signed = fixture.service.sign(&fixture.owner, id, sign).await;
    let SignedPart::Put(put) = signed.unwrap().parts.remove(0) else {
        panic!("the gateway signed no PUT for the part")
    };
    (upload, put)
}

async fn sweep(fixture: &Fixture) {
    fixture.service.sweep(None).await.unwrap();
}

async fn with_total(bytes: u64) -> Fixture {
    Fixture::with(|config| {
        config.quota = Quota {
            total: Some(bytes),
            ..Quota::default()
        };
    })
    .await
}

/// The code of a refused begin, and whether waiting helps.
async fn begin_refused(fixture: &Fixture, key: &str, size: usize) -> (Code, bool) {
    let Err(Refusal {
        code, retry_after, ..
    }) = fixture.begin_as(key, size).await
    else {
        panic!("the upload was begun")
    };
    (code, retry_after.is_some())
}

#[tokio::test]
async fn object_written_after_the_end_of_its_url_is_removed_each_time() {
    let fixture = Fixture::new().await;
    let (upload, put) = begin_signed(&fixture, "key").await;
    fixture.abort(&upload).await.unwrap();
    let row = fixture.row(&upload).await;
    let late_writes = row.may_land_until.unwrap().duration_since(Timestamp::now());
    // 15 minutes until the URL ends, and 15 for a slow request.
    assert!(
        (1700..=1800).contains(&late_writes.as_secs()),
        "{late_writes}"
    );

    // The URL has ended, and a request that began before is still running.
    fixture.execute_sql(URLS_ENDED);
    sweep(&fixture).await;
    assert_eq!(
        fixture.row(&upload).await.may_land_until,
        row.may_land_until
    );
    send(&put, BODY).await;
    assert!(fixture.has_object(&upload).await);
    fixture.execute_sql(WRITES_ENDED);
    sweep(&fixture).await;
    assert!(!fixture.has_object(&upload).await);
    assert_eq!(fixture.row(&upload).await.may_land_until, None);

    // A slower one: the last check is a day later.
    send(&put, BODY).await;
    sweep(&fixture).await;
    assert!(fixture.has_object(&upload).await, "not due yet");
    fixture.execute_sql(URLS_ENDED);
    sweep(&fixture).await;
    assert!(!fixture.has_object(&upload).await);

    // After the last check, the survey finds it.
    send(&put, BODY).await;
    fixture.execute_sql(URLS_ENDED);
    sweep(&fixture).await;
    assert!(fixture.has_object(&upload).await, "no check is scheduled");
    fixture.service.survey_all().await.unwrap();
    sweep(&fixture).await;
    assert!(!fixture.has_object(&upload).await);
    assert_eq!(fixture.row(&upload).await.state, UploadState::Aborted);
}

#[tokio::test]
async fn aborted_single_put_counts_until_it_cannot_write_any_more() {
    let fixture = with_total(5).await;
    let (upload, put) = begin_signed(&fixture, "key").await;
    fixture.abort(&upload).await.unwrap();
    let temporary = (Code::QuotaExceeded, true);
    assert_eq!(begin_refused(&fixture, "next", 3).await, temporary);
    send(&put, BODY).await;
    fixture.execute_sql(URLS_ENDED);
    sweep(&fixture).await;
    assert_eq!(begin_refused(&fixture, "next", 3).await, temporary);
    fixture.execute_sql(WRITES_ENDED);
    sweep(&fixture).await;
    assert!(!fixture.has_object(&upload).await);
    fixture.begin_as("next", 3).await.unwrap();
}

/// The store accepts no more parts of an aborted multipart upload, so nothing can be written late.
#[tokio::test]
async fn aborted_multipart_upload_frees_its_bytes_at_once() {
    let size = PART + 1;
    let fixture = with_total(size as u64).await;
    let (upload, _) = fixture.send_parts(size).await;
    fixture.abort(&upload).await.unwrap();
    assert_eq!(fixture.count_multiparts(&upload).await, 0);
    fixture.begin_as("next", size).await.unwrap();
}

#[tokio::test]
async fn object_that_the_store_no_longer_has_is_not_counted() {
    let fixture = with_total(6).await;
    let mut uploads = Vec::new();
    for key in ["a", "b"] {
        let (upload, request) = fixture.send_parts_as(key, 3).await;
        receipt(fixture.complete(&upload, &request).await);
        uploads.push(upload);
    }
    let permanent = (Code::QuotaExceeded, false);
    assert_eq!(begin_refused(&fixture, "c", 3).await, permanent);
    let survey = async || fixture.service.survey_all().await.unwrap();
    survey().await;
    assert_eq!(begin_refused(&fixture, "c", 3).await, permanent);

    let store = &fixture.service.store;
    store.delete(&uploads[0].key).await.unwrap();
    survey().await;
    survey().await;
    let (c, request) = fixture.send_parts_as("c", 3).await;
    receipt(fixture.complete(&c, &request).await);
    assert_eq!(begin_refused(&fixture, "d", 1).await, permanent);
    // A status notices it without a survey.
    store.delete(&uploads[1].key).await.unwrap();
    let id = uploads[1].id.as_str();
    let status = fixture.service.status(&fixture.owner, id).await.unwrap();
    assert_eq!(status.object, Some(ObjectState::Missing));
    fixture.begin_as("d", 3).await.unwrap();
}

#[tokio::test]
async fn object_that_was_counted_as_missing_is_counted_again() {
    let fixture = with_total(3).await;
    let (upload, request) = fixture.send_parts_as("a", 3).await;
    receipt(fixture.complete(&upload, &request).await);
    let free = fixture.service.ledger.free_held_bytes(&upload.id);
    free.await.unwrap();
    fixture.service.survey_all().await.unwrap();
    let permanent = (Code::QuotaExceeded, false);
    assert_eq!(begin_refused(&fixture, "b", 3).await, permanent);
}

#[tokio::test]
async fn object_that_was_written_again_is_reported_and_counted_with_its_size() {
    let fixture = with_total(100).await;
    let (upload, request) = fixture.send_parts_as("a", 3).await;
    receipt(fixture.complete(&upload, &request).await);
    let store = &fixture.service.store;
    store.delete(&upload.key).await.unwrap();
    let row = fixture.row(&upload).await;
    let parts = [PartSpec {
        number: PartNumber::FIRST,
        size: 99,
        sha256: Sha256::of(&[1; 99]),
        md5: None,
    }];
    let ttl = std::time::Duration::from_mins(1);
    let object = row.new_object();
    let put = store.sign_put(&row.key, &object, &parts[0], ttl).await;
    send(&put.unwrap(), &[1; 99]).await;
    fixture.service.survey_all().await.unwrap();
    let permanent = (Code::QuotaExceeded, false);
    assert_eq!(begin_refused(&fixture, "b", 2).await, permanent);
    fixture.begin_as("b", 1).await.unwrap();
    let id = upload.id.as_str();
    let status = fixture.service.status(&fixture.owner, id).await.unwrap();
    assert_eq!(status.object, Some(ObjectState::Replaced));
}

#[tokio::test]
async fn removal_of_a_recovered_upload_that_the_store_interrupts_is_finished_by_the_sweep() {
    let fixture = Fixture::with(|config| config.client_delete = true).await;
    let (upload, request) = fixture.send_parts_as("a", 3).await;
    receipt(fixture.complete(&upload, &request).await);
    // As after a recovery from expiry.
    fixture.execute_sql("UPDATE upload SET expires_at = 0");
    let delete = axum::http::Method::DELETE;
    fixture.interfere(delete, "", super::fixture::Interference::Unavailable);
    let operator = fixture.service.remove_for_operator(&upload.id).await;
    assert_eq!(operator.unwrap_err().code, Code::StoreUnavailable);
    fixture.stop_interfering();
    fixture.execute_sql("UPDATE upload SET lease_until = 0");
    sweep(&fixture).await;
    assert!(!fixture.has_object(&upload).await);
    assert_eq!(fixture.row(&upload).await.state, UploadState::Aborted);
    // Its URL may live on. The operator may repeat the removal.
    let again = fixture.service.remove_for_operator(&upload.id).await;
    again.unwrap();
}

#[tokio::test]
async fn object_of_an_expired_upload_that_was_kept_is_removed_by_the_operator_only() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts_as("a", 3).await;
    receipt(fixture.complete(&upload, &request).await);
    // As in a restored ledger, after a cleanup that has kept the object.
    fixture.execute_sql("UPDATE upload SET state = 'expired', receipt = NULL, held_bytes = 0");
    fixture.service.survey_all().await.unwrap();
    sweep(&fixture).await;
    assert!(fixture.has_object(&upload).await);
    let removed = fixture.service.remove_for_operator(&upload.id).await;
    removed.unwrap();
    assert!(!fixture.has_object(&upload).await);
    assert_eq!(fixture.row(&upload).await.state, UploadState::Aborted);
}

#[tokio::test]
async fn object_of_an_expiring_upload_that_an_event_names_is_verified() {
    let fixture = Fixture::new().await;
    let (upload, put) = begin_signed(&fixture, "a").await;
    send(&put, BODY).await;
    // A sweep has taken the upload, and could not reach the store.
    fixture.execute_sql("UPDATE upload SET state = 'aborting', expires_at = 0");
    let row = fixture.row(&upload).await;
    fixture.service.confirm(&row.key).await.unwrap();
    sweep(&fixture).await;
    assert!(fixture.has_object(&upload).await);
    assert_eq!(fixture.row(&upload).await.state, UploadState::Ready);
}
