//! Signed headers, keys, expiry, and features that the store does not implement.

use std::time::{Duration, Instant};

use http::Method;
use upload_embedded_store::BUCKET;
use upload_types::Sha256;

use crate::client::{TestStore, path, request_head, signer};

#[tokio::test]
async fn unsigned_headers_of_presigned_puts_are_rejected() {
    let store = TestStore::new().await;
    store.put("victim", &[], b"secret").await.assert_ok();
    let id = store.create_upload("mine").await;
    let checksum = Sha256::of(b"").base64();
    for header in [
        ("x-amz-copy-source", "/embedded/victim"),
        ("x-amz-meta-owner", "me"),
        ("x-amz-acl", "public-read"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-website-redirect-location", "http://evil.example/"),
        ("cache-control", "public"),
        ("content-disposition", "inline"),
        ("content-encoding", "br"),
        ("content-language", "en"),
        ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
    ] {
        let part = store.presign_part("mine", &id, 1, b"").await;
        let signed = [
            ("content-length", "0"),
            ("x-amz-checksum-sha256", &*checksum),
        ];
        let object = store.presign(Method::PUT, &path("mine"), &signed).await;
        for request in [part, object] {
            let response = store.send(request, &[header], Vec::new()).await;
            response.assert_error(403, "AccessDenied");
        }
    }
    assert_eq!(store.part_numbers("mine", &id).await, [""; 0]);
    store.get("mine", &[]).await.assert_error(404, "NoSuchKey");
}

#[tokio::test]
async fn expired_url_is_rejected() {
    let store = TestStore::new().await;
    store.put("k", &[], b"x").await.assert_ok();
    let mut request = request_head(Method::GET, &store.url(&path("k")), &[]);
    let ttl = Duration::from_secs(2);
    store.signer.sign(&mut request, Some(ttl)).await.unwrap();
    let started = Instant::now();
    let mut response = store
        .send(request.clone(), &[], Vec::new())
        .await
        .assert_ok();
    while response.status == 200 && started.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        response = store.send(request.clone(), &[], Vec::new()).await;
    }
    response.assert_error(403, "AccessDenied");
}

#[tokio::test]
async fn requests_without_signature_or_with_other_keys_are_rejected() {
    let store = TestStore::new().await;
    let request = || request_head(Method::GET, &store.url("/"), &[]);
    let response = store.send(request(), &[], Vec::new()).await;
    response.assert_error(403, "AccessDenied");
    let (access_key, secret) = &store.keys;
    for (keys, code) in [
        (
            (access_key.clone(), "x".repeat(40)),
            "SignatureDoesNotMatch",
        ),
        (("AKother".into(), secret.clone()), "InvalidAccessKeyId"),
    ] {
        let mut request = request();
        let ttl = Duration::from_mins(1);
        signer(&keys).sign(&mut request, Some(ttl)).await.unwrap();
        let response = store.send(request, &[], Vec::new()).await;
        response.assert_error(403, code);
    }
}

#[tokio::test]
async fn missing_features_are_rejected() {
    let store = TestStore::new().await;
    for header in [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-checksum-algorithm", "CRC32"),
    ] {
        let path = format!("{}?uploads", path("k"));
        let response = store.call(Method::POST, &path, &[header], b"").await;
        response.assert_error(501, "NotImplemented");
    }
    let versioning = format!("/{BUCKET}?versioning");
    let response = store.call(Method::GET, &versioning, &[], b"").await;
    response.assert_error(501, "NotImplemented");
    let response = store
        .call(Method::PUT, "/another-bucket/k", &[], b"x")
        .await;
    response.assert_error(404, "NoSuchBucket");
}
