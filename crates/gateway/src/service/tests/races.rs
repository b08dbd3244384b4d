//! Concurrent calls, of several gateways on one ledger and of several clients on one upload: one
//! call succeeds, and the others are refused or, for completes, get the same receipt.
//!
//! Two services with separate connections to one database represent two processes. Each race runs
//! on SQLite and on PostgreSQL.

use std::sync::Arc;

use axum::http::Method;
use futures_util::future::join_all;

use super::fixture::{
    CREATE_QUERY, Fixture, Interference, PART, UPLOAD_ID_QUERY, is_pending, receipt, wait_until,
};
use crate::ledger::TransitionOutcome;
use crate::problem::Refusal;
use crate::service::abort::Finished;
use upload_s3::WriteCondition;
use upload_types::sync::lock;
use upload_types::wire::{
    BeginResponse, ClaimRequest, Code, CompleteRequest, PartSpec, SignRequest, UploadState,
};
use upload_types::{Checksum, PartNumber, Sha256};

/// Runs each race on both databases.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::new).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::on_postgres).await; })*
        }
    };
}

on_both! {
    one_of_many_concurrent_claims_is_granted
    calls_with_a_lost_lease_are_refused
    concurrent_completes_make_one_object_and_one_receipt
    complete_and_abort_or_sweep_exclude_each_other
    sweep_does_not_expire_an_upload_that_is_renewed_in_time
    concurrent_begins_make_one_multipart_upload
}

fn claim(holder: usize, epoch: Option<u64>) -> ClaimRequest {
    ClaimRequest {
        holder: format!("holder-{holder}"),
        epoch,
    }
}

fn first_part(request: &CompleteRequest) -> PartSpec {
    PartSpec {
        number: PartNumber::FIRST,
        size: 5 << 20,
        sha256: request.parts[0].sha256,
        md5: None,
    }
}

async fn one_of_many_concurrent_claims_is_granted(new_fixture: impl AsyncFn() -> Fixture) {
    let fixture = new_fixture().await;
    let upload = fixture.begin(PART + 1).await.unwrap().response;
    let gateways = [Arc::clone(&fixture.service), fixture.second_gateway().await];
    let id = upload.id.as_str();
    let mut epoch = upload.epoch;
    for claimants in 2..=8_usize {
        fixture.execute_sql("UPDATE upload SET lease_until = 0, holder = token");
        let claims = (0..claimants).map(|n| {
            let gateway = Arc::clone(&gateways[n % 2]);
            let (owner, id) = (fixture.owner.clone(), upload.id.clone());
            tokio::spawn(async move { gateway.claim(&owner, id.as_str(), claim(n, None)).await })
        });
        let results: Vec<_> = join_all(claims)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let winners: Vec<_> = results
            .iter()
            .enumerate()
            .filter_map(|(n, result)| Some((n, result.as_ref().ok()?.epoch)))
            .collect();
        let [(winner, new_epoch)] = winners[..] else {
            panic!("{results:?}")
        };
        assert_eq!(new_epoch, epoch + 1);
        for refusal in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(refusal.code, Code::LeaseHeld);
            assert!((1..=60).contains(&refusal.retry_after.unwrap()));
        }
        epoch = new_epoch;
        // The current epoch renews the lease. The earlier one is rejected for each holder.
        let renewed = gateways[1]
            .claim(&fixture.owner, id, claim(winner, Some(epoch)))
            .await
            .unwrap();
        assert_eq!(renewed.epoch, epoch);
        for holder in [winner, winner + 1] {
            let refusal = gateways[0]
                .claim(&fixture.owner, id, claim(holder, Some(epoch - 1)))
                .await
                .unwrap_err();
            assert_eq!(refusal.code, Code::LeaseLost);
        }
    }
}

