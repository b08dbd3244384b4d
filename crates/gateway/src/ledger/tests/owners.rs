//! Tests of the instance id, owners and API tokens, on both databases.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::fixture::{Fixture, at};
use crate::ledger::NewToken;
use crate::limits::OwnerLimits;

pub async fn instance_id_is_shared_and_stable(fixture: Fixture) {
    let gateways = join_all((0..4).map(|_| fixture.second_gateway())).await;
    assert!(
        gateways
            .iter()
            .all(|second_gateway| second_gateway.instance_id() == fixture.ledger.instance_id())
    );
}

pub async fn owner_gets_one_segment(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    let calls = (0..8).map(|n| {
        let ledger = [&fixture.ledger, &second_gateway][n % 2].clone();
        async move {
            ledger
                .owner_segment("alice", format!("{n:026}"))
                .await
                .unwrap()
        }
    });
    let segments: BTreeSet<String> = join_all(calls).await.into_iter().collect();
    assert_eq!(segments.len(), 1);
    assert_eq!(
        fixture
            .ledger
            .owner_segment("local", "x".repeat(26))
            .await
            .unwrap(),
        fixture.owner
    );
}

pub async fn token_is_revoked_once(fixture: Fixture) {
    let ledger = &fixture.ledger;
    for (id, second) in [("b", 1), ("a", 1), ("c", 0)] {
        let token = NewToken {
            id: id.to_owned(),
            name: format!("für {id}"),
            sha256: [7; 32],
            expires_at: Some(at(70)),
            limits: OwnerLimits::default(),
        };
        ledger.insert_token(token, at(second)).await.unwrap();
    }
    let duplicate = NewToken {
        id: "a".to_owned(),
        name: "other".to_owned(),
        sha256: [8; 32],
        expires_at: None,
        limits: OwnerLimits::default(),
    };
    ledger.insert_token(duplicate, at(0)).await.unwrap_err();
    let found = ledger.token("a").await.unwrap().unwrap();
    assert_eq!(
        (
            found.name.as_str(),
            found.sha256,
            found.created_at,
            found.revoked_at
        ),
        ("für a", [7; 32], at(1), None)
    );
    assert_eq!(found.expires_at, Some(at(70)));
    assert!(ledger.revoke_token("a", at(2)).await.unwrap());
    assert!(!ledger.revoke_token("a", at(3)).await.unwrap());
    assert!(!ledger.revoke_token("z", at(3)).await.unwrap());
    assert_eq!(
        ledger.token("a").await.unwrap().unwrap().revoked_at,
        Some(at(2))
    );
    assert!(ledger.token("z").await.unwrap().is_none());
    let ids: Vec<String> = ledger
        .tokens()
        .await
        .unwrap()
        .into_iter()
        .map(|token| token.id)
        .collect();
    assert_eq!(ids, ["c", "a", "b"]);
}
