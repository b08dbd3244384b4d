//! Tests of beginning and listing uploads, on both databases.

use futures_util::future::join_all;

use super::fixture::{Fixture, PART, at, part_spec, receipt, until, with_spec};
use crate::lease::Lease;
use crate::ledger::{NewUpload, Upload};
use upload_types::Sha256;
use upload_types::wire::UploadState;

pub async fn repeated_begin_returns_the_first_upload(fixture: Fixture) {
    let new = NewUpload {
        pinned: vec![part_spec(2, "two")],
        ..fixture.new_upload("key", 3)
    };
    let (id, key, name, metadata) = (
        new.spec.id.clone(),
        new.spec.key.clone(),
        new.spec.name.clone(),
        new.spec.metadata.clone(),
    );
    let (token, plan) = (new.spec.token.clone(), new.spec.plan);
    let (_, is_new) = fixture.ledger.begin(new).await.unwrap();
    assert!(is_new);
    // The repetition requests another size, and gets the first upload.
    let (found, is_new) = fixture
        .ledger
        .begin(fixture.new_upload("key", 1))
        .await
        .unwrap();
    assert!(!is_new);
    assert_eq!(
        (&found.id, &found.key, &found.name, &found.metadata),
        (&id, &key, &name, &metadata)
    );
    assert_eq!(
        (&found.token, found.plan.size(), found.plan.count()),
        (&token, plan.size(), 3)
    );
    assert_eq!(
        (
            found.state,
            found.request_sha256,
            found.store_upload.clone()
        ),
        (UploadState::Uploading, Sha256::of(b"key"), None)
    );
    let lease = Lease {
        holder: Some("me".to_owned()),
        epoch: 1,
        until: at(60),
    };
    assert_eq!(
        (found.lease.clone(), found.created_at, found.expires_at),
        (lease, at(0), at(60))
    );
    let pinned: Vec<_> = fixture.ledger.parts(&id, 0, 9).await.unwrap();
    assert_eq!(
        pinned
            .iter()
            .map(|part| (part.number.get(), part.size))
            .collect::<Vec<_>>(),
        [(2, PART)]
    );
    assert_eq!(pinned[0].sha256, Some(Sha256::of(b"two")));
    assert_eq!(pinned[0].etag, None);
    assert_eq!(fixture.ledger.parts(&id, 1, 1).await.unwrap().len(), 1);
    assert!(fixture.ledger.parts(&id, 2, 1).await.unwrap().is_empty());
}

pub async fn concurrent_begins_create_one_upload(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    for round in 0..5 {
        let begins = (0..8).map(|n| {
            let ledger = [&fixture.ledger, &second_gateway][n % 2].clone();
            let new = NewUpload {
                pinned: vec![part_spec(1, "one")],
                ..fixture.new_upload(&format!("key {round}"), 2)
            };
            tokio::spawn(async move { ledger.begin(new).await.unwrap() })
        });
        let begun: Vec<_> = join_all(begins)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(begun.iter().filter(|(_, new)| *new).count(), 1);
        assert!(begun.iter().all(|(upload, _)| upload.id == begun[0].0.id));
        assert_eq!(
            second_gateway
                .parts(&begun[0].0.id, 0, 9)
                .await
                .unwrap()
                .len(),
            1
        );
    }
}

pub async fn upload_is_invisible_to_other_owners(fixture: Fixture) {
    let upload = fixture.begin("key", 1).await;
    let other = fixture
        .ledger
        .owner_segment("other", "x".repeat(26))
        .await
        .unwrap();
    assert!(
        fixture
            .ledger
            .upload(&other, &upload.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        fixture
            .ledger
            .uploads(&other, None, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    // Idempotency keys of different owners are independent.
    let (other_upload, new) = fixture
        .ledger
        .begin(with_spec(fixture.new_upload("key", 1), |spec| {
            spec.owner = other;
        }))
        .await
        .unwrap();
    assert!(new && other_upload.id != upload.id);
}

pub async fn pages_of_uploads_are_complete_and_ordered(fixture: Fixture) {
    for n in 0..5 {
        // Uploads 0 and 1 begin in the same millisecond, and so do 2 and 3.
        let new = with_spec(fixture.new_upload(&n.to_string(), 1), |spec| {
            spec.created_at = at(n / 2);
        });
        fixture.ledger.begin(new).await.unwrap();
    }
    let all = fixture
        .ledger
        .uploads(&fixture.owner, None, None, 9)
        .await
        .unwrap();
    let ids = |page: &[Upload]| {
        page.iter()
            .map(|upload| upload.id.clone())
            .collect::<Vec<_>>()
    };
    let is_sorted =
        |a: &Upload, b: &Upload| (b.created_at, a.id.as_str()) > (a.created_at, b.id.as_str());
    assert!(
        all.len() == 5
            && all
                .windows(2)
                .all(|pair| pair[0].created_at >= pair[1].created_at)
    );
    assert!(
        all.windows(2)
            .all(|pair| pair[0].created_at > pair[1].created_at || is_sorted(&pair[1], &pair[0]))
    );
    let mut paged: Vec<Upload> = Vec::new();
    while paged.len() < 5 {
        let page = fixture
            .ledger
            .uploads(&fixture.owner, Some(UploadState::Pending), paged.last(), 2)
            .await
            .unwrap();
        assert!(!page.is_empty() && page.len() <= 2);
        paged.extend(page);
    }
    assert_eq!(ids(&paged), ids(&all));
    assert!(
        fixture
            .ledger
            .uploads(&fixture.owner, Some(UploadState::Ready), None, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn recorded_objects_are_those_of_ready_uploads_of_the_owner(fixture: Fixture) {
    let ledger = &fixture.ledger;
    let mut ids = Vec::new();
    // More than one statement takes.
    for number in 0..505 {
        let upload = fixture.begin(&number.to_string(), 1).await;
        ids.push(upload.id.clone());
        let hooks = match number {
            // Verified, and not ready.
            1 => Some(at(30)),
            2 => continue,
            _ if (10..500).contains(&number) => continue,
            _ => None,
        };
        let started = ledger.start_completing(&upload.id, 1, Vec::new(), until(90));
        started.await.unwrap();
        assert!(
            ledger
                .mark_verified(&receipt(&upload), hooks)
                .await
                .unwrap()
        );
    }
    ids.push("unknown".parse().unwrap());
    ids.push(ids[0].clone());
    let objects = ledger.recorded_objects(&fixture.owner, &ids).await.unwrap();
    assert_eq!(objects.len(), ids.len());
    for (index, object) in objects.iter().enumerate() {
        let is_ready = matches!(index, 0 | 3..=9 | 500..=504 | 506);
        assert_eq!(object.is_some(), is_ready, "{index}");
    }
    let object = objects[3].as_ref().unwrap();
    assert!(object.key.as_str().contains(ids[3].as_str()));
    assert_eq!((object.size, object.etag.as_str()), (PART, "etag"));
    let others = ledger.recorded_objects("other", &ids).await.unwrap();
    assert!(others.iter().all(Option::is_none));
}
