//! Sweeps of a running gateway: at its start and periodically.
//!
//! Not here: the cases of a sweep (unit tests of the gateway).

use crate::gateway::*;

async fn wait_for_state(
    gateway: &TestGateway,
    upload: &BeginResponse,
    state: UploadState,
) -> UploadStatus {
    let path = format!("/v1/uploads/{}", upload.id);
    for _ in 0..2000 {
        let status: UploadStatus = expect_json(gateway.get(&path).await, 200).await;
        if status.state == state {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the upload does not become {state:?}");
}

/// Client and gateway were killed during a complete, and only the gateway is started again.
#[tokio::test]
async fn restarted_gateway_decides_interrupted_completes() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let parts = gateway.put_parts(&upload, &bodies()).await;
    for part in &parts {
        let (number, etag) = (part.number, &part.etag);
        gateway.execute_sql(&format!(
            "UPDATE part SET etag = '{etag}' WHERE number = {number}"
        ));
    }
    gateway.execute_sql("UPDATE upload SET state = 'completing', lease_until = 0");
    let gateway = gateway.restart().await;
    let receipt = wait_for_state(&gateway, &upload, UploadState::Ready)
        .await
        .receipt
        .unwrap();
    assert_eq!(
        (receipt.parts, &receipt.checksum),
        (2, &Some(checksum(&upload, &parts)))
    );
    // A client that repeats its complete gets the same receipt.
    assert_eq!(
        expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await,
        receipt
    );
}

#[tokio::test]
async fn sweep_is_repeated_periodically() {
    let gateway =
        TestGateway::with_config(|config| config.sweep_interval = Some(Duration::from_millis(20)))
            .await;
    for name in ["a", "b"] {
        let upload = gateway
            .create_upload(&BeginRequest {
                name: name.into(),
                ..begin_request(TWO_PARTS)
            })
            .await;
        gateway.put_parts(&upload, &bodies()).await;
        gateway.execute_sql(
            "UPDATE upload SET lease_until = 0, expires_at = 0 WHERE state = 'uploading'",
        );
        wait_for_state(&gateway, &upload, UploadState::Expired).await;
        for _ in 0..2000 {
            if gateway.store().find(&upload.key).await.unwrap().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(gateway.store().find(&upload.key).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn expiry_moves_with_every_call() {
    let gateway =
        TestGateway::with_config(|config| config.upload_ttl = Duration::from_hours(1)).await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    gateway.execute_sql("UPDATE upload SET expires_at = 0");
    // The lease is valid, so the call succeeds and extends the expiry.
    expect_json::<SignResponse>(
        gateway
            .sign(&upload, vec![part_spec(2, &bodies()[1])])
            .await,
        200,
    )
    .await;
    let path = format!("/v1/uploads/{}", upload.id);
    let after_sign: UploadStatus = expect_json(gateway.get(&path).await, 200).await;
    assert!(after_sign.expires_at >= upload.expires_at);
    gateway.execute_sql("UPDATE upload SET expires_at = 0");
    let claim = ClaimRequest {
        holder: "holder-a".into(),
        epoch: Some(upload.epoch),
    };
    expect_json::<ClaimResponse>(gateway.post(&format!("{path}/claim"), &claim).await, 200).await;
    let after_claim: UploadStatus = expect_json(gateway.get(&path).await, 200).await;
    assert!(after_claim.expires_at >= after_sign.expires_at);
}
