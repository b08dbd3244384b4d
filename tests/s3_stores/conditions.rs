//! Conditional writes: an object takes a key only if no other object is there, or the expected one.

use upload_s3::{DeleteCondition, Fault, WriteCondition};
use upload_types::wire::{CompletePart, PartSpec};
use upload_types::{ETag, Key, PartNumber};

use crate::bucket::{Bucket, CONTENT_TYPE, MIB, key, lacks, object};

/// Begins an upload and sends its parts.
async fn send(bucket: &Bucket, key: &Key, bodies: &[Vec<u8>]) -> (String, Vec<CompletePart>, u64) {
    let store = bucket.store();
    let upload_id = store.create(key, &object(CONTENT_TYPE, "t")).await.unwrap();
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(bodies) {
        parts.push(bucket.put_part(&store, key, &upload_id, number, body).await);
    }
    let size = bodies.iter().map(|body| body.len() as u64).sum();
    (upload_id, parts, size)
}

async fn etag(bucket: &Bucket, key: &Key) -> ETag {
    bucket.store().head(key).await.unwrap().unwrap().etag
}

#[tokio::test]
async fn complete_replaces_only_the_object_that_its_condition_names() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    for text in ["app/1.2.3/x y+é%2F&=?#.bin", &"k".repeat(900)] {
        let key = key(text);
        let complete = async |body: &[u8], condition: WriteCondition<'_>| {
            let (upload_id, parts, size) = send(&bucket, &key, &[body.to_vec()]).await;
            let completed = store
                .complete(&key, &upload_id, &parts, size, condition)
                .await;
            if completed.is_err() {
                store.abort(&key, &upload_id).await.unwrap();
            }
            completed
        };
        complete(b"first", WriteCondition::Absent).await.unwrap();
        let first = etag(&bucket, &key).await;
        if lacks("if-none-match") {
            return;
        }
        let refused = complete(b"second", WriteCondition::Absent).await;
        assert!(
            matches!(refused, Err(Fault::PreconditionFailed)),
            "{refused:?}"
        );
        let other = "00000000000000000000000000000000-1".parse().unwrap();
        let refused = complete(b"second", WriteCondition::Matches(&other)).await;
        assert!(
            matches!(refused, Err(Fault::PreconditionFailed)),
            "{refused:?}"
        );
        assert_eq!(etag(&bucket, &key).await, first);
        complete(b"second", WriteCondition::Matches(&first))
            .await
            .unwrap();
        let second = etag(&bucket, &key).await;
        assert_ne!(second, first);
        // The object to replace is gone.
        store.delete(&key).await.unwrap();
        let refused = complete(b"third", WriteCondition::Matches(&second)).await;
        assert!(
            matches!(refused, Err(Fault::PreconditionFailed | Fault::Refused(_))),
            "{refused:?}"
        );
        assert_eq!(store.head(&key).await.unwrap(), None);
    }
}

#[tokio::test]
async fn deletion_leaves_the_object_of_another_program() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let key = key("app/deleted");
    let (upload_id, parts, size) = send(&bucket, &key, &[b"mine".to_vec()]).await;
    let absent = WriteCondition::Absent;
    store
        .complete(&key, &upload_id, &parts, size, absent)
        .await
        .unwrap();
    let delete = async |token: &str| {
        let is_own = |head: &upload_s3::Head| head.token.as_deref() == Some(token);
        store
            .delete_versions(&key, is_own, DeleteCondition::Unchanged)
            .await
            .unwrap();
        store.head(&key).await.unwrap().is_some()
    };
    assert!(delete("other").await);
    assert!(!delete("t").await);
}

#[tokio::test]
async fn parts_of_an_object_have_their_sizes() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let (whole, many) = (key("app/whole"), key("app/many"));
    let bodies = [vec![1; 5 * MIB], vec![2; 5 * MIB + 1], b"the end".to_vec()];
    let (upload_id, parts, size) = send(&bucket, &many, &bodies).await;
    store
        .complete(&many, &upload_id, &parts, size, WriteCondition::Absent)
        .await
        .unwrap();
    let first = store.first_part_size(&many).await.unwrap();
    assert_eq!(first, Some(5 << 20));
    let sizes = store.part_sizes(&many).await.unwrap();
    assert_eq!(sizes, Some(vec![5 << 20, (5 << 20) + 1, 7]));
    let part: PartSpec = crate::bucket::part_spec(PartNumber::FIRST.get(), b"x");
    let signed = store
        .sign_put(
            &whole,
            &object(CONTENT_TYPE, "t"),
            &part,
            crate::bucket::URL_TTL,
        )
        .await
        .unwrap();
    bucket.assert_put_accepted(&signed, b"x").await;
    assert_eq!(store.first_part_size(&whole).await.unwrap(), None);
    assert_eq!(store.part_sizes(&whole).await.unwrap(), None);
}
