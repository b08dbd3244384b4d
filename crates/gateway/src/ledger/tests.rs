//! What every ledger does, whatever keeps it: each test runs on SQLite and on PostgreSQL.
//!
//! Border: two ledgers opened on one database stand for two gateways. PostgreSQL is the one that `scripts/test` starts and names
//! in the environment; without it its half fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::lease::{Lease, Renewed};
use upload_types::names::{PartNumber, Sha256, UploadId};
use upload_types::plan::Plan;
use upload_types::wire::{CompletePart, PartSpec, Proof, Receipt, StoredPart, UploadState};

mod counted;
mod leases;
mod verified;

use counted::{
    of_many_who_begin_none_gets_past_a_quota, strangers_are_counted,
    the_profile_of_a_store_is_kept_for_all_gateways, what_is_on_its_way_to_an_end_counts_as_open,
};
use leases::{of_many_who_want_a_lease_one_gets_it, who_renews_in_time_keeps_the_lease};
use verified::one_part_is_verified_in_one_step;

/// Has each test run on both.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::World::on_sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::World::on_postgres().await).await; })*
        }
    };
}

on_both! {
    a_ledger_keeps_its_identity
    an_owner_gets_one_segment
    a_token_is_revoked_once
    a_begin_is_found_again_as_it_was
    begun_by_many_at_once_there_is_one
    nobody_sees_anothers
    pages_follow_one_another
    parts_are_pinned_all_or_none
    who_seals_twice_is_not_fenced_off
    an_old_epoch_is_told_so
    what_the_store_holds_is_noted
    of_many_who_want_a_lease_one_gets_it
    who_renews_in_time_keeps_the_lease
    every_transition_is_won_once
    what_nobody_holds_is_taken_once
    who_renews_in_time_is_not_taken
    what_is_over_is_looked_at_again
    thousands_of_parts_are_handed_over_at_once
    of_many_who_begin_none_gets_past_a_quota
    what_is_on_its_way_to_an_end_counts_as_open
    strangers_are_counted
    one_part_is_verified_in_one_step
    the_profile_of_a_store_is_kept_for_all_gateways
}

struct World {
    ledger: Ledger,
    config: LedgerConfig,
    owner: String,
    _place: Option<TempDir>,
}

impl World {
    async fn on_sqlite() -> Self {
        let place = tempfile::tempdir().unwrap();
        let config = LedgerConfig::Sqlite(place.path().join("ledger.db"));
        Self::on(config, Some(place)).await
    }

    async fn on_postgres() -> Self {
        Self::on(on_postgres().await, None).await
    }

    async fn on(config: LedgerConfig, place: Option<TempDir>) -> Self {
        let ledger = Ledger::open(&config).await.unwrap();
        let owner = ledger.owner("local", "o".repeat(26)).await.unwrap();
        Self {
            ledger,
            config,
            owner,
            _place: place,
        }
    }

    /// Another gateway.
    async fn twin(&self) -> Ledger {
        Ledger::open(&self.config).await.unwrap()
    }

    fn wish(&self, key: &str, parts: u64) -> NewUpload {
        let id = Uuid::new_v4().to_string();
        NewUpload {
            key: format!("uploads/{}/{id}.mov", self.owner).parse().unwrap(),
            id: id.parse().unwrap(),
            owner: self.owner.clone(),
            idempotency_key: key.to_owned(),
            digest: Sha256::of(key.as_bytes()),
            name: "Ferien — ☀ 'n' \"Meer\"; DROP TABLE part.mov".to_owned(),
            content_type: "video/quicktime".to_owned(),
            metadata: BTreeMap::from([("mood".to_owned(), "good \u{0} and \\ bad".to_owned())]),
            manner: Manner::Planned,
            plan: Plan::pinned(parts * PART, PART).unwrap(),
            pinned: Vec::new(),
            token: Uuid::new_v4().simple().to_string(),
            holder: Some("me".to_owned()),
            created_at: at(0),
            renewed: until(60),
        }
    }

    async fn begun(&self, key: &str, parts: u64) -> Upload {
        self.ledger.begin(self.wish(key, parts)).await.unwrap().0
    }

    async fn state(&self, upload: &Upload) -> UploadState {
        self.ledger
            .upload(&self.owner, &upload.id)
            .await
            .unwrap()
            .unwrap()
            .state
    }
}

