//! The checksums of S3: CRC32, CRC32C, CRC64NVME, SHA1 and SHA256, of whole objects and composite.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;

use crate::client::{
    MIB, Response, TestStore, md5_etag, part_path, path, random_bytes, upload_path,
};

/// Algorithms with a composite and a checksum of the whole object.
const KINDS: [(&str, &str); 7] = [
    ("CRC32", ""),
    ("CRC32", "FULL_OBJECT"),
    ("CRC32C", "COMPOSITE"),
    ("CRC32C", "FULL_OBJECT"),
    ("CRC64NVME", ""),
    ("SHA1", ""),
    ("SHA256", "COMPOSITE"),
];

/// The checksum that the store computes of a body, in base64.
async fn checksum(store: &TestStore, algorithm: &str, body: &[u8]) -> String {
    let (uploads, headers) = (
        format!("{}?uploads", path("computed")),
        [("x-amz-checksum-algorithm", algorithm)],
    );
    let created = store.call(Method::POST, &uploads, &headers, b"").await;
    let id = created.assert_ok().element("UploadId");
    store.put("source", &[], body).await.assert_ok();
    let copy = [("x-amz-copy-source", "/embedded/source")];
    let path = part_path("computed", &id, 1);
    let copied = store.call(Method::PUT, &path, &copy, b"").await.assert_ok();
    copied.element(&format!("Checksum{algorithm}"))
}

fn header(algorithm: &str) -> String {
    format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase())
}

async fn create(store: &TestStore, algorithm: &str, kind: &str) -> Response {
    let mut headers = vec![("x-amz-checksum-algorithm", algorithm)];
    if !kind.is_empty() {
        headers.push(("x-amz-checksum-type", kind));
    }
    let path = format!("{}?uploads", path("k"));
    store.call(Method::POST, &path, &headers, b"").await
}

fn list(algorithm: &str, parts: &[(&[u8], String)]) -> String {
    let element = |(index, (body, checksum)): (usize, &(&[u8], String))| {
        let (number, etag) = (index + 1, md5_etag(body));
        format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>\
             <Checksum{algorithm}>{checksum}</Checksum{algorithm}></Part>"
        )
    };
    let parts: String = parts.iter().enumerate().map(element).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

#[tokio::test]
async fn multipart_upload_has_each_kind_of_checksum() {
    let store = TestStore::new().await;
    let bodies = [random_bytes(1, 5 * MIB), random_bytes(2, 1000)];
    for (algorithm, requested) in KINDS {
        let created = create(&store, algorithm, requested).await.assert_ok();
        let id = created.element("UploadId");
        assert_eq!(created.header("x-amz-checksum-algorithm"), algorithm);
        let kind = created.header("x-amz-checksum-type").to_owned();
        let name = header(algorithm);
        let mut parts = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            let value = checksum(&store, algorithm, body).await;
            let path = part_path("k", &id, index + 1);
            let headers = [(name.as_str(), value.as_str())];
            let part = store.call(Method::PUT, &path, &headers, body).await;
            assert_eq!(part.assert_ok().header(&name), value);
            parts.push((body.as_slice(), value));
        }
        let listed = store.list_parts("k", &id, "").await.assert_ok();
        let values: Vec<&str> = parts.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(listed.elements(&format!("Checksum{algorithm}")), values);

        let decoded: Vec<u8> = values
            .iter()
            .flat_map(|value| BASE64.decode(value).unwrap())
            .collect();
        let expected = if kind == "FULL_OBJECT" {
            checksum(&store, algorithm, &bodies.concat()).await
        } else {
            format!("{}-2", checksum(&store, algorithm, &decoded).await)
        };
        let path = upload_path("k", &id);
        let body = list(algorithm, &parts);
        let wrong = checksum(&store, algorithm, b"other").await;
        let headers = [(name.as_str(), wrong.as_str())];
        let response = store
            .call(Method::POST, &path, &headers, body.as_bytes())
            .await;
        response.assert_error(400, "BadDigest");
        let headers = [
            (name.as_str(), expected.as_str()),
            ("x-amz-checksum-type", kind.as_str()),
        ];
        let completed = store
            .call(Method::POST, &path, &headers, body.as_bytes())
            .await;
        let completed = completed.assert_ok();
        assert_eq!(completed.element(&format!("Checksum{algorithm}")), expected);
        assert_eq!(completed.element("ChecksumType"), kind);
        let head = store.head("k").await;
        assert_eq!(head.header(&name), expected);
        assert_eq!(head.header("x-amz-checksum-type"), kind);
    }
}

#[tokio::test]
async fn wrong_checksum_of_a_listed_part_is_rejected() {
    let store = TestStore::new().await;
    for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] {
        let created = create(&store, algorithm, "").await.assert_ok();
        let id = created.element("UploadId");
        let value = checksum(&store, algorithm, b"one").await;
        let name = header(algorithm);
        let headers = [(name.as_str(), value.as_str())];
        let part = part_path("k", &id, 1);
        let other = checksum(&store, algorithm, b"two").await;
        let wrong = [(name.as_str(), other.as_str())];
        let response = store.call(Method::PUT, &part, &wrong, b"one").await;
        response.assert_error(400, "BadDigest");
        store
            .call(Method::PUT, &part, &headers, b"one")
            .await
            .assert_ok();
        let path = upload_path("k", &id);
        let body = list(algorithm, &[(b"one", other)]);
        let response = store.call(Method::POST, &path, &[], body.as_bytes()).await;
        response.assert_error(400, "InvalidPart");
    }
}

#[tokio::test]
async fn contradictory_checksums_are_rejected() {
    let store = TestStore::new().await;
    let crc32 = "NhCmhg==";
    let sha1 = checksum(&store, "SHA1", b"hello").await;
    let sdk = "x-amz-sdk-checksum-algorithm";
    for headers in [
        &[
            ("x-amz-checksum-crc32", crc32),
            ("x-amz-checksum-sha1", sha1.as_str()),
        ][..],
        &[("x-amz-checksum-crc32", crc32), (sdk, "SHA1")],
        &[(sdk, "CRC32")],
        &[("x-amz-checksum-crc32", crc32), (sdk, "OTHER")],
    ] {
        let response = store.put("k", headers, b"hello").await;
        response.assert_error(400, "InvalidRequest");
    }
    for value in [sha1.as_str(), "not base64"] {
        let headers = [("x-amz-checksum-crc32", value)];
        let response = store.put("k", &headers, b"hello").await;
        response.assert_error(400, "BadDigest");
    }
    let headers = [("x-amz-checksum-crc32", crc32), (sdk, "CRC32")];
    store.put("k", &headers, b"hello").await.assert_ok();
    for (algorithm, kind) in [
        ("CRC64NVME", "COMPOSITE"),
        ("SHA256", "FULL_OBJECT"),
        ("MD5", ""),
    ] {
        let response = create(&store, algorithm, kind).await;
        response.assert_error(400, "InvalidRequest");
    }
    let created = create(&store, "CRC32C", "").await.assert_ok();
    let path = part_path("k", &created.element("UploadId"), 1);
    let headers = [("x-amz-checksum-crc32", crc32)];
    let response = store.call(Method::PUT, &path, &headers, b"hello").await;
    response.assert_error(400, "InvalidRequest");
}
