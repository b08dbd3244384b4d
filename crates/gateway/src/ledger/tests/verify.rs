//! Tests of the verification of an upload and of its due hooks, on both databases.

use futures_util::future::join_all;

use super::fixture::{Fixture, at, complete_part, part_spec, receipt, until};
use upload_types::wire::UploadState;

pub async fn single_part_is_verified_in_one_step(fixture: Fixture) {
    let upload = fixture.begin("one", 1).await;
    let receipt_of_one = receipt(&upload);
    let verify = |epoch, text| {
        fixture
            .ledger
            .mark_single_verified(&receipt_of_one, epoch, complete_part(1, text), None)
    };
    let state = async || {
        let (upload, parts) = fixture
            .ledger
            .upload_with_parts(&fixture.owner, &upload.id, 1)
            .await
            .unwrap()
            .unwrap();
        (upload.state, upload.receipt.is_some(), parts.len())
    };
    let pins = vec![part_spec(1, "one")];
    fixture
        .ledger
        .pin_parts(&upload.id, 1, pins, until(90))
        .await
        .unwrap();

    assert!(
        !verify(2, "one").await.unwrap(),
        "the lease has another epoch"
    );
    assert_eq!(state().await, (UploadState::Uploading, false, 1));
    assert!(
        !verify(1, "other").await.unwrap(),
        "the part is pinned to another SHA-256"
    );
    assert_eq!(state().await, (UploadState::Uploading, false, 1));

    let results = join_all((0..4).map(|_| verify(1, "one"))).await;
    let successes = results
        .iter()
        .filter(|result| *result.as_ref().unwrap())
        .count();
    assert_eq!(successes, 1);
    assert_eq!(state().await, (UploadState::Ready, true, 0));
    assert!(
        !verify(1, "one").await.unwrap(),
        "the upload is verified already"
    );

    // An aborting upload cannot be verified. A completing upload can.
    let aborted = fixture.begin("aborted", 1).await;
    fixture
        .ledger
        .start_aborting(&aborted.id, None, at(90))
        .await
        .unwrap();
    assert!(
        !fixture
            .ledger
            .mark_single_verified(&receipt(&aborted), 1, complete_part(1, "one"), None)
            .await
            .unwrap()
    );
    let completing = fixture.begin("completing", 1).await;
    fixture
        .ledger
        .start_completing(&completing.id, 1, vec![complete_part(1, "one")], until(90))
        .await
        .unwrap();
    let hooks = Some(at(30));
    assert!(
        fixture
            .ledger
            .mark_single_verified(&receipt(&completing), 1, complete_part(1, "one"), hooks)
            .await
            .unwrap()
    );
    assert_eq!(fixture.state(&completing).await, UploadState::Verified);
    assert_eq!(fixture.ledger.next_hooks_due().await.unwrap(), hooks);
}

pub async fn due_hooks_are_taken_by_one_gateway(fixture: Fixture) {
    let gateways = [fixture.ledger.clone(), fixture.second_gateway().await];
    let ledger = &fixture.ledger;
    for n in 0..20 {
        let upload = fixture.begin(&n.to_string(), 1).await;
        let started = ledger.start_completing(&upload.id, 1, Vec::new(), until(90));
        started.await.unwrap();
        let receipt = receipt(&upload);
        let verified = ledger.mark_verified(&receipt, Some(at(1)));
        assert!(verified.await.unwrap());
    }
    let mut taken = 0;
    loop {
        let attempts = gateways
            .iter()
            .map(|gateway| gateway.take_due_hooks(at(2), at(90), 4, <_>::default()));
        let hooks: Vec<_> = join_all(attempts)
            .await
            .into_iter()
            .flat_map(Result::unwrap)
            .collect();
        if hooks.is_empty() {
            break;
        }
        assert!(hooks.iter().all(|hooks| hooks.epoch == 1));
        taken += hooks.len();
    }
    assert_eq!(taken, 20);
}
