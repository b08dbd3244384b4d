//! ETags: nothing that has the form of an MD5 is something else.

use http::Method;
use md5::{Digest as _, Md5};

use crate::client::{
    MIB, TestStore, etag, hex, md5_etag, part_path, path, random_bytes, upload_path,
};

fn is_md5(etag: &str) -> bool {
    let digits = etag.trim_matches('"');
    digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

#[tokio::test]
async fn etag_of_a_put_is_the_md5_of_its_body() {
    let store = TestStore::new().await;
    for (key, body) in [("small", random_bytes(1, 1000)), ("empty", Vec::new())] {
        let put = store.put(key, &[], &body).await.assert_ok();
        let head = store.head(key).await;
        for response in [&put, &head] {
            assert_eq!(response.header("etag"), md5_etag(&body), "{key}");
        }
    }
}

/// The gateway's own clients need no MD5; their ETags do not have its form.
#[tokio::test]
async fn etag_that_is_no_md5_does_not_have_its_form() {
    let store = TestStore::new().await;
    let body = random_bytes(1, 1000);
    let checksum = upload_types::Sha256::of(&body).base64();
    let headers = [
        ("content-length", "1000"),
        ("x-amz-checksum-sha256", checksum.as_str()),
    ];
    let request = store.presign(Method::PUT, &path("k"), &headers).await;
    let put = store.send(request, &[], body.clone()).await.assert_ok();
    let id = store.create_upload("m").await;
    let part = store.put_part("m", &id, 1, &body).await.assert_ok();
    for response in [put, part] {
        assert_eq!(response.header("etag"), etag(&body));
        assert!(!is_md5(response.header("etag")));
    }
    let completed = store.complete("m", &id, &[], &[(1, &body)]).await;
    assert!(completed.assert_ok().element("ETag").ends_with("-1\""));
}

#[tokio::test]
async fn etag_of_a_multipart_upload_is_that_of_s3() {
    let store = TestStore::new().await;
    let parts = [random_bytes(1, 5 * MIB), random_bytes(2, 1000)];
    let uploads = format!("{}?uploads", path("k"));
    let created = store.call(Method::POST, &uploads, &[], b"").await;
    let id = created.assert_ok().element("UploadId");
    let mut list = String::new();
    for (index, body) in parts.iter().enumerate() {
        let number = index + 1;
        let path = part_path("k", &id, number);
        let part = store.call(Method::PUT, &path, &[], body).await.assert_ok();
        let etag = part.header("etag").to_owned();
        assert_eq!(etag, md5_etag(body));
        let part = format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        list.push_str(&part);
    }
    let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let path = upload_path("k", &id);
    let completed = store.call(Method::POST, &path, &[], body.as_bytes()).await;
    let md5s: Vec<u8> = parts.iter().flat_map(Md5::digest).collect();
    let expected = format!("\"{}-2\"", hex(&Md5::digest(&md5s)));
    assert_eq!(completed.assert_ok().element("ETag"), expected);
    assert_eq!(store.head("k").await.header("etag"), expected);
}
