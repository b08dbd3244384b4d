//! Completing and aborting uploads.

use http::Method;
use upload_types::{Checksum, Sha256};

use crate::client::{MIB, TestStore, part_element, random_bytes, upload_path};

#[tokio::test]
async fn complete_copies_nothing_and_can_be_repeated() {
    let store = TestStore::new().await;
    let (first, second) = (random_bytes(1, 5 * MIB), random_bytes(2, 3000));
    let parts: [(usize, &[u8]); 2] = [(1, &first), (2, &second)];
    let id = store.create_upload("k").await;
    let replaced = random_bytes(3, 10);
    for (number, body) in [
        (1, first.as_slice()),
        (2, &replaced),
        (2, &second),
        (9, b"omitted"),
    ] {
        store.put_part("k", &id, number, body).await.assert_ok();
    }
    store.wait_for_file_count(3).await;
    let before = store.files();

    let size = (5 * MIB + 3000).to_string();
    let headers = [
        ("if-none-match", "*"),
        ("x-amz-mp-object-size", size.as_str()),
    ];
    let completed = store.complete("k", &id, &headers, &parts).await.assert_ok();
    let composite = Checksum::composite(&[Sha256::of(&first), Sha256::of(&second)]);
    assert_eq!(completed.element("ChecksumSHA256"), composite.as_str());
    assert_eq!(completed.element("ChecksumType"), "COMPOSITE");
    store.wait_for_file_count(2).await;
    for (path, inode_and_time) in store.files() {
        assert_eq!(before.get(&path), Some(&inode_and_time), "unchanged");
    }

    let repeated = store.complete("k", &id, &headers, &parts).await.assert_ok();
    assert_eq!(repeated.text(), completed.text());
    let other_parts = &parts[..1];
    let response = store.complete("k", &id, &headers, other_parts).await;
    response.assert_error(400, "InvalidRequest");
    let response = store.complete("k", &id, &[], other_parts).await;
    response.assert_error(400, "InvalidPart");
    let response = store.list_parts("k", &id, "").await;
    response.assert_error(404, "NoSuchUpload");

    let head = store.head("k").await;
    assert_eq!(head.header("x-amz-checksum-sha256"), composite.as_str());
    assert_eq!(head.header("x-amz-checksum-type"), "COMPOSITE");
    assert_eq!(head.header("content-length"), size);
    assert_eq!(head.header("etag"), completed.element("ETag"));
    let content = [first, second].concat();
    assert!(store.get("k", &[]).await.assert_ok().body == content);
    let headers = [("range", "bytes=5242870-5242889")];
    let range = store.get("k", &headers).await;
    assert_eq!(range.status, 206);
    assert_eq!(
        range.header("content-range"),
        "bytes 5242870-5242889/5245880"
    );
    assert_eq!(range.body, &content[5 * MIB - 10..5 * MIB + 10]);
}

#[tokio::test]
async fn wrong_complete_is_rejected_and_changes_nothing() {
    let store = TestStore::new().await;
    let (first, second) = (random_bytes(1, 5 * MIB), random_bytes(2, 10));
    let id = store.create_upload("k").await;
    store.put_part("k", &id, 1, &first).await.assert_ok();
    store.put_part("k", &id, 2, &second).await.assert_ok();

    let other_etag = format!(
        "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
        part_element(1, "\"beef\"", &first)
    );
    let path = upload_path("k", &id);
    let response = store
        .call(Method::POST, &path, &[], other_etag.as_bytes())
        .await;
    response.assert_error(400, "InvalidPart");
    let not_stored: [(usize, &[u8]); 3] = [(1, &first), (2, &second), (3, b"")];
    let reversed: [(usize, &[u8]); 2] = [(2, &second), (1, &first)];
    for (parts, code) in [
        (&reversed[..], "InvalidPartOrder"),
        (&not_stored[..], "InvalidPart"),
    ] {
        let response = store.complete("k", &id, &[], parts).await;
        response.assert_error(400, code);
    }
    let other_size = [("x-amz-mp-object-size", "1")];
    let response = store.complete("k", &id, &other_size, &[(1, &first)]).await;
    response.assert_error(400, "InvalidRequest");
    store.put("k", &[], b"first").await.assert_ok();
    let if_absent = [("if-none-match", "*")];
    let response = store.complete("k", &id, &if_absent, &[(1, &first)]).await;
    response.assert_error(412, "PreconditionFailed");

    assert_eq!(store.part_numbers("k", &id).await, ["1", "2"]);
    let object = store.get("k", &[]).await.assert_ok();
    assert_eq!(object.body, b"first");
}

#[tokio::test]
async fn concurrent_completes_succeed_with_the_same_response() {
    let store = TestStore::new().await;
    let body = random_bytes(1, 10);
    let id = store.create_upload("k").await;
    store.put_part("k", &id, 1, &body).await.assert_ok();
    let headers = [("if-none-match", "*")];
    let parts: [(usize, &[u8]); 1] = [(1, &body)];
    let (first, second) = tokio::join!(
        store.complete("k", &id, &headers, &parts),
        store.complete("k", &id, &headers, &parts)
    );
    assert_eq!(first.assert_ok().text(), second.assert_ok().text());
}

#[tokio::test]
async fn abort_removes_the_upload_and_its_files() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    store.put_part("k", &id, 1, b"one").await.assert_ok();
    assert_eq!(store.files().len(), 1);
    let path = upload_path("k", &id);
    let aborted = store.call(Method::DELETE, &path, &[], b"").await;
    assert_eq!(aborted.status, 204);
    store.wait_for_file_count(0).await;
    for response in [
        store.call(Method::DELETE, &path, &[], b"").await,
        store.put_part("k", &id, 2, b"two").await,
        store.complete("k", &id, &[], &[(1, b"one")]).await,
    ] {
        response.assert_error(404, "NoSuchUpload");
    }
}

#[tokio::test]
async fn malformed_complete_is_rejected() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    store.put_part("k", &id, 1, b"one").await.assert_ok();
    for size in ["-1", "4", "9223372036854775807"] {
        let headers = [("x-amz-mp-object-size", size)];
        let response = store.complete("k", &id, &headers, &[(1, b"one")]).await;
        response.assert_error(400, "InvalidRequest");
    }
    let number_is_text = b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>";
    for body in [
        number_is_text.as_slice(),
        b"",
        b"<",
        b"<CompleteMultipartUpload/>",
        &[0xff; 100],
    ] {
        let path = upload_path("k", &id);
        let response = store.call(Method::POST, &path, &[], body).await;
        assert_eq!(response.status, 400, "{response:?}");
    }
}
