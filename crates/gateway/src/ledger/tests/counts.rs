//! Tests of quotas, unknown keys and store profiles, on both databases.

use futures_util::future::join_all;

use super::fixture::{Fixture, PART, at, receipt, until};
use crate::limits::Quota;

pub async fn quota_holds_under_concurrent_begins(fixture: Fixture) {
    let gateways = [fixture.ledger.clone(), fixture.second_gateway().await];
    let quota = Quota {
        open: Some(5),
        ..Quota::default()
    };
    let begins = (0..20).map(|n| {
        let (ledger, new_upload) = (
            gateways[n % 2].clone(),
            fixture.new_upload(&n.to_string(), 1),
        );
        async move {
            ledger
                .begin_within_quota(new_upload, quota)
                .await
                .unwrap()
                .is_ok()
        }
    });
    assert_eq!(
        join_all(begins)
            .await
            .into_iter()
            .filter(|is_begun| *is_begun)
            .count(),
        5
    );
    // A ready upload is not open. Its bytes count in the total.
    let upload = fixture.begin("ready", 2).await;
    fixture
        .ledger
        .start_completing(&upload.id, 1, Vec::new(), until(90))
        .await
        .unwrap();
    fixture
        .ledger
        .mark_verified(&receipt(&upload), None)
        .await
        .unwrap();
    let total = Quota {
        total: Some(upload.plan.size() + 5 * PART),
        ..Quota::default()
    };
    assert!(
        fixture
            .ledger
            .begin_within_quota(fixture.new_upload("more", 1), total)
            .await
            .unwrap()
            .is_err()
    );
}

/// The bytes of these uploads are in the store.
pub async fn completing_and_aborting_uploads_count_as_open(fixture: Fixture) {
    let (completing, aborting) = (
        fixture.begin("completing", 1).await,
        fixture.begin("aborting", 1).await,
    );
    fixture
        .ledger
        .start_completing(&completing.id, 1, Vec::new(), until(90))
        .await
        .unwrap();
    fixture
        .ledger
        .start_aborting(&aborting.id, None, at(90))
        .await
        .unwrap();
    let count = Quota {
        open: Some(2),
        ..Quota::default()
    };
    let bytes = Quota {
        outstanding: Some(2 * PART),
        ..Quota::default()
    };
    for (key, quota) in [("count", count), ("bytes", bytes)] {
        assert!(
            fixture
                .ledger
                .begin_within_quota(fixture.new_upload(key, 1), quota)
                .await
                .unwrap()
                .is_err(),
            "{key}"
        );
    }
}

pub async fn unknown_keys_are_recorded(fixture: Fixture) {
    let key = "uploads/another/key".parse().unwrap();
    for second in 0..3 {
        fixture
            .ledger
            .record_unknown_key(&key, at(second))
            .await
            .unwrap();
    }
    assert!(fixture.ledger.upload_by_key(&key).await.unwrap().is_none());
    let known = fixture.begin("known", 1).await;
    assert_eq!(
        fixture
            .ledger
            .upload_by_key(&known.key)
            .await
            .unwrap()
            .unwrap()
            .id,
        known.id
    );
}

pub async fn store_profile_is_shared_by_gateways(fixture: Fixture) {
    let (first, second) = (fixture.ledger.clone(), fixture.second_gateway().await);
    assert_eq!(first.store_profile("a").await.unwrap(), None);
    first
        .set_store_profile("a", "one".into(), at(100))
        .await
        .unwrap();
    second
        .set_store_profile("b", "other".into(), at(100))
        .await
        .unwrap();
    assert_eq!(
        first.store_profile("a").await.unwrap(),
        Some(("one".into(), at(100)))
    );
    first
        .set_store_profile("a", "two".into(), at(200))
        .await
        .unwrap();
    // A gateway with an older probe does not replace a newer one.
    first
        .set_store_profile("a", "late".into(), at(150))
        .await
        .unwrap();
    assert_eq!(
        first.store_profile("a").await.unwrap(),
        Some(("two".into(), at(200)))
    );
    // The other store's profile is past its retention time.
    first
        .set_store_profile("a", "three".into(), at(100 + 90 * 86_400 + 1))
        .await
        .unwrap();
    assert_eq!(first.store_profile("b").await.unwrap(), None);
}
