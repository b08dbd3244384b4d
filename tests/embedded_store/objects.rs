//! Whole objects.

use http::Method;
use tokio::io::AsyncReadExt as _;
use upload_types::Sha256;

use crate::client::{TestStore, path};

#[tokio::test]
async fn object_is_returned_with_its_headers() {
    let store = TestStore::new().await;
    let headers = [
        ("content-type", "video/mp4"),
        ("cache-control", "no-store"),
        ("content-disposition", "inline"),
        ("x-amz-meta-upload-token", "t0ken"),
    ];
    store.put("k", &headers, b"hello").await.assert_ok();
    let head = store.head("k").await;
    for (name, value) in headers {
        assert_eq!(head.header(name), value);
    }
    assert_eq!(
        head.header("x-amz-checksum-sha256"),
        Sha256::of(b"hello").base64()
    );
    assert_eq!(head.header("x-amz-checksum-type"), "FULL_OBJECT");
    let query = "response-content-disposition=attachment%3B%20filename%3D%22a.bin%22&response-content-type=text%2Fplain";
    let request = store
        .presign(Method::GET, &format!("{}?{query}", path("k")), &[])
        .await;
    let response = store.send(request, &[], Vec::new()).await.assert_ok();
    assert_eq!(response.body, b"hello");
    assert_eq!(
        response.header("content-disposition"),
        "attachment; filename=\"a.bin\""
    );
    assert_eq!(response.header("content-type"), "text/plain");
    assert_eq!(response.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn read_conditions_and_ranges_are_checked() {
    let store = TestStore::new().await;
    store.put("k", &[], b"hello").await.assert_ok();
    store.put("empty", &[], b"").await.assert_ok();
    store.put("one", &[], b"x").await.assert_ok();
    let etag = store.get("k", &[]).await.header("etag").to_owned();
    let not_modified = store.get("k", &[("if-none-match", &etag)]).await;
    assert_eq!(not_modified.status, 304);
    assert_eq!(not_modified.header("etag"), etag);
    let response = store.get("k", &[("if-match", "\"other\"")]).await;
    response.assert_error(412, "PreconditionFailed");
    assert_eq!(store.get("empty", &[]).await.assert_ok().body, b"");
    for (key, range) in [("k", "bytes=5-"), ("empty", "bytes=-5")] {
        let response = store.get(key, &[("range", range)]).await;
        response.assert_error(416, "InvalidRange");
    }
    for range in [
        "bytes=1-",
        "bytes=18446744073709551615-",
        "bytes=9223372036854775807-9223372036854775807",
        "bytes=-0",
    ] {
        let response = store.get("one", &[("range", range)]).await;
        assert!((400..500).contains(&response.status), "{range}");
    }
}

#[tokio::test]
async fn presigned_put_with_if_none_match_writes_once() {
    let store = TestStore::new().await;
    let headers = [("content-length", "5"), ("if-none-match", "*")];
    let request = store.presign(Method::PUT, &path("k"), &headers).await;
    let first = store.send(request.clone(), &[], b"first".to_vec()).await;
    first.assert_ok();
    let second = store.send(request, &[], b"other".to_vec()).await;
    second.assert_error(412, "PreconditionFailed");
    assert_eq!(store.get("k", &[]).await.assert_ok().body, b"first");
    store.wait_for_file_count(1).await;
}

#[tokio::test]
async fn deleted_object_is_read_to_its_end() {
    let store = TestStore::new().await;
    let content = store.create_object("k").await;
    let request = store.presign(Method::GET, &path("k"), &[]).await;
    let mut connection = store.write_head(&request).await;
    let mut received = vec![0; 4096];
    connection.read_exact(&mut received).await.unwrap();
    let deleted = store.call(Method::DELETE, &path("k"), &[], b"").await;
    deleted.assert_ok();
    store.get("k", &[]).await.assert_error(404, "NoSuchKey");
    connection.read_to_end(&mut received).await.unwrap();
    assert!(received.ends_with(&content[1000..]));
    store.wait_for_file_count(0).await;
}

#[tokio::test]
async fn keys_may_contain_any_characters() {
    let store = TestStore::new().await;
    let longest = "x".repeat(1024);
    let keys = [
        "a",
        "a/b",
        "a/",
        "a//b",
        "...",
        "store.db",
        "%C3%A9%20%2B%26%3D%3F%23",
        "%00%01",
        &longest,
    ];
    for key in keys {
        store.put(key, &[], key.as_bytes()).await.assert_ok();
    }
    for key in keys {
        let object = store.get(key, &[]).await.assert_ok();
        assert_eq!(object.body, key.as_bytes(), "{key}");
    }
    let response = store.put(&format!("{longest}x"), &[], b"").await;
    response.assert_error(400, "KeyTooLongError");
}

#[tokio::test]
async fn checksum_in_a_trailer_is_verified() {
    let store = TestStore::new().await;
    let put = async |crc32: &str| {
        let body = format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{crc32}\r\n\r\n");
        let headers = [
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "5"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        store.put("k", &headers, body.as_bytes()).await
    };
    // The CRC-32: the bytes of `printf hello | gzip -c | tail -c8 | head -c4` in reverse order.
    let correct = "NhCmhg==";
    let response = put(correct).await.assert_ok();
    assert_eq!(response.header("x-amz-checksum-crc32"), correct);
    put("AAAAAA==").await.assert_error(400, "BadDigest");
    let object = store.get("k", &[]).await.assert_ok();
    assert_eq!(object.body, b"hello");
    assert_eq!(object.header("content-encoding"), "");
}

#[tokio::test]
async fn tags_are_kept_and_counted() {
    let store = TestStore::new().await;
    let tagging = |value| [("x-amz-tagging", value)];
    let put = store.put("k", &tagging("a%20b=%C3%A9&c="), b"hello").await;
    put.assert_ok();
    assert_eq!(store.head("k").await.header("x-amz-tagging-count"), "2");
    let object = store.get("k", &[]).await.assert_ok();
    assert_eq!(object.header("x-amz-tagging-count"), "2");
    let path = format!("{}?tagging", path("k"));
    let tags = store.call(Method::GET, &path, &[], b"").await.assert_ok();
    assert_eq!(tags.elements("Key"), ["a b", "c"]);
    assert_eq!(tags.elements("Value"), ["\u{e9}", ""]);

    store.put("k", &[], b"hello").await.assert_ok();
    assert_eq!(store.head("k").await.header("x-amz-tagging-count"), "");
    let eleven: Vec<String> = (0..11).map(|number| format!("k{number}=v")).collect();
    for wrong in ["a=1&a=2", "a%26b=1", "aws%3Aa=1", "=1", &eleven.join("&")] {
        let response = store.put("k", &tagging(wrong), b"other").await;
        response.assert_error(400, "InvalidTag");
    }
    assert_eq!(store.get("k", &[]).await.assert_ok().body, b"hello");
}

#[tokio::test]
async fn metadata_is_returned_in_the_encoding_that_it_needs() {
    let store = TestStore::new().await;
    // A text with spaces at its ends, one that looks encoded, and one beyond ASCII.
    let encoded =
        ["IGEg", "PT9VVEYtOD9RP3g/PQ==", "w6k="].map(|text| format!("=?UTF-8?B?{text}?="));
    for value in ["a b", "a=?b"]
        .into_iter()
        .chain(encoded.iter().map(String::as_str))
    {
        let metadata = [("x-amz-meta-a", value)];
        store.put("k", &metadata, b"hello").await.assert_ok();
        assert_eq!(store.head("k").await.header("x-amz-meta-a"), value);
        let object = store.get("k", &[]).await.assert_ok();
        assert_eq!(object.header("x-amz-meta-a"), value);
    }
}
