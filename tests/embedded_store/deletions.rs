//! Deletions, one by one and many at once, and conditional writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use md5::{Digest as _, Md5};
use upload_embedded_store::BUCKET;

use crate::client::{Response, TestStore, path};

async fn delete(store: &TestStore, headers: &[(&str, &str)], body: &str) -> Response {
    let path = format!("/{BUCKET}?delete");
    store
        .call(Method::POST, &path, headers, body.as_bytes())
        .await
}

#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let store = TestStore::new().await;
    for key in ["a", "b/c", "d%26e", "kept"] {
        store.put(key, &[], b"x").await.assert_ok();
    }
    let objects = "<Object><Key>a</Key></Object><Object><Key>b/c</Key><VersionId>null</VersionId></Object>\
                   <Object><Key>d&amp;e</Key></Object><Object><Key>missing</Key></Object>\
                   <Object><Key>kept</Key><VersionId>v1</VersionId></Object>";
    let body = format!("<Delete>{objects}</Delete>");
    let wrong_md5 = BASE64.encode(Md5::digest(b"other"));
    let response = delete(&store, &[("content-md5", &wrong_md5)], &body).await;
    response.assert_error(400, "BadDigest");
    let response = delete(&store, &[("x-amz-checksum-crc32", "AAAAAA==")], &body).await;
    response.assert_error(400, "BadDigest");
    store.get("a", &[]).await.assert_ok();

    let md5 = BASE64.encode(Md5::digest(&body));
    let response = delete(&store, &[("content-md5", &md5)], &body)
        .await
        .assert_ok();
    assert_eq!(response.elements("Deleted").len(), 4);
    assert_eq!(response.elements("Code"), ["NoSuchVersion"]);
    store.wait_for_file_count(1).await;
    store.get("kept", &[]).await.assert_ok();
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>kept</Key></Object></Delete>";
    let response = delete(&store, &[], quiet).await.assert_ok();
    assert_eq!(response.elements("Deleted").len(), 0);
    store.get("kept", &[]).await.assert_error(404, "NoSuchKey");

    let too_many = "<Object><Key>k</Key></Object>".repeat(1001);
    for body in ["<Delete></Delete>", &format!("<Delete>{too_many}</Delete>")] {
        delete(&store, &[], body)
            .await
            .assert_error(400, "MalformedXML");
    }
}

#[tokio::test]
async fn conditional_writes_and_deletions_are_checked() {
    let store = TestStore::new().await;
    let response = store.put("k", &[("if-match", "\"x\"")], b"one").await;
    response.assert_error(404, "NoSuchKey");
    let put = store.put("k", &[("if-none-match", "*")], b"one").await;
    let etag = put.assert_ok().header("etag").to_owned();
    for header in [
        ("if-match", "\"other\""),
        ("if-none-match", "*"),
        ("if-none-match", etag.as_str()),
    ] {
        let response = store.put("k", &[header], b"two").await;
        response.assert_error(412, "PreconditionFailed");
    }
    let delete =
        async |header: (&str, &str)| store.call(Method::DELETE, &path("k"), &[header], b"").await;
    for header in [
        ("if-match", "\"other\""),
        ("x-amz-if-match-size", "4"),
        (
            "x-amz-if-match-last-modified-time",
            "Thu, 01 Jan 1998 00:00:00 GMT",
        ),
    ] {
        delete(header).await.assert_error(412, "PreconditionFailed");
    }
    let put = store.put("k", &[("if-match", etag.as_str())], b"two").await;
    let etag = put.assert_ok().header("etag").to_owned();
    assert_eq!(store.get("k", &[]).await.assert_ok().body, b"two");
    delete(("if-match", &etag)).await.assert_ok();
    store.get("k", &[]).await.assert_error(404, "NoSuchKey");
}
