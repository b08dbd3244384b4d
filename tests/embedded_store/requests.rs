//! Sub-resources, XML bodies, and the elements of each response.

use std::fmt::Write as _;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use upload_embedded_store::BUCKET;
use upload_types::Sha256;

use crate::client::{TestStore, part_element, path, request_head, upload_path};

#[tokio::test]
async fn sub_resources_never_concern_the_object() {
    let store = TestStore::new().await;
    store.put("k", &[], b"hello").await.assert_ok();
    for query in [
        "legal-hold",
        "retention",
        "torrent",
        "restore",
        "tagging",
        "append",
        "future",
    ] {
        for method in [Method::PUT, Method::DELETE] {
            let target = format!("{}?{query}", path("k"));
            let response = store.call(method, &target, &[], b"other").await;
            response.assert_error(501, "NotImplemented");
        }
    }
    for query in ["uploadId=x", "partNumber=1"] {
        let target = format!("{}?{query}", path("k"));
        let response = store.call(Method::PUT, &target, &[], b"other").await;
        response.assert_error(400, "InvalidArgument");
    }
    let acl = format!("{}?acl", path("k"));
    let private = store.call(Method::GET, &acl, &[], b"").await.assert_ok();
    store
        .call(Method::PUT, &acl, &[], &private.body)
        .await
        .assert_ok();
    let public = private.text().replace("000000000000", "other");
    let response = store.call(Method::PUT, &acl, &[], public.as_bytes()).await;
    response.assert_error(501, "NotImplemented");
    let response = store.call(Method::DELETE, &acl, &[], b"").await;
    response.assert_error(501, "NotImplemented");
    let target = format!("{}?versionId=other", path("k"));
    let response = store.call(Method::DELETE, &target, &[], b"").await;
    response.assert_error(404, "NoSuchVersion");
    assert_eq!(store.get("k", &[]).await.assert_ok().body, b"hello");
}

#[tokio::test]
async fn digests_and_size_of_an_xml_body_are_checked() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    let part = store.put_part("k", &id, 1, b"one").await.assert_ok();
    let list = format!(
        "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
        part_element(1, part.header("etag"), b"one")
    );
    let path = upload_path("k", &id);
    let complete = async |header: (&str, &str), body: &[u8]| {
        store.call(Method::POST, &path, &[header], body).await
    };
    let other_hash = Sha256::of(b"other").to_string();
    let response = complete(("x-amz-content-sha256", &other_hash), list.as_bytes()).await;
    response.assert_error(400, "XAmzContentSHA256Mismatch");
    let other_md5 = "XrY7u+Ae7tCTyyK7j1rNww==";
    let response = complete(("content-md5", other_md5), list.as_bytes()).await;
    response.assert_error(400, "BadDigest");
    let response = complete(("content-md5", "x"), list.as_bytes()).await;
    response.assert_error(400, "InvalidDigest");
    let too_large = [("content-length", "9000000")];
    let request = store.presign(Method::POST, &path, &too_large).await;
    let mut connection = store.write_head(&request).await;
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");
    assert!(response.contains("MalformedXML"), "{response}");
    let header = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    complete(header, list.as_bytes()).await.assert_ok();
}

#[tokio::test]
async fn every_response_names_its_request() {
    let store = TestStore::new().await;
    let first = store.put("k", &[], b"x").await.assert_ok();
    let missing = store.get("missing", &[]).await;
    let rejected = store
        .call(Method::DELETE, &format!("/{BUCKET}?policy"), &[], b"")
        .await;
    assert!(first.header("x-amz-request-id").len() >= 16);
    for response in [&missing, &rejected] {
        let id = response.header("x-amz-request-id");
        assert_eq!(response.element("RequestId"), id);
        assert_ne!(id, first.header("x-amz-request-id"));
    }
}

#[tokio::test]
async fn id_of_a_request_cannot_change_the_xml_of_an_error() {
    let store = TestStore::new().await;
    for (id, is_kept) in [("abc-1", true), ("</RequestId><Code>x</Code>", false)] {
        let request = store.presign(Method::GET, &path("missing"), &[]).await;
        let headers = [("x-request-id", id)];
        let response = store.send(request, &headers, Vec::new()).await;
        assert_eq!(response.elements("Code"), ["NoSuchKey"]);
        assert_eq!(response.element("RequestId") == id, is_kept);
    }
}

/// Some clients take the status of such a response for that of their next request.
#[tokio::test]
async fn connection_is_closed_after_an_empty_put_that_expects_100_continue() {
    let store = TestStore::new().await;
    let hash = Sha256::of(b"").to_string();
    let headers = [
        ("x-amz-content-sha256", hash.as_str()),
        ("content-length", "0"),
        ("expect", "100-continue"),
    ];
    let mut request = request_head(Method::PUT, &store.url(&path("k")), &headers);
    store.signer.sign(&mut request, None).await.unwrap();
    let mut head = format!("PUT {} HTTP/1.1\r\nhost: {}\r\n", path("k"), store.address);
    for (name, value) in request.headers.iter().filter(|(name, _)| *name != "host") {
        write!(head, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    head += "\r\n";
    let mut connection = TcpStream::connect(store.address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    // Ends when the store closes the connection.
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.to_ascii_lowercase().contains("connection: close"));
    assert_eq!(store.head("k").await.header("content-length"), "0");
}
