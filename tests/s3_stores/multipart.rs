//! Multipart uploads and their parts.

use std::sync::Arc;

use http::StatusCode;
use tokio::task::JoinSet;
use upload_s3::{Fault, WriteCondition};
use upload_types::wire::{CompletePart, PartSpec, Proof};
use upload_types::{Checksum, PartNumber, Sha256};

use crate::bucket::{Bucket, CONTENT_TYPE, MIB, URL_TTL, key, object, part_spec, sign_part};

const ABSENT: WriteCondition<'static> = WriteCondition::Absent;

#[tokio::test]
async fn multipart_upload_from_create_to_delete() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let key = key("uploads/o/na me+é=&?#%.bin");
    let object = object("video/mp4;  codecs=x", "token-1");
    let upload_id = store.create(&key, &object).await.unwrap();
    let bodies = [vec![1; 5 * MIB], b"the end".to_vec()];
    let parts = [
        bucket
            .put_part(&store, &key, &upload_id, 1, &bodies[0])
            .await,
        bucket
            .put_part(&store, &key, &upload_id, 2, &bodies[1])
            .await,
    ];
    let size = bodies.concat().len() as u64;

    let (listed, next) = store.list(&key, &upload_id, None).await.unwrap();
    assert_eq!((listed.len(), next), (2, None));
    for ((listed, sent), body) in listed.iter().zip(&parts).zip(&bodies) {
        assert_eq!(
            (listed.number, listed.size, &listed.etag, listed.sha256),
            (
                sent.number,
                body.len() as u64,
                &sent.etag,
                Some(sent.sha256)
            )
        );
    }
    let after_first = Some(PartNumber::FIRST);
    let (rest, _) = store.list(&key, &upload_id, after_first).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(store.find(&key).await.unwrap(), [upload_id.as_str()]);
    assert_eq!(store.head(&key).await.unwrap(), None);

    let mut wrong_etag = parts.clone();
    wrong_etag[1].etag = parts[0].etag.clone();
    let mut reversed = parts.clone();
    reversed.reverse();
    for wrong in [wrong_etag, reversed] {
        assert!(matches!(
            store.complete(&key, &upload_id, &wrong, size, ABSENT).await,
            Err(Fault::InvalidPart(_))
        ));
    }

    store
        .complete(&key, &upload_id, &parts, size, ABSENT)
        .await
        .unwrap();
    let head = store.head(&key).await.unwrap().unwrap();
    assert_eq!(head.size, size);
    let composite = Checksum::composite(parts.iter().map(|part| &part.sha256));
    assert_eq!(head.checksum, Some(composite));
    assert_eq!(head.token.as_deref(), Some("token-1"));
    assert_eq!(head.content_type.as_deref(), Some("video/mp4; codecs=x"));
    assert!(head.modified.is_some());

    assert!(matches!(
        store.list(&key, &upload_id, None).await,
        Err(Fault::NoSuchUpload)
    ));
    assert!(matches!(
        store.complete(&key, &upload_id, &parts, size, ABSENT).await,
        Err(Fault::NoSuchUpload)
    ));
    store.abort(&key, &upload_id).await.unwrap();
    assert!(store.find(&key).await.unwrap().is_empty());

    let file_name = "Ünder \"quotes\"; x.bin";
    let (url, _) = store.sign_get(&key, file_name, URL_TTL).await.unwrap();
    let response = bucket.http.get(url.expose()).send().await.unwrap();
    assert_eq!(
        response.headers()["content-disposition"].to_str().unwrap(),
        "attachment; filename=\"_nder _quotes__ x.bin\"; filename*=UTF-8''%C3%9Cnder%20%22quotes%22%3B%20x.bin"
    );
    assert_eq!(
        Sha256::of(&response.bytes().await.unwrap()),
        Sha256::of(&bodies.concat())
    );

    // A repeated DELETE succeeds, too.
    store.delete(&key).await.unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(store.head(&key).await.unwrap(), None);
}

