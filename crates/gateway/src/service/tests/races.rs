//! Calls that meet: of several gateways on one ledger, of several clients on one upload. One wins, and the others hear so.
//!
//! Border: two services with ledgers of their own on one database stand for two processes; each race is run on SQLite and on
//! PostgreSQL.

use futures_util::future::join_all;
use upload_types::sync::lock;

use super::*;

/// Has each race run on both databases; `new` makes a world.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::World::new).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::World::on_postgres).await; })*
        }
    };
}

on_both! {
    of_many_who_claim_one_gets_it
    who_slept_too_long_can_do_nothing_to_an_upload_that_is_anothers
    completed_by_two_gateways_at_once_it_is_one_object_with_one_receipt
    complete_or_abort_or_reap_one_of_them_wins
    the_reaper_takes_nothing_from_who_comes_in_time
    begun_by_two_gateways_at_once_it_is_one_multipart_upload
}

fn claim(holder: usize, epoch: Option<u64>) -> ClaimRequest {
    ClaimRequest {
        holder: format!("holder-{holder}"),
        epoch,
    }
}

async fn of_many_who_claim_one_gets_it(new: impl AsyncFn() -> World) {
    let world = new().await;
    let (upload, _) = world.begin(PART + 1).await.unwrap();
    let services = [Arc::clone(&world.service), world.twin().await];
    let mut epoch = upload.epoch;
    for claimers in 2..=8_usize {
        world.ledger("UPDATE upload SET lease_until = 0, holder = 'somebody'");
        let claims = (0..claimers).map(|n| {
            let service = Arc::clone(&services[n % 2]);
            let (owner, id) = (world.owner.clone(), upload.id.clone());
            tokio::spawn(async move { service.claim(&owner, id.as_str(), claim(n, None)).await })
        });
        let answers: Vec<_> = join_all(claims)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let winners: Vec<_> = answers
            .iter()
            .enumerate()
            .filter_map(|(n, answer)| Some((n, answer.as_ref().ok()?.epoch)))
            .collect();
        let [(winner, won)] = winners[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(won, epoch + 1);
        for refusal in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_eq!(refusal.code, Code::LeaseHeld);
            assert!((1..=60).contains(&refusal.retry_after.unwrap()));
        }
        epoch = won;
        let id = upload.id.as_str();
        // Its own epoch renews, the one before is lost, whoever names it.
        assert_eq!(
            services[1]
                .claim(&world.owner, id, claim(winner, Some(epoch)))
                .await
                .unwrap()
                .epoch,
            epoch
        );
        for holder in [winner, winner + 1] {
            let refused = services[0]
                .claim(&world.owner, id, claim(holder, Some(epoch - 1)))
                .await
                .unwrap_err();
            assert_eq!(refused.code, Code::LeaseLost);
        }
    }
}

/// Stopped beyond its lease, it wakes and goes on as if nothing had been.
async fn who_slept_too_long_can_do_nothing_to_an_upload_that_is_anothers(
    new: impl AsyncFn() -> World,
) {
    let world = new().await;
    let (upload, request) = world.sent(PART + 1).await;
    world.ledger("UPDATE upload SET lease_until = 0, holder = 'sleeper'");
    let id = upload.id.as_str();
    let taken = world
        .service
        .claim(&world.owner, id, claim(1, None))
        .await
        .unwrap();
    let part = PartSpec {
        number: PartNumber::FIRST,
        size: 5 << 20,
        sha256: request.parts[0].sha256,
        md5: None,
    };
    let sign = |epoch| SignRequest {
        epoch,
        parts: vec![part],
    };
    let stale = |answer: Result<(), Refusal>| assert_eq!(answer.unwrap_err().code, Code::LeaseLost);
    let all = async || {
        stale(
            world
                .service
                .sign(&world.owner, id, sign(upload.epoch))
                .await
                .map(drop),
        );
        let renew = ClaimRequest {
            holder: "sleeper".into(),
            epoch: Some(upload.epoch),
        };
        stale(world.service.claim(&world.owner, id, renew).await.map(drop));
        stale(
            world
                .service
                .abort(&world.owner, id, Some(upload.epoch))
                .await,
        );
    };
    all().await;
    stale(world.complete(&upload, &request).await.map(drop));
    // The other goes on undisturbed, and however far it came, the sleeper hears the same.
    world
        .service
        .sign(&world.owner, id, sign(taken.epoch))
        .await
        .unwrap();
    let taken_over = CompleteRequest {
        epoch: taken.epoch,
        ..request.clone()
    };
    let done = receipt(world.complete(&upload, &taken_over).await);
    all().await;
    // What the object proves, everybody who may see the upload may know.
    assert_eq!(receipt(world.complete(&upload, &request).await), done);
}

