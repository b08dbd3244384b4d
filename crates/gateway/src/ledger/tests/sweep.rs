//! Tests of the rows that sweeps take, on both databases.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::fixture::{Fixture, at, until};
use crate::ledger::{Remainder, SWEEP_BATCH_ROWS, SweepTask, TransitionOutcome};
use upload_types::wire::UploadState;

/// Several gateways sweep at the same time.
pub async fn abandoned_uploads_are_taken_once(fixture: Fixture) {
    let gateways = [fixture.ledger.clone(), fixture.second_gateway().await];
    let (many, all) = (SWEEP_BATCH_ROWS + 20, SWEEP_BATCH_ROWS + 24);
    for n in 0..all {
        let upload = fixture.begin(&n.to_string(), 1).await;
        if n >= many {
            fixture
                .ledger
                .start_completing(&upload.id, 1, Vec::new(), until(60))
                .await
                .unwrap();
        }
    }
    assert!(
        fixture
            .ledger
            .take_sweep_task(SweepTask::Expired, at(59), at(120))
            .await
            .unwrap()
            .is_empty()
    );
    let mut taken = Vec::new();
    for _ in 0..4 {
        let sweeps = (0..4).map(|n| {
            let ledger = gateways[n % 2].clone();
            tokio::spawn(async move {
                ledger
                    .take_sweep_task(SweepTask::Expired, at(60), at(120))
                    .await
                    .unwrap()
            })
        });
        for batch in join_all(sweeps).await {
            taken.extend(batch.unwrap());
        }
    }
    assert!(
        taken
            .iter()
            .all(|upload| upload.state == UploadState::Aborting && upload.lease.until == at(120))
    );
    let distinct: BTreeSet<&str> = taken.iter().map(|upload| upload.id.as_str()).collect();
    assert_eq!((taken.len(), distinct.len()), (many, many));
    let sweeps = join_all(
        (0..4).map(|n| gateways[n % 2].take_sweep_task(SweepTask::Completing, at(60), at(120))),
    )
    .await;
    assert_eq!(
        sweeps
            .into_iter()
            .map(|batch| batch.unwrap().len())
            .sum::<usize>(),
        all - many
    );
    // The gateway that took the uploads may have died, so they can be taken again.
    assert_eq!(
        fixture
            .ledger
            .take_sweep_task(SweepTask::Expired, at(120), at(180))
            .await
            .unwrap()
            .len(),
        SWEEP_BATCH_ROWS
    );
}

pub async fn renewed_upload_is_not_swept(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    for round in 0..20 {
        let upload = fixture.begin(&round.to_string(), 1).await;
        let (ledger, id) = (fixture.ledger.clone(), upload.id.clone());
        let renew = tokio::spawn(async move {
            ledger
                .pin_parts(&id, 1, Vec::new(), until(1000))
                .await
                .unwrap()
        });
        let taken = second_gateway
            .take_sweep_task(SweepTask::Expired, at(60), at(120))
            .await
            .unwrap();
        let taken = taken.iter().any(|taken| taken.id == upload.id);
        match renew.await.unwrap() {
            TransitionOutcome::Done => {
                assert!(!taken && fixture.state(&upload).await == UploadState::Uploading);
            }
            outcome => assert!(
                taken && outcome == TransitionOutcome::WrongState(UploadState::Aborting),
                "{outcome:?}"
            ),
        }
    }
}

pub async fn ended_upload_is_cleaned_up_when_due(fixture: Fixture) {
    let (ledger, second_gateway) = (&fixture.ledger, fixture.second_gateway().await);
    let (ended, open) = (
        fixture.begin("ended", 1).await,
        fixture.begin("open", 1).await,
    );
    ledger
        .start_aborting(&ended.id, None, at(60))
        .await
        .unwrap();
    ledger
        .end(
            &ended.id,
            &[UploadState::Aborting],
            UploadState::Aborted,
            (at(40), at(50)),
        )
        .await
        .unwrap();
    let take = async |now, until| {
        [
            ledger
                .take_sweep_task(SweepTask::CleanupDue, at(now), at(until))
                .await
                .unwrap(),
            second_gateway
                .take_sweep_task(SweepTask::CleanupDue, at(now), at(until))
                .await
                .unwrap(),
        ]
        .concat()
    };
    assert!(take(49, 99).await.is_empty());
    let taken = take(50, 99).await;
    assert_eq!(
        taken.iter().map(|upload| &upload.id).collect::<Vec<_>>(),
        [&ended.id]
    );
    // The earliest scheduled time counts. A time scheduled after the row was taken is kept.
    ledger.schedule_cleanup(&ended.id, at(70)).await.unwrap();
    ledger.schedule_cleanup(&ended.id, at(80)).await.unwrap();
    ledger
        .finish_cleanup(&ended.id, at(99), Remainder::Nothing)
        .await
        .unwrap();
    assert!(take(69, 75).await.is_empty());
    assert_eq!(take(70, 75).await.len(), 1);
    ledger
        .finish_cleanup(&ended.id, at(75), Remainder::Nothing)
        .await
        .unwrap();
    assert!(take(1000, 1001).await.is_empty());
    let keys = [ended.key.as_str(), "uploads/unknown", open.key.as_str()]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(
        ledger.schedule_key_cleanup(keys, at(30)).await.unwrap(),
        ["uploads/unknown"]
    );
    assert_eq!(
        take(30, 40).await.len(),
        1,
        "only the ended upload is scheduled"
    );
}
