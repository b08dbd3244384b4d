//! An unmodified Uppy Companion as the backend, with an S3 server behind it; `scripts/test` starts
//! both.
//!
//! Not here: the meaning of single responses (unit tests of `backend`).

use std::fs;
use std::path::Path;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use tokio::runtime::Builder;

use crate::support::command::Output;
use crate::support::companion::Companion;
use crate::support::events::{Event, events, failure_kind, parts_so_far, receipts, upload_id};
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::s3::encoded;
use crate::support::sandbox::Sandbox;
use crate::support::{PART, files};

/// Asserts that the store holds this number of objects, one with the file's bytes, and no open
/// multipart upload.
#[track_caller]
fn assert_holds(companion: &Companion, file: &Path, objects: usize) {
    let keys = companion.store.objects();
    assert_eq!(keys.len(), objects, "{keys:?}");
    assert!(
        keys.iter()
            .any(|key| companion.store.sha256(key) == files::sha256(file)),
        "no object has the file's bytes"
    );
    companion.store.assert_no_open_uploads();
}

#[test]
fn companion_stores_files_of_any_size() {
    let companion = Companion::start("sizes");
    let sizes = [0, 1, PART, 2 * PART + 1];
    let files: Vec<_> = sizes
        .iter()
        .map(|size| companion.sandbox.file(&format!("a b+ü {size}.bin"), *size))
        .collect();
    let receipt = companion.sandbox.path("receipt");
    let put = |receipt: &Path| {
        let put = companion
            .upload(&["put", "--part-size", "5MiB", "--meta", "who=Zoe"])
            .args(&files);
        put.arg("--receipt").arg(receipt).run().succeeds()
    };
    let first = put(&receipt);
    for receipt in receipts(&receipt) {
        let index = sizes.iter().position(|size| *size == receipt.size).unwrap();
        let key = receipt
            .key
            .replace(' ', "%20")
            .replace('+', "%2B")
            .replace('ü', "%C3%BC");
        let object = companion.store.get(&key);
        assert_eq!(files::sha256_of(&object), files::sha256(&files[index]));
        assert_eq!(receipt.checksum, files::checksum(&files[index], PART));
        assert_eq!(
            (receipt.proof.as_str(), &receipt.backend),
            ("none", &companion.backend())
        );
        let head = companion.store.head(&key);
        assert_eq!(
            head.header("etag").map(|etag| etag.trim_matches('"')),
            Some(receipt.etag.as_str())
        );
    }
    assert_eq!(companion.store.objects().len(), sizes.len());
    companion.store.assert_no_open_uploads();

    // A repeated put reads the journal and sends no request to the store.
    let before = companion.store_proxy.traffic();
    let second = put(&companion.sandbox.path("second"));
    let sorted = |output: &Output| {
        let mut lines: Vec<String> = output.lines().iter().map(ToString::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&second), sorted(&first));
    assert_eq!(companion.store_proxy.traffic().since(&before).requests(), 0);

    let id = receipts(&receipt)[0].id.clone();
    for verb in [
        vec!["url", &id],
        vec!["cat", &id],
        vec!["list", "--orphans"],
        vec!["status", &id, "--remote"],
    ] {
        companion
            .upload(&verb)
            .run()
            .exits(69)
            .stderr_contains("hint: ");
    }
    companion.upload(&["status", &id]).run().succeeds();
    let large = companion.sandbox.file("large.bin", 4 * PART);
    companion.kill_after_bytes(companion.put(&large), 2 * PART);
    let listed = companion.upload(&["list", "--json"]).run().succeeds();
    let unfinished = upload_id(listed.stdout()).unwrap();
    companion
        .upload(&["status", &unfinished, "--remote"])
        .run()
        .succeeds();
    companion.upload(&["abort", &unfinished]).run().succeeds();
    companion.store.assert_no_open_uploads();
    companion
        .upload(&["prune", "--orphans"])
        .run()
        .exits(69)
        .stderr_contains("removed 5 ")
        .stderr_contains("hint: ");
}