/// The second was asked because the first did not answer, and neither knows of the other's multipart upload.
async fn begun_by_two_gateways_at_once_it_is_one_multipart_upload(new: impl AsyncFn() -> World) {
    let world = new().await;
    world.set(Method::POST, "uploads", Mood::Late);
    let begins = [Arc::clone(&world.service), world.twin().await].map(|service| {
        let owner = world.owner.clone();
        tokio::spawn(async move {
            service
                .begin(&owner, "key", World::asked_for(PART + 1))
                .await
        })
    });
    until("both to create it", async || {
        world.asked(&Method::POST, "uploads").len() == 2
    })
    .await;
    world.heal();
    let begun: Vec<_> = join_all(begins)
        .await
        .into_iter()
        .map(|begun| begun.unwrap().unwrap().0)
        .collect();
    assert_eq!((&begun[0].id, &begun[0].key), (&begun[1].id, &begun[1].key));
    assert_eq!(
        world.service.store.find(&begun[0].key).await.unwrap().len(),
        1
    );
}

async fn completed_by_two_gateways_at_once_it_is_one_object_with_one_receipt(
    new: impl AsyncFn() -> World,
) {
    for _ in 0..3 {
        let world = new().await;
        let (upload, request) = world.sent(PART + 1).await;
        let services = [Arc::clone(&world.service), world.twin().await];
        let calls = (0..6).map(|n| {
            let (service, owner) = (Arc::clone(&services[n % 2]), world.owner.clone());
            let (id, request) = (upload.id.clone(), request.clone());
            tokio::spawn(async move { service.complete(&owner, id.as_str(), request).await })
        });
        let mut receipts = Vec::new();
        for call in join_all(calls).await {
            let answer = call.unwrap();
            if !undecided(&answer) {
                receipts.push(receipt(answer));
            }
        }
        receipts.push(receipt(world.complete(&upload, &request).await));
        assert!(
            receipts.iter().all(|receipt| *receipt == receipts[0]),
            "{receipts:?}"
        );
    }
}

async fn complete_or_abort_or_reap_one_of_them_wins(new: impl AsyncFn() -> World) {
    for round in 0..6 {
        let world = new().await;
        let (upload, request) = world.sent(PART + 1).await;
        let twin = world.twin().await;
        let id = upload.id.as_str();
        let end = async {
            if round % 2 == 0 {
                twin.abort(&world.owner, id, None).await
            } else {
                world.ledger("UPDATE upload SET lease_until = 0, expires_at = 0");
                twin.sweep().await
            }
        };
        let (completed, ended) = tokio::join!(world.complete(&upload, &request), end);
        let (there, open) = (
            world
                .service
                .store
                .head(&upload.key)
                .await
                .unwrap()
                .is_some(),
            world.service.store.find(&upload.key).await.unwrap().len(),
        );
        match world.state(&upload).await {
            UploadState::Ready => {
                receipt(completed);
                assert!(round % 2 == 1 || ended.is_err());
                assert_eq!((there, open), (true, 0));
            }
            state => {
                assert!(
                    matches!(state, UploadState::Aborted | UploadState::Expired),
                    "{state:?}"
                );
                assert_eq!(completed.unwrap_err().code, Code::Gone);
                assert_eq!((there, open), (false, 0));
            }
        }
    }
}

