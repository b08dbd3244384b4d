//! Aborts: by the current holder, by an earlier one, and without an epoch.
//!
//! Not here: concurrent claims (unit tests of the gateway).

use reqwest::{Method, Response};

use crate::gateway::{TWO_PARTS, TestGateway, begin_request, bodies, expect_json, problem_code};
use upload_types::wire::{BeginResponse, ClaimRequest, ClaimResponse, UploadState, UploadStatus};

async fn abort(gateway: &TestGateway, upload: &BeginResponse, epoch: &str) -> Response {
    gateway
        .request(Method::DELETE, &format!("/v1/uploads/{}{epoch}", upload.id))
        .send()
        .await
        .unwrap()
}

async fn state(gateway: &TestGateway, upload: &BeginResponse) -> UploadState {
    expect_json::<UploadStatus>(
        gateway.get(&format!("/v1/uploads/{}", upload.id)).await,
        200,
    )
    .await
    .state
}

#[tokio::test]
async fn earlier_holder_cannot_abort() {
    let gateway = TestGateway::new().await;
    let mut upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    gateway.put_parts(&upload, &bodies()).await;
    gateway.execute_sql("UPDATE upload SET lease_until = 0");
    let claim = ClaimRequest {
        holder: "holder-b".into(),
        epoch: None,
    };
    let claimed: ClaimResponse = expect_json(
        gateway
            .post(&format!("/v1/uploads/{}/claim", upload.id), &claim)
            .await,
        200,
    )
    .await;

    assert_eq!(
        problem_code(abort(&gateway, &upload, "?epoch=1").await).await,
        "lease_lost"
    );
    assert_eq!(
        problem_code(abort(&gateway, &upload, "?epoch=3").await).await,
        "lease_lost"
    );
    assert_eq!(
        problem_code(abort(&gateway, &upload, "?epoch=-1").await).await,
        "invalid_request"
    );
    assert_eq!(state(&gateway, &upload).await, UploadState::Uploading);
    assert_eq!(gateway.store().find(&upload.key).await.unwrap().len(), 1);

    assert_eq!(
        abort(&gateway, &upload, &format!("?epoch={}", claimed.epoch))
            .await
            .status(),
        204
    );
    assert!(gateway.store().find(&upload.key).await.unwrap().is_empty());
    // The upload has ended, so an abort by the earlier holder has no effect.
    assert_eq!(abort(&gateway, &upload, "?epoch=1").await.status(), 204);

    // The epoch is checked before the state.
    upload = gateway.create_upload(&begin_request(3)).await;
    let parts = gateway.put_parts(&upload, &[b"abc".to_vec()]).await;
    gateway.complete(&upload, &parts).await;
    assert_eq!(
        problem_code(abort(&gateway, &upload, "?epoch=7").await).await,
        "lease_lost"
    );
    assert_eq!(
        problem_code(abort(&gateway, &upload, "?epoch=1").await).await,
        "not_abortable"
    );
}

/// `upload abort ID` works from any machine, also while the holder is running.
#[tokio::test]
async fn abort_without_epoch_ends_an_upload_of_any_holder() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let parts = gateway.put_parts(&upload, &bodies()).await;
    assert_eq!(abort(&gateway, &upload, "").await.status(), 204);
    assert_eq!(
        problem_code(gateway.complete(&upload, &parts).await).await,
        "gone"
    );
    assert!(gateway.store().find(&upload.key).await.unwrap().is_empty());
}
