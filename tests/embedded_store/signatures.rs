//! Signed headers, keys, expiry, and features that the store does not implement.

use std::time::{Duration, Instant};

use http::Method;
use upload_embedded_store::BUCKET;
use upload_types::Sha256;

use crate::client::{TestStore, md5_etag, path, request_head, signer};

/// Headers that an object keeps.
const KEPT_HEADERS: [(&str, &str); 5] = [
    ("cache-control", "no-cache"),
    ("content-disposition", "inline"),
    ("content-encoding", "br"),
    ("content-language", "en"),
    ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
];

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
    ]
    .into_iter()
    .chain(KEPT_HEADERS)
    {
        let part = store.presign_part("mine", &id, 1, b"").await;
        let signed = [
            ("content-length", "0"),
            ("x-amz-checksum-sha256", &*checksum),
        ];
        let object = store.presign(Method::PUT, &path("mine"), &signed).await;
        let is_kept = KEPT_HEADERS.contains(&header);
        let rejected = [object].into_iter().chain((!is_kept).then_some(part));
        for request in rejected {
            let response = store.send(request, &[header], Vec::new()).await;
            response.assert_error(403, "AccessDenied");
        }
    }
    assert_eq!(store.part_numbers("mine", &id).await, [""; 0]);
    store.get("mine", &[]).await.assert_error(404, "NoSuchKey");
}

/// A browser adds such headers to every request, for example while its cache is disabled.
#[tokio::test]
async fn part_ignores_unsigned_headers_that_only_objects_keep() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    let part = store.presign_part("k", &id, 1, b"one").await;
    let response = store.send(part, &KEPT_HEADERS, b"one".to_vec()).await;
    response.assert_ok();
    let completed = store.complete("k", &id, &[], &[(1, b"one")]).await;
    completed.assert_ok();
    let head = store.head("k").await;
    for (name, _) in KEPT_HEADERS {
        assert_eq!(head.header(name), "", "{name}");
    }
}

/// `generate_presigned_url` of an SDK signs the host alone.
#[tokio::test]
async fn presigned_put_may_leave_its_length_unsigned_if_the_operator_permits_it() {
    let strict = TestStore::new().await;
    let request = strict.presign(Method::PUT, &path("k"), &[]).await;
    let response = strict.send(request, &[], b"hello".to_vec()).await;
    assert!(response.text().contains("--store-presigned-puts"));
    response.assert_error(403, "AccessDenied");

    let store = TestStore::with_service(|service, _| service.with_presigned_puts()).await;
    let presign = async || store.presign(Method::PUT, &path("k"), &[]).await;
    let response = store
        .send(presign().await, &[], b"hello".to_vec())
        .await
        .assert_ok();
    assert_eq!(response.header("etag"), md5_etag(b"hello"));
    for header in [KEPT_HEADERS[0], ("x-amz-meta-a", "b")] {
        let response = store.send(presign().await, &[header], b"x".to_vec()).await;
        response.assert_error(403, "AccessDenied");
    }
    assert_eq!(store.get("k", &[]).await.assert_ok().body, b"hello");
}

/// SDKs move headers into the query of a presigned URL.
#[tokio::test]
async fn headers_in_the_query_of_a_presigned_url_have_effect() {
    let store = TestStore::new().await;
    let put = async |query: &str, body: &[u8]| {
        let length = body.len().to_string();
        let headers = [("content-length", length.as_str())];
        let path = format!("{}?{query}", path("k"));
        let request = store.presign(Method::PUT, &path, &headers).await;
        store.send(request, &[], body.to_vec()).await
    };
    let query = "x-amz-meta-color=blue&x-amz-checksum-crc32=NhCmhg%3D%3D";
    put(query, b"hello").await.assert_ok();
    let head = store.head("k").await;
    assert_eq!(head.header("x-amz-meta-color"), "blue");
    assert_eq!(head.header("x-amz-checksum-crc32"), "NhCmhg==");
    put(query, b"other").await.assert_error(400, "BadDigest");
    let response = put("x-amz-acl=public-read", b"x").await;
    response.assert_error(501, "NotImplemented");
    assert_eq!(store.get("k", &[]).await.assert_ok().body, b"hello");
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
        ("x-amz-storage-class", "GLACIER"),
        ("x-amz-acl", "public-read"),
    ] {
        let path = format!("{}?uploads", path("k"));
        let response = store.call(Method::POST, &path, &[header], b"").await;
        response.assert_error(501, "NotImplemented");
    }
    let policy = format!("/{BUCKET}?policy");
    let response = store.call(Method::GET, &policy, &[], b"").await;
    response.assert_error(501, "NotImplemented");
    let response = store
        .call(Method::PUT, "/another-bucket/k", &[], b"x")
        .await;
    response.assert_error(404, "NoSuchBucket");
}
