//! The bucket, and what is known of its objects without their bytes.

use http::Method;
use upload_embedded_store::BUCKET;

use crate::client::{MIB, TestStore, path};

#[tokio::test]
async fn clients_find_the_bucket_that_there_is() {
    let store = TestStore::new().await;
    let get = async |path: &str| store.call(Method::GET, path, &[], b"").await;
    let buckets = get("/").await.assert_ok();
    assert_eq!(buckets.element("Name"), BUCKET);
    let bucket = format!("/{BUCKET}");
    for method in [Method::PUT, Method::HEAD] {
        store.call(method, &bucket, &[], b"").await.assert_ok();
    }
    // rclone sends this header.
    let headers = [("x-amz-bucket-object-lock-enabled", "false")];
    let created = store.call(Method::PUT, &bucket, &headers, b"").await;
    created.assert_ok();
    let other = store.call(Method::PUT, "/other", &[], b"").await;
    other.assert_error(400, "TooManyBuckets");
    let deleted = store.call(Method::DELETE, &bucket, &[], b"").await;
    deleted.assert_error(403, "AccessDenied");
    store.put("k", &[], b"x").await.assert_ok();
    let deleted = store.call(Method::DELETE, &bucket, &[], b"").await;
    deleted.assert_error(409, "BucketNotEmpty");
    let missing = store.call(Method::HEAD, "/other", &[], b"").await;
    assert_eq!(missing.status, 404);
    let versioning = get(&format!("{bucket}?versioning")).await.assert_ok();
    assert_eq!(versioning.elements("Status").len(), 0);
    get(&format!("{bucket}?location")).await.assert_ok();
    let acl = get(&format!("{bucket}?acl")).await.assert_ok();
    assert_eq!(acl.elements("Permission"), ["FULL_CONTROL"]);
}

#[tokio::test]
async fn objects_are_listed_with_owner_and_as_versions() {
    let store = TestStore::new().await;
    for key in ["a", "b/1", "b/2"] {
        store.put(key, &[], b"x").await.assert_ok();
    }
    let list = async |query: &str| {
        let path = format!("/{BUCKET}?{query}");
        store.call(Method::GET, &path, &[], b"").await.assert_ok()
    };
    let versions = list("versions&delimiter=%2F&max-keys=1").await;
    assert_eq!(versions.elements("VersionId"), ["null"]);
    assert_eq!(versions.elements("Key"), ["a"]);
    let rest = list("versions&delimiter=%2F&key-marker=a").await;
    assert_eq!(rest.elements("CommonPrefixes"), ["<Prefix>b/"]);
    assert_eq!(list("list-type=2").await.elements("Owner").len(), 0);
    let with_owner = list("list-type=2&fetch-owner=true&delimiter=").await;
    assert_eq!(with_owner.elements("Owner").len(), 3);
    assert_eq!(with_owner.elements("Delimiter").len(), 0);
    store.create_upload("u").await;
    assert_eq!(list("uploads").await.elements("Initiator").len(), 1);
}

#[tokio::test]
async fn attributes_of_objects_and_parts_are_told() {
    let store = TestStore::new().await;
    store.create_object("parts").await;
    store.put("whole", &[], b"hello").await.assert_ok();
    let attributes = async |key: &str, names: &str| {
        let path = format!("{}?attributes", path(key));
        let headers = [("x-amz-object-attributes", names)];
        store.call(Method::GET, &path, &headers, b"").await
    };
    let all = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize";
    let parts = attributes("parts", all).await.assert_ok();
    let head = store.head("parts").await;
    assert_eq!(parts.element("ObjectSize"), (5 * MIB + 1000).to_string());
    assert_eq!(parts.elements("ChecksumSHA256").len(), 3);
    assert_eq!(
        parts.element("ChecksumSHA256"),
        head.header("x-amz-checksum-sha256")
    );
    assert_eq!(parts.element("PartsCount"), "2");
    assert_eq!(parts.elements("Size"), ["5242880", "1000"]);
    let whole = attributes("whole", "ObjectSize").await.assert_ok();
    assert_eq!(whole.element("ObjectSize"), "5");
    assert_eq!(whole.elements("ETag").len(), 0);
    // Without quotes, as in S3.
    let etag = attributes("whole", "ETag")
        .await
        .assert_ok()
        .element("ETag");
    assert_eq!(
        etag,
        store.head("whole").await.header("etag").trim_matches('"')
    );
    let response = attributes("whole", "Other").await;
    response.assert_error(400, "InvalidArgument");
    let response = attributes("missing", all).await;
    response.assert_error(404, "NoSuchKey");
}

#[tokio::test]
async fn single_parts_of_an_object_are_read() {
    let store = TestStore::new().await;
    let content = store.create_object("parts").await;
    store.put("whole", &[], b"hello").await.assert_ok();
    let get =
        async |method: Method, target: &str| store.call(method, &path(target), &[], b"").await;
    let second = get(Method::GET, "parts?partNumber=2").await;
    assert_eq!(second.status, 206);
    assert_eq!(second.header("x-amz-mp-parts-count"), "2");
    assert_eq!(second.body, &content[5 * MIB..]);
    let head = get(Method::HEAD, "parts?partNumber=2").await;
    assert_eq!((head.status, head.header("content-length")), (206, "1000"));
    assert_eq!(
        head.header("content-range"),
        "bytes 5242880-5243879/5243880"
    );
    let whole = get(Method::GET, "whole?partNumber=1").await.assert_ok();
    assert_eq!(whole.body, b"hello");
    let missing = get(Method::GET, "parts?partNumber=3").await;
    missing.assert_error(400, "InvalidPart");
}
