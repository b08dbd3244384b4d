//! Tests of the deletion of ended uploads, and of the row that a readiness check writes, on both
//! databases.

use super::fixture::{Fixture, at, receipt, until};
use crate::hooks::{Disposal, Reason};
use crate::ledger::{PruneScope, PrunedUploads, Rejection, Remainder, Upload};
use crate::limits::Quota;
use upload_types::wire::UploadState;

/// Ends an open upload at `second`, and finishes its cleanup.
async fn end(fixture: &Fixture, key: &str, to: UploadState, second: i64, remainder: Remainder) {
    let upload = fixture.begin(key, 1).await;
    let from: &'static [UploadState] = &[UploadState::Pending];
    let times = (at(second), at(second + 5));
    let ledger = &fixture.ledger;
    assert!(ledger.end(&upload.id, from, to, times).await.unwrap());
    let finished = ledger.finish_cleanup(&upload.id, times.1, remainder).await;
    assert!(finished.unwrap());
}

/// A verified upload with hooks that are due, and the epoch of the lease of its hooks.
async fn verified(fixture: &Fixture, key: &str) -> (Upload, u64) {
    let ledger = &fixture.ledger;
    let upload = fixture.begin(key, 1).await;
    ledger
        .start_completing(&upload.id, 1, Vec::new(), until(90))
        .await
        .unwrap();
    let hooks_due = Some(at(1));
    assert!(
        ledger
            .mark_verified(&receipt(&upload), hooks_due)
            .await
            .unwrap()
    );
    let taken = ledger
        .take_due_hooks(at(2), at(90), 9, <_>::default())
        .await
        .unwrap();
    (upload, taken[0].epoch)
}

pub async fn ended_uploads_are_deleted_after_the_retention_time(fixture: Fixture) {
    let ledger = &fixture.ledger;
    for (n, (to, second)) in [
        (UploadState::Aborted, 10),
        (UploadState::Expired, 20),
        (UploadState::Rejected, 30),
    ]
    .into_iter()
    .enumerate()
    {
        end(&fixture, &n.to_string(), to, second, Remainder::Nothing).await;
    }
    let open = fixture.begin("open", 1).await;
    // The cleanup of this one is not finished.
    let uncleaned = fixture.begin("uncleaned", 1).await;
    let from: &'static [UploadState] = &[UploadState::Pending];
    ledger
        .end(&uncleaned.id, from, UploadState::Aborted, (at(1), at(2)))
        .await
        .unwrap();

    let nothing = PrunedUploads::default();
    assert_eq!(ledger.delete_ended(at(9)).await.unwrap(), (nothing, false));
    let two = PrunedUploads {
        aborted: 1,
        expired: 1,
        ..nothing
    };
    let scope = PruneScope::Ended;
    assert_eq!(ledger.count_prunable(at(20), scope).await.unwrap(), two);
    assert_eq!(ledger.delete_ended(at(20)).await.unwrap(), (two, false));
    let one = PrunedUploads {
        rejected: 1,
        ..nothing
    };
    assert_eq!(ledger.prune(at(1000), scope).await.unwrap(), one);
    let mut left: Vec<_> = ledger
        .uploads(&fixture.owner, None, None, 9)
        .await
        .unwrap()
        .into_iter()
        .map(|upload| upload.id.clone())
        .collect();
    let mut expected = [open.id.clone(), uncleaned.id.clone()];
    left.sort();
    expected.sort();
    assert_eq!(left, expected);
}

pub async fn upload_with_an_object_in_the_store_is_kept(fixture: Fixture) {
    let ledger = &fixture.ledger;
    end(
        &fixture,
        "kept",
        UploadState::Expired,
        10,
        Remainder::Object,
    )
    .await;
    for (key, disposal) in [
        ("keep", Disposal::Keep),
        ("quarantine", Disposal::Quarantine("bad/1".into())),
        ("delete", Disposal::Delete),
    ] {
        let (upload, epoch) = verified(&fixture, key).await;
        let rejection = Rejection {
            hook: "hook".into(),
            reason: Reason::new(None),
            disposal,
            until: Some(at(9)),
        };
        let rejected = ledger
            .mark_rejected(&upload.id, epoch, &rejection, (at(10), at(20)))
            .await;
        assert!(rejected.unwrap(), "{key}");
        let finished = ledger.finish_cleanup(&upload.id, at(20), Remainder::Nothing);
        assert!(finished.await.unwrap());
    }
    // The object of an expired upload was found to be complete.
    let upload = fixture.begin("recovered", 1).await;
    let from: &'static [UploadState] = &[UploadState::Pending, UploadState::Expired];
    let times = (at(10), at(20));
    ledger
        .end(&upload.id, from, UploadState::Expired, times)
        .await
        .unwrap();
    let receipt = receipt(&upload);
    assert!(ledger.mark_recovered(&receipt, from, None).await.unwrap());
    ledger
        .finish_cleanup(&upload.id, at(20), Remainder::Nothing)
        .await
        .unwrap();

    let pruned = ledger.prune(at(1000), PruneScope::Ended).await.unwrap();
    assert_eq!((pruned.rejected, pruned.total()), (1, 1));
    assert_eq!(fixture.state(&upload).await, UploadState::Ready);
}

pub async fn pruned_ready_uploads_stay_in_the_quota(fixture: Fixture) {
    let ledger = &fixture.ledger;
    let mut size = 0;
    for n in 0..3 {
        let upload = fixture.begin(&n.to_string(), 1).await;
        ledger
            .start_completing(&upload.id, 1, Vec::new(), until(90))
            .await
            .unwrap();
        assert!(ledger.mark_verified(&receipt(&upload), None).await.unwrap());
        size = upload.plan.size();
    }
    let scope = PruneScope::EndedAndReady;
    assert_eq!(ledger.prune(at(-1), scope).await.unwrap().total(), 0);
    let ended = ledger.prune(at(1000), PruneScope::Ended).await.unwrap();
    assert_eq!(ended.total(), 0);
    assert_eq!(
        ledger.count_prunable(at(1000), scope).await.unwrap().ready,
        3
    );
    assert_eq!(ledger.prune(at(1000), scope).await.unwrap().ready, 3);
    let quota = Quota {
        total: Some(4 * size - 1),
        ..Quota::default()
    };
    let more = fixture.new_upload("more", 1);
    let begun = ledger.begin_within_quota(more, quota).await.unwrap();
    assert!(begun.is_err(), "the objects are still in the store");
}

pub async fn readiness_check_writes_one_row_for_each_gateway(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    for second in 0..3 {
        fixture.ledger.check_writes(at(second)).await.unwrap();
        second_gateway.check_writes(at(second)).await.unwrap();
    }
    assert_eq!(fixture.count_rows("readiness").await, 2);
    // The row of a gateway that has stopped is deleted later.
    let next_week = at(7 * 86_400);
    fixture.ledger.check_writes(next_week).await.unwrap();
    assert_eq!(fixture.count_rows("readiness").await, 1);
}
