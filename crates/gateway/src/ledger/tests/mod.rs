//! Tests of the ledger. Each runs on SQLite and on PostgreSQL.
//!
//! Two ledgers on one database stand for two gateways. PostgreSQL is the server that `scripts/test` starts and names in the
//! environment; without it, the tests on PostgreSQL fail.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use rusqlite::Connection;

use super::*;
use crate::lease::{Lease, Renewed};
use upload_types::names::{PartNumber, Sha256, UploadId};
use upload_types::plan::Plan;
use upload_types::wire::{CompletePart, PartSpec, Proof, Receipt, StoredPart, UploadState};

mod counts;
mod leases;
mod verify;

use counts::{
    completing_and_aborting_uploads_count_as_open, quota_holds_under_concurrent_begins,
    store_profile_is_shared_by_gateways, unknown_keys_are_recorded,
};
use leases::{concurrent_claims_grant_one_lease, renewed_lease_cannot_be_taken};
use verify::single_part_is_verified_in_one_step;

/// Defines each test once for each database.
macro_rules! test_on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::on_sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::on_postgres().await).await; })*
        }
    };
}

test_on_both! {
    instance_id_is_shared_and_stable
    owner_gets_one_segment
    token_is_revoked_once
    repeated_begin_returns_the_first_upload
    concurrent_begins_create_one_upload
    upload_is_invisible_to_other_owners
    pages_of_uploads_are_complete_and_ordered
    parts_are_pinned_all_or_none
    repeated_complete_keeps_its_epoch
    old_epoch_is_rejected
    stored_parts_are_recorded
    concurrent_claims_grant_one_lease
    renewed_lease_cannot_be_taken
    each_transition_succeeds_once
    abandoned_uploads_are_taken_once
    renewed_upload_is_not_swept
    ended_upload_is_cleaned_up_when_due
    thousands_of_parts_complete_quickly
    quota_holds_under_concurrent_begins
    completing_and_aborting_uploads_count_as_open
    unknown_keys_are_recorded
    single_part_is_verified_in_one_step
    store_profile_is_shared_by_gateways
}

struct Fixture {
    ledger: Ledger,
    config: LedgerConfig,
    owner: String,
    _dir: Option<TempDir>,
}

