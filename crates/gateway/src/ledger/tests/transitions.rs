//! Tests of the transitions of an upload's state, on both databases.

use futures_util::future::join_all;

use super::fixture::{Fixture, at, receipt, until};
use crate::lease::Lease;
use crate::ledger::TransitionOutcome;
use upload_types::wire::UploadState;

pub async fn each_transition_succeeds_once(fixture: Fixture) {
    let ready = fixture.begin("ready", 2).await;
    let receipt = receipt(&ready);
    assert!(
        !fixture.ledger.mark_verified(&receipt, None).await.unwrap(),
        "the upload is not completing"
    );
    assert!(!fixture.ledger.reopen(&ready.id).await.unwrap());
    fixture
        .ledger
        .start_completing(&ready.id, 1, Vec::new(), until(90))
        .await
        .unwrap();
    assert!(fixture.ledger.reopen(&ready.id).await.unwrap());
    assert_eq!(fixture.state(&ready).await, UploadState::Uploading);
    fixture
        .ledger
        .start_completing(&ready.id, 1, Vec::new(), until(90))
        .await
        .unwrap();
    let results = join_all((0..4).map(|_| fixture.ledger.mark_verified(&receipt, None))).await;
    let successes = results
        .iter()
        .filter(|result| *result.as_ref().unwrap())
        .count();
    assert_eq!(successes, 1);
    let found = fixture
        .ledger
        .upload(&fixture.owner, &ready.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.state, found.receipt),
        (UploadState::Ready, Some(receipt))
    );
    let late = fixture
        .ledger
        .start_aborting(&ready.id, None, at(90))
        .await
        .unwrap();
    assert_eq!(late, TransitionOutcome::WrongState(UploadState::Ready));

    let aborted = fixture.begin("aborted", 1).await;
    let abort = |epoch| fixture.ledger.start_aborting(&aborted.id, epoch, at(90));
    assert_eq!(abort(Some(2)).await.unwrap(), TransitionOutcome::LeaseLost);
    assert_eq!(abort(Some(1)).await.unwrap(), TransitionOutcome::Done);
    assert_eq!(
        abort(None).await.unwrap(),
        TransitionOutcome::WrongState(UploadState::Aborting)
    );
    let from: &'static [UploadState] = &[UploadState::Completing, UploadState::Aborting];
    assert!(
        fixture
            .ledger
            .end(&aborted.id, from, UploadState::Aborted, (at(90), at(95)))
            .await
            .unwrap()
    );
    assert!(
        !fixture
            .ledger
            .end(&aborted.id, from, UploadState::Expired, (at(90), at(95)))
            .await
            .unwrap()
    );
    assert_eq!(fixture.state(&aborted).await, UploadState::Aborted);
    assert!(
        !fixture
            .ledger
            .set_store_upload(&aborted.id, "late")
            .await
            .unwrap()
    );
    let current = Lease {
        until: at(90),
        ..aborted.lease.clone()
    };
    let next = Lease {
        epoch: 2,
        ..aborted.lease.clone()
    };
    let is_set = fixture
        .ledger
        .set_lease(&aborted.id, current, next, at(99))
        .await
        .unwrap();
    assert!(!is_set);
}
