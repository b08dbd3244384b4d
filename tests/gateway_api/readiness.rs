//! Readiness: a gateway whose ledger rejects writes is not ready.

use crate::gateway::*;

/// Reads succeed, as they do while the disk is full.
#[tokio::test]
async fn readyz_is_503_while_the_ledger_accepts_no_writes() {
    let gateway = TestGateway::new().await;
    assert_eq!(gateway.get("/readyz").await.status(), 200);
    gateway.execute_sql(
        "CREATE TRIGGER full BEFORE INSERT ON readiness BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
    );
    let status = async |wanted: u16| {
        until("another readiness", async || {
            let response = gateway.get("/readyz").await;
            (response.status() == wanted).then_some(response)
        })
        .await
    };
    let response = status(503).await;
    assert!(response.headers().contains_key("retry-after"));
    let list: UploadList = expect_json(gateway.get("/v1/uploads").await, 200).await;
    assert!(list.uploads.is_empty(), "reads succeed");
    assert_eq!(gateway.get("/healthz").await.status(), 200);
    gateway.execute_sql("DROP TRIGGER full");
    status(200).await;
}
