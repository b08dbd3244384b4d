//! Objects and parts whose files are missing or have another size: for clients they do not exist.

use std::fs;
use std::path::PathBuf;

use http::Method;
use upload_embedded_store::BUCKET;

use crate::client::{MIB, TestStore, captured_log, path, random_bytes};

/// The part files that `put` adds.
async fn files_of(store: &TestStore, put: impl AsyncFnOnce(&TestStore)) -> Vec<PathBuf> {
    let before = store.files();
    put(store).await;
    let files = store.files().into_keys();
    files.filter(|path| !before.contains_key(path)).collect()
}

async fn put(store: &TestStore, key: &str) -> PathBuf {
    let put = async |store: &TestStore| {
        store.put(key, &[], b"hello").await.assert_ok();
    };
    let files = files_of(store, put).await;
    assert_eq!(files.len(), 1);
    files[0].clone()
}

async fn keys(store: &TestStore, query: &str) -> Vec<String> {
    let path = format!("/{BUCKET}?{query}");
    let page = store.call(Method::GET, &path, &[], b"").await;
    page.assert_ok().elements("Key")
}

#[tokio::test]
async fn object_without_its_bytes_is_not_there() {
    let store = TestStore::new().await;
    let removed = put(&store, "removed").await;
    let truncated = put(&store, "truncated").await;
    put(&store, "whole").await;
    let parts = files_of(&store, async |store| {
        store.create_object("parts").await;
    })
    .await;
    let last = parts
        .iter()
        .find(|path| path.metadata().unwrap().len() == 1000);
    fs::remove_file(&removed).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&truncated)
        .and_then(|file| file.set_len(3))
        .unwrap();
    fs::remove_file(last.unwrap()).unwrap();

    let attributes = [("x-amz-object-attributes", "ETag")];
    for key in ["removed", "truncated", "parts"] {
        for query in ["", "?partNumber=1"] {
            let path = format!("{}{query}", path(key));
            let head = store.call(Method::HEAD, &path, &[], b"").await;
            assert_eq!(head.status, 404, "{path}");
        }
        for (query, headers) in [
            ("", &[][..]),
            ("", &[("range", "bytes=0-0")]),
            ("?tagging", &[]),
            ("?acl", &[]),
            ("?attributes", &attributes),
        ] {
            let path = format!("{}{query}", path(key));
            let response = store.call(Method::GET, &path, headers, b"").await;
            response.assert_error(404, "NoSuchKey");
        }
        let source = format!("/{BUCKET}/{key}");
        let copy = [("x-amz-copy-source", source.as_str())];
        let response = store.put("copy", &copy, b"").await;
        response.assert_error(404, "NoSuchKey");
    }
    for query in ["list-type=2", "", "versions"] {
        assert_eq!(keys(&store, query).await, ["whole"], "{query}");
    }
    // A page that lacks objects leads to the next one.
    let page = store
        .call(
            Method::GET,
            &format!("/{BUCKET}?list-type=2&max-keys=1"),
            &[],
            b"",
        )
        .await
        .assert_ok();
    assert_eq!(page.elements("Key").len(), 0);
    assert_eq!(page.element("KeyCount"), "0");
    assert_eq!(page.element("IsTruncated"), "true");
    let token = page.element("NextContinuationToken");
    let rest = keys(&store, &format!("list-type=2&continuation-token={token}")).await;
    assert_eq!(rest, ["whole"]);
    assert_eq!(store.get("whole", &[]).await.assert_ok().body, b"hello");

    // The operator reads it once.
    let name = removed.to_str().unwrap();
    assert_eq!(captured_log().matches(name).count(), 1);

    fs::write(&removed, b"hello").unwrap();
    assert_eq!(store.get("removed", &[]).await.assert_ok().body, b"hello");
}

#[tokio::test]
async fn object_without_its_bytes_is_made_again() {
    let store = TestStore::new().await;
    for key in ["put", "copy", "parts"] {
        fs::remove_file(put(&store, key).await).unwrap();
    }
    let absent = [("if-none-match", "*")];
    store.put("put", &absent, b"again").await.assert_ok();
    let response = store.put("put", &absent, b"other").await;
    response.assert_error(412, "PreconditionFailed");
    let source = format!("/{BUCKET}/put");
    let copy = [("x-amz-copy-source", source.as_str()), absent[0]];
    store.put("copy", &copy, b"").await.assert_ok();
    let id = store.create_upload("parts").await;
    store.put_part("parts", &id, 1, b"again").await.assert_ok();
    let complete = async || {
        store
            .complete("parts", &id, &absent, &[(1, b"again")])
            .await
    };
    complete().await.assert_ok();
    for key in ["put", "copy", "parts"] {
        assert_eq!(store.get(key, &[]).await.assert_ok().body, b"again");
    }

    for path in store.files().into_keys() {
        fs::remove_file(path).unwrap();
    }
    complete().await.assert_error(404, "NoSuchUpload");
    let deleted = store.call(Method::DELETE, &path("parts"), &[], b"").await;
    deleted.assert_ok();
}

#[tokio::test]
async fn part_without_its_bytes_is_sent_again() {
    let store = TestStore::new().await;
    let (first, second) = (random_bytes(1, 5 * MIB), random_bytes(2, 1000));
    let id = store.create_upload("k").await;
    store.put_part("k", &id, 1, &first).await.assert_ok();
    let files = files_of(&store, async |store| {
        store.put_part("k", &id, 2, &second).await.assert_ok();
    })
    .await;
    fs::remove_file(&files[0]).unwrap();
    assert_eq!(store.part_numbers("k", &id).await, ["1"]);
    let complete = async || {
        let parts: [(usize, &[u8]); 2] = [(1, &first), (2, &second)];
        store.complete("k", &id, &[], &parts).await
    };
    complete().await.assert_error(400, "InvalidPart");
    store.put_part("k", &id, 2, &second).await.assert_ok();
    complete().await.assert_ok();
    let object = store.get("k", &[]).await.assert_ok();
    assert!(object.body == [first, second].concat());
}

/// A part that is not listed leaves no row, whether or not its bytes are there.
#[tokio::test]
async fn upload_is_completed_without_a_part_whose_bytes_are_gone() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    store.put_part("k", &id, 1, b"first").await.assert_ok();
    let files = files_of(&store, async |store| {
        store.put_part("k", &id, 2, b"second").await.assert_ok();
    })
    .await;
    fs::remove_file(&files[0]).unwrap();
    let completed = store.complete("k", &id, &[], &[(1, b"first")]).await;
    completed.assert_ok();
    assert_eq!(store.get("k", &[]).await.assert_ok().body, b"first");
}
