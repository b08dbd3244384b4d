//! Complete, begin and abort while requests to the store fail.

use std::time::Duration;

use axum::http::Method;

use super::fixture::{
    CREATE_QUERY, Fixture, Interference, PART, UPLOAD_ID_QUERY, is_pending, receipt,
};
use crate::service::completion::Completion;
use upload_s3::WriteCondition;
use upload_types::wire::{Code, CompleteRequest, UploadState};
use upload_types::{ETag, PartNumber};

#[tokio::test]
async fn complete_is_pending_while_the_store_is_unavailable() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::Unavailable);
    for _ in 0..2 {
        assert!(is_pending(&fixture.complete(&upload, &request).await));
        assert_eq!(fixture.state(&upload).await, UploadState::Completing);
    }
    let refusal = fixture.abort(&upload).await.unwrap_err();
    assert_eq!(refusal.code, Code::NotAbortable);
    fixture.stop_interfering();
    assert_eq!(receipt(fixture.complete(&upload, &request).await).parts, 2);
    // Once there is a receipt, the epoch does not matter: every caller that may see the upload may
    // see its receipt.
    let other_epoch = CompleteRequest {
        epoch: 99,
        ..request
    };
    assert_eq!(
        receipt(fixture.complete(&upload, &other_epoch).await).parts,
        2
    );
}

#[tokio::test]
async fn lost_response_to_complete_is_decided_by_the_object() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::LoseResponse);
    assert_eq!(receipt(fixture.complete(&upload, &request).await).parts, 2);
    assert_eq!(fixture.state(&upload).await, UploadState::Ready);
}

#[tokio::test]
async fn complete_is_pending_while_the_object_cannot_be_checked() {
    for size in [PART + 1, 3] {
        let fixture = Fixture::new().await;
        let (upload, request) = fixture.send_parts(size).await;
        fixture.interfere(Method::HEAD, "", Interference::Unavailable);
        assert!(is_pending(&fixture.complete(&upload, &request).await));
        assert!(is_pending(&fixture.complete(&upload, &request).await));
        fixture.stop_interfering();
        let parts = size.div_ceil(PART);
        let receipt = receipt(fixture.complete(&upload, &request).await);
        assert_eq!(usize::try_from(receipt.parts).unwrap(), parts);
    }
}

/// While the upload is completing, the ledger has the ETags that the client declared.
#[tokio::test]
async fn parts_of_a_completing_upload_are_listed_from_the_store() {
    let fixture = Fixture::new().await;
    let (upload, mut request) = fixture.send_parts(2 * PART).await;
    let absent: ETag = "absent".parse().unwrap();
    request.parts[1].etag = absent.clone();
    fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::Unavailable);
    assert!(is_pending(&fixture.complete(&upload, &request).await));
    let listed = fixture
        .service
        .parts(&fixture.owner, upload.id.as_str(), 0)
        .await
        .unwrap()
        .parts;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|part| part.etag != absent), "{listed:?}");
}

#[tokio::test]
async fn complete_that_the_store_refuses_can_be_repeated() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::Deny);
    assert_eq!(
        fixture.complete(&upload, &request).await.unwrap_err().code,
        Code::StoreRejected
    );
    assert_eq!(fixture.state(&upload).await, UploadState::Uploading);
    fixture.stop_interfering();
    assert_eq!(receipt(fixture.complete(&upload, &request).await).parts, 2);
}

#[tokio::test]
async fn begin_finds_the_multipart_upload_of_a_lost_create() {
    let fixture = Fixture::new().await;
    for interference in [Interference::Unavailable, Interference::LoseResponse] {
        fixture.interfere(Method::POST, CREATE_QUERY, interference);
        let refusal = fixture.begin(PART + 1).await.err().unwrap();
        assert_eq!(refusal.code, Code::StoreUnavailable);
    }
    fixture.stop_interfering();
    let begun = fixture.begin(PART + 1).await.unwrap();
    assert!(!begun.is_new);
    assert_eq!(fixture.count_multiparts(&begun.response).await, 1);
}

