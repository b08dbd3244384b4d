//! Sweeps: abandoned uploads are ended or finished, and others do not change.
//!
//! Not here: the periodic sweeps of a gateway (`tests/gateway_api`).

use std::time::Duration;

use axum::http::Method;
use jiff::Timestamp;

use super::fixture::{Fixture, Interference, PART, UPLOAD_ID_QUERY, receipt, send};
use crate::ledger::SweepTask;
use upload_s3::WriteCondition;
use upload_types::wire::{
    BeginResponse, ClaimRequest, Code, CompleteRequest, PartSpec, SignRequest, SignedPart,
    UploadState,
};
use upload_types::{Checksum, PartNumber, Sha256};

/// As if the last call were long ago.
const EXPIRE: &str = "UPDATE upload SET lease_until = 0, expires_at = 0";
/// As if the gateway had crashed during a complete.
const ABANDON_COMPLETE: &str = "UPDATE upload SET state = 'completing', lease_until = 0";
const END_LEASE: &str = "UPDATE upload SET lease_until = 0";
const MAKE_CLEANUP_DUE: &str = "UPDATE upload SET cleanup_at = 1 WHERE cleanup_at > 1";

impl Fixture {
    async fn sweep(&self) {
        self.service.sweep(None).await.unwrap();
    }

    /// As if the ledger were restored from a backup that is older than the complete.
    fn forget_complete(&self, upload: &BeginResponse, request: &CompleteRequest) {
        for sql in [
            "UPDATE upload SET state = 'uploading', receipt = NULL",
            "UPDATE owner SET stored_bytes = 0",
            EXPIRE,
        ] {
            self.execute_sql(sql);
        }
        for part in &request.parts {
            let (id, number, sha256) = (&upload.id, part.number, part.sha256);
            self.execute_sql(&format!(
                "INSERT INTO part (upload, number, size, sha256) VALUES ('{id}', {number}, 1, x'{sha256}')"
            ));
        }
    }

    async fn count_orphans(&self) -> usize {
        self.service.report_orphans(&|_| ()).await.unwrap()
    }

    /// A completing upload, as after a crash of its gateway before the request to the store.
    async fn begin_completing(&self) -> (BeginResponse, CompleteRequest) {
        let (upload, request) = self.send_parts(PART + 1).await;
        let renewed = self.service.renewed();
        self.service
            .ledger
            .start_completing(&upload.id, upload.epoch, request.parts.clone(), renewed)
            .await
            .unwrap();
        (upload, request)
    }

    async fn multipart_id(&self, upload: &BeginResponse) -> String {
        self.row(upload).await.store_upload.unwrap()
    }
}

#[tokio::test]
async fn abandoned_complete_is_decided_once_its_lease_has_ended() {
    for is_completed_in_store in [false, true] {
        let fixture = Fixture::new().await;
        let (upload, request) = fixture.begin_completing().await;
        if is_completed_in_store {
            let multipart = fixture.multipart_id(&upload).await;
            fixture
                .service
                .store
                .complete(
                    &upload.key,
                    &multipart,
                    &request.parts,
                    5 * 1024 * 1024 + 1,
                    WriteCondition::Absent,
                )
                .await
                .unwrap();
        }
        // Until the lease ends, another gateway may still be running the complete.
        fixture.sweep().await;
        assert_eq!(fixture.state(&upload).await, UploadState::Completing);
        fixture.execute_sql(ABANDON_COMPLETE);
        fixture.second_gateway().await.sweep(None).await.unwrap();
        assert_eq!(fixture.state(&upload).await, UploadState::Ready);
        assert_eq!(
            receipt(fixture.complete(&upload, &request).await).checksum,
            Some(request.checksum)
        );
        assert_eq!(
            fixture.requests(&Method::POST, UPLOAD_ID_QUERY).len(),
            1,
            "completed once"
        );
    }
}

#[tokio::test]
async fn impossible_complete_is_reopened_or_ended() {
    let fixture = Fixture::new().await;
    let (upload, _) = fixture.begin_completing().await;
    fixture.execute_sql(ABANDON_COMPLETE);
    fixture.execute_sql("UPDATE part SET etag = 'another' WHERE number = 1");
    fixture.sweep().await;
    assert_eq!(fixture.state(&upload).await, UploadState::Uploading);

    fixture.execute_sql(ABANDON_COMPLETE);
    let multipart = fixture.multipart_id(&upload).await;
    fixture
        .service
        .store
        .abort(&upload.key, &multipart)
        .await
        .unwrap();
    fixture.sweep().await;
    assert_eq!(fixture.state(&upload).await, UploadState::Expired);
}

