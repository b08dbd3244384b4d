//! Death at each point on the way from verified to ready or rejected: of the gateway, and of a client that waits.
//!
//! Border: as `lives`; here one hook fails the first time, and the other finds bad what is called so.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::lives::Mortal;
use crate::oracle;
use crate::points::{self, Side};
use crate::support::s3::S3;
use crate::support::{files, wait};

const QUARANTINE: &str = "quarantine/";

fn hooks(place: &Path) -> Vec<String> {
    let once = format!("mkdir {} && exit 1; exit 0", place.join("failed").display());
    let judge = r#"if grep -q '"name":"bad"'; then exit 10; fi"#;
    let mut args = vec!["--on-reject".to_owned(), "quarantine:quarantine".to_owned()];
    args.extend(["--lease", "1s", "--sweep-every", "200ms"].map(str::to_owned));
    for (name, script) in [("once", once.as_str()), ("judge", judge)] {
        args.extend(["--hook".to_owned(), format!("{name}=exec:/bin/sh")]);
        for arg in ["-c", script] {
            args.extend(["--hook-arg".to_owned(), format!("{name}={arg}")]);
        }
    }
    args
}

/// Leads one life that ends at this point, and another to its end.
fn cut_short(point: &str) {
    let mut gateway = Mortal::new();
    gateway.args = hooks(gateway.sandbox.path("").as_path());
    let gateways = point.starts_with("gateway.");
    let fatal = format!("{point}:1");
    gateway.start(Some(("UPLOAD_CRASH", fatal.as_str())).filter(|_| gateways));
    let client = crate::support::sandbox::Sandbox::new();
    let (good, bad) = (client.file("good", 1000), client.file("bad", 1000));
    let put = |file: &Path| {
        client
            .upload(["put", "--wait", "ready", "--backend", &gateway.proxy.url()])
            .arg(file)
    };
    let (puts, mut died) = ([(put(&good), 0), (put(&bad), 77)], false);
    let again = [put(&good), put(&bad)];
    for ((first, code), again) in puts.into_iter().zip(again) {
        let first = if gateways {
            first
        } else {
            first.env("UPLOAD_CRASH", &fatal)
        };
        let mut output = gateway.serve(first);
        if output.code().is_none() {
            died = true;
            output = gateway.serve(again);
        }
        oracle::discreet(&output);
        assert_eq!(output.code(), Some(code), "{output}");
    }
    assert!(died || gateway.died, "nobody dies at {point}");
    gateway.revive();
    let store = S3::from_credentials(&gateway.credentials());
    let sha256 = |path: &Path| files::sha256(path);
    wait::until("one object, and one in quarantine", || {
        let objects = store.objects();
        let (quarantined, others): (Vec<_>, Vec<_>) =
            objects.iter().partition(|key| key.starts_with(QUARANTINE));
        let is = |keys: &[&String], path| keys.len() == 1 && store.sha256(keys[0]) == sha256(path);
        (is(&others, &good) && is(&quarantined, &bad)).then_some(())
    });
    store.assert_no_open_uploads();
    gateway.kill();
    oracle::whole(gateway.sandbox.files());
}

#[test]
fn whoever_dies_while_hooks_run_nothing_is_lost_or_let_through() {
    let points = points::of(Side::Hooks);
    assert!(points.len() >= 10, "{points:?}");
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..crate::AT_ONCE {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if std::panic::catch_unwind(|| cut_short(point)).is_err() {
                        wrong.lock().unwrap().push(point);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "what is said above befell {wrong:?}");
}