impl Fixture {
    async fn on_sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = LedgerConfig::Sqlite(dir.path().join("ledger.db"));
        Self::on(config, Some(dir)).await
    }

    async fn on_postgres() -> Self {
        Self::on(postgres_config().await, None).await
    }

    async fn on(config: LedgerConfig, dir: Option<TempDir>) -> Self {
        let ledger = Ledger::open(&config).await.unwrap();
        let owner = ledger.owner_segment("local", "o".repeat(26)).await.unwrap();
        Self {
            ledger,
            config,
            owner,
            _dir: dir,
        }
    }

    /// Another gateway on the same ledger.
    async fn second_gateway(&self) -> Ledger {
        Ledger::open(&self.config).await.unwrap()
    }

    fn new_upload(&self, key: &str, parts: u64) -> NewUpload {
        let id = Uuid::new_v4().to_string();
        let spec = UploadSpec {
            key: format!("uploads/{}/{id}.mov", self.owner).parse().unwrap(),
            id: id.parse().unwrap(),
            owner: self.owner.clone(),
            idempotency_key: key.to_owned(),
            request_sha256: Sha256::of(key.as_bytes()),
            name: "Ferien — ☀ 'n' \"Meer\"; DROP TABLE part.mov".to_owned(),
            content_type: "video/quicktime".to_owned(),
            metadata: BTreeMap::from([("mood".to_owned(), "good \u{0} and \\ bad".to_owned())]),
            kind: UploadKind::Declared,
            plan: Plan::pinned(parts * PART, PART).unwrap(),
            token: Uuid::new_v4().simple().to_string(),
            created_at: at(0),
        };
        NewUpload {
            spec,
            pinned: Vec::new(),
            holder: Some("me".to_owned()),
            renewed: until(60),
        }
    }

    async fn begin(&self, key: &str, parts: u64) -> Upload {
        self.ledger
            .begin(self.new_upload(key, parts))
            .await
            .unwrap()
            .0
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

/// The address of a new ledger in PostgreSQL.
pub async fn postgres_config() -> LedgerConfig {
    LedgerConfig::Postgres(Box::new(super::postgres::tests::new_schema().await))
}

/// Changes rows directly, for states that only time would bring.
pub fn execute_sql(config: &LedgerConfig, sql: &str) {
    match config {
        LedgerConfig::Sqlite(path) => {
            let connection = Connection::open(path).unwrap();
            connection.busy_timeout(Duration::from_secs(5)).unwrap();
            connection.execute(sql, []).unwrap();
        }
        LedgerConfig::Postgres(address) => super::postgres::tests::execute_sql(address, sql),
    }
}

/// The same new upload with some fields of its spec changed.
fn with_spec(mut new: NewUpload, change: impl FnOnce(&mut UploadSpec)) -> NewUpload {
    change(&mut new.spec);
    new
}

/// The size of each part, in bytes.
const PART: u64 = 5 << 20;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A lease that ends at `second`, and an upload that expires at the same time.
fn until(second: i64) -> Renewed {
    Renewed {
        lease_until: at(second),
        expires_at: at(second),
    }
}

fn number(number: u32) -> PartNumber {
    number.try_into().unwrap()
}

fn part_spec(part: u32, text: &str) -> PartSpec {
    PartSpec {
        number: number(part),
        size: PART,
        sha256: Sha256::of(text.as_bytes()),
        md5: None,
    }
}

fn complete_part(part: u32, text: &str) -> CompletePart {
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

async fn instance_id_is_shared_and_stable(fixture: Fixture) {
    let twins = join_all((0..4).map(|_| fixture.second_gateway())).await;
    assert!(
        twins
            .iter()
            .all(|second_gateway| second_gateway.instance_id() == fixture.ledger.instance_id())
    );
    fixture.ledger.ping().await.unwrap();
}

async fn owner_gets_one_segment(fixture: Fixture) {
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

async fn token_is_revoked_once(fixture: Fixture) {
    let ledger = &fixture.ledger;
    for (id, second) in [("b", 1), ("a", 1), ("c", 0)] {
        let token = NewToken {
            id: id.to_owned(),
            name: format!("für {id}"),
            sha256: [7; 32],
            expires_at: Some(at(70)),
        };
        ledger.insert_token(token, at(second)).await.unwrap();
    }
    let duplicate = NewToken {
        id: "a".to_owned(),
        name: "other".to_owned(),
        sha256: [8; 32],
        expires_at: None,
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

async fn repeated_begin_returns_the_first_upload(fixture: Fixture) {
    let new = NewUpload {
        pinned: vec![part_spec(2, "two")],
        ..fixture.new_upload("key", 3)
    };
    let (id, key, name, metadata) = (
        new.spec.id.clone(),
        new.spec.key.clone(),
        new.spec.name.clone(),
        new.spec.metadata.clone(),
    );
    let (token, plan) = (new.spec.token.clone(), new.spec.plan);
    let (_, fresh) = fixture.ledger.begin(new).await.unwrap();
    assert!(fresh);
    // The repetition asks for another size, and gets the first upload.
    let (seen, fresh) = fixture
        .ledger
        .begin(fixture.new_upload("key", 1))
        .await
        .unwrap();
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
        (seen.state, seen.request_sha256, seen.store_upload.clone()),
        (UploadState::Uploading, Sha256::of(b"key"), None)
    );
    let lease = Lease {
        holder: Some("me".to_owned()),
        epoch: 1,
        until: at(60),
    };
    assert_eq!(
        (seen.lease.clone(), seen.created_at, seen.expires_at),
        (lease, at(0), at(60))
    );
    let pinned: Vec<_> = fixture.ledger.parts(&id, 0, 9).await.unwrap();
    assert_eq!(
        pinned
            .iter()
            .map(|part| (part.number.get(), part.size))
            .collect::<Vec<_>>(),
        [(1, PART), (2, PART), (3, PART)]
    );
    assert_eq!(pinned[1].sha256, Some(Sha256::of(b"two")));
    assert!(pinned.iter().all(|part| part.etag.is_none()) && pinned[0].sha256.is_none());
    let page = fixture.ledger.parts(&id, 1, 1).await.unwrap();
    assert_eq!(
        page.iter()
            .map(|part| part.number.get())
            .collect::<Vec<_>>(),
        [2]
    );
}

async fn concurrent_begins_create_one_upload(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    for round in 0..5 {
        let begins = (0..8).map(|n| {
            let (ledger, new) = (
                [&fixture.ledger, &second_gateway][n % 2].clone(),
                fixture.new_upload(&format!("key {round}"), 2),
            );
            tokio::spawn(async move { ledger.begin(new).await.unwrap() })
        });
        let begin: Vec<_> = join_all(begins)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(begin.iter().filter(|(_, new)| *new).count(), 1);
        assert!(begin.iter().all(|(upload, _)| upload.id == begin[0].0.id));
        assert_eq!(
            second_gateway
                .parts(&begin[0].0.id, 0, 9)
                .await
                .unwrap()
                .len(),
            2
        );
    }
}

async fn upload_is_invisible_to_other_owners(fixture: Fixture) {
    let upload = fixture.begin("key", 1).await;
    let other = fixture
        .ledger
        .owner_segment("other", "x".repeat(26))
        .await
        .unwrap();
    assert!(
        fixture
            .ledger
            .upload(&other, &upload.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        fixture
            .ledger
            .uploads(&other, None, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    // Idempotency keys of different owners are independent.
    let (theirs, new) = fixture
        .ledger
        .begin(with_spec(fixture.new_upload("key", 1), |spec| {
            spec.owner = other;
        }))
        .await
        .unwrap();
    assert!(new && theirs.id != upload.id);
}

async fn pages_of_uploads_are_complete_and_ordered(fixture: Fixture) {
    for n in 0..5 {
        // Two of them in the same millisecond.
        let new = with_spec(fixture.new_upload(&n.to_string(), 1), |spec| {
            spec.created_at = at(n / 2);
        });
        fixture.ledger.begin(new).await.unwrap();
    }
    let all = fixture
        .ledger
        .uploads(&fixture.owner, None, None, 9)
        .await
        .unwrap();
    let ids = |page: &[Upload]| {
        page.iter()
            .map(|upload| upload.id.clone())
            .collect::<Vec<_>>()
    };
    let is_sorted =
        |a: &Upload, b: &Upload| (b.created_at, a.id.as_str()) > (a.created_at, b.id.as_str());
    assert!(
        all.len() == 5
            && all
                .windows(2)
                .all(|pair| pair[0].created_at >= pair[1].created_at)
    );
    assert!(
        all.windows(2)
            .all(|pair| pair[0].created_at > pair[1].created_at || is_sorted(&pair[1], &pair[0]))
    );
    let mut paged: Vec<Upload> = Vec::new();
    while paged.len() < 5 {
        let page = fixture
            .ledger
            .uploads(&fixture.owner, Some(UploadState::Pending), paged.last(), 2)
            .await
            .unwrap();
        assert!(!page.is_empty() && page.len() <= 2);
        paged.extend(page);
    }
    assert_eq!(ids(&paged), ids(&all));
    assert!(
        fixture
            .ledger
            .uploads(&fixture.owner, Some(UploadState::Ready), None, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn parts_are_pinned_all_or_none(fixture: Fixture) {
    let upload = fixture.begin("key", 3).await;
    let pin = async |epoch, parts| {
        fixture
            .ledger
            .pin_parts(&upload.id, epoch, parts, until(90))
            .await
            .unwrap()
    };
    assert_eq!(
        pin(1, vec![part_spec(3, "three"), part_spec(1, "one")]).await,
        Transition::Done
    );
    assert_eq!(fixture.state(&upload).await, UploadState::Uploading);
    assert_eq!(pin(1, vec![part_spec(1, "one")]).await, Transition::Done);
    assert_eq!(
        pin(1, vec![part_spec(2, "two"), part_spec(3, "other")]).await,
        Transition::PartMismatch(number(3))
    );
    assert_eq!(
        pin(
            1,
            vec![PartSpec {
                size: 7,
                ..part_spec(2, "two")
            }]
        )
        .await,
        Transition::PartMismatch(number(2))
    );
    assert_eq!(
        pin(1, vec![part_spec(4, "four")]).await,
        Transition::PartMismatch(number(4))
    );
    assert_eq!(
        pin(2, vec![part_spec(2, "two")]).await,
        Transition::LeaseLost
    );
    let parts = fixture.ledger.parts(&upload.id, 0, 9).await.unwrap();
    assert!(parts[1].sha256.is_none(), "a rejected call wrote a row");
    let seen = fixture
        .ledger
        .upload(&fixture.owner, &upload.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((seen.lease.until, seen.expires_at), (at(90), at(90)));
}

/// Two gateways get the same request: its epoch is valid in both.
async fn repeated_complete_keeps_its_epoch(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    for round in 0..5 {
        let upload = fixture.begin(&round.to_string(), 1).await;
        let seals = (0..6).map(|n| {
            let (ledger, id) = (
                [&fixture.ledger, &second_gateway][n % 2].clone(),
                upload.id.clone(),
            );
            tokio::spawn(async move {
                ledger
                    .start_completing(&id, 1, vec![complete_part(1, "one")], until(90))
                    .await
                    .unwrap()
            })
        });
        for complete_part in join_all(seals).await {
            assert_eq!(complete_part.unwrap(), Transition::Done);
        }
        let part = second_gateway
            .parts(&upload.id, 0, 1)
            .await
            .unwrap()
            .remove(0);
        assert_eq!(part.etag, Some("etag-1".parse().unwrap()));
        let other = fixture
            .ledger
            .start_completing(&upload.id, 1, vec![complete_part(1, "other")], until(90))
            .await
            .unwrap();
        assert_eq!(other, Transition::PartMismatch(number(1)));
        let late = fixture
            .ledger
            .pin_parts(&upload.id, 1, vec![part_spec(1, "one")], until(90))
            .await
            .unwrap();
        assert_eq!(late, Transition::WrongState(UploadState::Completing));
    }
}

async fn old_epoch_is_rejected(fixture: Fixture) {
    let upload = fixture.begin("key", 1).await;
    let new = Lease {
        holder: Some("you".to_owned()),
        epoch: 2,
        until: at(80),
    };
    assert!(
        fixture
            .ledger
            .set_lease(&upload.id, upload.lease.clone(), new, at(80))
            .await
            .unwrap()
    );
    let pinned = fixture
        .ledger
        .pin_parts(&upload.id, 1, vec![part_spec(1, "one")], until(90))
        .await
        .unwrap();
    let complete_part = fixture
        .ledger
        .start_completing(&upload.id, 1, vec![complete_part(1, "one")], until(90))
        .await
        .unwrap();
    assert_eq!(
        (pinned, complete_part),
        (Transition::LeaseLost, Transition::LeaseLost)
    );
    assert_eq!(fixture.state(&upload).await, UploadState::Pending);
    let missing: UploadId = Uuid::new_v4().to_string().parse().unwrap();
    fixture
        .ledger
        .pin_parts(&missing, 1, Vec::new(), until(90))
        .await
        .unwrap_err();
}

async fn stored_parts_are_recorded(fixture: Fixture) {
    let upload = fixture.begin("key", 2).await;
    let stored = |etag: &str| StoredPart {
        number: number(2),
        size: PART,
        etag: etag.parse().unwrap(),
        sha256: None,
    };
    for etag in ["first", "first", "second"] {
        fixture
            .ledger
            .record_stored_parts(&upload.id, vec![stored(etag)])
            .await
            .unwrap();
        let parts = fixture.ledger.parts(&upload.id, 0, 9).await.unwrap();
        assert_eq!(
            (parts[0].etag.clone(), parts[1].etag.clone()),
            (None, Some(etag.parse().unwrap()))
        );
    }
    assert!(
        fixture
            .ledger
            .set_store_upload(&upload.id, "multipart")
            .await
            .unwrap()
    );
    assert!(
        !fixture
            .ledger
            .set_store_upload(&upload.id, "another")
            .await
            .unwrap()
    );
    let seen = fixture
        .ledger
        .upload(&fixture.owner, &upload.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.store_upload.as_deref(), Some("multipart"));
}

async fn each_transition_succeeds_once(fixture: Fixture) {
    let ready = fixture.begin("ready", 2).await;
    let proof = receipt(&ready);
    assert!(
        !fixture.ledger.mark_verified(&proof, None).await.unwrap(),
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
    let ends = (0..4).map(|_| fixture.ledger.mark_verified(&proof, None));
    assert_eq!(
        join_all(ends)
            .await
            .into_iter()
            .filter(|won| *won.as_ref().unwrap())
            .count(),
        1
    );
    let seen = fixture
        .ledger
        .upload(&fixture.owner, &ready.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (seen.state, seen.receipt),
        (UploadState::Ready, Some(proof))
    );
    let late = fixture
        .ledger
        .start_aborting(&ready.id, None, at(90))
        .await
        .unwrap();
    assert_eq!(late, Transition::WrongState(UploadState::Ready));

    let aborted = fixture.begin("aborted", 1).await;
    let abort = |epoch| fixture.ledger.start_aborting(&aborted.id, epoch, at(90));
    assert_eq!(abort(Some(2)).await.unwrap(), Transition::LeaseLost);
    assert_eq!(abort(Some(1)).await.unwrap(), Transition::Done);
    assert_eq!(
        abort(None).await.unwrap(),
        Transition::WrongState(UploadState::Aborting)
    );
    let from: &'static [UploadState] = &[UploadState::Completing, UploadState::Aborting];
    assert!(
        fixture
            .ledger
            .end(&aborted.id, from, UploadState::Aborted, at(95))
            .await
            .unwrap()
    );
    assert!(
        !fixture
            .ledger
            .end(&aborted.id, from, UploadState::Expired, at(95))
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

/// Several gateways sweep at the same time.
async fn abandoned_uploads_are_taken_once(fixture: Fixture) {
    let twins = [fixture.ledger.clone(), fixture.second_gateway().await];
    let (many, all) = (SWEEP_BATCH_ROWS + 20, SWEEP_BATCH_ROWS + 24);
    for n in 0..all {
        let upload = fixture.begin(&n.to_string(), 1).await;
        if n >= many {
            fixture
                .ledger
                .start_completing(&upload.id, 1, Vec::new(), until(60))
                .await
                .unwrap();
        }
    }
    assert!(
        fixture
            .ledger
            .take_sweep_task(SweepTask::Expired, at(59), at(120))
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
                    .take_sweep_task(SweepTask::Expired, at(60), at(120))
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
    let sweeps = join_all(
        (0..4).map(|n| twins[n % 2].take_sweep_task(SweepTask::Completing, at(60), at(120))),
    )
    .await;
    assert_eq!(
        sweeps
            .into_iter()
            .map(|some| some.unwrap().len())
            .sum::<usize>(),
        all - many
    );
    // The gateway that took them may have died: they can be taken again.
    assert_eq!(
        fixture
            .ledger
            .take_sweep_task(SweepTask::Expired, at(120), at(180))
            .await
            .unwrap()
            .len(),
        SWEEP_BATCH_ROWS
    );
}

async fn renewed_upload_is_not_swept(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    for round in 0..20 {
        let upload = fixture.begin(&round.to_string(), 1).await;
        let (ledger, id) = (fixture.ledger.clone(), upload.id.clone());
        let renew = tokio::spawn(async move {
            ledger
                .pin_parts(&id, 1, Vec::new(), until(1000))
                .await
                .unwrap()
        });
        let taken = second_gateway
            .take_sweep_task(SweepTask::Expired, at(60), at(120))
            .await
            .unwrap();
        let taken = taken.iter().any(|taken| taken.id == upload.id);
        match renew.await.unwrap() {
            Transition::Done => {
                assert!(!taken && fixture.state(&upload).await == UploadState::Uploading);
            }
            refused => assert!(
                taken && refused == Transition::WrongState(UploadState::Aborting),
                "{refused:?}"
            ),
        }
    }
}

async fn ended_upload_is_cleaned_up_when_due(fixture: Fixture) {
    let (ledger, second_gateway) = (&fixture.ledger, fixture.second_gateway().await);
    let (ended, open) = (
        fixture.begin("ended", 1).await,
        fixture.begin("open", 1).await,
    );
    ledger
        .start_aborting(&ended.id, None, at(60))
        .await
        .unwrap();
    ledger
        .end(
            &ended.id,
            &[UploadState::Aborting],
            UploadState::Aborted,
            at(50),
        )
        .await
        .unwrap();
    let take = async |now, until| {
        [
            ledger
                .take_sweep_task(SweepTask::CleanupDue, at(now), at(until))
                .await
                .unwrap(),
            second_gateway
                .take_sweep_task(SweepTask::CleanupDue, at(now), at(until))
                .await
                .unwrap(),
        ]
        .concat()
    };
    assert!(take(49, 99).await.is_empty());
    let taken = take(50, 99).await;
    assert_eq!(
        taken.iter().map(|upload| &upload.id).collect::<Vec<_>>(),
        [&ended.id]
    );
    // The earliest time that is scheduled counts. A time scheduled after the row was taken is kept.
    ledger.schedule_cleanup(&ended.id, at(70)).await.unwrap();
    ledger.schedule_cleanup(&ended.id, at(80)).await.unwrap();
    ledger
        .reschedule_cleanup(&ended.id, at(99), None)
        .await
        .unwrap();
    assert!(take(69, 75).await.is_empty());
    assert_eq!(take(70, 75).await.len(), 1);
    ledger
        .reschedule_cleanup(&ended.id, at(75), None)
        .await
        .unwrap();
    assert!(take(1000, 1001).await.is_empty());
    let keys = [ended.key.as_str(), "uploads/unknown", open.key.as_str()]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(
        ledger.schedule_key_cleanup(keys, at(30)).await.unwrap(),
        ["uploads/unknown"]
    );
    assert_eq!(
        take(30, 40).await.len(),
        1,
        "only the ended upload is scheduled"
    );
}

async fn thousands_of_parts_complete_quickly(fixture: Fixture) {
    let upload = fixture.begin("large", 2_000).await;
    let parts: Vec<_> = (1..=2_000)
        .rev()
        .map(|n| complete_part(n, &n.to_string()))
        .collect();
    let began = std::time::Instant::now();
    assert_eq!(
        fixture
            .ledger
            .start_completing(&upload.id, 1, parts, until(90))
            .await
            .unwrap(),
        Transition::Done
    );
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let parts = fixture.ledger.parts(&upload.id, 0, 2_000).await.unwrap();
    assert!(
        parts.len() == 2_000
            && parts
                .iter()
                .zip(1..)
                .all(|(part, n)| part.number.get() == n)
    );
    assert_eq!(parts[1_999].sha256, Some(Sha256::of(b"2000")));
}