#[tokio::test]
async fn abandoned_complete_is_not_aborted_while_the_store_is_unavailable() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.begin_completing().await;
    fixture.execute_sql(EXPIRE);
    fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::Unavailable);
    fixture.sweep().await;
    assert_eq!(
        fixture.state(&upload).await,
        UploadState::Completing,
        "a completing upload is never aborted"
    );
    let count = || fixture.requests(&Method::POST, UPLOAD_ID_QUERY).len();
    let before = count();
    fixture.sweep().await;
    assert_eq!(
        count(),
        before,
        "the lease of the first sweep has not ended"
    );
    fixture.stop_interfering();
    assert_eq!(receipt(fixture.complete(&upload, &request).await).parts, 2);
}

#[tokio::test]
async fn expired_upload_is_gone_at_once_and_removed_by_the_sweep() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    fixture.execute_sql("UPDATE upload SET expires_at = 0");
    fixture.sweep().await;
    assert_eq!(
        fixture.state(&upload).await,
        UploadState::Uploading,
        "the lease has not ended"
    );
    fixture.execute_sql("UPDATE upload SET lease_until = 0, expires_at = 9999999999999");
    fixture.sweep().await;
    assert_eq!(fixture.state(&upload).await, UploadState::Uploading);
    assert_eq!(fixture.count_multiparts(&upload).await, 1);

    fixture.execute_sql(EXPIRE);
    assert_eq!(fixture.state(&upload).await, UploadState::Expired);
    let (service, owner, id) = (&fixture.service, &fixture.owner, upload.id.as_str());
    let claim = ClaimRequest {
        holder: "h".into(),
        epoch: None,
    };
    let sign = SignRequest {
        epoch: upload.epoch,
        parts: Vec::new(),
        copies: Vec::new(),
        credentials_rejected: false,
    };
    for code in [
        service.claim(owner, id, claim).await.map(drop),
        service.sign(owner, id, sign).await.map(drop),
        service.parts(owner, id, 0).await.map(drop),
        fixture.complete(&upload, &request).await.map(drop),
    ]
    .map(|result| result.unwrap_err().code)
    {
        assert_eq!(code, Code::Gone);
    }
    let repeated = fixture.begin(PART + 1).await.unwrap();
    assert_eq!(repeated.response.state, UploadState::Expired);
    assert_eq!(fixture.count_multiparts(&upload).await, 1, "not swept yet");

    fixture.sweep().await;
    assert_eq!(fixture.row(&upload).await.state, UploadState::Expired);
    assert_eq!(fixture.count_multiparts(&upload).await, 0);
}

#[tokio::test]
async fn verified_object_is_kept_if_the_ledger_was_restored_from_a_backup() {
    for size in [3, PART + 1] {
        let fixture = Fixture::new().await;
        let (upload, request) = fixture.send_parts(size).await;
        let before = receipt(fixture.complete(&upload, &request).await);
        fixture.forget_complete(&upload, &request);
        fixture.sweep().await;
        assert!(fixture.has_object(&upload).await, "{size}");
        assert_eq!(fixture.row(&upload).await.state, UploadState::Ready);
        let after = receipt(fixture.complete(&upload, &request).await);
        assert_eq!(
            (after.checksum, after.etag, after.sha256),
            (before.checksum, before.etag, before.sha256)
        );
        // A later sweep has nothing to do.
        fixture.execute_sql(MAKE_CLEANUP_DUE);
        fixture.sweep().await;
        assert!(fixture.has_object(&upload).await);
    }
}

#[tokio::test]
async fn verified_object_is_kept_if_the_restored_ledger_has_ended_its_upload() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    receipt(fixture.complete(&upload, &request).await);
    fixture.forget_complete(&upload, &request);
    fixture.execute_sql("UPDATE upload SET state = 'expired', cleanup_at = 1");
    fixture.sweep().await;
    assert!(fixture.has_object(&upload).await);
    assert_eq!(fixture.row(&upload).await.state, UploadState::Ready);
}

#[tokio::test]
async fn whole_object_is_kept_if_the_restored_ledger_lacks_its_checksums() {
    for size in [3, PART + 1] {
        let fixture = Fixture::new().await;
        let (upload, request) = fixture.send_parts(size).await;
        receipt(fixture.complete(&upload, &request).await);
        fixture.forget_complete(&upload, &request);
        fixture.execute_sql("UPDATE part SET sha256 = NULL");
        fixture.sweep().await;
        fixture.execute_sql(MAKE_CLEANUP_DUE);
        fixture.sweep().await;
        assert!(fixture.has_object(&upload).await, "{size}");
        assert_eq!(fixture.row(&upload).await.state, UploadState::Expired);
    }
}