#[tokio::test]
async fn abort_is_repeated_after_a_failure_of_the_store() {
    let fixture = Fixture::new().await;
    let (upload, _) = fixture.send_parts(PART + 1).await;
    fixture.interfere(Method::DELETE, "", Interference::Unavailable);
    let refusal = fixture.abort(&upload).await.unwrap_err();
    assert_eq!(refusal.code, Code::StoreUnavailable);
    assert_eq!(fixture.state(&upload).await, UploadState::Aborting);
    fixture.stop_interfering();
    fixture.abort(&upload).await.unwrap();
    assert_eq!(fixture.state(&upload).await, UploadState::Aborted);
    assert_eq!(fixture.count_multiparts(&upload).await, 0);
}

#[tokio::test]
async fn abort_removes_spare_multipart_uploads_and_an_unrecorded_object() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    let store = &fixture.service.store;
    let row = fixture.row(&upload).await;
    // A complete without a record in the ledger, and a second multipart upload, as after a create
    // without a response.
    let multipart = row.store_upload.clone().unwrap();
    store
        .complete(
            &upload.key,
            &multipart,
            &request.parts,
            row.plan.size(),
            WriteCondition::Absent,
        )
        .await
        .unwrap();
    store.create(&upload.key, &row.new_object()).await.unwrap();
    assert!(fixture.has_object(&upload).await);
    fixture.abort(&upload).await.unwrap();
    assert_eq!(fixture.count_multiparts(&upload).await, 0);
    assert!(!fixture.has_object(&upload).await);
}

#[tokio::test]
async fn abort_keeps_an_object_with_another_token() {
    let fixture = Fixture::new().await;
    let (upload, _) = fixture.send_parts(3).await;
    fixture.execute_sql("UPDATE upload SET token = x'00'");
    fixture.abort(&upload).await.unwrap();
    assert_eq!(fixture.state(&upload).await, UploadState::Aborted);
    assert!(fixture.has_object(&upload).await);
}

/// The client soon gets the response that the outcome is unknown, and gets the receipt when it
/// repeats its request. The store gets one request.
#[tokio::test]
async fn slow_complete_is_pending_and_runs_once() {
    let fixture = Fixture::with(|config| config.complete_timeout = Duration::from_millis(20)).await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::Delay);
    for _ in 0..3 {
        let complete = fixture.complete(&upload, &request);
        let result = tokio::time::timeout(Duration::from_secs(20), complete).await;
        assert!(is_pending(&result.expect("the complete took too long")));
    }
    fixture.stop_interfering();
    let receipt = loop {
        match fixture.complete(&upload, &request).await {
            Ok(Completion::Receipt(receipt)) => break receipt,
            other => assert!(is_pending(&other), "{other:?}"),
        }
    };
    let requests = fixture.requests(&Method::POST, UPLOAD_ID_QUERY);
    assert_eq!((receipt.parts, requests.len()), (2, 1));
}

#[tokio::test]
async fn response_to_complete_proves_nothing_without_the_object() {
    let error = |code: &str| format!("\n \n<Error><Code>{code}</Code></Error>").leak();
    let success = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>";
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    let complete_with = async |interference| {
        fixture.interfere(Method::POST, UPLOAD_ID_QUERY, interference);
        fixture.complete(&upload, &request).await
    };
    let respond = Interference::Respond;
    for code in ["InternalError", "SlowDown"] {
        let result = complete_with(respond(200, error(code))).await;
        assert!(is_pending(&result), "{code}");
    }
    // Nothing, half a response, an unrelated page, and a success without an object.
    for body in [
        "",
        "<CompleteMultipartUploadResult><ETag>",
        "<html></html>",
        success,
    ] {
        let result = complete_with(respond(200, body)).await;
        assert!(is_pending(&result), "{body}");
    }
    for (status, body) in [
        (504, ""),
        (307, ""),
        (409, &*error("ConditionalRequestConflict")),
    ] {
        let result = complete_with(respond(status, body)).await;
        assert!(is_pending(&result), "{status} {body}");
    }
    let result = complete_with(Interference::RespondTooLong).await;
    assert!(is_pending(&result));
    let result = complete_with(respond(200, error("AccessDenied"))).await;
    assert_eq!(result.unwrap_err().code, Code::StoreRejected);
    for code in ["InvalidPart", "InvalidPartOrder", "EntityTooSmall"] {
        let result = complete_with(respond(400, error(code))).await;
        assert_eq!(result.unwrap_err().code, Code::PartsMismatch, "{code}");
        assert_eq!(fixture.state(&upload).await, UploadState::Uploading);
    }
    fixture.stop_interfering();
    assert_eq!(receipt(fixture.complete(&upload, &request).await).parts, 2);
}

