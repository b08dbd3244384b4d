//! Post-upload actions: what is verified is ready once every hook accepts it, and no sooner; what one rejects is nobody's to read.
//!
//! Border: the hooks here are a few words of shell, and a receiver on loopback; what a client waits for is `behaviour/wait`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{any, post};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256 as Sha256Hasher;
use upload_types::names::Token;

use crate::world::*;

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

async fn with(hooks: Vec<Hook>, change: impl FnOnce(&mut Config)) -> World {
    World::with(|config| {
        (config.hooks, config.hook_secret) = (hooks, Some(Token::new(SECRET.into())));
        change(config);
    })
    .await
}

/// An upload of these bytes, in parts of 5 MiB, and verified.
async fn verified(world: &World, bodies: &[Vec<u8>]) -> BeginResponse {
    let size = bodies
        .iter()
        .map(|body| u64::try_from(body.len()).unwrap())
        .sum();
    let upload = world.begun(&begin(size)).await;
    let parts = world.send(&upload, bodies).await;
    good::<Receipt>(world.complete(&upload, &parts).await, 200).await;
    upload
}

async fn status(world: &World, upload: &BeginResponse) -> UploadStatus {
    good(world.get(&format!("/v1/uploads/{}", upload.id)).await, 200).await
}

async fn becomes(world: &World, upload: &BeginResponse, state: UploadState) -> UploadStatus {
    until(state.name(), async || {
        Some(status(world, upload).await).filter(|status| status.state == state)
    })
    .await
}

/// What was sent to a receiver.
#[derive(Clone)]
struct Delivery {
    headers: HeaderMap,
    body: Bytes,
}

