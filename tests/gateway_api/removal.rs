//! Removal of uploads that are ready or wait for hooks, and what a client learns before the hooks
//! have decided.
//!
//! Not here: aborts of unfinished uploads (`abort`), the verb `upload rm` (`tests/behaviour/rm`).

use crate::gateway::*;

fn hook(script: &str) -> Hook {
    Hook {
        name: "check".into(),
        kind: HookKind::Command {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
        },
        time_limit: Duration::from_mins(1),
    }
}

async fn complete_upload(gateway: &TestGateway, body: &[u8]) -> (BeginResponse, Receipt) {
    let size = u64::try_from(body.len()).unwrap();
    let upload = gateway.create_upload(&begin_request(size)).await;
    let parts = gateway.put_parts(&upload, &[body.to_vec()]).await;
    let receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    (upload, receipt)
}

async fn status(gateway: &TestGateway, upload: &BeginResponse) -> UploadStatus {
    let path = format!("/v1/uploads/{}", upload.id);
    expect_json(gateway.get(&path).await, 200).await
}

async fn delete(gateway: &TestGateway, upload: &BeginResponse, query: &str) -> Response {
    let path = format!("/v1/uploads/{}{query}", upload.id);
    let request = gateway.request(Method::DELETE, &path);
    request.send().await.unwrap()
}

async fn has_object(gateway: &TestGateway, upload: &BeginResponse) -> bool {
    let object = gateway.store().head(&upload.key).await;
    object.unwrap().is_some()
}

#[tokio::test]
async fn cdn_and_hooks_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        hooks: vec![hook("exit 0")],
        cdn_url: Some("https://cdn.example.com".parse().unwrap()),
        ..config(dir.path(), Auth::None)
    };
    let error = upload_gateway::start(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.hint().unwrap().contains("--cdn"), "{error:?}");
    let without_hooks = Config {
        hooks: Vec::new(),
        ..config
    };
    without_hooks.validate().unwrap();
}

#[tokio::test]
async fn no_answer_names_a_location_before_the_hooks_have_accepted_the_object() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let document = dir.path().join("document");
    let script = format!(
        "cat > {}; until [ -e {} ]; do sleep 0.02; done",
        document.display(),
        go.display()
    );
    let gateway = TestGateway::with_config(|config| config.hooks = vec![hook(&script)]).await;
    let (upload, receipt) = complete_upload(&gateway, b"abc").await;
    assert_eq!(receipt.location, None);
    let parts = [CompletePart {
        number: PartNumber::FIRST,
        etag: receipt.etag.clone(),
        sha256: Sha256::of(b"abc"),
    }];
    let again: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    assert_eq!(again.location, None);
    let verified = status(&gateway, &upload).await;
    assert_eq!(verified.state, UploadState::Verified);
    assert_eq!(verified.receipt.unwrap().location, None);
    let list: UploadList = expect_json(gateway.get("/v1/uploads").await, 200).await;
    assert_eq!(list.uploads[0].receipt.as_ref().unwrap().location, None);
    let document = until("the document of the hook", async || {
        let text = std::fs::read(&document).ok()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()
    })
    .await;
    assert!(document["upload"]["receipt"].get("location").is_none());

    std::fs::write(&go, "").unwrap();
    let ready = until("the upload to be ready", async || {
        Some(status(&gateway, &upload).await).filter(|it| it.state == UploadState::Ready)
    })
    .await;
    let location = ready.receipt.unwrap().location;
    assert_eq!(location, Some(format!("embedded:{}", upload.key)));
}

#[tokio::test]
async fn upload_that_waits_for_hooks_is_aborted_and_its_hook_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (pid, go) = (dir.path().join("pid"), dir.path().join("go"));
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; until [ -e {1} ]; do sleep 0.02; done",
        pid.display(),
        go.display()
    );
    let gateway = TestGateway::with_config(|config| {
        config.hooks = vec![hook(&script)];
        config.lease_ttl = Duration::from_millis(300);
    })
    .await;
    let (upload, _) = complete_upload(&gateway, b"abc").await;
    until("the hook to run", async || pid.exists().then_some(())).await;
    // A client that gives up its own transfer does not remove what is verified.
    let own = delete(&gateway, &upload, &format!("?epoch={}", upload.epoch)).await;
    assert_eq!(problem_code(own).await, "not_abortable");
    assert_eq!(
        delete(&gateway, &upload, "?unfinished=true").await.status(),
        204
    );
    assert_eq!(status(&gateway, &upload).await.state, UploadState::Aborted);
    assert!(!has_object(&gateway, &upload).await);
    // The hook has no verdict any more: its gateway finds that it has lost the upload.
    let stat = format!(
        "/proc/{}/stat",
        std::fs::read_to_string(&pid).unwrap().trim()
    );
    let is_running = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    until("the hook to end", async || (!is_running()).then_some(())).await;
    assert_eq!(status(&gateway, &upload).await.state, UploadState::Aborted);
    assert_eq!(
        problem_code(gateway.get(&format!("/v1/uploads/{}/url", upload.id)).await).await,
        "gone"
    );
}