#[tokio::test]
async fn part_with_other_bytes_than_signed_is_rejected() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let key = key("uploads/o/wrong");
    let object = object(CONTENT_TYPE, "t");
    let upload_id = store.create(&key, &object).await.unwrap();
    let body = b"right body".to_vec();
    let signed = sign_part(&store, &key, &upload_id, &part_spec(1, &body)).await;

    bucket.assert_put_rejected(&signed, b"wrong body").await;
    bucket
        .assert_put_rejected(&signed, b"right body and more")
        .await;
    let mut without_checksum = signed.clone();
    without_checksum.headers.remove("x-amz-checksum-sha256");
    bucket.assert_put_rejected(&without_checksum, &body).await;
    let mut forged = signed.clone();
    let forged_checksum = Sha256::of(b"wrong body").base64();
    let name = "x-amz-checksum-sha256".to_owned();
    forged.headers.insert(name, forged_checksum);
    bucket.assert_put_rejected(&forged, b"wrong body").await;
    let (listed, _) = store.list(&key, &upload_id, None).await.unwrap();
    assert!(listed.is_empty());

    bucket.assert_put_accepted(&signed, &body).await;
    store.abort(&key, &upload_id).await.unwrap();
    bucket.assert_put_rejected(&signed, &body).await;
    assert!(matches!(
        store.list(&key, &upload_id, None).await,
        Err(Fault::NoSuchUpload)
    ));
    assert_eq!(store.head(&key).await.unwrap(), None);
}

#[tokio::test]
async fn part_with_other_bytes_than_its_md5_is_rejected() {
    let bucket = Bucket::new().await;
    let store = bucket.store().with_proof(Proof::Md5);
    let key = key("uploads/o/md5");
    let object = object(CONTENT_TYPE, "t");
    let upload_id = store.create(&key, &object).await.unwrap();
    let part = PartSpec {
        md5: "XrY7u+Ae7tCTyyK7j1rNww==".parse().ok(),
        ..part_spec(1, b"hello world")
    };
    let signed = sign_part(&store, &key, &upload_id, &part).await;
    bucket.assert_put_rejected(&signed, b"hello_world").await;
    let (status, etag) = bucket.put(&signed, b"hello world").await;
    assert_eq!(status, StatusCode::OK);
    let part = CompletePart {
        number: part.number,
        etag: etag.unwrap(),
        sha256: part.sha256,
    };
    store
        .complete(&key, &upload_id, &[part], 11, ABSENT)
        .await
        .unwrap();
    assert_eq!(store.head(&key).await.unwrap().unwrap().size, 11);
}

#[tokio::test]
async fn parts_beyond_one_page_are_listed_page_by_page() {
    const CONCURRENT_PUTS: usize = 8;
    let bucket = Arc::new(Bucket::new().await);
    let store = bucket.store();
    let key = key("uploads/o/pages");
    let object = object(CONTENT_TYPE, "t");
    let upload_id = store.create(&key, &object).await.unwrap();
    let mut puts = JoinSet::new();
    for number in 1..=1003_u32 {
        if puts.len() == CONCURRENT_PUTS {
            puts.join_next().await.unwrap().unwrap();
        }
        let (bucket, store) = (bucket.clone(), store.clone());
        let (key, upload_id) = (key.clone(), upload_id.clone());
        puts.spawn(async move {
            let body = number.to_be_bytes();
            bucket
                .put_part(&store, &key, &upload_id, number, &body)
                .await
        });
    }
    puts.join_all().await;
    let (first, next) = store.list(&key, &upload_id, None).await.unwrap();
    assert_eq!((first.len(), next.map(PartNumber::get)), (1000, Some(1000)));
    let (second, next) = store.list(&key, &upload_id, next).await.unwrap();
    assert_eq!((second.len(), next), (3, None));
    for (part, number) in first.iter().chain(&second).zip(1_u32..) {
        let sha256 = Sha256::of(&number.to_be_bytes());
        assert_eq!((part.number.get(), part.sha256), (number, Some(sha256)));
    }
    store.abort(&key, &upload_id).await.unwrap();
}

#[tokio::test]
async fn find_returns_uploads_at_exactly_one_key() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let object = object(CONTENT_TYPE, "t");
    let (wanted, longer) = (key("uploads/o/found"), key("uploads/o/found.bin"));
    let mut created = Vec::new();
    for _ in 0..3 {
        created.push(store.create(&wanted, &object).await.unwrap());
        store.create(&longer, &object).await.unwrap();
    }
    // Stores that record whole seconds list the uploads of one second in any order.
    created.sort();
    let mut found = store.find(&wanted).await.unwrap();
    found.sort();
    assert_eq!(found, created);
    assert!(store.find(&key("uploads/o/foun")).await.unwrap().is_empty());
}