/// The condition of a repeated complete fails because the first complete succeeded.
#[tokio::test]
async fn failed_precondition_is_success_if_the_object_matches() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
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
    let body = "<Error><Code>PreconditionFailed</Code></Error>";
    fixture.interfere(
        Method::POST,
        UPLOAD_ID_QUERY,
        Interference::Respond(412, body),
    );
    assert_eq!(receipt(fixture.complete(&upload, &request).await).parts, 2);
}

/// Ceph responds 500 to a complete of an aborted multipart upload; a proxy may respond 504 while
/// the store still works on the complete.
#[tokio::test]
async fn upload_that_the_store_has_lost_is_gone() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    let multipart = fixture.row(&upload).await.store_upload.unwrap();
    let complete_with = async |status| {
        let body = "<Error><Code>InternalError</Code></Error>";
        fixture.interfere(
            Method::POST,
            UPLOAD_ID_QUERY,
            Interference::Respond(status, body),
        );
        fixture.complete(&upload, &request).await
    };
    assert!(is_pending(&complete_with(500).await), "the parts exist");
    fixture
        .service
        .store
        .abort(&upload.key, &multipart)
        .await
        .unwrap();
    assert!(is_pending(&complete_with(504).await));
    assert_eq!(complete_with(500).await.unwrap_err().code, Code::Gone);
    assert_eq!(fixture.state(&upload).await, UploadState::Expired);
}

#[tokio::test]
async fn complete_is_conditional_and_declares_the_size() {
    let fixture = Fixture::new().await;
    let (upload, request) = fixture.send_parts(PART + 1).await;
    receipt(fixture.complete(&upload, &request).await);
    let requests = fixture.requests(&Method::POST, UPLOAD_ID_QUERY);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["if-none-match"], "*");
    assert_eq!(requests[0]["x-amz-mp-object-size"], (PART + 1).to_string());
}

#[tokio::test]
async fn list_of_parts_that_does_not_advance_is_rejected() {
    let fixture = Fixture::new().await;
    let (upload, _) = fixture.send_parts(PART + 1).await;
    let page = |marker: &str| {
        let part = "<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>1</Size></Part>";
        let marker = format!("<NextPartNumberMarker>{marker}</NextPartNumberMarker>");
        let truncated = "<IsTruncated>true</IsTruncated>";
        format!("<ListPartsResult>{truncated}{marker}{part}</ListPartsResult>").leak()
    };
    for (after, page) in [
        (
            0,
            "<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>",
        ),
        (1, page("1")),
        (0, page("0")),
    ] {
        fixture.interfere(
            Method::GET,
            UPLOAD_ID_QUERY,
            Interference::Respond(200, page),
        );
        let listed = fixture
            .service
            .parts(&fixture.owner, upload.id.as_str(), after)
            .await;
        // Instead of a marker of zero, the number of the last part is used.
        match (after, listed) {
            (_, Err(refusal)) => assert_eq!(refusal.code, Code::StoreUnavailable),
            (0, Ok(list)) => assert_eq!(list.next, Some(PartNumber::FIRST)),
            (_, Ok(list)) => panic!("{list:?}"),
        }
    }
}
