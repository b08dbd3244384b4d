//! What is counted or known, whatever keeps it: an owner's share, strangers, stores.
//!
//! Border: as the tests beside it.

use super::*;
use crate::limits::Quota;

pub async fn of_many_who_begin_none_gets_past_a_quota(world: World) {
    let twins = [world.ledger.clone(), world.twin().await];
    let quota = Quota {
        open: Some(5),
        ..Quota::default()
    };
    let asked = (0..20).map(|n| {
        let (ledger, wish) = (twins[n % 2].clone(), world.wish(&n.to_string(), 1));
        async move { ledger.begin_within(wish, quota).await.unwrap().is_ok() }
    });
    assert_eq!(
        join_all(asked)
            .await
            .into_iter()
            .filter(|begun| *begun)
            .count(),
        5
    );
    // What is ready is not open, and what it takes is known.
    let upload = world.begun("ready", 2).await;
    world
        .ledger
        .seal(&upload.id, 1, Vec::new(), until(90))
        .await
        .unwrap();
    world.ledger.verify(&receipt(&upload), None).await.unwrap();
    let total = Quota {
        total: Some(upload.plan.size() + 5 * PART),
        ..Quota::default()
    };
    assert!(
        world
            .ledger
            .begin_within(world.wish("more", 1), total)
            .await
            .unwrap()
            .is_err()
    );
}

/// Not taken in yet, or not taken away yet: it is in the store all the same.
pub async fn what_is_on_its_way_to_an_end_counts_as_open(world: World) {
    let (completing, aborting) = (
        world.begun("completing", 1).await,
        world.begun("aborting", 1).await,
    );
    world
        .ledger
        .seal(&completing.id, 1, Vec::new(), until(90))
        .await
        .unwrap();
    world
        .ledger
        .give_up(&aborting.id, None, at(90))
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
            world
                .ledger
                .begin_within(world.wish(key, 1), quota)
                .await
                .unwrap()
                .is_err(),
            "{key}"
        );
    }
}

pub async fn strangers_are_counted(world: World) {
    let key = "uploads/somebody/else".parse().unwrap();
    for second in 0..3 {
        world.ledger.note_stranger(&key, at(second)).await.unwrap();
    }
    assert!(world.ledger.upload_at(&key).await.unwrap().is_none());
    let ours = world.begun("ours", 1).await;
    assert_eq!(
        world.ledger.upload_at(&ours.key).await.unwrap().unwrap().id,
        ours.id
    );
}

pub async fn the_profile_of_a_store_is_kept_for_all_gateways(world: World) {
    let (here, there) = (world.ledger.clone(), world.twin().await);
    assert_eq!(here.profile("a").await.unwrap(), None);
    here.set_profile("a", "one".into(), at(100)).await.unwrap();
    there
        .set_profile("b", "other".into(), at(100))
        .await
        .unwrap();
    assert_eq!(
        there.profile("a").await.unwrap(),
        Some(("one".into(), at(100)))
    );
    there.set_profile("a", "two".into(), at(200)).await.unwrap();
    // Who was slow to write does not undo it.
    here.set_profile("a", "late".into(), at(150)).await.unwrap();
    assert_eq!(
        here.profile("a").await.unwrap(),
        Some(("two".into(), at(200)))
    );
    // Nobody asks about the other store any more.
    here.set_profile("a", "three".into(), at(100 + 90 * 86_400 + 1))
        .await
        .unwrap();
    assert_eq!(here.profile("b").await.unwrap(), None);
}
