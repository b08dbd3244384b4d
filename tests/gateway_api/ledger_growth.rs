//! The size of the ledger: parts cost nothing before they are pinned, and nothing after their
//! upload has ended. Ended uploads are deleted after a while.
//!
//! Not here: the deletion on request (`behaviour::serve_prune`).

use serde_json::{Value, json};

use crate::gateway::*;

/// The largest plan: 10,000 parts.
const LARGEST: u64 = 10_000 * 5 * MIB;

/// The bytes of the ledger, with those that are not in the main file yet.
fn ledger_bytes(gateway: &TestGateway) -> u64 {
    let bytes = |name: &str| {
        let path = gateway.dir.path().join(name);
        std::fs::metadata(path).map_or(0, |metadata| metadata.len())
    };
    bytes("ledger.db") + bytes("ledger.db-wal")
}

fn count_parts(gateway: &TestGateway) -> u64 {
    let connection = rusqlite::Connection::open(gateway.dir.path().join("ledger.db")).unwrap();
    let count: i64 = connection
        .query_row("SELECT count(*) FROM part", [], |row| row.get(0))
        .unwrap();
    u64::try_from(count).unwrap()
}

#[tokio::test]
async fn batch_of_the_largest_uploads_costs_less_than_a_megabyte() {
    let gateway = TestGateway::new().await;
    let begin = (0..256).map(|n| BatchBegin {
        idempotency_key: n.to_string(),
        request: begin_request(LARGEST),
    });
    let batch = BatchRequest {
        begin: begin.collect(),
        ..BatchRequest::default()
    };
    let before = ledger_bytes(&gateway);
    let response: BatchResponse = expect_json(gateway.post("/v1/batch", &batch).await, 200).await;
    assert!(response.begin.iter().all(|outcome| outcome.status == 201));
    assert_eq!(count_parts(&gateway), 0);
    // SQLite writes each changed page to its log first, so the log is larger than the rows.
    let connection = rusqlite::Connection::open(gateway.dir.path().join("ledger.db")).unwrap();
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let grown = ledger_bytes(&gateway).saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes");
}

#[tokio::test]
async fn parts_have_rows_from_their_pin_to_the_end_of_their_upload() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    assert_eq!(count_parts(&gateway), 0);
    let parts = gateway.put_parts(&upload, &bodies()).await;
    assert_eq!(count_parts(&gateway), 2);
    let path = format!("/v1/uploads/{}", upload.id);
    let listed: PartList = expect_json(gateway.get(&format!("{path}/parts")).await, 200).await;
    assert_eq!((listed.parts.len(), count_parts(&gateway)), (2, 2));
    let receipt: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    assert_eq!(count_parts(&gateway), 0);
    // Everything that is known about the parts is in the receipt.
    assert_eq!((receipt.parts, receipt.part_size), (2, 5 * MIB));
    assert_eq!(receipt.checksum, Some(checksum(&upload, &parts)));
    let repeated: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    assert_eq!(repeated, receipt);

    let aborted = gateway.create_upload(&begin_request(TWO_PARTS + 1)).await;
    let spec = part_spec(1, &bodies()[0]);
    expect_json::<SignResponse>(gateway.sign(&aborted, vec![spec]).await, 200).await;
    assert_eq!(count_parts(&gateway), 1);
    let path = format!("/v1/uploads/{}", aborted.id);
    let response = gateway.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(count_parts(&gateway), 0);
}

#[tokio::test]
async fn parts_of_a_complete_upload_are_those_of_its_receipt() {
    let gateway = TestGateway::new().await;
    let single = gateway.create_upload(&begin_request(3)).await;
    let parts = gateway.put_parts(&single, &[b"abc".to_vec()]).await;
    let receipt: Receipt = expect_json(gateway.complete(&single, &parts).await, 200).await;
    let path = format!("/v1/uploads/{}/parts", single.id);
    let listed: PartList = expect_json(gateway.get(&path).await, 200).await;
    let part = &listed.parts[0];
    assert_eq!((listed.parts.len(), listed.next), (1, None));
    assert_eq!((part.size, part.sha256), (3, Some(Sha256::of(b"abc"))));
    assert_eq!(part.etag, receipt.etag);
    let rest: PartList = expect_json(gateway.get(&format!("{path}?after=1")).await, 200).await;
    assert!(rest.parts.is_empty());

    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let parts = gateway.put_parts(&upload, &bodies()).await;
    expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;
    let response = gateway
        .get(&format!("/v1/uploads/{}/parts", upload.id))
        .await;
    let problem: Value = expect_json(response, 400).await;
    assert_eq!(problem["code"], json!("invalid_request"));
    assert!(problem["detail"].as_str().unwrap().contains("receipt"));
}

#[tokio::test]
async fn ended_upload_is_deleted_and_begins_again() {
    let gateway = TestGateway::with_config(|config| {
        (config.keep_ended, config.sweep_interval) =
            (Some(Duration::ZERO), Some(Duration::from_millis(20)));
    })
    .await;
    let request = begin_request(TWO_PARTS);
    let upload: BeginResponse = expect_json(gateway.begin("key", &request).await, 201).await;
    let path = format!("/v1/uploads/{}", upload.id);
    let abort = gateway.request(Method::DELETE, &path).send();
    assert_eq!(abort.await.unwrap().status(), 204);
    // Bytes may still arrive while a URL is valid.
    let status: UploadStatus = expect_json(gateway.get(&path).await, 200).await;
    assert_eq!(status.state, UploadState::Aborted);
    gateway.execute_sql("UPDATE upload SET cleanup_at = 1");
    until("the upload is deleted", async || {
        (gateway.get(&path).await.status() == 404).then_some(())
    })
    .await;
    assert_eq!(
        problem_code(gateway.get(&format!("{path}/parts")).await).await,
        "not_found"
    );
    let again: BeginResponse = expect_json(gateway.begin("key", &request).await, 201).await;
    assert_ne!(again.id, upload.id);
    let parts = gateway.put_parts(&again, &bodies()).await;
    expect_json::<Receipt>(gateway.complete(&again, &parts).await, 200).await;
}
