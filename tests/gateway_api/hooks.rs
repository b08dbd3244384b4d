//! Hooks: a verified upload is ready when every hook has accepted it; a rejected one cannot be
//! read.
//!
//! The hooks are shell scripts and a receiver on loopback. Not here: the client's wait
//! (`tests/behaviour/wait_for_hooks.rs`).

use std::path::PathBuf;

use serde_json::Value;
use upload_types::Token;

use crate::gateway::*;
use crate::webhook_receiver::receiver;

const SECRET: &str = "a secret of webhooks";

fn hook(name: &str, kind: HookKind) -> Hook {
    Hook {
        name: name.into(),
        kind,
        time_limit: Duration::from_mins(1),
    }
}

fn sh(name: &str, script: &str) -> Hook {
    hook(
        name,
        HookKind::Command {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
        },
    )
}

async fn with_hooks(hooks: Vec<Hook>, change: impl FnOnce(&mut Config)) -> TestGateway {
    TestGateway::with_config(|config| {
        (config.hooks, config.hook_secret) = (hooks, Some(Token::new(SECRET.into())));
        change(config);
    })
    .await
}

/// Creates a verified upload of these bytes, in parts of 5 MiB.
async fn create_verified_upload(gateway: &TestGateway, bodies: &[Vec<u8>]) -> BeginResponse {
    let size = bodies
        .iter()
        .map(|body| u64::try_from(body.len()).unwrap())
        .sum();
    let upload = gateway.create_upload(&begin_request(size)).await;
    let parts = gateway.put_parts(&upload, bodies).await;
    expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;
    upload
}

async fn status(gateway: &TestGateway, upload: &BeginResponse) -> UploadStatus {
    expect_json(
        gateway.get(&format!("/v1/uploads/{}", upload.id)).await,
        200,
    )
    .await
}

async fn wait_for_state(
    gateway: &TestGateway,
    upload: &BeginResponse,
    state: UploadState,
) -> UploadStatus {
    until(state.name(), async || {
        Some(status(gateway, upload).await).filter(|status| status.state == state)
    })
    .await
}

fn ok_response() -> Vec<(u16, String)> {
    vec![(200, String::new())]
}

