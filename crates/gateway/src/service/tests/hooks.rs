//! Hooks when there are many gateways: of those that take an upload one decides, and who was overtaken decides nothing.
//!
//! Border: what hooks say, and what follows, is `tests/gateway_api/hooks.rs`.

use super::*;
use crate::hooks::{Fate, Hook, HookKind, OnReject, Reason};
use crate::ledger::Rejection;

fn sh(script: &str) -> Hooks {
    let kind = HookKind::Command {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
    };
    let hook = Hook {
        name: "test".into(),
        kind,
        time_limit: Duration::from_mins(1),
    };
    Hooks::new(vec![hook], OnReject::Delete, None).unwrap()
}

async fn verified(world: &World, name: &str) -> UploadId {
    let (upload, request) = world.sent_as(name, 3).await;
    receipt(world.complete(&upload, &request).await);
    upload.id
}

#[tokio::test]
async fn of_two_gateways_each_upload_has_one() {
    let runs = tempfile::NamedTempFile::new().unwrap();
    let script = format!("echo run >> {}", runs.path().display());
    let world = World::with(|rules| rules.hooks = sh(&script)).await;
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(verified(&world, &number.to_string()).await);
    }
    let gateways = [Arc::clone(&world.service), world.twin().await]
        .map(|gateway| tokio::spawn(gateway.keep_hooking()));
    for id in ids {
        let state = async || {
            world
                .service
                .status(&world.owner, id.as_str())
                .await
                .unwrap()
                .state
        };
        until("every one is ready", async || {
            state().await == UploadState::Ready
        })
        .await;
    }
    gateways.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(
        std::fs::read_to_string(runs.path())
            .unwrap()
            .lines()
            .count(),
        8
    );
}

#[tokio::test]
async fn who_was_overtaken_decides_nothing() {
    let world = World::with(|rules| rules.hooks = sh("exit 0")).await;
    let id = verified(&world, "a").await;
    let (ledger, now) = (&world.service.ledger, Timestamp::now());
    let later = now.checked_add(Duration::from_mins(1)).unwrap();
    let first = ledger
        .take_due_hooks(now, now, 4)
        .await
        .unwrap()
        .pop()
        .unwrap();
    let second = ledger
        .take_due_hooks(now, later, 4)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert!(
        ledger
            .take_due_hooks(now, later, 4)
            .await
            .unwrap()
            .is_empty(),
        "it is held"
    );
    assert_eq!((first.epoch, second.epoch), (1, 2));

    let rejection = Rejection {
        hook: "test".into(),
        reason: Reason::of(None),
        fate: Fate::Delete,
        until: Timestamp::now(),
    };
    assert!(!ledger.hold_hooks(&id, first.epoch, later).await.unwrap());
    assert!(
        !ledger
            .record_accepted_hooks(&id, first.epoch, &["test".into()])
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .record_hook_failure(&id, first.epoch, 1, now)
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .mark_rejected(&id, first.epoch, &rejection, now)
            .await
            .unwrap()
    );
    assert!(!ledger.mark_ready(&id, first.epoch).await.unwrap());
    let status = world
        .service
        .status(&world.owner, id.as_str())
        .await
        .unwrap();
    assert_eq!((status.state, status.reason), (UploadState::Verified, None));

    assert!(ledger.hold_hooks(&id, second.epoch, later).await.unwrap());
    assert!(ledger.mark_ready(&id, second.epoch).await.unwrap());
    assert!(
        !ledger
            .mark_rejected(&id, second.epoch, &rejection, now)
            .await
            .unwrap(),
        "it is decided"
    );
    assert_eq!(
        world
            .service
            .status(&world.owner, id.as_str())
            .await
            .unwrap()
            .state,
        UploadState::Ready
    );
    assert_eq!(ledger.next_hooks_due().await.unwrap(), None);
}

/// A verdict that comes when another gateway has taken over: the hook is ended, and what it would have said counts for nothing.
#[tokio::test]
async fn a_hook_whose_upload_another_has_taken_is_ended() {
    let place = tempfile::tempdir().unwrap();
    let began = place.path().join("began");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600",
        began.display()
    );
    let world = World::with(|rules| {
        rules.hooks = sh(&script);
        rules.terms.lease = Duration::from_millis(300);
    })
    .await;
    let id = verified(&world, "a").await;
    let gateway = tokio::spawn(Arc::clone(&world.service).keep_hooking());
    until("the hook runs", async || began.exists()).await;
    world.ledger("UPDATE pending_hooks SET epoch = epoch + 10, due_at = due_at + 3600000");
    let pid = std::fs::read_to_string(&began).unwrap();
    let lives = || {
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z "))
    };
    until("the hook has ended", async || !lives()).await;
    gateway.abort();
    assert_eq!(
        world
            .service
            .status(&world.owner, id.as_str())
            .await
            .unwrap()
            .state,
        UploadState::Verified
    );
}

/// From the rejection on its object is held, and no longer its hooks.
#[tokio::test]
async fn a_rejected_object_is_held_however_long_the_store_takes_to_remove_it() {
    let world = World::with(|rules| {
        rules.hooks = sh("exit 10");
        rules.terms.lease = Duration::from_millis(300);
    })
    .await;
    let (upload, request) = world.sent_as("a", 3).await;
    receipt(world.complete(&upload, &request).await);
    world.set(Method::DELETE, "", Mood::Late);
    let gateway = tokio::spawn(Arc::clone(&world.service).keep_hooking());
    let ledger = rusqlite::Connection::open(world.place.path().join("ledger.db")).unwrap();
    let held = || {
        ledger
            .query_row("SELECT cleanup_at FROM upload", [], |row| {
                row.get::<_, Option<i64>>(0)
            })
            .unwrap()
    };
    for _ in 0..3 {
        let before = held();
        until("it is held for longer", async || held() > before).await;
    }
    world.heal();
    let gone = async || {
        world
            .service
            .store
            .head(&upload.key)
            .await
            .unwrap()
            .is_none()
    };
    until("the object is gone", gone).await;
    gateway.abort();
    assert_eq!(world.asked(&Method::DELETE, "").len(), 1);
}
