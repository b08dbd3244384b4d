//! Recovery: uploads after a restart, after a crash between two commits, and after a loss in the
//! store.
//!
//! The tests create these states in ledger and store. Not here: killed processes (`tests/crash`).

use crate::gateway::*;

#[tokio::test]
async fn upload_continues_after_a_restart_of_the_gateway() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let bodies = bodies();
    let signed: SignResponse = expect_json(
        gateway.sign(&upload, vec![part_spec(1, &bodies[0])]).await,
        200,
    )
    .await;
    etag(&gateway.put(&signed.parts[0], bodies[0].clone()).await);
    let info: BackendInfo = expect_json(gateway.get("/v1").await, 200).await;

    let gateway = gateway.restart().await;
    let again: BackendInfo = expect_json(gateway.get("/v1").await, 200).await;
    assert_eq!(again.instance_id, info.instance_id);
    let listed: PartList = expect_json(
        gateway
            .get(&format!("/v1/uploads/{}/parts", upload.id))
            .await,
        200,
    )
    .await;
    assert_eq!(listed.parts.len(), 1);
    let parts = gateway.put_parts(&upload, &bodies).await;
    expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;
}

/// The gateway was killed between the store's Create and its own commit.
#[tokio::test]
async fn begin_repeated_after_a_crash_adopts_the_stores_upload() {
    let gateway = TestGateway::new().await;
    let request = begin_request(TWO_PARTS);
    let upload: BeginResponse = expect_json(gateway.begin("key", &request).await, 201).await;
    gateway.put_parts(&upload, &bodies()).await;
    let second_upload = gateway
        .store()
        .create(&upload.key, &new_object("video/quicktime", "token"))
        .await
        .unwrap();
    gateway.execute_sql("UPDATE upload SET store_upload = NULL, state = 'pending'");

    let again: BeginResponse = expect_json(gateway.begin("key", &request).await, 200).await;
    assert_eq!(again.id, upload.id);
    let open = gateway.store().find(&upload.key).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_ne!(open[0], second_upload);
    let listed: PartList = expect_json(
        gateway
            .get(&format!("/v1/uploads/{}/parts", upload.id))
            .await,
        200,
    )
    .await;
    assert_eq!(listed.parts.len(), 2);

    gateway.store().abort(&upload.key, &open[0]).await.unwrap();
    gateway.execute_sql("UPDATE upload SET store_upload = NULL, state = 'pending'");
    expect_json::<BeginResponse>(gateway.begin("key", &request).await, 200).await;
    let parts = gateway.put_parts(&upload, &bodies()).await;
    expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;
}

/// The gateway was killed while the store completed. The object exists, so the upload is ready.
#[tokio::test]
async fn complete_with_lost_response_is_found_done() {
    let gateway = TestGateway::new().await;
    for state in ["completing", "uploading"] {
        let request = BeginRequest {
            name: state.into(),
            ..begin_request(TWO_PARTS)
        };
        let upload = gateway.create_upload(&request).await;
        let parts = gateway.put_parts(&upload, &bodies()).await;
        let open = gateway.store().find(&upload.key).await.unwrap();
        gateway
            .store()
            .complete(
                &upload.key,
                &open[0],
                &parts,
                TWO_PARTS,
                WriteCondition::Absent,
            )
            .await
            .unwrap();
        gateway.execute_sql(&format!(
            "UPDATE upload SET state = '{state}' WHERE name = '{state}'"
        ));

        let path = format!("/v1/uploads/{}", upload.id);
        let listed: PartList = expect_json(gateway.get(&format!("{path}/parts")).await, 200).await;
        assert_eq!(listed.parts.len(), 0, "the ledger has no list of the parts");
        let receipt: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
        assert_eq!(receipt.parts, 2);
    }
}

#[tokio::test]
async fn upload_lost_by_the_store_is_gone() {
    let gateway = TestGateway::new().await;
    for listed in [true, false] {
        let request = BeginRequest {
            name: listed.to_string(),
            ..begin_request(TWO_PARTS)
        };
        let upload = gateway.create_upload(&request).await;
        let parts = gateway.put_parts(&upload, &bodies()).await;
        let open = gateway.store().find(&upload.key).await.unwrap();
        gateway.store().abort(&upload.key, &open[0]).await.unwrap();
        let path = format!("/v1/uploads/{}", upload.id);
        if listed {
            assert_eq!(
                problem_code(gateway.get(&format!("{path}/parts")).await).await,
                "gone"
            );
        }
        assert_eq!(
            problem_code(gateway.complete(&upload, &parts).await).await,
            "gone"
        );
        let status: UploadStatus = expect_json(gateway.get(&path).await, 200).await;
        assert_eq!(status.state, UploadState::Expired);
    }
}

/// Another writer with access to the store put an object at the key.
#[tokio::test]
async fn foreign_object_makes_no_receipt_and_stays() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(3)).await;
    let part = part_spec(1, b"abc");
    let foreign = gateway
        .store()
        .sign_put(
            &upload.key,
            &new_object("text/plain", "another"),
            &part,
            Duration::from_mins(1),
        )
        .await;
    etag(
        &gateway
            .put(&SignedPart::Put(foreign.unwrap()), b"abc".to_vec())
            .await,
    );
    let claimed = CompletePart {
        number: PartNumber::FIRST,
        etag: "e".parse().unwrap(),
        sha256: part.sha256,
    };
    let listed: PartList = expect_json(
        gateway
            .get(&format!("/v1/uploads/{}/parts", upload.id))
            .await,
        200,
    )
    .await;
    assert!(listed.parts.is_empty());
    assert_eq!(
        problem_code(gateway.complete(&upload, &[claimed]).await).await,
        "gone"
    );
    assert!(
        gateway.store().head(&upload.key).await.unwrap().is_some(),
        "a foreign object was removed"
    );
}