/// A process was suspended for longer than its lease, and continues after another process has
/// claimed the upload.
async fn calls_with_a_lost_lease_are_refused(new_fixture: impl AsyncFn() -> Fixture) {
    let fixture = new_fixture().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    fixture.execute_sql("UPDATE upload SET lease_until = 0, holder = token");
    let (service, owner, id) = (&fixture.service, &fixture.owner, upload.id.as_str());
    let claimed = service.claim(owner, id, claim(1, None)).await.unwrap();
    let sign = |epoch| SignRequest {
        epoch,
        parts: vec![first_part(&request)],
        copies: Vec::new(),
        credentials_rejected: false,
    };
    let assert_lost = |result: Result<(), Refusal>| {
        assert_eq!(result.unwrap_err().code, Code::LeaseLost);
    };
    let assert_all_lost = async || {
        let signed = service.sign(owner, id, sign(upload.epoch)).await;
        assert_lost(signed.map(drop));
        let renew = ClaimRequest {
            holder: "suspended".into(),
            epoch: Some(upload.epoch),
        };
        assert_lost(service.claim(owner, id, renew).await.map(drop));
        assert_lost(
            service
                .abort(owner, id, Some(upload.epoch), Finished::Keep)
                .await,
        );
    };
    assert_all_lost().await;
    assert_lost(fixture.complete(&upload, &request).await.map(drop));
    // The calls have no effect for the new holder, and are refused after its complete too.
    let signed = service.sign(owner, id, sign(claimed.epoch)).await;
    signed.unwrap();
    let with_new_epoch = CompleteRequest {
        epoch: claimed.epoch,
        ..request.clone()
    };
    let expected = receipt(fixture.complete(&upload, &with_new_epoch).await);
    assert_all_lost().await;
    // Every caller that may see the upload may see its receipt.
    assert_eq!(receipt(fixture.complete(&upload, &request).await), expected);
}

/// A client repeats a begin at another gateway, because the first gateway does not respond.
async fn concurrent_begins_make_one_multipart_upload(new_fixture: impl AsyncFn() -> Fixture) {
    let fixture = new_fixture().await;
    fixture.interfere(Method::POST, CREATE_QUERY, Interference::Delay);
    let begins = [Arc::clone(&fixture.service), fixture.second_gateway().await].map(|gateway| {
        let owner = fixture.owner.clone();
        let request = Fixture::begin_request(PART + 1);
        tokio::spawn(async move { gateway.begin(&owner, "key", request).await })
    });
    wait_until("both gateways create a multipart upload", async || {
        fixture.requests(&Method::POST, CREATE_QUERY).len() == 2
    })
    .await;
    fixture.stop_interfering();
    let uploads: Vec<BeginResponse> = join_all(begins)
        .await
        .into_iter()
        .map(|begun| begun.unwrap().unwrap().response)
        .collect();
    assert_eq!(uploads[0].id, uploads[1].id);
    assert_eq!(uploads[0].key, uploads[1].key);
    assert_eq!(fixture.count_multiparts(&uploads[0]).await, 1);
}

async fn concurrent_completes_make_one_object_and_one_receipt(
    new_fixture: impl AsyncFn() -> Fixture,
) {
    for _ in 0..3 {
        let fixture = new_fixture().await;
        let (upload, request) = fixture.send_parts(PART + 1).await;
        let gateways = [Arc::clone(&fixture.service), fixture.second_gateway().await];
        let completes = (0..6).map(|n| {
            let (gateway, owner) = (Arc::clone(&gateways[n % 2]), fixture.owner.clone());
            let (id, request) = (upload.id.clone(), request.clone());
            tokio::spawn(async move { gateway.complete(&owner, id.as_str(), request).await })
        });
        let mut receipts = Vec::new();
        for complete in join_all(completes).await {
            let result = complete.unwrap();
            if !is_pending(&result) {
                receipts.push(receipt(result));
            }
        }
        receipts.push(receipt(fixture.complete(&upload, &request).await));
        assert!(
            receipts.iter().all(|receipt| *receipt == receipts[0]),
            "{receipts:?}"
        );
    }
}

async fn complete_and_abort_or_sweep_exclude_each_other(new_fixture: impl AsyncFn() -> Fixture) {
    for round in 0..6 {
        let fixture = new_fixture().await;
        let (upload, request) = fixture.send_parts(PART + 1).await;
        let second_gateway = fixture.second_gateway().await;
        let is_abort = round % 2 == 0;
        let end = async {
            if is_abort {
                let id = upload.id.as_str();
                second_gateway
                    .abort(&fixture.owner, id, None, Finished::Keep)
                    .await
            } else {
                fixture.execute_sql("UPDATE upload SET lease_until = 0, expires_at = 0");
                second_gateway.sweep(None).await
            }
        };
        let (completed, ended) = tokio::join!(fixture.complete(&upload, &request), end);
        let has_object = fixture.has_object(&upload).await;
        assert_eq!(fixture.count_multiparts(&upload).await, 0);
        match fixture.state(&upload).await {
            UploadState::Ready => {
                receipt(completed);
                assert!(!is_abort || ended.is_err());
                assert!(has_object);
            }
            state => {
                assert!(
                    matches!(state, UploadState::Aborted | UploadState::Expired),
                    "{state:?}"
                );
                assert_eq!(completed.unwrap_err().code, Code::Gone);
                assert!(!has_object);
            }
        }
    }
}

