//! Objects of a single PUT, and headers that the configuration adds.

use http::StatusCode;
use upload_s3::WriteCondition;
use upload_types::Checksum;

use crate::bucket::{Bucket, CONTENT_TYPE, URL_TTL, key, lacks, object, part_spec, sign_part};

#[tokio::test]
async fn single_put_accepts_only_its_bytes_and_only_once() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let object = object(CONTENT_TYPE, "token-2");
    for body in [&b"one part"[..], b""] {
        let key = key(&format!("uploads/o/single-{}", body.len()));
        let part = part_spec(1, body);
        let signed = store.sign_put(&key, &object, &part, URL_TTL).await.unwrap();
        bucket.assert_put_rejected(&signed, b"one_part").await;
        let mut other_type = signed.clone();
        let name = "content-type".to_owned();
        other_type.headers.insert(name, "text/html".into());
        bucket.assert_put_rejected(&other_type, body).await;

        bucket.assert_put_accepted(&signed, body).await;
        let head = store.head(&key).await.unwrap().unwrap();
        assert_eq!(head.size, body.len() as u64);
        assert_eq!(head.checksum, Some(Checksum::whole(&part.sha256)));
        assert_eq!(head.token.as_deref(), Some("token-2"));
        assert_eq!(head.content_type.as_deref(), Some(CONTENT_TYPE));
        let expected = if lacks("if-none-match") {
            StatusCode::OK
        } else {
            StatusCode::PRECONDITION_FAILED
        };
        assert_eq!(bucket.put(&signed, body).await.0, expected);
    }
}

#[tokio::test]
async fn create_headers_are_sent_by_create_and_bound_into_single_put() {
    let mut bucket = Bucket::new().await;
    let headers = &mut bucket.settings.create_headers;
    headers.insert("x-amz-meta-demanded".into(), "yes".into());
    if !lacks("sse") {
        headers.insert("X-Amz-Server-Side-Encryption".into(), "AES256".into());
    }
    let store = bucket.store();
    let object = object(CONTENT_TYPE, "t");
    let (many_parts, single) = (key("uploads/o/many"), key("uploads/o/one"));
    let part = part_spec(1, b"x");

    let upload_id = store.create(&many_parts, &object).await.unwrap();
    let signed = sign_part(&store, &many_parts, &upload_id, &part).await;
    assert_eq!(
        signed.headers.keys().collect::<Vec<_>>(),
        ["content-length", "x-amz-checksum-sha256"]
    );
    let stored = bucket
        .put_part(&store, &many_parts, &upload_id, 1, b"x")
        .await;
    store
        .complete(
            &many_parts,
            &upload_id,
            &[stored],
            1,
            WriteCondition::Absent,
        )
        .await
        .unwrap();

    let signed = store
        .sign_put(&single, &object, &part, URL_TTL)
        .await
        .unwrap();
    let mut without_header = signed.clone();
    without_header.headers.remove("x-amz-meta-demanded");
    bucket.assert_put_rejected(&without_header, b"x").await;
    bucket.assert_put_accepted(&signed, b"x").await;

    for key in [many_parts, single] {
        let head = bucket.request("HEAD", &format!("/some/prefix/{key}")).await;
        if !lacks("sse") {
            assert_eq!(head.headers()["x-amz-server-side-encryption"], "AES256");
        }
        assert_eq!(head.headers()["x-amz-meta-demanded"], "yes");
    }
}
