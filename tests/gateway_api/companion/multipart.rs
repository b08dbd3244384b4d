//! Uploads in parts: their life from create to complete or abort.

use super::client::*;

#[tokio::test]
async fn file_sent_in_parts_becomes_one_object() {
    let gateway = start_gateway().await;
    let upload = create_default(&gateway).await;
    let owner_and_id = upload.key.strip_prefix("uploads/").unwrap();
    assert!(
        owner_and_id.ends_with(&format!("/{}.bin", upload.id)),
        "the gateway did not choose the key: {owner_and_id}"
    );
    let before = upload_status(&gateway, &upload).await;
    assert_eq!(
        (before.get("size"), &before["state"], &before["name"]),
        (None, &json!("pending"), &json!("a b.bin"))
    );
    assert_eq!(
        expect_ok(gateway.get(&upload.path("")).await).await,
        json!([])
    );

    let [one, two] = bodies();
    let second = send_part(&gateway, &upload, 2, &two).await;
    let replaced = send_part(&gateway, &upload, 1, &two).await;
    // The last PUT of a part counts.
    let first = send_part(&gateway, &upload, 1, &one).await;
    assert_ne!(first, replaced);
    let list = expect_ok(gateway.get(&upload.path("")).await).await;
    let part = |number: u32, etag: &str, size: usize| json!({"PartNumber": number, "ETag": etag, "Size": size});
    assert_eq!(
        list,
        json!([part(1, &first, one.len()), part(2, &second, two.len())])
    );
    assert!(first.starts_with('"') && first.ends_with('"'));

    // ETags with and without quotes, two spellings in one object, unknown fields, in any order.
    let parts = json!([
        {"PartNumber": 2, "ETag": second, "etag": second, "content-length": "0"},
        {"PartNumber": 1, "ETag": first.trim_matches('"')},
    ]);
    let done = expect_ok(complete(&gateway, &upload, parts.clone()).await).await;
    assert_eq!(
        (&done["key"], &done["bucket"]),
        (&json!(upload.key), &json!("embedded"))
    );
    assert!(
        done["location"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/embedded/{}", upload.key))
    );
    assert_eq!(
        object_bytes(&gateway, &upload.id).await,
        [one.clone(), two.clone()].concat()
    );
    // A repeated complete returns the same response, also with other parts.
    for again in [parts, json!([{"PartNumber": 1, "ETag": "x"}])] {
        assert_eq!(
            expect_ok(complete(&gateway, &upload, again).await).await,
            done
        );
    }
    assert_eq!(expect_ok(gateway.get(&upload.path("")).await).await, list);
    let after = upload_status(&gateway, &upload).await;
    let receipt = &after["receipt"];
    assert_eq!(
        (&after["state"], &after["size"], &after["part_count"]),
        (&json!("ready"), &json!(TWO_PARTS), &json!(2))
    );
    assert_eq!(
        (&receipt["proof"], receipt.get("checksum")),
        (&json!("none"), None),
        "the gateway has no SHA-256 of the parts"
    );
    assert_eq!(
        (&receipt["size"], &receipt["parts"]),
        (&json!(TWO_PARTS), &json!(2))
    );
    // The upload accepts no more parts and cannot be aborted.
    assert_eq!(
        rejection(gateway.get(&upload.path("/3")).await).await,
        (410, "NoSuchUpload".into())
    );
    let abort = gateway
        .request(Method::DELETE, &upload.path(""))
        .send()
        .await
        .unwrap();
    assert_eq!(rejection(abort).await, (409, "not_abortable".into()));
    assert_eq!(open_upload_count(&gateway).await, 0);
}

#[tokio::test]
async fn abort_leaves_nothing_and_can_be_repeated() {
    let gateway = start_gateway().await;
    let upload = create_default(&gateway).await;
    let url = part_url(&gateway, &upload, 1).await;
    let etag = put_bytes(&gateway, &url, &[7; 100]).await;
    assert_eq!(open_upload_count(&gateway).await, 1);
    for _ in 0..2 {
        let response = gateway
            .request(Method::DELETE, &upload.path(""))
            .send()
            .await
            .unwrap();
        assert_eq!(expect_ok(response).await, json!({}));
    }
    assert_eq!(open_upload_count(&gateway).await, 0);
    let parts = json!([{"PartNumber": 1, "ETag": etag}]);
    for response in [
        gateway.get(&upload.path("")).await,
        gateway.get(&upload.path("/1")).await,
        complete(&gateway, &upload, parts).await,
    ] {
        assert_eq!(rejection(response).await, (410, "NoSuchUpload".into()));
    }
    assert_eq!(
        gateway
            .client
            .put(&url)
            .body(vec![7; 100])
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(upload_status(&gateway, &upload).await["state"], "aborted");
}

#[tokio::test]
async fn complete_must_match_the_stored_parts() {
    let gateway = start_gateway().await;
    let upload = create_default(&gateway).await;
    let etag = send_part(&gateway, &upload, 1, &[7; 100]).await;
    for (parts, response) in [
        (json!([]), (400, "invalid_request")),
        (json!("x"), (400, "invalid_request")),
        (json!([{"PartNumber": 1}]), (400, "invalid_request")),
        (
            json!([{"PartNumber": 1, "ETag": "\"other\""}]),
            (422, "parts_mismatch"),
        ),
        (
            json!([{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": etag}]),
            (422, "parts_mismatch"),
        ),
    ] {
        assert_eq!(
            rejection(complete(&gateway, &upload, parts).await).await,
            (response.0, response.1.to_owned())
        );
    }
    // The store rejects small parts; the upload stays open.
    let second = send_part(&gateway, &upload, 2, &[8; 100]).await;
    let both = json!([{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": second}]);
    assert_eq!(
        rejection(complete(&gateway, &upload, both).await).await,
        (422, "parts_mismatch".into())
    );
    let only = json!([{"PartNumber": 2, "ETag": second}]);
    expect_ok(complete(&gateway, &upload, only).await).await;
    assert_eq!(object_bytes(&gateway, &upload.id).await, [8; 100]);
}

#[tokio::test]
async fn concurrent_completes_make_one_object() {
    let gateway = start_gateway().await;
    let upload = create_default(&gateway).await;
    let etag = send_part(&gateway, &upload, 1, &[7; 100]).await;
    let parts = json!([{"PartNumber": 1, "ETag": etag}]);
    let all = (0..8).map(|_| complete(&gateway, &upload, parts.clone()));
    for response in futures_util::future::join_all(all).await {
        expect_ok(response).await;
    }
    assert_eq!(object_bytes(&gateway, &upload.id).await, [7; 100]);
}

#[tokio::test]
async fn interrupted_complete_is_decided_by_the_next_gateway() {
    let gateway = start_gateway().await;
    let upload = create_default(&gateway).await;
    let etag = send_part(&gateway, &upload, 1, &[7; 100]).await;
    let etag = etag.trim_matches('"');
    // The state left by a gateway that was killed before its request to the store.
    gateway.execute_sql(
        "UPDATE upload SET state = 'completing', size = 100, part_size = 100, lease_until = 0",
    );
    gateway.execute_sql(&format!(
        "INSERT INTO part (upload, number, size, etag) VALUES ('{}', 1, 100, '{etag}')",
        upload.id
    ));
    let gateway = restart_with_sweep(gateway, Duration::from_millis(50)).await;
    // The repeated complete and the sweep have the same result.
    let parts = json!([{"PartNumber": 1, "ETag": etag}]);
    expect_ok(complete(&gateway, &upload, parts).await).await;
    assert_eq!(object_bytes(&gateway, &upload.id).await, [7; 100]);
}

#[tokio::test]
async fn resumed_upload_sends_only_missing_parts() {
    let gateway = start_gateway().await;
    let upload = create_default(&gateway).await;
    let [one, two] = bodies();
    send_part(&gateway, &upload, 1, &one).await;
    // Uppy 6 after a reload: listed ETags have quotes, new ones do not.
    let list = expect_ok(
        gateway
            .get(&format!("//s3/multipart/{}?key={}", upload.id, upload.key))
            .await,
    )
    .await;
    let second = send_part(&gateway, &upload, 2, &two).await;
    let parts = json!([
        {"PartNumber": list[0]["PartNumber"], "ETag": list[0]["ETag"]},
        {"PartNumber": 2, "ETag": second.trim_matches('"')},
    ]);
    expect_ok(complete(&gateway, &upload, parts).await).await;
    assert_eq!(
        object_bytes(&gateway, &upload.id).await,
        [one, two].concat()
    );
}
