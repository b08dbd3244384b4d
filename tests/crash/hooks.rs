//! Kills at each crash point between verified and ready or rejected: of the gateway, and of a
//! client that waits. One hook fails the first time; another rejects one of the two files.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::assertions;
use crate::points::{self, Side};
use crate::restartable_gateway::RestartableGateway;
use crate::support::s3::S3;
use crate::support::{files, wait};

const QUARANTINE: &str = "quarantine/";

fn hook_args(dir: &Path) -> Vec<String> {
    let fail_once = format!("mkdir {} && exit 1; exit 0", dir.join("failed").display());
    let reject_bad = r#"if grep -q '"name":"bad"'; then exit 10; fi"#;
    let mut args = vec!["--on-reject".to_owned(), "quarantine:quarantine".to_owned()];
    args.extend(["--lease", "1s", "--sweep-every", "200ms"].map(str::to_owned));
    for (name, script) in [
        ("fail-once", fail_once.as_str()),
        ("reject-bad", reject_bad),
    ] {
        args.extend(["--hook".to_owned(), format!("{name}=exec:/bin/sh")]);
        for arg in ["-c", script] {
            args.extend(["--hook-arg".to_owned(), format!("{name}={arg}")]);
        }
    }
    args
}

/// Puts both files, with a kill at this point and a repetition of the command.
fn put_with_kill(point: &str) {
    let mut gateway = RestartableGateway::new();
    gateway.args = hook_args(gateway.sandbox.path("").as_path());
    let is_of_gateway = point.starts_with("gateway.");
    let crash_point = format!("{point}:1");
    gateway.start(Some(("UPLOAD_CRASH", crash_point.as_str())).filter(|_| is_of_gateway));
    let client = crate::support::sandbox::Sandbox::new();
    let (good, bad) = (client.file("good", 1000), client.file("bad", 1000));
    let put = |file: &Path| {
        client
            .upload(["put", "--wait", "ready", "--backend", &gateway.proxy.url()])
            .arg(file)
    };
    let (puts, mut client_killed) = ([(put(&good), 0), (put(&bad), 77)], false);
    let again = [put(&good), put(&bad)];
    for ((first, code), again) in puts.into_iter().zip(again) {
        let first = if is_of_gateway {
            first
        } else {
            first.env("UPLOAD_CRASH", &crash_point)
        };
        let mut output = gateway.run_client(first);
        if output.code().is_none() {
            client_killed = true;
            output = gateway.run_client(again);
        }
        assertions::assert_no_secrets(&output);
        assert_eq!(output.code(), Some(code), "{output}");
    }
    assert!(
        client_killed || gateway.was_killed,
        "no process was killed at {point}"
    );
    gateway.restart_if_dead();
    let store = S3::from_credentials(&gateway.credentials());
    let sha256 = |path: &Path| files::sha256(path);
    wait::until("one object, and one in quarantine", || {
        let objects = store.objects();
        let (quarantined, others): (Vec<_>, Vec<_>) =
            objects.iter().partition(|key| key.starts_with(QUARANTINE));
        let is_only =
            |keys: &[&String], path| keys.len() == 1 && store.sha256(keys[0]) == sha256(path);
        (is_only(&others, &good) && is_only(&quarantined, &bad)).then_some(())
    });
    store.assert_no_open_uploads();
    gateway.kill();
    assertions::assert_databases_intact(gateway.sandbox.files());
}

#[test]
fn kill_at_each_hook_point_loses_nothing_and_accepts_no_rejected_object() {
    let points = points::of(Side::Hooks);
    assert!(points.len() >= 10, "{points:?}");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..crate::WORKERS {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if std::panic::catch_unwind(|| put_with_kill(point)).is_err() {
                        failed.lock().unwrap().push(point);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "failed, with the messages above: {failed:?}"
    );
}
