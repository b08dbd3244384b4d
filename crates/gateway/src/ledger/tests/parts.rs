//! Tests of the rows of parts, on both databases.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use uuid::Uuid;

use super::fixture::{Fixture, PART, at, complete_part, number, part_spec, receipt, until};
use crate::lease::Lease;
use crate::ledger::{Remainder, TransitionOutcome};
use upload_types::wire::{PartSpec, StoredPart, UploadState};
use upload_types::{Sha256, UploadId};

async fn numbers(fixture: &Fixture, id: &UploadId) -> Vec<u32> {
    let parts = fixture.ledger.parts(id, 0, 10_000).await.unwrap();
    parts.iter().map(|part| part.number.get()).collect()
}

pub async fn begin_writes_no_row_for_a_part_that_is_not_pinned(fixture: Fixture) {
    let upload = fixture.begin("key", 10_000).await;
    assert_eq!(numbers(&fixture, &upload.id).await, [0_u32; 0]);
    let pin = async |part: u32| {
        fixture
            .ledger
            .pin_parts(&upload.id, 1, vec![part_spec(part, "any")], until(90))
            .await
            .unwrap()
    };
    assert_eq!(pin(10_000).await, TransitionOutcome::Done);
    assert_eq!(
        pin(10_001).await,
        TransitionOutcome::PartMismatch(number(10_001))
    );
    assert_eq!(numbers(&fixture, &upload.id).await, [10_000]);
}

/// The parts are needed no longer, however an upload ends.
pub async fn rows_of_parts_are_deleted_with_the_end_of_their_upload(fixture: Fixture) {
    let ledger = &fixture.ledger;
    let begin = async |key: &str| {
        let upload = fixture.begin(key, 2).await;
        let parts = vec![complete_part(1, "one"), complete_part(2, "two")];
        ledger
            .start_completing(&upload.id, 1, parts, until(90))
            .await
            .unwrap();
        assert_eq!(numbers(&fixture, &upload.id).await, [1, 2], "{key}");
        upload
    };
    let from: &'static [UploadState] = &[UploadState::Completing];
    let times = (at(10), at(50));
    for to in [UploadState::Aborted, UploadState::Rejected] {
        let upload = begin(to.name()).await;
        assert!(ledger.end(&upload.id, from, to, times).await.unwrap());
        assert!(numbers(&fixture, &upload.id).await.is_empty(), "{to:?}");
        assert!(!ledger.end(&upload.id, from, to, times).await.unwrap());
    }
    for hooks in [None, Some(at(30))] {
        let upload = begin(&format!("{hooks:?}")).await;
        let receipt = receipt(&upload);
        assert!(ledger.mark_verified(&receipt, hooks).await.unwrap());
        assert!(numbers(&fixture, &upload.id).await.is_empty());
    }
    // The object of an expired upload may turn out to be complete, until its cleanup is finished.
    let upload = begin("expired").await;
    let end = ledger.end(&upload.id, from, UploadState::Expired, times);
    assert!(end.await.unwrap());
    assert_eq!(numbers(&fixture, &upload.id).await, [1, 2]);
    for (until, remainder, left) in [
        (at(51), Remainder::Nothing, 2),
        (at(50), Remainder::Object, 2),
    ] {
        ledger
            .finish_cleanup(&upload.id, until, remainder)
            .await
            .unwrap();
        assert_eq!(numbers(&fixture, &upload.id).await.len(), left);
    }
    ledger.schedule_cleanup(&upload.id, at(60)).await.unwrap();
    ledger
        .finish_cleanup(&upload.id, at(60), Remainder::Nothing)
        .await
        .unwrap();
    assert!(numbers(&fixture, &upload.id).await.is_empty());
    // The cleanup of an open upload changes nothing else.
    let open = fixture.begin("open", 2).await;
    let pins = vec![part_spec(1, "one")];
    ledger
        .pin_parts(&open.id, 1, pins, until(90))
        .await
        .unwrap();
    ledger.schedule_cleanup(&open.id, at(60)).await.unwrap();
    ledger
        .finish_cleanup(&open.id, at(60), Remainder::Nothing)
        .await
        .unwrap();
    assert_eq!(numbers(&fixture, &open.id).await, [1]);
}

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
    assert_eq!(
        numbers(&fixture, &upload.id).await,
        [1, 3],
        "a rejected call wrote a row"
    );
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
    let upload = fixture.begin("key", 3).await;
    let stored = |part: u32, etag: &str| StoredPart {
        number: number(part),
        size: PART,
        etag: etag.parse().unwrap(),
        sha256: None,
    };
    let pins = vec![part_spec(1, "one"), part_spec(2, "two")];
    fixture
        .ledger
        .pin_parts(&upload.id, 1, pins, until(90))
        .await
        .unwrap();
    for etag in ["first", "first", "second"] {
        fixture
            .ledger
            .record_stored_parts(&upload.id, vec![stored(2, etag), stored(3, etag)])
            .await
            .unwrap();
        let parts = fixture.ledger.parts(&upload.id, 0, 9).await.unwrap();
        assert_eq!(
            (parts[0].etag.clone(), parts[1].etag.clone()),
            (None, Some(etag.parse().unwrap()))
        );
        assert_eq!(parts.len(), 2, "a part that is not pinned has no row");
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