#[test]
fn resume_after_kill_sends_only_missing_parts() {
    let companion = Companion::start("killed");
    let file = companion.sandbox.file("film.bin", 6 * PART);
    // With two parts in flight, two of the first three are stored, and the sixth is not begun.
    companion.store_proxy.block_after(3 * PART);
    let mut running = companion.put(&file).args(["--json", "-vvv"]).spawn();
    companion.store_proxy.wait_until_blocked();
    running.wait_for("two `part` events", |running| {
        (parts_so_far(&running.stdout()) >= 2).then_some(())
    });
    let output = running.kill9();
    companion.store_proxy.unblock();
    for path in companion
        .sandbox
        .files()
        .into_iter()
        .filter(|path| *path != file)
    {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for secret in ["X-Amz-Signature", "connect.sid"] {
            assert!(!text.contains(secret), "{secret} is in {}", path.display());
        }
    }
    assert!(!output.stderr().contains("X-Amz-Signature"), "{output}");

    // A stored part with other bytes must be sent again. The client has the response to this one:
    // the store may still be writing others.
    let stored = output.lines().into_iter().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        event["number"].as_u64().filter(|_| event["type"] == "part")
    });
    let stored = stored.expect("a `part` event");
    let number = u32::try_from(stored).unwrap();
    companion.store.replace_part(number, b"other bytes");
    let before = companion.store_proxy.traffic();
    let output = companion.resume().arg("--json").run().succeeds();
    events(&output);
    assert_holds(&companion, &file, 1);
    let traffic = companion.store_proxy.traffic().since(&before);
    assert_eq!(companion.uploads_begun(), 1);
    assert_eq!(traffic.attempts(stored), 1, "sends of part {stored}");
    let sent = traffic.bytes("PUT");
    // Parts on the wire may have been stored after the kill.
    assert!(
        (2 * PART..=5 * PART).contains(&sent),
        "{sent} bytes were sent"
    );
}

