//! The rate of calls for each owner.
//!
//! Not here: the rate of signed URLs (`quotas`).

use std::num::NonZeroU32;

use serde_json::{Value, json};

use crate::gateway::*;

const BURST: u32 = 40;

/// The status of the response, and whether it names the time to wait.
async fn outcome(request: reqwest::RequestBuilder) -> (u16, bool) {
    let response = request.send().await.unwrap();
    let has_wait = response.headers().contains_key("retry-after");
    (response.status().as_u16(), has_wait)
}

#[tokio::test]
async fn every_call_about_an_upload_counts_for_its_owner() {
    let mut gateway = TestGateway::with_config(|config| {
        config.rate = Some(Rate {
            per_second: NonZeroU32::MIN,
            burst: NonZeroU32::new(BURST).unwrap(),
        });
        config.auth = Auth::Tokens;
        config.companion_path = Some("/companion".to_owned());
    })
    .await;
    let location = LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db"));
    let ledger = Ledger::open(&location).await.unwrap();
    let token = async |name: &str| ledger.add_token(name).await.unwrap().expose().to_owned();
    gateway.token = Some(token("alice").await);
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    // A batch takes the rest, one entry after the other.
    let status = vec![upload.id.clone(); 2 * BURST as usize];
    let batch: Value = expect_json(
        gateway.post("/v1/batch", &json!({"status": status})).await,
        200,
    )
    .await;
    let statuses = batch["status"].as_array().unwrap();
    let granted = statuses
        .iter()
        .filter(|entry| entry["status"] == 200)
        .count();
    assert!((30..=60).contains(&granted), "{granted}");
    let refused = statuses
        .iter()
        .find(|entry| entry["status"] == 429)
        .unwrap();
    assert!(refused["retry_after"].as_u64().is_some(), "{refused}");

    let present = json!({"present": vec![&upload.id; 2 * BURST as usize]});
    until("a permit for many uploads", async || {
        let response = gateway.post("/v1/batch", &present).await;
        let present: BatchResponse = match response.status().as_u16() {
            429 => return None,
            status => expect_json(response, status).await,
        };
        assert_eq!(present.present.len(), 2 * BURST as usize);
        Some(())
    })
    .await;

    let path = format!("/v1/uploads/{}", upload.id);
    let spec = part_spec(2, &bodies()[1]);
    let claim = json!({"holder": "holder-a", "epoch": upload.epoch});
    let sign = json!({"epoch": upload.epoch, "parts": [spec]});
    let complete =
        json!({"epoch": upload.epoch, "parts": [], "checksum": Checksum::whole(&spec.sha256)});
    let begin = serde_json::to_value(begin_request(1)).unwrap();
    let browser = json!({"filename": "a.bin", "type": "image/png"});
    let calls = |gateway: &TestGateway| {
        let at = |method: Method, path: &str| gateway.request(method, path);
        let post =
            |suffix: &str, body: &Value| at(Method::POST, &format!("{path}/{suffix}")).json(body);
        vec![
            ("status", at(Method::GET, &path)),
            ("present", at(Method::POST, "/v1/batch").json(&present)),
            ("list", at(Method::GET, "/v1/uploads")),
            ("parts", at(Method::GET, &format!("{path}/parts"))),
            ("claim", post("claim", &claim)),
            ("sign", post("sign", &sign)),
            ("complete", post("complete", &complete)),
            (
                "begin",
                at(Method::POST, "/v1/uploads")
                    .header("idempotency-key", "other")
                    .json(&begin),
            ),
            (
                "begin of a browser",
                at(Method::POST, "/companion/s3/multipart").json(&browser),
            ),
            ("abort", at(Method::DELETE, &path)),
        ]
    };
    // The bucket of alice gets one permit in each second. A batch takes it, unless it comes between
    // the batch and the call.
    let take_all = json!({"status": vec![upload.id.clone(); BURST as usize]});
    for (name, call) in calls(&gateway) {
        until(name, async || {
            gateway.post("/v1/batch", &take_all).await;
            let found = outcome(call.try_clone().unwrap()).await;
            (found == (429, true)).then_some(())
        })
        .await;
    }
    gateway.token = Some(token("bob").await);
    for (name, call) in calls(&gateway) {
        let (status, _) = outcome(call).await;
        assert_ne!(status, 429, "{name}");
    }
}
