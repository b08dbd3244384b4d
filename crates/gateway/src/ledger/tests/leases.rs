//! Who gets a lease, whatever keeps it.
//!
//! Border: as the tests beside it.

use super::*;

pub async fn of_many_who_want_a_lease_one_gets_it(world: World) {
    let twin = world.twin().await;
    let upload = world
        .ledger
        .begin(NewUpload {
            holder: None,
            ..world.wish("key", 1)
        })
        .await
        .unwrap()
        .0;
    let mut lease = upload.lease.clone();
    assert_eq!(lease.holder, None);
    for round in 0..8 {
        let wishes = (0..6).map(|n| {
            let (ledger, id, old) = (
                [&world.ledger, &twin][n % 2].clone(),
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
        let answers = join_all(wishes).await.into_iter().map(Result::unwrap);
        let winners: Vec<Lease> = answers
            .filter_map(|(won, new)| won.then_some(new))
            .collect();
        assert_eq!(winners.len(), 1);
        let seen = world
            .ledger
            .upload(&world.owner, &upload.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(seen.lease, winners[0]);
        lease = seen.lease;
    }
}

/// Somebody found the lease over, and its holder renewed it before that could be made use of: the epoch is the same.
pub async fn who_renews_in_time_keeps_the_lease(world: World) {
    let twin = world.twin().await;
    let upload = world.begun("key", 1).await;
    assert_eq!(
        world
            .ledger
            .pin(&upload.id, 1, Vec::new(), until(90))
            .await
            .unwrap(),
        Signing::Done
    );
    let theirs = Lease {
        holder: Some("you".to_owned()),
        epoch: 2,
        until: at(120),
    };
    assert!(
        !twin
            .set_lease(&upload.id, upload.lease.clone(), theirs, at(120))
            .await
            .unwrap()
    );
    let seen = world
        .ledger
        .upload(&world.owner, &upload.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        seen.lease,
        Lease {
            until: at(90),
            ..upload.lease
        }
    );
}
