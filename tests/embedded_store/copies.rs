//! Copies of objects.

use http::Method;

use crate::client::{Response, TestStore, path, random_bytes};

async fn copy(store: &TestStore, from: &str, to: &str, headers: &[(&str, &str)]) -> Response {
    let source = format!("/embedded/{from}");
    let headers = [headers, &[("x-amz-copy-source", source.as_str())]].concat();
    store.call(Method::PUT, &path(to), &headers, b"").await
}

#[tokio::test]
async fn copy_has_the_bytes_and_headers_of_its_source() {
    let store = TestStore::new().await;
    let content = store.create_object("parts").await;
    let body = random_bytes(3, 1000);
    let headers = [
        ("content-type", "video/mp4"),
        ("cache-control", "no-store"),
        ("x-amz-meta-color", "blue"),
        ("x-amz-tagging", "a=1&b=2"),
    ];
    store.put("whole", &headers, &body).await.assert_ok();
    store.put("empty", &[], b"").await.assert_ok();
    for (from, expected) in [("parts", content), ("whole", body), ("empty", Vec::new())] {
        let to = format!("copy of {from}").replace(' ', "%20");
        let copied = copy(&store, from, &to, &[]).await.assert_ok();
        let (source, head) = (store.head(from).await, store.head(&to).await);
        assert_eq!(copied.element("ETag"), source.header("etag"));
        for name in [
            "etag",
            "content-type",
            "cache-control",
            "x-amz-meta-color",
            "x-amz-tagging-count",
            "content-length",
            "x-amz-checksum-sha256",
        ] {
            assert_eq!(head.header(name), source.header(name), "{from} {name}");
        }
        // The copy does not depend on its source.
        let deleted = store.call(Method::DELETE, &path(from), &[], b"").await;
        deleted.assert_ok();
        assert!(store.get(&to, &[]).await.assert_ok().body == expected);
    }
    store.wait_for_file_count(4).await;
}

#[tokio::test]
async fn replaced_headers_are_those_of_the_request() {
    let store = TestStore::new().await;
    let headers = [("content-type", "video/mp4"), ("x-amz-meta-color", "blue")];
    store.put("k", &headers, b"hello").await.assert_ok();
    copy(&store, "k", "k", &[])
        .await
        .assert_error(400, "InvalidRequest");
    let replace = [
        ("x-amz-metadata-directive", "REPLACE"),
        ("content-type", "text/plain"),
        ("x-amz-meta-size", "small"),
    ];
    copy(&store, "k", "k", &replace).await.assert_ok();
    let head = store.head("k").await;
    assert_eq!(head.header("content-type"), "text/plain");
    assert_eq!(head.header("x-amz-meta-size"), "small");
    assert_eq!(head.header("x-amz-meta-color"), "");
    assert_eq!(store.get("k", &[]).await.assert_ok().body, b"hello");
    store.wait_for_file_count(1).await;
}

#[tokio::test]
async fn copy_gets_the_tags_that_its_directive_chooses() {
    let store = TestStore::new().await;
    let tags = [("x-amz-tagging", "a=1&b=2")];
    store.put("k", &tags, b"hello").await.assert_ok();
    let other = ("x-amz-tagging", "c=3");
    for (directive, count) in [("COPY", "2"), ("REPLACE", "1")] {
        let headers = [other, ("x-amz-tagging-directive", directive)];
        copy(&store, "k", "copy", &headers).await.assert_ok();
        let head = store.head("copy").await;
        assert_eq!(head.header("x-amz-tagging-count"), count, "{directive}");
    }
    let wrong = [("x-amz-tagging-directive", "MOVE")];
    let response = copy(&store, "k", "copy", &wrong).await;
    response.assert_error(400, "InvalidArgument");
}

#[tokio::test]
async fn copy_gets_the_requested_checksum() {
    let store = TestStore::new().await;
    store.put("k", &[], b"hello").await.assert_ok();
    let headers = [("x-amz-checksum-algorithm", "CRC32")];
    let copied = copy(&store, "k", "copy", &headers).await.assert_ok();
    assert_eq!(copied.element("ChecksumCRC32"), "NhCmhg==");
    let head = store.head("copy").await;
    assert_eq!(head.header("x-amz-checksum-crc32"), "NhCmhg==");
    let again = copy(&store, "copy", "again", &[]).await.assert_ok();
    assert_eq!(again.element("ChecksumCRC32"), "NhCmhg==");
}

#[tokio::test]
async fn conditions_and_names_of_a_source_are_checked() {
    let store = TestStore::new().await;
    store.put("k", &[], b"hello").await.assert_ok();
    let etag = store.head("k").await.header("etag").to_owned();
    for header in [
        ("x-amz-copy-source-if-match", "\"other\""),
        ("x-amz-copy-source-if-none-match", etag.as_str()),
        (
            "x-amz-copy-source-if-modified-since",
            "Thu, 01 Jan 2099 00:00:00 GMT",
        ),
        (
            "x-amz-copy-source-if-unmodified-since",
            "Thu, 01 Jan 1998 00:00:00 GMT",
        ),
    ] {
        let response = copy(&store, "k", "copy", &[header]).await;
        response.assert_error(412, "PreconditionFailed");
    }
    // A plus sign is an encoded space.
    for (key, source) in [("a%20b", "a+b"), ("a%2Bb", "a%2Bb")] {
        store.put(key, &[], source.as_bytes()).await.assert_ok();
        copy(&store, source, "named", &[]).await.assert_ok();
        let copied = store.get("named", &[]).await.assert_ok();
        assert_eq!(copied.body, source.as_bytes());
    }
    let response = copy(&store, "missing", "copy", &[]).await;
    response.assert_error(404, "NoSuchKey");
    let response = copy(&store, "k?versionId=other", "copy", &[]).await;
    response.assert_error(404, "NoSuchVersion");
    let headers = [("x-amz-copy-source", "/other/k")];
    let response = store.call(Method::PUT, &path("copy"), &headers, b"").await;
    response.assert_error(404, "NoSuchBucket");
    store.get("copy", &[]).await.assert_error(404, "NoSuchKey");
    let headers = [("x-amz-copy-source-if-match", etag.as_str())];
    copy(&store, "k", "copy", &headers).await.assert_ok();
}
