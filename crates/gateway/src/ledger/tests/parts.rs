//! Tests of the rows of parts, on both databases.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use uuid::Uuid;

use super::fixture::{Fixture, PART, at, complete_part, number, part_spec, until};
use crate::lease::Lease;
use crate::ledger::TransitionOutcome;
use upload_types::wire::{PartSpec, StoredPart, UploadState};
use upload_types::{Sha256, UploadId};

pub async fn parts_are_pinned_all_or_none(fixture: Fixture) {
    let upload = fixture.begin("key", 3).await;
    let pin = async |epoch, parts| {
        fixture
            .ledger
            .pin_parts(&upload.id, epoch, parts, until(90))
            .await
            .unwrap()
    };
    assert_eq!(
        pin(1, vec![part_spec(3, "three"), part_spec(1, "one")]).await,
        TransitionOutcome::Done
    );
    assert_eq!(fixture.state(&upload).await, UploadState::Uploading);
    assert_eq!(
        pin(1, vec![part_spec(1, "one")]).await,
        TransitionOutcome::Done
    );
    assert_eq!(
        pin(1, vec![part_spec(2, "two"), part_spec(3, "other")]).await,
        TransitionOutcome::PartMismatch(number(3))
    );
    assert_eq!(
        pin(
            1,
            vec![PartSpec {
                size: 7,
                ..part_spec(2, "two")
            }]
        )
        .await,
        TransitionOutcome::PartMismatch(number(2))
    );
    assert_eq!(
        pin(1, vec![part_spec(4, "four")]).await,
        TransitionOutcome::PartMismatch(number(4))
    );
    assert_eq!(
        pin(2, vec![part_spec(2, "two")]).await,
        TransitionOutcome::LeaseLost
    );
    let parts = fixture.ledger.parts(&upload.id, 0, 9).await.unwrap();
    assert!(parts[1].sha256.is_none(), "a rejected call wrote a row");
    let found = fixture
        .ledger
        .upload(&fixture.owner, &upload.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.lease.until, found.expires_at), (at(90), at(90)));
}

/// Two gateways get the same request: its epoch is valid at both.
pub async fn repeated_complete_keeps_its_epoch(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    for round in 0..5 {
        let upload = fixture.begin(&round.to_string(), 1).await;
        let completes = (0..6).map(|n| {
            let (ledger, id) = (
                [&fixture.ledger, &second_gateway][n % 2].clone(),
                upload.id.clone(),
            );
            tokio::spawn(async move {
                ledger
                    .start_completing(&id, 1, vec![complete_part(1, "one")], until(90))
                    .await
                    .unwrap()
            })
        });
        for outcome in join_all(completes).await {
            assert_eq!(outcome.unwrap(), TransitionOutcome::Done);
        }
        let part = second_gateway
            .parts(&upload.id, 0, 1)
            .await
            .unwrap()
            .remove(0);
        assert_eq!(part.etag, Some("etag-1".parse().unwrap()));
        let other = fixture
            .ledger
            .start_completing(&upload.id, 1, vec![complete_part(1, "other")], until(90))
            .await
            .unwrap();
        assert_eq!(other, TransitionOutcome::PartMismatch(number(1)));
        let late = fixture
            .ledger
            .pin_parts(&upload.id, 1, vec![part_spec(1, "one")], until(90))
            .await
            .unwrap();
        assert_eq!(late, TransitionOutcome::WrongState(UploadState::Completing));
    }
}

pub async fn old_epoch_is_rejected(fixture: Fixture) {
    let upload = fixture.begin("key", 1).await;
    let new = Lease {
        holder: Some("you".to_owned()),
        epoch: 2,
        until: at(80),
    };
    assert!(
        fixture
            .ledger
            .set_lease(&upload.id, upload.lease.clone(), new, at(80))
            .await
            .unwrap()
    );
    let pinned = fixture
        .ledger
        .pin_parts(&upload.id, 1, vec![part_spec(1, "one")], until(90))
        .await
        .unwrap();
    let completing = fixture
        .ledger
        .start_completing(&upload.id, 1, vec![complete_part(1, "one")], until(90))
        .await
        .unwrap();
    assert_eq!(
        (pinned, completing),
        (TransitionOutcome::LeaseLost, TransitionOutcome::LeaseLost)
    );
    assert_eq!(fixture.state(&upload).await, UploadState::Pending);
    let missing: UploadId = Uuid::new_v4().to_string().parse().unwrap();
    fixture
        .ledger
        .pin_parts(&missing, 1, Vec::new(), until(90))
        .await
        .unwrap_err();
}

pub async fn stored_parts_are_recorded(fixture: Fixture) {
    let upload = fixture.begin("key", 2).await;
    let stored = |etag: &str| StoredPart {
        number: number(2),
        size: PART,
        etag: etag.parse().unwrap(),
        sha256: None,
    };
    for etag in ["first", "first", "second"] {
        fixture
            .ledger
            .record_stored_parts(&upload.id, vec![stored(etag)])
            .await
            .unwrap();
        let parts = fixture.ledger.parts(&upload.id, 0, 9).await.unwrap();
        assert_eq!(
            (parts[0].etag.clone(), parts[1].etag.clone()),
            (None, Some(etag.parse().unwrap()))
        );
    }
    assert!(
        fixture
            .ledger
            .set_store_upload(&upload.id, "multipart")
            .await
            .unwrap()
    );
    assert!(
        !fixture
            .ledger
            .set_store_upload(&upload.id, "another")
            .await
            .unwrap()
    );
    let found = fixture
        .ledger
        .upload(&fixture.owner, &upload.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.store_upload.as_deref(), Some("multipart"));
}

pub async fn thousands_of_parts_complete_quickly(fixture: Fixture) {
    let upload = fixture.begin("large", 2_000).await;
    let parts: Vec<_> = (1..=2_000)
        .rev()
        .map(|n| complete_part(n, &n.to_string()))
        .collect();
    let began = Instant::now();
    assert_eq!(
        fixture
            .ledger
            .start_completing(&upload.id, 1, parts, until(90))
            .await
            .unwrap(),
        TransitionOutcome::Done
    );
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let parts = fixture.ledger.parts(&upload.id, 0, 2_000).await.unwrap();
    assert!(
        parts.len() == 2_000
            && parts
                .iter()
                .zip(1..)
                .all(|(part, n)| part.number.get() == n)
    );
    assert_eq!(parts[1_999].sha256, Some(Sha256::of(b"2000")));
}
