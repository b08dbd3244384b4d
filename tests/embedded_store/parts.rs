//! Sending, copying and listing parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use md5::{Digest as _, Md5};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use upload_types::Sha256;

use crate::client::{
    MIB, TestStore, etag, md5_etag, part_element, part_path, path, random_bytes, upload_path,
};

#[tokio::test]
async fn part_is_stored_acknowledged_and_listed() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    let body = random_bytes(1, 100_000);
    let checksum = Sha256::of(&body).base64();
    let stored = store.put_part("k", &id, 7, &body).await.assert_ok();
    assert_eq!(stored.header("etag"), etag(&body));
    assert_eq!(stored.header("x-amz-checksum-sha256"), checksum);
    let listing = store.list_parts("k", &id, "").await.assert_ok();
    assert_eq!(listing.elements("PartNumber"), ["7"]);
    assert_eq!(listing.elements("Size"), ["100000"]);
    assert_eq!(listing.element("ETag"), etag(&body));
    assert_eq!(listing.element("ChecksumSHA256"), checksum);
    assert_eq!(listing.element("ChecksumType"), "COMPOSITE");
    assert_eq!(listing.element("ChecksumAlgorithm"), "SHA256");
}

#[tokio::test]
async fn body_with_another_checksum_is_rejected_and_leaves_no_file() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    let mut body = random_bytes(1, 5 * MIB);
    let part = store.presign_part("k", &id, 1, &body).await;
    body[3 * MIB] ^= 1;
    let response = store.send(part, &[], body.clone()).await;
    response.assert_error(400, "BadDigest");
    assert_eq!(store.part_numbers("k", &id).await, [""; 0]);

    let length = body.len().to_string();
    let other_md5 = BASE64.encode(Md5::digest(b"other"));
    let headers = [
        ("content-length", length.as_str()),
        ("content-md5", &other_md5),
    ];
    let object = store.presign(Method::PUT, &path("plain"), &headers).await;
    let response = store.send(object, &[], body.clone()).await;
    response.assert_error(400, "BadDigest");

    let zeros = "0".repeat(64);
    let headers = [("x-amz-content-sha256", zeros.as_str())];
    let response = store.put("plain", &headers, &body).await;
    response.assert_error(400, "XAmzContentSHA256Mismatch");
    assert_eq!(store.files(), BTreeMap::new());
}

#[tokio::test]
async fn body_of_another_length_than_signed_is_rejected() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    let body = random_bytes(1, 1000);
    for wrong in [&body[..999], &[body.as_slice(), b"!"].concat()] {
        let part = store.presign_part("k", &id, 1, &body).await;
        let response = store.send(part, &[], wrong.to_vec()).await;
        response.assert_error(403, "SignatureDoesNotMatch");
    }
    let checksum = Sha256::of(&body).base64();
    let headers = [("x-amz-checksum-sha256", checksum.as_str())];
    let without_length = store
        .presign(Method::PUT, &part_path("k", &id, 1), &headers)
        .await;
    let response = store.send(without_length, &[], body).await;
    response.assert_error(403, "AccessDenied");
    assert_eq!(store.files(), BTreeMap::new());
}

#[tokio::test]
async fn part_without_the_checksum_that_its_upload_requires_is_rejected() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    let body = random_bytes(1, 1000);
    let path = part_path("k", &id, 1);
    // A checksum in the query is that of the request; this one is not valid.
    let invalid = format!("{path}&x-amz-checksum-sha256=AAAA");
    for (path, code) in [(path, "InvalidRequest"), (invalid, "BadDigest")] {
        let headers = [("content-length", "1000")];
        let part = store.presign(Method::PUT, &path, &headers).await;
        let response = store.send(part, &[], body.clone()).await;
        response.assert_error(400, code);
    }
}

#[tokio::test]
async fn parts_are_listed_page_by_page() {
    const CONCURRENT_PUTS: usize = 16;
    let store = Arc::new(TestStore::new().await);
    let id = store.create_upload("k").await;
    let mut puts = JoinSet::new();
    for number in (1..=1003_usize).rev() {
        while puts.len() >= CONCURRENT_PUTS {
            puts.join_next().await.unwrap().unwrap();
        }
        let (store, id) = (Arc::clone(&store), id.clone());
        puts.spawn(async move {
            let body = number.to_be_bytes();
            store.put_part("k", &id, number, &body).await.assert_ok();
        });
    }
    puts.join_all().await;
    let first = store.list_parts("k", &id, "").await.assert_ok();
    let expected: Vec<String> = (1..=1000).map(|n: usize| n.to_string()).collect();
    assert_eq!(first.elements("PartNumber"), expected);
    assert_eq!(first.element("IsTruncated"), "true");
    let marker = first.element("NextPartNumberMarker");
    let query = format!("&part-number-marker={marker}");
    let second = store.list_parts("k", &id, &query).await.assert_ok();
    assert_eq!(second.elements("PartNumber"), ["1001", "1002", "1003"]);
    assert_eq!(second.element("IsTruncated"), "false");
    assert_eq!(
        second.elements("ChecksumSHA256")[2],
        Sha256::of(&1003_usize.to_be_bytes()).base64()
    );
    let query = "&max-parts=2&part-number-marker=500";
    let small = store.list_parts("k", &id, query).await.assert_ok();
    assert_eq!(small.elements("PartNumber"), ["501", "502"]);
}

#[tokio::test]
async fn interrupted_body_leaves_no_file_and_blocks_no_other_part() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    let body = random_bytes(1, 5 * MIB);
    let part = store.presign_part("k", &id, 1, &body).await;
    let mut connection = store.write_head(&part).await;
    connection.write_all(&body[..2 * MIB]).await.unwrap();
    store.wait_for_file_count(1).await;
    store.put_part("k", &id, 2, b"two").await.assert_ok();
    drop(connection);
    store.wait_for_file_count(1).await;
    assert_eq!(store.part_numbers("k", &id).await, ["2"]);
}

#[tokio::test]
async fn part_is_copied_from_a_range_of_an_object() {
    let store = TestStore::new().await;
    let content = store.create_object("source").await;
    let id = store.create_upload("copy").await;
    let path = part_path("copy", &id, 1);
    let headers = [
        ("x-amz-copy-source", "/embedded/source"),
        ("x-amz-copy-source-range", "bytes=5242870-5242889"),
    ];
    let other_etag = [
        headers[0],
        headers[1],
        ("x-amz-copy-source-if-match", "\"other\""),
    ];
    let response = store.call(Method::PUT, &path, &other_etag, b"").await;
    response.assert_error(412, "PreconditionFailed");
    let copied = store.call(Method::PUT, &path, &headers, b"").await;
    let expected = &content[5 * MIB - 10..5 * MIB + 10];
    let copied_etag = copied.assert_ok().element("ETag");
    assert_eq!(copied_etag, md5_etag(expected));
    let list = format!(
        "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
        part_element(1, &copied_etag, expected)
    );
    let path = upload_path("copy", &id);
    let completed = store.call(Method::POST, &path, &[], list.as_bytes()).await;
    completed.assert_ok();
    let copy = store.get("copy", &[]).await.assert_ok();
    assert_eq!(copy.body, expected);
}
