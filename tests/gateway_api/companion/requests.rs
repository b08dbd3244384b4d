//! Requests as each version of Uppy sends them, and invalid ones.

use super::client::*;

#[tokio::test]
async fn many_part_urls_are_signed_in_one_call() {
    let gateway = start_gateway().await;
    let upload = create_default(&gateway).await;
    let urls = expect_ok(
        gateway
            .get(&format!("{}&partNumbers=3,1,%202,1", upload.path("/batch")))
            .await,
    )
    .await;
    let urls = urls["presignedUrls"].as_object().unwrap();
    assert_eq!(urls.keys().collect::<Vec<_>>(), ["1", "2", "3"]);
    put_bytes(&gateway, urls["3"].as_str().unwrap(), b"third").await;
    for numbers in ["", "0", "1,x", "10001", "1.5"] {
        let response = gateway
            .get(&format!("{}&partNumbers={numbers}", upload.path("/batch")))
            .await;
        assert_eq!(
            rejection(response).await,
            (400, "invalid_request".into()),
            "{numbers}"
        );
    }
    for number in ["0", "-1", "abc", "1abc", "10001", "99999999999", "status"] {
        let response = gateway.get(&upload.path(&format!("/{number}"))).await;
        assert_eq!(
            rejection(response).await,
            (400, "invalid_request".into()),
            "{number}"
        );
    }
}

#[tokio::test]
async fn create_accepts_uppy_requests_and_rejects_invalid_ones() {
    let gateway = start_gateway().await;
    for body in [
        json!({"filename": "a"}),
        json!({"filename": "a", "type": null, "metadata": null}),
        json!({"filename": "a", "type": "", "metadata": {"relativePath": null, "n": 1, "name": "Über uns.pdf", "o": {"a": [1]}}}),
        json!({"filename": "../../etc/passwd", "type": "text/plain", "metadata": []}),
        json!({"filename": "a\u{0}\r\nX: y\u{202e}.exe", "type": "text/plain", "more": {"a": 1}}),
        json!({"filename": "é".repeat(700), "type": "text/plain"}),
        json!({"filename": "/", "type": "text/plain; charset=utf-8"}),
    ] {
        let upload = create(&gateway, &body).await;
        let mut pieces = upload.key.split('/');
        assert_eq!(pieces.next(), Some("uploads"), "{body}");
        let (owner, name) = (pieces.next().unwrap(), pieces.next().unwrap());
        assert!(
            owner.len() == 26 && name.starts_with(&upload.id) && pieces.next().is_none(),
            "{body}: {name}"
        );
        let etag = send_part(&gateway, &upload, 1, b"x").await;
        expect_ok(complete(&gateway, &upload, json!([{"PartNumber": 1, "ETag": etag}])).await)
            .await;
    }
    for (body, expected) in [
        (json!({}), (400, "invalid_request")),
        (json!({"filename": ""}), (400, "invalid_request")),
        (json!({"filename": 5}), (400, "invalid_request")),
        (json!([]), (400, "invalid_request")),
        (
            json!({"filename": "a", "type": 5}),
            (400, "invalid_request"),
        ),
        (
            json!({"filename": "a", "type": "not a type"}),
            (400, "invalid_request"),
        ),
        (
            json!({"filename": "a", "metadata": {"upload-token": "mine"}}),
            (400, "invalid_request"),
        ),
        (
            json!({"filename": "a", "metadata": {"a": "x".repeat(4000)}}),
            (400, "invalid_request"),
        ),
        (
            json!({"filename": "x".repeat(200 << 10)}),
            (413, "too_large"),
        ),
    ] {
        let response = rejection(gateway.post("/s3/multipart", &body).await).await;
        assert_eq!(response, (expected.0, expected.1.to_owned()));
    }
    assert_eq!(
        rejection(gateway.get("/s3/params?type=text/plain").await).await,
        (400, "invalid_request".into())
    );
    let no_json = gateway
        .request(Method::POST, "/s3/multipart")
        .header("content-type", "text/plain")
        .body("{}");
    assert_eq!(
        rejection(no_json.send().await.unwrap()).await,
        (400, "invalid_request".into())
    );
    let (status, sts) = read_json(gateway.get("/s3/sts").await).await;
    assert!(status == 400 && sts["error"].is_string());
}

#[tokio::test]
async fn create_with_the_same_idempotency_key_returns_the_same_upload() {
    let gateway = start_gateway().await;
    let ask = async |key: &str, name: &str| {
        let request = gateway
            .request(Method::POST, "/s3/multipart")
            .header("idempotency-key", key);
        request
            .json(&json!({"filename": name}))
            .send()
            .await
            .unwrap()
    };
    let first = expect_ok(ask("k", "a").await).await;
    assert_eq!(
        expect_ok(ask("k", "a").await).await["uploadId"],
        first["uploadId"]
    );
    assert_eq!(
        rejection(ask("k", "b").await).await,
        (422, "idempotency_mismatch".into())
    );
    assert_ne!(
        expect_ok(ask("l", "a").await).await["uploadId"],
        first["uploadId"]
    );
    assert_eq!(open_upload_count(&gateway).await, 2);
}