#[tokio::test]
async fn upload_is_ready_after_every_hook_accepted_it() {
    let dir = tempfile::tempdir().unwrap();
    let (document_path, go_path) = (dir.path().join("document"), dir.path().join("go"));
    let script = format!(
        "cat > {}; until [ -e {} ]; do sleep 0.02; done",
        document_path.display(),
        go_path.display()
    );
    let (webhook, deliveries) = receiver(ok_response()).await;
    let gateway = with_hooks(vec![sh("first", &script), hook("second", webhook)], |_| ()).await;
    let bodies = bodies();
    let upload = create_verified_upload(&gateway, &bodies).await;
    let document: Value = until("the first hook", async || {
        serde_json::from_slice(&std::fs::read(&document_path).unwrap_or_default()).ok()
    })
    .await;

    let before = status(&gateway, &upload).await;
    assert_eq!((before.state, before.reason), (UploadState::Verified, None));
    let receipt = before.receipt.unwrap();
    let url = format!("/v1/uploads/{}/url", upload.id);
    assert_eq!(
        problem_code(gateway.get(&url).await).await,
        "not_ready",
        "an upload can be read before the hooks accept it"
    );
    assert!(
        deliveries.lock().unwrap().is_empty(),
        "the second hook ran before the first one accepted"
    );
    assert_eq!(
        (&document["v"], &document["hook"]),
        (&1.into(), &"first".into())
    );
    let description = &document["upload"];
    assert_eq!(description["id"], upload.id.as_str());
    assert_eq!(description["key"], upload.key.as_str());
    assert_eq!(
        (&description["name"], &description["size"]),
        (&"Holiday.MOV".into(), &TWO_PARTS.into())
    );
    assert_eq!(description["content_type"], "video/quicktime");
    assert_eq!(
        description["checksum"],
        receipt.checksum.as_ref().unwrap().as_str()
    );
    assert_eq!(description["etag"], receipt.etag.as_str());
    assert_eq!(
        description["receipt"],
        serde_json::to_value(&receipt).unwrap()
    );
    assert!(description["owner"].is_string() && description["metadata"].is_object());
    assert!(document["expires_in"].as_u64().unwrap() >= 3600);

    std::fs::write(&go_path, "").unwrap();
    wait_for_state(&gateway, &upload, UploadState::Ready).await;
    let deliveries = deliveries.lock().unwrap().clone();
    let [delivery] = &deliveries[..] else {
        panic!("{} requests", deliveries.len())
    };
    let second: Value = serde_json::from_slice(&delivery.body).unwrap();
    assert_eq!(
        (&second["hook"], &second["upload"]),
        (&"second".into(), description)
    );
    for document in [document, second] {
        let read = gateway
            .client
            .get(document["read_url"].as_str().unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(read.bytes().await.unwrap(), bodies.concat());
    }
    expect_json::<ReadUrl>(gateway.get(&url).await, 200).await;
}

#[tokio::test]
async fn upload_without_hooks_is_ready_at_once() {
    let gateway = TestGateway::new().await;
    let upload = create_verified_upload(&gateway, &[b"abc".to_vec()]).await;
    assert_eq!(status(&gateway, &upload).await.state, UploadState::Ready);
}

#[tokio::test]
async fn webhook_requests_are_signed_and_redirects_not_followed() {
    let (webhook, deliveries) = receiver(vec![
        (302, String::new()),
        (200, "x".repeat(70_000)),
        (200, String::new()),
    ])
    .await;
    let gateway = with_hooks(vec![hook("second", webhook)], |_| ()).await;
    let upload = create_verified_upload(&gateway, &[b"abc".to_vec()]).await;
    wait_for_state(&gateway, &upload, UploadState::Ready).await;
    let deliveries = deliveries.lock().unwrap().clone();
    assert_eq!(
        deliveries.len(),
        3,
        "a redirect was followed or an oversized response accepted"
    );
    for delivery in deliveries {
        assert_eq!(
            delivery.header("upload-hook-signature"),
            delivery.signature(SECRET)
        );
        assert_ne!(
            delivery.header("upload-hook-signature"),
            delivery.signature("another secret")
        );
        assert_eq!(
            delivery.header("upload-hook-id"),
            format!("{}.second", upload.id)
        );
        assert_eq!(delivery.header("content-type"), "application/json");
        let sent: i64 = delivery.header("upload-hook-timestamp").parse().unwrap();
        assert!((jiff::Timestamp::now().as_second() - sent).abs() < 600);
        assert!(!delivery.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn failed_hook_is_repeated_without_the_hooks_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let failing = vec![
        (500, String::new()),
        (401, "{}".into()),
        (200, "<html>log in".into()),
        (204, String::new()),
    ];
    let (webhook, deliveries) = receiver(failing).await;
    let gateway = with_hooks(
        vec![
            sh("first", &format!("echo run >> {}", runs.display())),
            hook("second", webhook),
        ],
        |_| (),
    )
    .await;
    let upload = create_verified_upload(&gateway, &[b"abc".to_vec()]).await;
    wait_for_state(&gateway, &upload, UploadState::Ready).await;
    assert_eq!(deliveries.lock().unwrap().len(), 4);
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n");
}

#[tokio::test]
async fn hanging_hook_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let children = dir.path().join("children");
    // The first time the hook hangs, with a child that keeps its streams open.
    let script = format!(
        "[ -e {0} ] && exit 0; sleep 600 & echo $! > {0}; wait",
        children.display()
    );
    let hooks = vec![Hook {
        time_limit: Duration::from_millis(700),
        ..sh("first", &script)
    }];
    let gateway = with_hooks(hooks, |_| ()).await;
    let upload = create_verified_upload(&gateway, &[b"abc".to_vec()]).await;
    wait_for_state(&gateway, &upload, UploadState::Ready).await;
    let child = std::fs::read_to_string(children).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    // A zombie still has an entry in /proc.
    let is_running = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    until("the child to end", async || (!is_running()).then_some(())).await;
}

/// Each case is tested with an empty, a small and a multipart object.
#[tokio::test]
async fn rejected_object_is_deleted_kept_or_quarantined() {
    let script = r#"printf %s '{"reason":"Eicar \u001b[2J\n found"}'; exit 10"#;
    for on_reject in [
        OnReject::Delete,
        OnReject::Keep,
        OnReject::Quarantine("bad/files".into()),
    ] {
        let gateway = with_hooks(vec![sh("scan", script), sh("never", "exit 0")], |config| {
            config.on_reject = on_reject.clone();
        })
        .await;
        for bodies in [vec![Vec::new()], vec![b"abc".to_vec()], bodies().to_vec()] {
            let upload = create_verified_upload(&gateway, &bodies).await;
            let rejected = wait_for_state(&gateway, &upload, UploadState::Rejected).await;
            assert_eq!(rejected.reason.as_deref(), Some("Eicar [2J found"));
            let path = format!("/v1/uploads/{}", upload.id);
            assert_eq!(
                problem_code(gateway.get(&format!("{path}/url")).await).await,
                "gone"
            );
            let claim = ClaimRequest {
                holder: "holder-a".into(),
                epoch: None,
            };
            assert_eq!(
                problem_code(gateway.post(&format!("{path}/claim"), &claim).await).await,
                "gone"
            );
            let part = CompletePart {
                number: PartNumber::FIRST,
                etag: "e".parse().unwrap(),
                sha256: Sha256::of(b""),
            };
            assert_eq!(
                problem_code(gateway.complete(&upload, &[part]).await).await,
                "gone"
            );
            let head = async |key: &str| gateway.store().head(&key.parse().unwrap()).await.unwrap();
            let moved = format!("bad/files/{}", upload.key);
            if on_reject == OnReject::Keep {
                assert!(head(upload.key.as_str()).await.is_some());
                continue;
            }
            until("the object to be removed", async || {
                head(upload.key.as_str()).await.is_none().then_some(())
            })
            .await;
            let quarantined = head(&moved).await;
            if on_reject == OnReject::Delete {
                assert!(quarantined.is_none());
            } else {
                let size = bodies.iter().map(Vec::len).sum::<usize>();
                let quarantined = quarantined.unwrap();
                assert_eq!(quarantined.size, u64::try_from(size).unwrap());
                assert_eq!(quarantined.content_type.as_deref(), Some("video/quicktime"));
                assert!(
                    gateway
                        .store()
                        .find(&moved.parse().unwrap())
                        .await
                        .unwrap()
                        .is_empty()
                );
            }
        }
    }
}

/// The URL of a single PUT is still valid after the object is removed, so the object can be sent
/// again.
#[tokio::test]
async fn rejected_object_sent_again_is_removed_again() {
    let sweep_often = |config: &mut Config| config.sweep_interval = Some(Duration::from_millis(20));
    let gateway = with_hooks(vec![sh("scan", "exit 10")], sweep_often).await;
    let upload = gateway.create_upload(&begin_request(3)).await;
    let signed: SignResponse =
        expect_json(gateway.sign(&upload, vec![part_spec(1, b"abc")]).await, 200).await;
    let etag = etag(&gateway.put(&signed.parts[0], b"abc".to_vec()).await);
    let part = CompletePart {
        number: PartNumber::FIRST,
        etag,
        sha256: Sha256::of(b"abc"),
    };
    expect_json::<Receipt>(gateway.complete(&upload, &[part]).await, 200).await;
    wait_for_state(&gateway, &upload, UploadState::Rejected).await;
    let removed = async || {
        gateway
            .store()
            .head(&upload.key)
            .await
            .unwrap()
            .is_none()
            .then_some(())
    };
    until("the object to be removed", removed).await;
    assert_eq!(
        gateway
            .put(&signed.parts[0], b"abc".to_vec())
            .await
            .status(),
        200
    );
    gateway.execute_sql("UPDATE upload SET cleanup_at = 0 WHERE cleanup_at IS NOT NULL");
    until("the object to be removed again", removed).await;
}

/// The gateway was killed after it recorded the rejection.
#[tokio::test]
async fn sweep_finishes_an_interrupted_rejection() {
    let gateway =
        TestGateway::with_config(|config| config.sweep_interval = Some(Duration::from_millis(20)))
            .await;
    for (disposal, object_stays) in [
        (r#""delete""#, false),
        (r#""keep""#, true),
        (r#"{"quarantine":"q/x"}"#, false),
    ] {
        let bodies = [disposal.as_bytes().to_vec()];
        let upload = create_verified_upload(&gateway, &bodies).await;
        let rejection = format!(
            r#"{{"hook":"scan","reason":"bad","disposal":{disposal},"until":"2020-01-01T00:00:00Z"}}"#
        );
        let assignments = format!("state = 'rejected', rejection = '{rejection}', cleanup_at = 0");
        gateway.execute_sql(&format!(
            "UPDATE upload SET {assignments} WHERE id = '{}'",
            upload.id
        ));
        let ledger = rusqlite::Connection::open(gateway.dir.path().join("ledger.db")).unwrap();
        let query = "SELECT count(*) FROM upload WHERE cleanup_at IS NULL AND id = ?1";
        until("the sweep", async || {
            let done_count: i64 = ledger
                .query_row(query, [upload.id.as_str()], |row| row.get(0))
                .unwrap_or_default();
            (done_count == 1).then_some(())
        })
        .await;
        assert_eq!(
            gateway.store().head(&upload.key).await.unwrap().is_some(),
            object_stays,
            "{disposal}"
        );
    }
    assert!(
        gateway
            .store()
            .head(&"q/x".parse().unwrap())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn invalid_hook_configuration_stops_the_start() {
    let nowhere: PathBuf = "/nowhere/at/all".into();
    let (webhook, _) = receiver(ok_response()).await;
    for (hooks, secret) in [
        (
            vec![hook(
                "a",
                HookKind::Command {
                    program: nowhere,
                    args: vec![],
                },
            )],
            Some(SECRET),
        ),
        (vec![hook("a", webhook)], None),
        (vec![sh("a", "true"), sh("a", "true")], Some(SECRET)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let secret = secret.map(|secret| Token::new(secret.into()));
        let config = Config {
            hooks,
            hook_secret: secret,
            ..config(dir.path(), Auth::None)
        };
        assert_eq!(
            upload_gateway::start(config).await.unwrap_err().kind(),
            Kind::Config
        );
    }
}
