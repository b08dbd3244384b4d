//! Requests as a client sends them that was written from `openapi.json`, and the responses that
//! tell it what to correct.

use serde_json::{Value, json};

use crate::gateway::*;

#[tokio::test]
async fn etags_in_quotes_are_accepted_at_complete() {
    let gateway = TestGateway::new().await;
    for (number, batch) in [(1, false), (2, true)] {
        let bodies = bodies();
        let size = bodies.iter().map(|body| body.len() as u64).sum();
        let key = format!("key-{number}");
        let upload: BeginResponse =
            expect_json(gateway.begin(&key, &begin_request(size)).await, 201).await;
        let parts = gateway.put_parts(&upload, &bodies).await;
        let checksum = checksum(&upload, &parts);
        let mut parts = serde_json::to_value(&parts).unwrap();
        for part in parts.as_array_mut().unwrap() {
            part["etag"] = json!(format!("\"{}\"", part["etag"].as_str().unwrap()));
        }
        let mut request = json!({"epoch": upload.epoch, "parts": parts, "checksum": checksum});
        if batch {
            request["id"] = json!(upload.id);
            let request = json!({"complete": [request]});
            let response: Value = expect_json(gateway.post("/v1/batch", &request).await, 200).await;
            assert_eq!(response["complete"][0]["status"], 200, "{response}");
        } else {
            let path = format!("/v1/uploads/{}/complete", upload.id);
            let receipt: Receipt = expect_json(gateway.post(&path, &request).await, 200).await;
            assert!(!receipt.etag.as_str().contains('"'));
        }
    }
}

#[tokio::test]
async fn missing_idempotency_key_is_told_from_a_wrong_one() {
    let gateway = TestGateway::new().await;
    let request = begin_request(1);
    let detail = async |response: Response| {
        let problem: Problem = expect_json(response, 400).await;
        assert_eq!(problem.code, "invalid_request");
        problem.detail.unwrap()
    };
    let missing = detail(gateway.post("/v1/uploads", &request).await).await;
    assert!(missing.contains("Idempotency-Key is missing"), "{missing}");
    let wrong = detail(gateway.begin("two words", &request).await).await;
    assert!(!wrong.contains("missing"), "{wrong}");
}

#[tokio::test]
async fn url_of_an_incomplete_upload_is_not_ready() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let path = format!("/v1/uploads/{}/url", upload.id);
    let response = gateway.get(&path).await;
    assert_eq!(response.status(), 409);
    assert_eq!(problem_code(response).await, "not_ready");
}