#[tokio::test]
async fn object_of_an_expired_upload_is_removed_if_it_does_not_match() {
    let fixture = Fixture::new().await;
    let (upload, _) = fixture.send_parts(3).await;
    fixture.execute_sql(EXPIRE);
    fixture.execute_sql("UPDATE part SET sha256 = zeroblob(32)");
    fixture.sweep().await;
    assert!(!fixture.has_object(&upload).await);
    assert_eq!(fixture.row(&upload).await.state, UploadState::Expired);
}

#[tokio::test]
async fn object_of_an_expired_upload_is_kept_while_the_store_is_unavailable() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    receipt(fixture.complete(&upload, &request).await);
    fixture.forget_complete(&upload, &request);
    fixture.interfere(Method::HEAD, "", Interference::Unavailable);
    fixture.sweep().await;
    assert_eq!(fixture.row(&upload).await.state, UploadState::Uploading);
    fixture.stop_interfering();
    fixture.execute_sql(END_LEASE);
    fixture.sweep().await;
    assert!(fixture.has_object(&upload).await);
    assert_eq!(fixture.row(&upload).await.state, UploadState::Ready);
}

/// The clock of this gateway is ahead by eight days. By the clock of the store, which other
/// gateways agree with, the lease has not ended.
#[tokio::test]
async fn clock_that_is_ahead_expires_no_upload() {
    const DAY: Duration = Duration::from_hours(24);
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    let yesterday = Timestamp::now().checked_sub(DAY).unwrap().as_millisecond();
    fixture.execute_sql(&format!(
        "UPDATE upload SET lease_until = {yesterday}, expires_at = {yesterday}"
    ));
    fixture.interfere(Method::HEAD, "", Interference::ClockBehind(8 * DAY));
    fixture.sweep().await;
    assert_eq!(fixture.row(&upload).await.state, UploadState::Uploading);
    assert_eq!(receipt(fixture.complete(&upload, &request).await).parts, 2);
}

#[tokio::test]
async fn verified_object_is_kept_if_a_sweep_ends_before_it_has_decided() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(3).await;
    receipt(fixture.complete(&upload, &request).await);
    fixture.forget_complete(&upload, &request);
    let now = Timestamp::now();
    let ledger = &fixture.service.ledger;
    let taken = ledger.take_sweep_task(SweepTask::Expired, now, now).await;
    assert_eq!(taken.unwrap().len(), 1);
    fixture.execute_sql(END_LEASE);
    fixture.sweep().await;
    assert!(fixture.has_object(&upload).await);
    assert_eq!(fixture.row(&upload).await.state, UploadState::Ready);
}

#[tokio::test]
async fn aborted_upload_is_removed_even_if_it_expires_before_the_sweep() {
    let fixture = Fixture::new().await;
    let (upload, _) = fixture.send_parts(3).await;
    fixture.interfere(Method::DELETE, "", Interference::Unavailable);
    fixture.abort(&upload).await.unwrap_err();
    fixture.stop_interfering();
    fixture.execute_sql("UPDATE upload SET lease_until = 0, expires_at = 1");
    fixture.sweep().await;
    assert_eq!(fixture.row(&upload).await.state, UploadState::Aborted);
    assert!(!fixture.has_object(&upload).await);
}

#[tokio::test]
async fn abandoned_abort_is_finished_once_its_lease_has_ended() {
    let fixture = Fixture::new().await;
    let (upload, _) = fixture.send_parts(PART + 1).await;
    fixture.interfere(Method::DELETE, "", Interference::Unavailable);
    fixture.abort(&upload).await.unwrap_err();
    fixture.sweep().await;
    assert_eq!(fixture.state(&upload).await, UploadState::Aborting);
    assert_eq!(fixture.count_multiparts(&upload).await, 1);
    fixture.execute_sql(END_LEASE);
    fixture.sweep().await;
    assert_eq!(
        fixture.state(&upload).await,
        UploadState::Aborting,
        "the store is still unavailable"
    );
    fixture.stop_interfering();
    fixture.execute_sql(END_LEASE);
    fixture.sweep().await;
    assert_eq!(fixture.state(&upload).await, UploadState::Aborted);
    assert_eq!(fixture.count_multiparts(&upload).await, 0);
}

