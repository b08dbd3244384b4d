//! Tests of leases, on both databases.

use futures_util::future::join_all;

use super::fixture::{Fixture, at, until};
use crate::lease::Lease;
use crate::ledger::{NewUpload, TransitionOutcome};

pub async fn concurrent_claims_grant_one_lease(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    let upload = fixture
        .ledger
        .begin(NewUpload {
            holder: None,
            ..fixture.new_upload("key", 1)
        })
        .await
        .unwrap()
        .0;
    let mut lease = upload.lease.clone();
    assert_eq!(lease.holder, None);
    for round in 0..8 {
        let claims = (0..6).map(|n| {
            let (ledger, id, old) = (
                [&fixture.ledger, &second_gateway][n % 2].clone(),
                upload.id.clone(),
                lease.clone(),
            );
            let new = Lease {
                holder: Some(format!("holder {n}")),
                epoch: old.epoch + 1,
                until: at(100 + round),
            };
            tokio::spawn(async move {
                (
                    ledger
                        .set_lease(&id, old, new.clone(), at(200))
                        .await
                        .unwrap(),
                    new,
                )
            })
        });
        let results = join_all(claims).await.into_iter().map(Result::unwrap);
        let granted: Vec<Lease> = results
            .filter_map(|(is_set, new)| is_set.then_some(new))
            .collect();
        assert_eq!(granted.len(), 1);
        let found = fixture
            .ledger
            .upload(&fixture.owner, &upload.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.lease, granted[0]);
        lease = found.lease;
    }
}

/// A gateway reads a lease that has ended, and the holder renews it before that gateway can take
/// it. The epoch does not change.
pub async fn renewed_lease_cannot_be_taken(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    let upload = fixture.begin("key", 1).await;
    assert_eq!(
        fixture
            .ledger
            .pin_parts(&upload.id, 1, Vec::new(), until(90))
            .await
            .unwrap(),
        TransitionOutcome::Done
    );
    let other = Lease {
        holder: Some("you".to_owned()),
        epoch: 2,
        until: at(120),
    };
    assert!(
        !second_gateway
            .set_lease(&upload.id, upload.lease.clone(), other, at(120))
            .await
            .unwrap()
    );
    let found = fixture
        .ledger
        .upload(&fixture.owner, &upload.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        found.lease,
        Lease {
            until: at(90),
            ..upload.lease
        }
    );
}