/// A claim in the moment the reaper comes: either it is in time and nothing is taken, or it hears that the upload is gone.
async fn the_reaper_takes_nothing_from_who_comes_in_time(new: impl AsyncFn() -> World) {
    let world = new().await;
    let twin = world.twin().await;
    for n in 0..10 {
        let (upload, _) = world.begin_as(&format!("key-{n}"), PART + 1).await.unwrap();
        let id = upload.id.as_str();
        world.ledger(&format!(
            "UPDATE upload SET lease_until = 0, expires_at = 0 WHERE id = '{id}'"
        ));
        // By the clock it has expired: only who renewed it before may go on.
        let renewed = world.service.rules.terms.renewed(Timestamp::now());
        let renew = world
            .service
            .ledger
            .pin_parts(&upload.id, upload.epoch, Vec::new(), renewed);
        let (renewed, swept) = tokio::join!(renew, twin.sweep());
        swept.unwrap();
        let open = world.service.store.find(&upload.key).await.unwrap().len();
        match renewed.unwrap() {
            crate::ledger::Transition::Done => {
                assert_eq!(
                    (world.state(&upload).await, open),
                    (UploadState::Uploading, 1)
                );
            }
            _ => assert_eq!(
                (world.state(&upload).await, open),
                (UploadState::Expired, 0)
            ),
        }
    }
}

/// Two calls that were let in before a claim and come to the ledger after it: what was looked at before is looked at again.
#[tokio::test]
async fn a_call_that_a_claim_overtook_changes_nothing() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    world.ledger("UPDATE upload SET lease_until = 0, holder = 'sleeper'");
    world
        .service
        .claim(&world.owner, upload.id.as_str(), claim(1, None))
        .await
        .unwrap();
    let renewed = world.service.rules.terms.renewed(Timestamp::now());
    let part = PartSpec {
        number: PartNumber::FIRST,
        size: 5 << 20,
        sha256: request.parts[0].sha256,
        md5: None,
    };
    let ledger = &world.service.ledger;
    let lost = crate::ledger::Transition::LeaseLost;
    assert_eq!(
        ledger
            .pin_parts(&upload.id, upload.epoch, vec![part], renewed)
            .await
            .unwrap(),
        lost
    );
    assert_eq!(
        ledger
            .start_completing(&upload.id, upload.epoch, request.parts, renewed)
            .await
            .unwrap(),
        lost
    );
}

/// What a gateway saw is not what another has decided since: who comes too late to reject an object does not remove it.
#[tokio::test]
async fn who_lost_the_decision_removes_nothing() {
    let world = World::new().await;
    let (upload, mut request) = world.sent(PART + 1).await;
    let row = world
        .service
        .find(&world.owner, upload.id.as_str())
        .await
        .unwrap();
    let multipart = row.store_upload.clone().unwrap();
    world
        .service
        .store
        .complete(&upload.key, &multipart, &request.parts, row.plan.size())
        .await
        .unwrap();
    // To who is told of other parts, the object is damaged.
    world.ledger("UPDATE part SET sha256 = NULL");
    request.parts[1].sha256 = Sha256::of(b"other");
    request.checksum = Checksum::composite(request.parts.iter().map(|part| &part.sha256));
    world.set(Method::HEAD, "", Mood::Late);
    let decided = async {
        until("the object is looked at", async || {
            !world.asked(&Method::HEAD, "").is_empty()
        })
        .await;
        world.ledger("UPDATE upload SET state = 'ready'");
        world.heal();
    };
    let (refused, ()) = tokio::join!(world.complete(&upload, &request), decided);
    refused.unwrap_err();
    assert_eq!(world.state(&upload).await, UploadState::Ready);
    assert!(
        world
            .service
            .store
            .head(&upload.key)
            .await
            .unwrap()
            .is_some()
    );
}

/// The store closes the multipart upload before it shows the object: who asks for the parts meanwhile ends nothing.
#[tokio::test]
async fn who_asks_for_parts_while_it_is_decided_ends_nothing() {
    let world = World::new().await;
    let (upload, request) = world.sent(2 * PART).await;
    let gone = Mood::Says(
        404,
        "<Error><Code>NoSuchUpload</Code><Message>no</Message></Error>",
    );
    *lock(&world.door.moods) = vec![
        (Method::POST, COMPLETE, Mood::Late),
        (Method::GET, COMPLETE, gone),
    ];
    let asking = async {
        until("the complete to be asked for", async || {
            !world.asked(&Method::POST, COMPLETE).is_empty()
        })
        .await;
        let refused = world
            .service
            .parts(&world.owner, upload.id.as_str(), 0)
            .await
            .unwrap_err();
        world.heal();
        assert_eq!(refused.code, Code::Busy);
    };
    let (completed, ()) = tokio::join!(world.complete(&upload, &request), asking);
    assert_eq!(receipt(completed).parts, 2);
    assert_eq!(world.state(&upload).await, UploadState::Ready);
}