#[test]
fn stored_part_missing_in_the_journal_is_found_by_its_md5() {
    let companion = Companion::start("unknown");
    let file = companion.sandbox.file("film.bin", 3 * PART);
    // The part is stored, but its response is lost.
    companion
        .store_proxy
        .inject(Requests::part(2).first(1), Fault::DropResponse);
    companion
        .store_proxy
        .inject(Requests::part(2).after(1), Fault::Hold);
    let running = companion.put(&file).spawn();
    crate::support::wait::until("the second attempt", || {
        companion.store_proxy.is_holding().then_some(())
    });
    running.kill9();
    companion.store_proxy.clear_faults();
    let before = companion.store_proxy.traffic();
    let output = companion.resume().arg("--json").run().succeeds();
    assert_holds(&companion, &file, 1);
    assert_eq!(
        companion.store_proxy.traffic().since(&before).attempts(2),
        0,
        "{output}"
    );
    assert!(output.stdout().contains(r#""skipped":true"#), "{output}");
}

#[test]
fn faults_of_parts_and_calls_are_retried() {
    let companion = Companion::start("faults");
    let file = companion.sandbox.file("film.bin", 4 * PART);
    companion
        .store_proxy
        .inject(Requests::part(1).first(1), Fault::expired());
    companion
        .store_proxy
        .inject(Requests::part(2).first(1), Fault::s3(403, "AccessDenied"));
    // The store rejects the part because of its Content-MD5.
    companion
        .store_proxy
        .inject(Requests::part(3).first(1), Fault::FlipBit { at: 1000 });
    companion.store_proxy.inject(
        Requests::part(4).first(1),
        Fault::SetHeader("etag", "\"00000000000000000000000000000000\""),
    );
    // Some implementations of Companion's API do not sign several parts at once, and Companion may
    // be overloaded.
    companion.api_proxy.inject(
        Requests::get("/batch"),
        Fault::Respond(Response::json(404, r#"{"message":"Not Found"}"#)),
    );
    companion.api_proxy.inject(
        Requests::post("/complete").first(1),
        Fault::Respond(Response::html_page(502)),
    );
    let before = companion.store_proxy.traffic();
    let output = companion.put(&file).arg("--json").run().succeeds();
    assert_holds(&companion, &file, 1);
    let traffic = companion.store_proxy.traffic().since(&before);
    assert_eq!(
        (1..=4)
            .map(|part| traffic.attempts(part))
            .collect::<Vec<_>>(),
        [2, 2, 2, 2]
    );
    let statuses: Vec<_> = traffic
        .by_method("PUT")
        .filter(|put| put.part == Some(3))
        .map(|put| put.status)
        .collect();
    assert_eq!(statuses, [Some(400), Some(200)]);
    for kind in ["url_expired", "unauthorized", "corrupt", "temporary"] {
        assert!(
            output.stdout().contains(&format!(r#""kind":"{kind}""#)),
            "no retry for {kind}: {output}"
        );
    }
}

/// The upload is completed, but the response is lost. Nothing proves that the object exists, and
/// nothing is sent again.
#[test]
fn lost_response_to_complete_is_reported_as_unconfirmed() {
    for (gives_reasons, companion) in [
        (true, Companion::start("lost")),
        (false, Companion::in_production("lost-silently")),
    ] {
        let file = companion.sandbox.file("film.bin", 2 * PART);
        companion
            .api_proxy
            .inject(Requests::post("/complete").first(1), Fault::DropResponse);
        let receipt = companion.sandbox.path("receipt");
        let output = companion
            .put(&file)
            .arg("--receipt")
            .arg(&receipt)
            .run()
            .exits(1);
        assert_eq!(output.stdout(), "");
        assert!(!receipt.exists(), "an empty receipt file was made");
        // The object exists, but the client has no access to the store.
        assert_holds(&companion, &file, 1);
        let output = companion.resume().arg("--json").run().exits(1);
        assert_eq!(failure_kind(&output), "unconfirmed");
        let is_restart = |event: &Event| matches!(event, Event::Restarted { .. });
        assert!(!events(&output).iter().any(is_restart), "{output}");
        assert_holds(&companion, &file, 1);

        let listed = companion.upload(&["list", "--json"]).run().succeeds();
        let id = upload_id(listed.stdout()).unwrap();
        // The journal drops the upload, whether or not Companion gives the reason of the failure.
        let code = i32::from(!gives_reasons);
        companion.upload(&["abort", &id]).run().exits(code);
        let listed = companion.upload(&["list", "--json"]).run().succeeds();
        assert_eq!(upload_id(listed.stdout()), None, "{listed}");
        companion.put(&file).run().succeeds();
        assert_holds(&companion, &file, 2);

        // After a lost response to begin, the id of the multipart upload is unknown.
        companion.api_proxy.inject(
            Requests::post("/s3/multipart").first(1),
            Fault::DropResponse,
        );
        let other = companion.sandbox.file("other.bin", 1);
        companion
            .put(&other)
            .arg("-v")
            .run()
            .succeeds()
            .stderr_contains("in the store");
        assert_eq!(
            (
                companion.store.objects().len(),
                companion.store.open_uploads().len()
            ),
            (3, 1)
        );
    }
}

/// In production mode Companion hides the reason of a failure; the client finds it by asking the
/// store.
#[test]
fn removed_upload_is_begun_again_without_a_reason_from_companion() {
    let companion = Companion::in_production("gone");
    let file = companion.sandbox.file("film.bin", 4 * PART);
    companion.kill_after_bytes(companion.put(&file), 2 * PART);
    companion.store.abort_all_uploads();
    companion.resume().run().succeeds();
    assert_holds(&companion, &file, 1);
    assert_eq!(companion.uploads_begun(), 2);
}

#[test]
fn rejected_login_names_the_header_option_and_shows_no_secret() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let is_authorized = |headers: &HeaderMap| {
        headers.get("x-key").is_some_and(|key| key == "canary")
            && headers
                .get("authorization")
                .is_some_and(|token| token == "Bearer token-canary")
    };
    let none = move |headers: HeaderMap| async move {
        let status = if is_authorized(&headers) {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::UNAUTHORIZED
        };
        (
            status,
            [("set-cookie", "connect.sid=s%3Acanary; Path=/")],
            r#"{"error":"s3: the part number must be one"}"#,
        )
    };
    let create = move |headers: HeaderMap| async move {
        let has_cookie = headers
            .get("cookie")
            .is_some_and(|cookie| cookie == "connect.sid=s%3Acanary");
        let status = if has_cookie && is_authorized(&headers) {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::IM_A_TEAPOT
        };
        (status, r#"{"message":"not for you"}"#)
    };
    let app = Router::new()
        .route("/in/s3/multipart/none/0", get(none))
        .route("/in/s3/multipart", post(create));
    runtime.spawn(async move { axum::serve(listener, app).await });

    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let backend = format!("companion+http://{address}/in/");
    let put = || {
        sandbox
            .upload(["put", "--backend", &backend])
            .arg(&file)
            .env("UPLOAD_TOKEN", "token-canary")
    };
    put().run().exits(77).stderr_contains("--header");
    let headers = sandbox.path("headers");
    fs::write(&headers, "x-key: canary\n").unwrap();
    for header in ["x-key: canary", &format!("@{}", headers.display())] {
        let output = put()
            .arg("-vvv")
            .args(["--header", header])
            .run()
            .exits(77)
            .stderr_contains("not for you");
        assert!(!output.stderr().contains("canary"), "{output}");
    }
}

#[test]
fn folder_that_is_killed_arrives_once_after_resume() {
    const FILES: usize = 40;
    const SIZE: u64 = 50_000;
    let companion = Companion::start("folder");
    let sandbox = &companion.sandbox;
    let paths: Vec<_> = (0..FILES)
        .map(|number| format!("card/{}/é {}.bin", number / 20, number % 20))
        .collect();
    for path in &paths {
        fs::create_dir_all(sandbox.path(path).parent().unwrap()).unwrap();
        sandbox.file(path, SIZE);
    }
    sandbox.file("card/large.bin", PART + 1);
    let put = || companion.upload(&["put", "-r", "--part-size", "5MiB", "--jobs", "2", "card"]);
    companion.kill_after_bytes(put(), 10 * SIZE);
    let sent_before = companion.store.objects().len();
    assert!(sent_before < FILES, "{sent_before}");
    // The outcome of a complete that was in flight is unknown; nothing is sent again for it.
    let assert_only_unconfirmed = |output: Output| {
        let failed = events(&output).into_iter().filter_map(|event| match event {
            Event::Failed { kind, .. } => Some(kind),
            Event::Restarted { .. } => Some("restarted".to_owned()),
            _ => None,
        });
        let failed: Vec<String> = failed.collect();
        assert!(failed.iter().all(|kind| kind == "unconfirmed"), "{output}");
        output.exits(i32::from(!failed.is_empty()));
    };
    assert_only_unconfirmed(companion.resume().arg("--json").run());
    let stored = || {
        let keys = companion.store.objects().into_iter();
        let mut stored: Vec<String> = keys
            .map(|key| companion.store.sha256(&encoded(&key)))
            .collect();
        stored.sort();
        stored
    };
    let files = paths.iter().map(String::as_str).chain(["card/large.bin"]);
    let mut expected: Vec<String> = files
        .map(|path| files::sha256(&sandbox.path(path)))
        .collect();
    expected.sort();
    assert_eq!(stored(), expected);
    companion.store.assert_no_open_uploads();

    let before = companion.store_proxy.traffic();
    assert_only_unconfirmed(put().arg("--json").run());
    let traffic = companion.store_proxy.traffic().since(&before);
    assert_eq!(traffic.count("PUT"), 0);
    assert_eq!(stored(), expected);
}

#[test]
fn flags_that_companion_cannot_honour_are_refused_before_anything_is_sent() {
    let companion = Companion::start("refused");
    let file = companion.sandbox.file("a.bin", 10);
    let map = companion.sandbox.path("map");
    fs::write(&map, r#"{"path":"a.bin","key":"k"}"#).unwrap();
    let refused: [&[&str]; 6] = [
        &["-", "--name", "a.bin"],
        &["a.bin", "--key", "k"],
        &["a.bin", "--prefix", "p"],
        &["a.bin", "--cache-control", "no-store"],
        &["a.bin", "--tag", "a=b"],
        &["--map", "map"],
    ];
    for args in refused {
        let output = companion.upload(&["put"]).args(args).run();
        assert_eq!(output.code(), Some(78), "{args:?}: {output}");
    }
    assert_eq!(companion.uploads_begun(), 0);
    companion.put(&file).run().succeeds();
    assert_holds(&companion, &file, 1);
}