impl Delivery {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// As a receiver with this secret would sign it.
    fn signature(&self, secret: &str) -> String {
        let mut mac = Hmac::<Sha256Hasher>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(self.header("upload-hook-timestamp").as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        // In hex, as fingerprints are.
        format!("v1={}", Sha256::new(mac.finalize().into_bytes().into()))
    }
}

/// A receiver that answers with each of these in turn, and the last for ever; what is asked of `/elsewhere` it remembers, too.
async fn receiver(answers: Vec<(u16, String)>) -> (HookKind, Arc<Mutex<Vec<Delivery>>>) {
    let seen: Arc<Mutex<Vec<Delivery>>> = Arc::default();
    let (for_hook, for_others) = (Arc::clone(&seen), Arc::clone(&seen));
    let hook = move |headers: HeaderMap, body: Bytes| {
        let mut seen = for_hook.lock().unwrap();
        let (status, text) = answers[seen.len().min(answers.len() - 1)].clone();
        seen.push(Delivery { headers, body });
        async move {
            (
                StatusCode::from_u16(status).unwrap(),
                [("location", "/elsewhere")],
                text,
            )
                .into_response()
        }
    };
    let elsewhere = move |headers: HeaderMap, body: Bytes| {
        for_others.lock().unwrap().push(Delivery { headers, body });
        async { "followed" }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?key=value", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let router = Router::new()
        .route("/hook", post(hook))
        .fallback(any(elsewhere));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (HookKind::Webhook { url }, seen)
}

fn accepts() -> Vec<(u16, String)> {
    vec![(200, String::new())]
}

#[tokio::test]
async fn what_is_verified_is_ready_once_each_hook_has_accepted_it() {
    let place = tempfile::tempdir().unwrap();
    let (told, go) = (place.path().join("told"), place.path().join("go"));
    let script = format!(
        "cat > {}; until [ -e {} ]; do sleep 0.02; done",
        told.display(),
        go.display()
    );
    let (webhook, seen) = receiver(accepts()).await;
    let world = with(vec![sh("first", &script), hook("second", webhook)], |_| ()).await;
    let bodies = bodies();
    let upload = verified(&world, &bodies).await;
    let document: Value = until("the first hook", async || {
        serde_json::from_slice(&std::fs::read(&told).unwrap_or_default()).ok()
    })
    .await;

    let before = status(&world, &upload).await;
    assert_eq!((before.state, before.reason), (UploadState::Verified, None));
    let receipt = before.receipt.unwrap();
    let url = format!("/v1/uploads/{}/url", upload.id);
    assert_eq!(
        code(world.get(&url).await).await,
        "busy",
        "nobody reads what is not checked"
    );
    assert_eq!(
        code(
            world
                .request(Method::DELETE, url.trim_end_matches("/url"))
                .send()
                .await
                .unwrap()
        )
        .await,
        "not_abortable"
    );
    assert!(seen.lock().unwrap().is_empty(), "one after the other");
    assert_eq!(
        (&document["v"], &document["hook"]),
        (&1.into(), &"first".into())
    );
    let about = &document["upload"];
    assert_eq!(about["id"], upload.id.as_str());
    assert_eq!(about["key"], upload.key.as_str());
    assert_eq!(
        (&about["name"], &about["size"]),
        (&"Holiday.MOV".into(), &TWO_PARTS.into())
    );
    assert_eq!(about["content_type"], "video/quicktime");
    assert_eq!(
        about["checksum"],
        receipt.checksum.as_ref().unwrap().as_str()
    );
    assert_eq!(about["etag"], receipt.etag.as_str());
    assert_eq!(about["receipt"], serde_json::to_value(&receipt).unwrap());
    assert!(about["owner"].is_string() && about["metadata"].is_object());
    assert!(document["expires_in"].as_u64().unwrap() >= 3600);

    std::fs::write(&go, "").unwrap();
    becomes(&world, &upload, UploadState::Ready).await;
    let seen = seen.lock().unwrap().clone();
    let [delivery] = &seen[..] else {
        panic!("{} requests", seen.len())
    };
    let second: Value = serde_json::from_slice(&delivery.body).unwrap();
    assert_eq!(
        (&second["hook"], &second["upload"]),
        (&"second".into(), about)
    );
    for document in [document, second] {
        let read = world
            .client
            .get(document["read_url"].as_str().unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(read.bytes().await.unwrap(), bodies.concat());
    }
    good::<ReadUrl>(world.get(&url).await, 200).await;
}

#[tokio::test]
async fn without_hooks_it_is_ready_at_once() {
    let world = World::new().await;
    let upload = verified(&world, &[b"abc".to_vec()]).await;
    assert_eq!(status(&world, &upload).await.state, UploadState::Ready);
}

#[tokio::test]
async fn requests_are_signed_and_lead_nowhere_else() {
    let (webhook, seen) = receiver(vec![
        (302, String::new()),
        (200, "x".repeat(70_000)),
        (200, String::new()),
    ])
    .await;
    let world = with(vec![hook("second", webhook)], |_| ()).await;
    let upload = verified(&world, &[b"abc".to_vec()]).await;
    becomes(&world, &upload, UploadState::Ready).await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!(
        seen.len(),
        3,
        "no redirect is followed, no answer without end believed"
    );
    for delivery in seen {
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
async fn a_hook_that_fails_is_asked_again_and_those_before_it_are_not() {
    let place = tempfile::tempdir().unwrap();
    let runs = place.path().join("runs");
    let failing = vec![
        (500, String::new()),
        (401, "{}".into()),
        (200, "<html>log in".into()),
        (204, String::new()),
    ];
    let (webhook, seen) = receiver(failing).await;
    let world = with(
        vec![
            sh("first", &format!("echo run >> {}", runs.display())),
            hook("second", webhook),
        ],
        |_| (),
    )
    .await;
    let upload = verified(&world, &[b"abc".to_vec()]).await;
    becomes(&world, &upload, UploadState::Ready).await;
    assert_eq!(seen.lock().unwrap().len(), 4);
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n");
}

#[tokio::test]
async fn a_hook_that_hangs_is_killed_and_its_children_with_it() {
    let place = tempfile::tempdir().unwrap();
    let children = place.path().join("children");
    // The first time it hangs, with a child that holds on to its streams.
    let script = format!(
        "[ -e {0} ] && exit 0; sleep 600 & echo $! > {0}; wait",
        children.display()
    );
    let hooks = vec![Hook {
        time_limit: Duration::from_millis(700),
        ..sh("first", &script)
    }];
    let world = with(hooks, |_| ()).await;
    let upload = verified(&world, &[b"abc".to_vec()]).await;
    becomes(&world, &upload, UploadState::Ready).await;
    let child = std::fs::read_to_string(children).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    // As long as nobody has asked how it ended, it has a name.
    let lives = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    until("its child's end", async || (!lives()).then_some(())).await;
}

/// What a hook rejects, whatever the object is made of.
#[tokio::test]
async fn a_rejected_object_goes_or_stays_or_moves() {
    let says = r#"printf %s '{"reason":"Eicar \u001b[2J\n found"}'; exit 10"#;
    for on_reject in [
        OnReject::Delete,
        OnReject::Keep,
        OnReject::Quarantine("bad/files".into()),
    ] {
        let world = with(vec![sh("scan", says), sh("never", "exit 0")], |config| {
            config.on_reject = on_reject.clone();
        })
        .await;
        for bodies in [vec![Vec::new()], vec![b"abc".to_vec()], bodies().to_vec()] {
            let upload = verified(&world, &bodies).await;
            let rejected = becomes(&world, &upload, UploadState::Rejected).await;
            assert_eq!(rejected.reason.as_deref(), Some("Eicar [2J found"));
            let path = format!("/v1/uploads/{}", upload.id);
            assert_eq!(code(world.get(&format!("{path}/url")).await).await, "gone");
            let claim = ClaimRequest {
                holder: "holder-a".into(),
                epoch: None,
            };
            assert_eq!(
                code(world.post(&format!("{path}/claim"), &claim).await).await,
                "gone"
            );
            let part = CompletePart {
                number: PartNumber::FIRST,
                etag: "e".parse().unwrap(),
                sha256: Sha256::of(b""),
            };
            assert_eq!(code(world.complete(&upload, &[part]).await).await, "gone");
            let there = async |key: &str| world.store().head(&key.parse().unwrap()).await.unwrap();
            let moved = format!("bad/files/{}", upload.key);
            if on_reject == OnReject::Keep {
                assert!(there(upload.key.as_str()).await.is_some());
                continue;
            }
            until("the object to go", async || {
                there(upload.key.as_str()).await.is_none().then_some(())
            })
            .await;
            let quarantined = there(&moved).await;
            if on_reject == OnReject::Delete {
                assert!(quarantined.is_none());
            } else {
                let size = bodies.iter().map(Vec::len).sum::<usize>();
                let quarantined = quarantined.unwrap();
                assert_eq!(quarantined.size, u64::try_from(size).unwrap());
                assert_eq!(quarantined.content_type.as_deref(), Some("video/quicktime"));
                assert!(
                    world
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

/// The URL of a single PUT outlives the object: who has it may bring the object back, but not for ever.
#[tokio::test]
async fn a_rejected_object_that_comes_back_is_removed_again() {
    let sweeps = |config: &mut Config| config.sweep_interval = Some(Duration::from_millis(20));
    let world = with(vec![sh("scan", "exit 10")], sweeps).await;
    let upload = world.begun(&begin(3)).await;
    let signed: SignResponse = good(world.sign(&upload, vec![spec(1, b"abc")]).await, 200).await;
    let etag = etag(&world.put(&signed.parts[0], b"abc".to_vec()).await);
    let part = CompletePart {
        number: PartNumber::FIRST,
        etag,
        sha256: Sha256::of(b"abc"),
    };
    good::<Receipt>(world.complete(&upload, &[part]).await, 200).await;
    becomes(&world, &upload, UploadState::Rejected).await;
    let gone = async || {
        world
            .store()
            .head(&upload.key)
            .await
            .unwrap()
            .is_none()
            .then_some(())
    };
    until("the object to go", gone).await;
    assert_eq!(
        world.put(&signed.parts[0], b"abc".to_vec()).await.status(),
        200
    );
    world.ledger("UPDATE upload SET cleanup_at = 0 WHERE cleanup_at IS NOT NULL");
    until("the object to go again", gone).await;
}

/// The gateway died when it had written down that the object is rejected.
#[tokio::test]
async fn a_sweep_sees_to_what_was_rejected() {
    let world = World::with(|config| config.sweep_interval = Some(Duration::from_millis(20))).await;
    for (disposal, stays) in [
        (r#""delete""#, false),
        (r#""keep""#, true),
        (r#"{"quarantine":"q/x"}"#, false),
    ] {
        let bodies = [disposal.as_bytes().to_vec()];
        let upload = verified(&world, &bodies).await;
        let said = format!(
            r#"{{"hook":"scan","reason":"bad","disposal":{disposal},"until":"2020-01-01T00:00:00Z"}}"#
        );
        let rejected = format!("state = 'rejected', rejection = '{said}', cleanup_at = 0");
        world.ledger(&format!(
            "UPDATE upload SET {rejected} WHERE id = '{}'",
            upload.id
        ));
        let ledger = rusqlite::Connection::open(world.place.path().join("ledger.db")).unwrap();
        let looked = "SELECT count(*) FROM upload WHERE cleanup_at IS NULL AND id = ?1";
        until("the sweep", async || {
            let looked: i64 = ledger
                .query_row(looked, [upload.id.as_str()], |row| row.get(0))
                .unwrap_or_default();
            (looked == 1).then_some(())
        })
        .await;
        assert_eq!(
            world.store().head(&upload.key).await.unwrap().is_some(),
            stays,
            "{disposal}"
        );
    }
    assert!(
        world
            .store()
            .head(&"q/x".parse().unwrap())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn what_cannot_be_run_stops_the_gateway_at_its_start() {
    let nowhere: PathBuf = "/nowhere/at/all".into();
    let (webhook, _) = receiver(accepts()).await;
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
        let place = tempfile::tempdir().unwrap();
        let secret = secret.map(|secret| Token::new(secret.into()));
        let config = Config {
            hooks,
            hook_secret: secret,
            ..config(place.path(), Auth::None)
        };
        assert_eq!(
            upload_gateway::start(config).await.unwrap_err().kind(),
            Kind::Config
        );
    }
}