/// A ledger in PostgreSQL that is new.
pub async fn on_postgres() -> LedgerConfig {
    LedgerConfig::Postgres(Box::new(super::postgres::tests::fresh().await))
}

/// Puts a ledger into a state that time would have brought.
pub fn meddle(config: &LedgerConfig, sql: &str) {
    match config {
        LedgerConfig::Sqlite(path) => {
            let connection = Connection::open(path).unwrap();
            connection.busy_timeout(Duration::from_secs(5)).unwrap();
            connection.execute(sql, []).unwrap();
        }
        LedgerConfig::Postgres(address) => super::postgres::tests::meddle(address, sql),
    }
}

const PART: u64 = 5 << 20;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A lease until then, and an upload that expires at the same time.
fn until(second: i64) -> Renewed {
    Renewed {
        lease_until: at(second),
        expires_at: at(second),
    }
}

fn number(number: u32) -> PartNumber {
    number.try_into().unwrap()
}

fn spec(part: u32, text: &str) -> PartSpec {
    PartSpec {
        number: number(part),
        size: PART,
        sha256: Sha256::of(text.as_bytes()),
        md5: None,
    }
}

fn sealed(part: u32, text: &str) -> CompletePart {
    let (sha256, etag) = (
        Sha256::of(text.as_bytes()),
        format!("etag-{part}").parse().unwrap(),
    );
    CompletePart {
        number: number(part),
        etag,
        sha256,
    }
}

fn receipt(upload: &Upload) -> Receipt {
    Receipt {
        id: upload.id.clone(),
        backend: "http://gateway".to_owned(),
        instance_id: "some".to_owned(),
        key: upload.key.clone(),
        location: format!("s3://bucket/{}", upload.key.as_str()),
        size: upload.plan.size(),
        parts: upload.plan.count(),
        part_size: upload.plan.part_size(),
        etag: "etag".parse().unwrap(),
        checksum: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().ok(),
        proof: Proof::Sha256,
        unproven: Vec::new(),
        sha256: None,
        started: upload.created_at,
        finished: at(9),
    }
}

async fn a_ledger_keeps_its_identity(world: World) {
    let twins = join_all((0..4).map(|_| world.twin())).await;
    assert!(
        twins
            .iter()
            .all(|twin| twin.instance_id() == world.ledger.instance_id())
    );
    world.ledger.ping().await.unwrap();
}

async fn an_owner_gets_one_segment(world: World) {
    let twin = world.twin().await;
    let asked = (0..8).map(|n| {
        let ledger = [&world.ledger, &twin][n % 2].clone();
        async move { ledger.owner("alice", format!("{n:026}")).await.unwrap() }
    });
    let segments: BTreeSet<String> = join_all(asked).await.into_iter().collect();
    assert_eq!(segments.len(), 1);
    assert_eq!(
        world.ledger.owner("local", "x".repeat(26)).await.unwrap(),
        world.owner
    );
}