/// A lease is renewed during a sweep: either the upload stays, or the renewal is refused.
async fn sweep_does_not_expire_an_upload_that_is_renewed_in_time(
    new_fixture: impl AsyncFn() -> Fixture,
) {
    let fixture = new_fixture().await;
    let second_gateway = fixture.second_gateway().await;
    for n in 0..10 {
        let begun = fixture.begin_as(&format!("key-{n}"), PART + 1).await;
        let upload = begun.unwrap().response;
        let id = &upload.id;
        fixture.execute_sql(&format!(
            "UPDATE upload SET lease_until = 0, expires_at = 0 WHERE id = '{id}'"
        ));
        let renewal = fixture.service.renewed();
        let renew = fixture
            .service
            .ledger
            .pin_parts(id, upload.epoch, Vec::new(), renewal);
        let (renewed, swept) = tokio::join!(renew, second_gateway.sweep(None));
        swept.unwrap();
        let expected = match renewed.unwrap() {
            TransitionOutcome::Done => (UploadState::Uploading, 1),
            _ => (UploadState::Expired, 0),
        };
        let found = (
            fixture.state(&upload).await,
            fixture.count_multiparts(&upload).await,
        );
        assert_eq!(found, expected);
    }
}

/// Two calls pass the first check of the epoch before a claim, and reach the ledger after it.
#[tokio::test]
async fn ledger_checks_the_epoch_again() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    fixture.execute_sql("UPDATE upload SET lease_until = 0, holder = token");
    fixture
        .service
        .claim(&fixture.owner, upload.id.as_str(), claim(1, None))
        .await
        .unwrap();
    let (ledger, renewed) = (&fixture.service.ledger, fixture.service.renewed());
    let part = first_part(&request);
    let pinned = ledger
        .pin_parts(&upload.id, upload.epoch, vec![part], renewed)
        .await;
    assert_eq!(pinned.unwrap(), TransitionOutcome::LeaseLost);
    let completing = ledger
        .start_completing(&upload.id, upload.epoch, request.parts, renewed)
        .await;
    assert_eq!(completing.unwrap(), TransitionOutcome::LeaseLost);
}

/// Another gateway accepts the object while this one finds it damaged.
#[tokio::test]
async fn object_is_kept_if_another_gateway_has_decided() {
    let fixture = Fixture::new().await;
    let (upload, mut request) = fixture.send_parts(PART + 1).await;
    let row = fixture.row(&upload).await;
    let multipart = row.store_upload.clone().unwrap();
    fixture
        .service
        .store
        .complete(
            &upload.key,
            &multipart,
            &request.parts,
            row.plan.size(),
            WriteCondition::Absent,
        )
        .await
        .unwrap();
    // With other declared parts, the object does not match the upload.
    fixture.execute_sql("UPDATE part SET sha256 = NULL");
    request.parts[1].sha256 = Sha256::of(b"other");
    request.checksum = Checksum::composite(request.parts.iter().map(|part| &part.sha256));
    fixture.interfere(Method::HEAD, "", Interference::Delay);
    let decide_elsewhere = async {
        wait_until("the object is checked", async || {
            !fixture.requests(&Method::HEAD, "").is_empty()
        })
        .await;
        fixture.execute_sql("UPDATE upload SET state = 'ready'");
        fixture.stop_interfering();
    };
    let (result, ()) = tokio::join!(fixture.complete(&upload, &request), decide_elsewhere);
    result.unwrap_err();
    assert_eq!(fixture.state(&upload).await, UploadState::Ready);
    assert!(fixture.has_object(&upload).await);
}

/// The store removes the multipart upload before it shows the object.
#[tokio::test]
async fn parts_during_a_complete_are_refused_and_end_nothing() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(2 * PART).await;
    let gone = Interference::Respond(
        404,
        "<Error><Code>NoSuchUpload</Code><Message>no</Message></Error>",
    );
    *lock(&fixture.proxy.rules) = vec![
        (Method::POST, UPLOAD_ID_QUERY, Interference::Delay),
        (Method::GET, UPLOAD_ID_QUERY, gone),
    ];
    let list_parts = async {
        wait_until("the store gets the complete", async || {
            !fixture.requests(&Method::POST, UPLOAD_ID_QUERY).is_empty()
        })
        .await;
        let refusal = fixture
            .service
            .parts(&fixture.owner, upload.id.as_str(), 0)
            .await
            .unwrap_err();
        fixture.stop_interfering();
        assert_eq!(refusal.code, Code::Busy);
    };
    let (completed, ()) = tokio::join!(fixture.complete(&upload, &request), list_parts);
    assert_eq!(receipt(completed).parts, 2);
    assert_eq!(fixture.state(&upload).await, UploadState::Ready);
}