/// S3 may confirm an abort while a part is still arriving, and keep the multipart upload.
#[tokio::test]
async fn abort_is_repeated_until_the_store_no_longer_lists_the_upload() {
    let fixture = Fixture::new().await;
    let (upload, _) = fixture.send_parts(PART + 1).await;
    fixture.interfere(
        Method::DELETE,
        UPLOAD_ID_QUERY,
        Interference::Respond(204, ""),
    );
    let refusal = fixture.abort(&upload).await.unwrap_err();
    assert_eq!(refusal.code, Code::StoreUnavailable);
    assert_eq!(fixture.state(&upload).await, UploadState::Aborting);
    assert_eq!(fixture.requests(&Method::DELETE, UPLOAD_ID_QUERY).len(), 5);
    fixture.stop_interfering();
    fixture.abort(&upload).await.unwrap();
    assert_eq!(fixture.state(&upload).await, UploadState::Aborted);
    assert_eq!(fixture.count_multiparts(&upload).await, 0);
}

/// A URL that was signed before the abort is valid until it expires.
#[tokio::test]
async fn object_that_arrives_after_the_abort_is_removed_when_no_url_is_valid() {
    let fixture = Fixture::new().await;
    let upload = fixture.begin(3).await.unwrap().response;
    let part = PartSpec {
        number: PartNumber::FIRST,
        size: 3,
        sha256: Sha256::of(b"abc"),
        md5: None,
    };
    let sign = SignRequest {
        epoch: upload.epoch,
        parts: vec![part],
        copies: Vec::new(),
        credentials_rejected: false,
    };
    let signed = fixture
        .service
        .sign(&fixture.owner, upload.id.as_str(), sign)
        .await
        .unwrap();
    fixture.abort(&upload).await.unwrap();
    let SignedPart::Put(put) = &signed.parts[0] else {
        panic!("the gateway signed no PUT for the part")
    };
    send(put, b"abc").await;
    fixture.sweep().await;
    assert!(fixture.has_object(&upload).await, "the URL is still valid");
    fixture.execute_sql(MAKE_CLEANUP_DUE);
    fixture.interfere(Method::DELETE, "", Interference::Unavailable);
    fixture.sweep().await;
    assert!(fixture.has_object(&upload).await);
    fixture.stop_interfering();
    fixture.execute_sql(MAKE_CLEANUP_DUE);
    fixture.sweep().await;
    assert!(!fixture.has_object(&upload).await);
}

#[tokio::test]
async fn damaged_object_is_removed_by_the_sweep_if_its_deletion_failed() {
    let fixture = Fixture::new().await;
    let (upload, mut request) = fixture.send_parts(3).await;
    // The client declares other bytes than the store has.
    let other = Sha256::of(b"other");
    fixture.execute_sql("UPDATE part SET sha256 = NULL");
    request.parts[0].sha256 = other;
    request.checksum = Checksum::whole(&other);
    fixture.interfere(Method::DELETE, "", Interference::Unavailable);
    let refusal = fixture.complete(&upload, &request).await.unwrap_err();
    assert_eq!(refusal.code, Code::Gone);
    assert_eq!(fixture.state(&upload).await, UploadState::Rejected);
    assert!(fixture.has_object(&upload).await);
    fixture.stop_interfering();
    fixture.sweep().await;
    assert!(!fixture.has_object(&upload).await);
}

#[tokio::test]
async fn orphans_are_reported_and_not_touched() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    let store = &fixture.service.store;
    let row = fixture.row(&upload).await;
    let orphan_key = "uploads/another/of-another-gateway".parse().unwrap();
    let orphan = store.create(&orphan_key, &row.new_object()).await.unwrap();
    assert_eq!(fixture.count_orphans().await, 1);
    receipt(fixture.complete(&upload, &request).await);
    // A multipart upload at the key of a complete upload is a leftover of this upload.
    store.create(&upload.key, &row.new_object()).await.unwrap();
    assert_eq!(fixture.count_orphans().await, 1);
    fixture.sweep().await;
    assert_eq!(fixture.count_multiparts(&upload).await, 0);
    assert!(fixture.has_object(&upload).await);
    assert_eq!(store.find(&orphan_key).await.unwrap(), [orphan]);
}

#[tokio::test]
async fn sweep_queries_use_indexes() {
    let fixture = Fixture::new().await;
    fixture.begin(1).await.unwrap();
    let connection = rusqlite::Connection::open(fixture.dir.path().join("ledger.db")).unwrap();
    let plan = |condition: &str| -> String {
        let sql = format!("EXPLAIN QUERY PLAN SELECT id FROM upload WHERE {condition}");
        connection.query_row(&sql, [], |row| row.get(3)).unwrap()
    };
    for (condition, index) in [
        (
            "state IN ('pending', 'uploading', 'completing', 'aborting') AND lease_until <= 1",
            "open_upload_by_lease",
        ),
        ("cleanup_at <= 1", "upload_by_cleanup"),
    ] {
        let plan = plan(condition);
        assert!(plan.contains(index), "{plan}");
    }
}
