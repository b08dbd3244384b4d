//! Hooks with several gateways: one gateway runs the hooks of an upload, and a gateway that has
//! lost the lease of the hooks decides nothing.
//!
//! Not here: verdicts and their effects (`tests/gateway_api`).

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use jiff::Timestamp;

use super::fixture::{Fixture, Interference, receipt, wait_until};
use crate::hooks::{Disposal, Hook, HookKind, Hooks, OnReject, Reason};
use crate::ledger::Rejection;
use upload_types::wire::{BeginResponse, UploadState};

fn shell_hook(script: &str) -> Hooks {
    let kind = HookKind::Command {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
    };
    let hook = Hook {
        name: "test".into(),
        kind,
        time_limit: Duration::from_mins(1),
    };
    Hooks::new(
        vec![hook],
        OnReject::Delete,
        None,
        &upload_net::Network::default(),
    )
    .unwrap()
}

async fn verified_upload(fixture: &Fixture, name: &str) -> BeginResponse {
    let (upload, request) = fixture.send_parts_as(name, 3).await;
    receipt(fixture.complete(&upload, &request).await);
    upload
}

#[tokio::test]
async fn hooks_of_an_upload_run_in_one_of_two_gateways() {
    let runs = tempfile::NamedTempFile::new().unwrap();
    let script = format!("echo run >> {}", runs.path().display());
    let fixture = Fixture::with(|config| config.hooks = shell_hook(&script)).await;
    let mut uploads = Vec::new();
    for number in 0..8 {
        uploads.push(verified_upload(&fixture, &number.to_string()).await);
    }
    let gateways = [Arc::clone(&fixture.service), fixture.second_gateway().await]
        .map(|gateway| tokio::spawn(gateway.run_hooks()));
    for upload in uploads {
        wait_until("the upload is ready", async || {
            fixture.state(&upload).await == UploadState::Ready
        })
        .await;
    }
    gateways.iter().for_each(tokio::task::JoinHandle::abort);
    let runs = std::fs::read_to_string(runs.path()).unwrap();
    assert_eq!(runs.lines().count(), 8);
}

#[tokio::test]
async fn gateway_with_a_lost_lease_of_hooks_decides_nothing() {
    let fixture = Fixture::with(|config| config.hooks = shell_hook("exit 0")).await;
    let upload = verified_upload(&fixture, "a").await;
    let id = &upload.id;
    let (ledger, now) = (&fixture.service.ledger, Timestamp::now());
    let later = now.checked_add(Duration::from_mins(1)).unwrap();
    let take = async |until| {
        ledger
            .take_due_hooks(now, until, 4, <_>::default())
            .await
            .unwrap()
    };
    let first = take(now).await.pop().unwrap();
    let second = take(later).await.pop().unwrap();
    assert!(
        take(later).await.is_empty(),
        "the second gateway holds the hooks"
    );
    assert_eq!((first.epoch, second.epoch), (1, 2));

    let rejection = Rejection {
        hook: "test".into(),
        reason: Reason::new(None),
        disposal: Disposal::Delete,
        until: Some(Timestamp::now()),
    };
    let old_epoch = first.epoch;
    assert!(!ledger.hold_hooks(id, old_epoch, later).await.unwrap());
    let accepted = ["test".to_owned()];
    assert!(
        !ledger
            .record_accepted_hooks(id, old_epoch, &accepted)
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .record_hook_failure(id, old_epoch, 1, now)
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .mark_rejected(id, old_epoch, &rejection, (now, now))
            .await
            .unwrap()
    );
    assert!(!ledger.mark_ready(id, old_epoch).await.unwrap());
    let status = fixture.service.status(&fixture.owner, id.as_str()).await;
    let status = status.unwrap();
    assert_eq!((status.state, status.reason), (UploadState::Verified, None));

    let current_epoch = second.epoch;
    assert!(ledger.hold_hooks(id, current_epoch, later).await.unwrap());
    assert!(ledger.mark_ready(id, current_epoch).await.unwrap());
    assert!(
        !ledger
            .mark_rejected(id, current_epoch, &rejection, (now, now))
            .await
            .unwrap(),
        "the upload is decided"
    );
    assert_eq!(fixture.state(&upload).await, UploadState::Ready);
    assert_eq!(ledger.next_hooks_due().await.unwrap(), None);
}

#[tokio::test]
async fn hook_is_killed_if_another_gateway_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600",
        pid_file.display()
    );
    let fixture = Fixture::with(|config| {
        config.hooks = shell_hook(&script);
        config.lease_terms.lease_ttl = Duration::from_millis(300);
    })
    .await;
    let upload = verified_upload(&fixture, "a").await;
    let gateway = tokio::spawn(Arc::clone(&fixture.service).run_hooks());
    wait_until("the hook runs", async || pid_file.exists()).await;
    fixture.execute_sql("UPDATE pending_hooks SET epoch = epoch + 10, due_at = due_at + 3600000");
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let is_running = || {
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z "))
    };
    wait_until("the hook has ended", async || !is_running()).await;
    gateway.abort();
    assert_eq!(fixture.state(&upload).await, UploadState::Verified);
}

#[tokio::test]
async fn cleanup_of_a_rejected_object_is_held_until_the_store_has_removed_it() {
    let fixture = Fixture::with(|config| {
        config.hooks = shell_hook("exit 10");
        config.lease_terms.lease_ttl = Duration::from_millis(300);
    })
    .await;
    let upload = verified_upload(&fixture, "a").await;
    fixture.interfere(Method::DELETE, "", Interference::Delay);
    let gateway = tokio::spawn(Arc::clone(&fixture.service).run_hooks());
    let connection = rusqlite::Connection::open(fixture.dir.path().join("ledger.db")).unwrap();
    let held_until = || {
        connection
            .query_row("SELECT cleanup_at FROM upload", [], |row| {
                row.get::<_, Option<i64>>(0)
            })
            .unwrap()
    };
    for _ in 0..3 {
        let before = held_until();
        wait_until("the cleanup is held for longer", async || {
            held_until() > before
        })
        .await;
    }
    fixture.stop_interfering();
    wait_until("the object is removed", async || {
        !fixture.has_object(&upload).await
    })
    .await;
    gateway.abort();
    assert_eq!(fixture.requests(&Method::DELETE, "").len(), 1);
}