async fn a_token_is_revoked_once(world: World) {
    let ledger = &world.ledger;
    for (id, second) in [("b", 1), ("a", 1), ("c", 0)] {
        let token = NewToken {
            id: id.to_owned(),
            name: format!("für {id}"),
            hash: [7; 32],
            expires_at: Some(at(70)),
        };
        ledger.insert_token(token, at(second)).await.unwrap();
    }
    let again = NewToken {
        id: "a".to_owned(),
        name: "other".to_owned(),
        hash: [8; 32],
        expires_at: None,
    };
    ledger.insert_token(again, at(0)).await.unwrap_err();
    let found = ledger.token("a").await.unwrap().unwrap();
    assert_eq!(
        (
            found.name.as_str(),
            found.hash,
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

async fn a_begin_is_found_again_as_it_was(world: World) {
    let new = NewUpload {
        pinned: vec![spec(2, "two")],
        ..world.wish("key", 3)
    };
    let (id, key, name, metadata) = (
        new.id.clone(),
        new.key.clone(),
        new.name.clone(),
        new.metadata.clone(),
    );
    let (token, plan) = (new.token.clone(), new.plan);
    let (_, fresh) = world.ledger.begin(new).await.unwrap();
    assert!(fresh);
    // Whatever a repeat says, it gets what was begun.
    let (seen, fresh) = world.ledger.begin(world.wish("key", 1)).await.unwrap();
    assert!(!fresh);
    assert_eq!(
        (&seen.id, &seen.key, &seen.name, &seen.metadata),
        (&id, &key, &name, &metadata)
    );
    assert_eq!(
        (&seen.token, seen.plan.size(), seen.plan.count()),
        (&token, plan.size(), 3)
    );
    assert_eq!(
        (seen.state, seen.digest, seen.store_upload),
        (UploadState::Uploading, Sha256::of(b"key"), None)
    );
    let lease = Lease {
        holder: Some("me".to_owned()),
        epoch: 1,
        until: at(60),
    };
    assert_eq!(
        (seen.lease, seen.created_at, seen.expires_at),
        (lease, at(0), at(60))
    );
    let pinned: Vec<_> = world.ledger.parts(&id, 0, 9).await.unwrap();
    assert_eq!(
        pinned
            .iter()
            .map(|part| (part.number.get(), part.size))
            .collect::<Vec<_>>(),
        [(1, PART), (2, PART), (3, PART)]
    );
    assert_eq!(pinned[1].sha256, Some(Sha256::of(b"two")));
    assert!(pinned.iter().all(|part| part.etag.is_none()) && pinned[0].sha256.is_none());
    let page = world.ledger.parts(&id, 1, 1).await.unwrap();
    assert_eq!(
        page.iter()
            .map(|part| part.number.get())
            .collect::<Vec<_>>(),
        [2]
    );
}

async fn begun_by_many_at_once_there_is_one(world: World) {
    let twin = world.twin().await;
    for round in 0..5 {
        let begins = (0..8).map(|n| {
            let (ledger, new) = (
                [&world.ledger, &twin][n % 2].clone(),
                world.wish(&format!("key {round}"), 2),
            );
            tokio::spawn(async move { ledger.begin(new).await.unwrap() })
        });
        let begun: Vec<_> = join_all(begins)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(begun.iter().filter(|(_, new)| *new).count(), 1);
        assert!(begun.iter().all(|(upload, _)| upload.id == begun[0].0.id));
        assert_eq!(twin.parts(&begun[0].0.id, 0, 9).await.unwrap().len(), 2);
    }
}

async fn nobody_sees_anothers(world: World) {
    let upload = world.begun("key", 1).await;
    let other = world.ledger.owner("other", "x".repeat(26)).await.unwrap();
    assert!(
        world
            .ledger
            .upload(&other, &upload.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        world
            .ledger
            .uploads(&other, None, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    // Each has keys of its own.
    let (theirs, new) = world
        .ledger
        .begin(NewUpload {
            owner: other,
            ..world.wish("key", 1)
        })
        .await
        .unwrap();
    assert!(new && theirs.id != upload.id);
}

async fn pages_follow_one_another(world: World) {
    for n in 0..5 {
        // Two of them in the same millisecond.
        world
            .ledger
            .begin(NewUpload {
                created_at: at(n / 2),
                ..world.wish(&n.to_string(), 1)
            })
            .await
            .unwrap();
    }
    let all = world
        .ledger
        .uploads(&world.owner, None, None, 9)
        .await
        .unwrap();
    let ids = |page: &[Upload]| {
        page.iter()
            .map(|upload| upload.id.clone())
            .collect::<Vec<_>>()
    };
    let sorted =
        |a: &Upload, b: &Upload| (b.created_at, a.id.as_str()) > (a.created_at, b.id.as_str());
    assert!(
        all.len() == 5
            && all
                .windows(2)
                .all(|pair| pair[0].created_at >= pair[1].created_at)
    );
    assert!(
        all.windows(2)
            .all(|pair| pair[0].created_at > pair[1].created_at || sorted(&pair[1], &pair[0]))
    );
    let mut paged: Vec<Upload> = Vec::new();
    while paged.len() < 5 {
        let page = world
            .ledger
            .uploads(&world.owner, Some(UploadState::Pending), paged.last(), 2)
            .await
            .unwrap();
        assert!(!page.is_empty() && page.len() <= 2);
        paged.extend(page);
    }
    assert_eq!(ids(&paged), ids(&all));
    assert!(
        world
            .ledger
            .uploads(&world.owner, Some(UploadState::Ready), None, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn parts_are_pinned_all_or_none(world: World) {
    let upload = world.begun("key", 3).await;
    let pin = async |epoch, parts| {
        world
            .ledger
            .pin(&upload.id, epoch, parts, until(90))
            .await
            .unwrap()
    };
    assert_eq!(
        pin(1, vec![spec(3, "three"), spec(1, "one")]).await,
        Signing::Done
    );
    assert_eq!(world.state(&upload).await, UploadState::Uploading);
    assert_eq!(pin(1, vec![spec(1, "one")]).await, Signing::Done);
    assert_eq!(
        pin(1, vec![spec(2, "two"), spec(3, "other")]).await,
        Signing::Pinned(number(3))
    );
    assert_eq!(
        pin(
            1,
            vec![PartSpec {
                size: 7,
                ..spec(2, "two")
            }]
        )
        .await,
        Signing::Pinned(number(2))
    );
    assert_eq!(
        pin(1, vec![spec(4, "four")]).await,
        Signing::Pinned(number(4))
    );
    assert_eq!(pin(2, vec![spec(2, "two")]).await, Signing::LeaseLost);
    let parts = world.ledger.parts(&upload.id, 0, 9).await.unwrap();
    assert!(parts[1].sha256.is_none(), "what was refused left nothing");
    let seen = world
        .ledger
        .upload(&world.owner, &upload.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((seen.lease.until, seen.expires_at), (at(90), at(90)));
}

/// Two gateways that were asked the same: the epoch is good in both.
async fn who_seals_twice_is_not_fenced_off(world: World) {
    let twin = world.twin().await;
    for round in 0..5 {
        let upload = world.begun(&round.to_string(), 1).await;
        let seals = (0..6).map(|n| {
            let (ledger, id) = ([&world.ledger, &twin][n % 2].clone(), upload.id.clone());
            tokio::spawn(async move {
                ledger
                    .seal(&id, 1, vec![sealed(1, "one")], until(90))
                    .await
                    .unwrap()
            })
        });
        for sealed in join_all(seals).await {
            assert_eq!(sealed.unwrap(), Signing::Done);
        }
        let part = twin.parts(&upload.id, 0, 1).await.unwrap().remove(0);
        assert_eq!(part.etag, Some("etag-1".parse().unwrap()));
        let other = world
            .ledger
            .seal(&upload.id, 1, vec![sealed(1, "other")], until(90))
            .await
            .unwrap();
        assert_eq!(other, Signing::Pinned(number(1)));
        let late = world
            .ledger
            .pin(&upload.id, 1, vec![spec(1, "one")], until(90))
            .await
            .unwrap();
        assert_eq!(late, Signing::Closed(UploadState::Completing));
    }
}

async fn an_old_epoch_is_told_so(world: World) {
    let upload = world.begun("key", 1).await;
    let new = Lease {
        holder: Some("you".to_owned()),
        epoch: 2,
        until: at(80),
    };
    assert!(
        world
            .ledger
            .set_lease(&upload.id, upload.lease.clone(), new, at(80))
            .await
            .unwrap()
    );
    let pinned = world
        .ledger
        .pin(&upload.id, 1, vec![spec(1, "one")], until(90))
        .await
        .unwrap();
    let sealed = world
        .ledger
        .seal(&upload.id, 1, vec![sealed(1, "one")], until(90))
        .await
        .unwrap();
    assert_eq!((pinned, sealed), (Signing::LeaseLost, Signing::LeaseLost));
    assert_eq!(world.state(&upload).await, UploadState::Pending);
    let nobody: UploadId = Uuid::new_v4().to_string().parse().unwrap();
    world
        .ledger
        .pin(&nobody, 1, Vec::new(), until(90))
        .await
        .unwrap_err();
}

async fn what_the_store_holds_is_noted(world: World) {
    let upload = world.begun("key", 2).await;
    let held = |etag: &str| StoredPart {
        number: number(2),
        size: PART,
        etag: etag.parse().unwrap(),
        sha256: None,
    };
    for etag in ["first", "first", "second"] {
        world
            .ledger
            .note_stored(&upload.id, vec![held(etag)])
            .await
            .unwrap();
        let parts = world.ledger.parts(&upload.id, 0, 9).await.unwrap();
        assert_eq!(
            (parts[0].etag.clone(), parts[1].etag.clone()),
            (None, Some(etag.parse().unwrap()))
        );
    }
    assert!(
        world
            .ledger
            .set_store_upload(&upload.id, "multipart")
            .await
            .unwrap()
    );
    assert!(
        !world
            .ledger
            .set_store_upload(&upload.id, "another")
            .await
            .unwrap()
    );
    let seen = world
        .ledger
        .upload(&world.owner, &upload.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.store_upload.as_deref(), Some("multipart"));
}

async fn every_transition_is_won_once(world: World) {
    let ready = world.begun("ready", 2).await;
    let proof = receipt(&ready);
    assert!(
        !world.ledger.verify(&proof, None).await.unwrap(),
        "it is not completing"
    );
    assert!(!world.ledger.reopen(&ready.id).await.unwrap());
    world
        .ledger
        .seal(&ready.id, 1, Vec::new(), until(90))
        .await
        .unwrap();
    assert!(world.ledger.reopen(&ready.id).await.unwrap());
    assert_eq!(world.state(&ready).await, UploadState::Uploading);
    world
        .ledger
        .seal(&ready.id, 1, Vec::new(), until(90))
        .await
        .unwrap();
    let ends = (0..4).map(|_| world.ledger.verify(&proof, None));
    assert_eq!(
        join_all(ends)
            .await
            .into_iter()
            .filter(|won| *won.as_ref().unwrap())
            .count(),
        1
    );
    let seen = world
        .ledger
        .upload(&world.owner, &ready.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (seen.state, seen.receipt),
        (UploadState::Ready, Some(proof))
    );
    let late = world.ledger.give_up(&ready.id, None, at(90)).await.unwrap();
    assert_eq!(late, Signing::Closed(UploadState::Ready));

    let aborted = world.begun("aborted", 1).await;
    let abort = |epoch| world.ledger.give_up(&aborted.id, epoch, at(90));
    assert_eq!(abort(Some(2)).await.unwrap(), Signing::LeaseLost);
    assert_eq!(abort(Some(1)).await.unwrap(), Signing::Done);
    assert_eq!(
        abort(None).await.unwrap(),
        Signing::Closed(UploadState::Aborting)
    );
    let from: &'static [UploadState] = &[UploadState::Completing, UploadState::Aborting];
    assert!(
        world
            .ledger
            .end(&aborted.id, from, UploadState::Aborted, at(95))
            .await
            .unwrap()
    );
    assert!(
        !world
            .ledger
            .end(&aborted.id, from, UploadState::Expired, at(95))
            .await
            .unwrap()
    );
    assert_eq!(world.state(&aborted).await, UploadState::Aborted);
    assert!(
        !world
            .ledger
            .set_store_upload(&aborted.id, "late")
            .await
            .unwrap()
    );
    let lease = Lease {
        epoch: 2,
        ..aborted.lease.clone()
    };
    assert!(
        !world
            .ledger
            .set_lease(
                &aborted.id,
                Lease {
                    until: at(90),
                    ..aborted.lease
                },
                lease,
                at(99)
            )
            .await
            .unwrap()
    );
}

/// Sweeps of several gateways at the same moment.
async fn what_nobody_holds_is_taken_once(world: World) {
    let twins = [world.ledger.clone(), world.twin().await];
    let (many, all) = (TAKEN + 20, TAKEN + 24);
    for n in 0..all {
        let upload = world.begun(&n.to_string(), 1).await;
        if n >= many {
            world
                .ledger
                .seal(&upload.id, 1, Vec::new(), until(60))
                .await
                .unwrap();
        }
    }
    assert!(
        world
            .ledger
            .take_left(Left::Expired, at(59), at(120))
            .await
            .unwrap()
            .is_empty()
    );
    let mut taken = Vec::new();
    for _ in 0..4 {
        let sweeps = (0..4).map(|n| {
            let ledger = twins[n % 2].clone();
            tokio::spawn(async move {
                ledger
                    .take_left(Left::Expired, at(60), at(120))
                    .await
                    .unwrap()
            })
        });
        for some in join_all(sweeps).await {
            taken.extend(some.unwrap());
        }
    }
    assert!(
        taken
            .iter()
            .all(|upload| upload.state == UploadState::Aborting && upload.lease.until == at(120))
    );
    let distinct: BTreeSet<&str> = taken.iter().map(|upload| upload.id.as_str()).collect();
    assert_eq!((taken.len(), distinct.len()), (many, many));
    let sweeps =
        join_all((0..4).map(|n| twins[n % 2].take_left(Left::Completing, at(60), at(120)))).await;
    assert_eq!(
        sweeps
            .into_iter()
            .map(|some| some.unwrap().len())
            .sum::<usize>(),
        all - many
    );
    // Who took them may have died.
    assert_eq!(
        world
            .ledger
            .take_left(Left::Expired, at(120), at(180))
            .await
            .unwrap()
            .len(),
        TAKEN
    );
}

async fn who_renews_in_time_is_not_taken(world: World) {
    let twin = world.twin().await;
    for round in 0..20 {
        let upload = world.begun(&round.to_string(), 1).await;
        let (ledger, id) = (world.ledger.clone(), upload.id.clone());
        let renew =
            tokio::spawn(async move { ledger.pin(&id, 1, Vec::new(), until(1000)).await.unwrap() });
        let taken = twin
            .take_left(Left::Expired, at(60), at(120))
            .await
            .unwrap();
        let taken = taken.iter().any(|taken| taken.id == upload.id);
        match renew.await.unwrap() {
            Signing::Done => {
                assert!(!taken && world.state(&upload).await == UploadState::Uploading);
            }
            refused => assert!(
                taken && refused == Signing::Closed(UploadState::Aborting),
                "{refused:?}"
            ),
        }
    }
}

async fn what_is_over_is_looked_at_again(world: World) {
    let (ledger, twin) = (&world.ledger, world.twin().await);
    let (over, open) = (world.begun("over", 1).await, world.begun("open", 1).await);
    ledger.give_up(&over.id, None, at(60)).await.unwrap();
    ledger
        .end(
            &over.id,
            &[UploadState::Aborting],
            UploadState::Aborted,
            at(50),
        )
        .await
        .unwrap();
    let look = async |now, until| {
        [
            ledger
                .take_left(Left::ToLookAt, at(now), at(until))
                .await
                .unwrap(),
            twin.take_left(Left::ToLookAt, at(now), at(until))
                .await
                .unwrap(),
        ]
        .concat()
    };
    assert!(look(49, 99).await.is_empty());
    let taken = look(50, 99).await;
    assert_eq!(
        taken.iter().map(|upload| &upload.id).collect::<Vec<_>>(),
        [&over.id]
    );
    // Sooner than planned, not later; what was asked for meanwhile is not forgotten.
    ledger.look_again(&over.id, at(70)).await.unwrap();
    ledger.look_again(&over.id, at(80)).await.unwrap();
    ledger.looked(&over.id, at(99)).await.unwrap();
    assert!(look(69, 75).await.is_empty());
    assert_eq!(look(70, 75).await.len(), 1);
    ledger.looked(&over.id, at(75)).await.unwrap();
    assert!(look(1000, 1001).await.is_empty());
    let keys = [over.key.as_str(), "uploads/nobody", open.key.as_str()]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(
        ledger.unknown(keys, at(30)).await.unwrap(),
        ["uploads/nobody"]
    );
    assert_eq!(look(30, 40).await.len(), 1, "the one that is over alone");
}

async fn thousands_of_parts_are_handed_over_at_once(world: World) {
    let upload = world.begun("large", 2_000).await;
    let parts: Vec<_> = (1..=2_000)
        .rev()
        .map(|n| sealed(n, &n.to_string()))
        .collect();
    let began = std::time::Instant::now();
    assert_eq!(
        world
            .ledger
            .seal(&upload.id, 1, parts, until(90))
            .await
            .unwrap(),
        Signing::Done
    );
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let parts = world.ledger.parts(&upload.id, 0, 2_000).await.unwrap();
    assert!(
        parts.len() == 2_000
            && parts
                .iter()
                .zip(1..)
                .all(|(part, n)| part.number.get() == n)
    );
    assert_eq!(parts[1_999].sha256, Some(Sha256::of(b"2000")));
}