#[tokio::test]
async fn ready_upload_is_removed_only_where_the_operator_permits_it() {
    for client_delete in [false, true] {
        let gateway = TestGateway::with_config(|config| {
            config.client_delete = client_delete;
            config.quota.total = Some(3);
        })
        .await;
        let (upload, _) = complete_upload(&gateway, b"abc").await;
        for query in ["?unfinished=true", "?epoch=1"] {
            let refused = delete(&gateway, &upload, query).await;
            assert_eq!(problem_code(refused).await, "not_abortable", "{query}");
        }
        let removed = delete(&gateway, &upload, "").await;
        if !client_delete {
            assert_eq!(problem_code(removed).await, "not_abortable");
            assert!(has_object(&gateway, &upload).await);
            continue;
        }
        assert_eq!(removed.status(), 204);
        assert_eq!(delete(&gateway, &upload, "").await.status(), 204, "again");
        assert!(!has_object(&gateway, &upload).await);
        let status = status(&gateway, &upload).await;
        assert_eq!(status.state, UploadState::Aborted);
        assert_eq!(status.receipt.and_then(|receipt| receipt.location), None);
        // As if nothing could be written any more: its bytes are free.
        gateway.execute_sql("UPDATE upload SET may_land_until = NULL");
        let next = BeginRequest {
            name: "next".into(),
            ..begin_request(3)
        };
        assert_eq!(gateway.begin("next", &next).await.status(), 201);
    }
}

/// The bytes of rejected objects that stay in the bucket are counted, and only the operator removes
/// these objects.
#[tokio::test]
async fn rejected_object_counts_towards_the_quota_while_it_is_kept() {
    for (on_reject, counts) in [
        (OnReject::Delete, false),
        (OnReject::Keep, true),
        (OnReject::Quarantine("bad".into()), true),
    ] {
        let gateway = TestGateway::with_config(|config| {
            config.hooks = vec![hook("exit 10")];
            config.on_reject = on_reject.clone();
            config.client_delete = true;
            config.quota.total = Some(3);
        })
        .await;
        let (upload, _) = complete_upload(&gateway, b"abc").await;
        until("the rejection", async || {
            let status = status(&gateway, &upload).await;
            (status.state == UploadState::Rejected).then_some(())
        })
        .await;
        let removed = delete(&gateway, &upload, "").await.status();
        assert_eq!(
            removed.as_u16(),
            if counts { 409 } else { 204 },
            "{on_reject:?}"
        );
        let ended = delete(&gateway, &upload, "?unfinished=true").await;
        assert_eq!(ended.status(), 204, "{on_reject:?}");
        gateway.execute_sql("UPDATE upload SET may_land_until = NULL");
        let next = BeginRequest {
            name: "next".into(),
            ..begin_request(3)
        };
        let begun = gateway.begin("next", &next).await.status();
        assert_eq!(
            begun.as_u16(),
            if counts { 429 } else { 201 },
            "{on_reject:?}"
        );
    }
}

#[tokio::test]
async fn metrics_tell_how_many_uploads_wait_for_hooks_and_since_when() {
    let gateway = TestGateway::with_config(|config| {
        config.hooks = vec![hook("exit 3")];
        config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
        config.sweep_interval = Some(Duration::from_millis(50));
    })
    .await;
    complete_upload(&gateway, b"abc").await;
    gateway.execute_sql("UPDATE pending_hooks SET since = since - 600000");
    let url = format!("{}metrics", gateway.running.metrics_url().unwrap());
    until("the metrics of the backlog", async || {
        let text = gateway
            .client
            .get(&url)
            .send()
            .await
            .ok()?
            .text()
            .await
            .ok()?;
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_once(' ')?.1.parse::<f64>().ok()
        };
        // Tests that run in one process share its metrics.
        let waiting = value("upload_hooks_waiting ")?;
        let oldest = value("upload_hooks_oldest_wait_seconds ")?;
        (waiting >= 1.0 && oldest >= 600.0).then_some(())
    })
    .await;
}
