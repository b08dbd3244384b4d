//! Listings of objects and uploads.

use http::Method;
use upload_embedded_store::BUCKET;

use crate::client::{Response, TestStore, upload_path};

/// Lists the bucket with a query.
async fn list(store: &TestStore, query: &str) -> Response {
    let path = format!("/{BUCKET}?{query}");
    store.call(Method::GET, &path, &[], b"").await
}

#[tokio::test]
async fn objects_are_listed_by_prefix_delimiter_and_page() {
    let store = TestStore::new().await;
    for key in ["a", "b/1", "b/2", "b/%F0%9F%A6%80", "b%26", "c/d/e", "f"] {
        store.put(key, &[], key.as_bytes()).await.assert_ok();
    }
    let list = async |query: &str| list(&store, query).await.assert_ok();
    let all = list("list-type=2&encoding-type=url").await;
    assert_eq!(
        all.elements("Key"),
        ["a", "b%26", "b/1", "b/2", "b/%F0%9F%A6%80", "c/d/e", "f"]
    );
    let by_delimiter = list("list-type=2&delimiter=%2F").await;
    assert_eq!(by_delimiter.elements("Key"), ["a", "b&amp;", "f"]);
    assert_eq!(by_delimiter.element("KeyCount"), "5");
    assert_eq!(
        by_delimiter.elements("CommonPrefixes"),
        ["<Prefix>b/", "<Prefix>c/"]
    );
    let below_prefix = list("list-type=2&prefix=b%2F&delimiter=%2F").await;
    assert_eq!(below_prefix.elements("Key").len(), 3);

    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("list-type=2&delimiter=%2F&max-keys=1{token}")).await;
        listed.extend(page.elements("Key"));
        let prefixes = page.elements("CommonPrefixes");
        listed.extend(prefixes.iter().map(|prefix| prefix.replace("<Prefix>", "")));
        if page.element("IsTruncated") == "false" {
            break;
        }
        token = format!(
            "&continuation-token={}",
            page.element("NextContinuationToken")
        );
    }
    assert_eq!(listed, ["a", "b&amp;", "b/", "c/", "f"]);
    let version_1 = list("delimiter=%2F&max-keys=3").await;
    assert_eq!(version_1.element("IsTruncated"), "true");
    assert_eq!(version_1.element("NextMarker"), "b/");
    let next_page = list("delimiter=%2F&marker=b%2F").await;
    assert_eq!(next_page.elements("Key"), ["f"]);
}

#[tokio::test]
async fn uploads_are_listed_by_prefix_and_page() {
    let store = TestStore::new().await;
    let mut ids = Vec::new();
    for key in ["a/1", "a/1", "a/2", "b"] {
        ids.push(store.create_upload(key).await);
    }
    let list = async |query: &str| list(&store, query).await.assert_ok();
    let page = list("uploads&prefix=a%2F&max-uploads=1").await;
    assert_eq!(page.elements("UploadId"), ids[..1]);
    assert_eq!(page.element("IsTruncated"), "true");
    let markers = format!("key-marker=a%2F1&upload-id-marker={}", ids[0]);
    let rest = list(&format!("uploads&prefix=a%2F&{markers}")).await;
    assert_eq!(rest.elements("UploadId"), ids[1..3]);
    assert_eq!(rest.element("IsTruncated"), "false");
    let after_key = list("uploads&key-marker=a%2F1").await;
    assert_eq!(after_key.elements("UploadId"), ids[2..]);
}

#[tokio::test]
async fn numbers_and_markers_out_of_range_are_rejected() {
    let store = TestStore::new().await;
    let id = store.create_upload("k").await;
    store.put_part("k", &id, 1, b"one").await.assert_ok();
    let assert_rejected = async |method: Method, path: &str| {
        let response = store.call(method, path, &[], b"").await;
        assert!(
            (400..500).contains(&response.status),
            "{path}: {response:?}"
        );
    };
    for number in ["0", "-1", "10001", "99999999999999999999", "x", ""] {
        let path = format!("{}&partNumber={number}", upload_path("k", &id));
        assert_rejected(Method::PUT, &path).await;
    }
    for query in [
        "max-parts=-1",
        "max-parts=x",
        "part-number-marker=x",
        "max-parts=99999999999",
    ] {
        let path = format!("{}&{query}", upload_path("k", &id));
        assert_rejected(Method::GET, &path).await;
    }
    for query in [
        "list-type=2&max-keys=-1",
        "max-keys=x",
        "uploads&max-uploads=-1",
    ] {
        assert_rejected(Method::GET, &format!("/{BUCKET}?{query}")).await;
    }
    let response = list(&store, "list-type=2&continuation-token=%21").await;
    response.assert_error(400, "InvalidArgument");

    let negative_marker = store.list_parts("k", &id, "&part-number-marker=-5").await;
    assert_eq!(negative_marker.assert_ok().elements("PartNumber"), ["1"]);
    let empty_page = store.list_parts("k", &id, "&max-parts=0").await;
    assert_eq!(empty_page.assert_ok().element("IsTruncated"), "false");
}
