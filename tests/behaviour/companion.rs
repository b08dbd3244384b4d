//! An Uppy Companion as a backend: what arrives, what is gone on with, and what is said where Companion cannot tell.
//!
//! Border: an unmodified Companion before a real store, both as `scripts/test` has them; what single answers mean is told in
//! `src/backend/companion/response_tests.rs`.

use std::fs;
use std::path::Path;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use tokio::runtime::Builder;

use crate::support::companion::Companion;
use crate::support::events::{events, parts_so_far, receipts};
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::sandbox::Sandbox;
use crate::support::{PART, files};

/// Asserts that one more object is there, with the file's bytes, and nothing half done.
#[track_caller]
fn holds(companion: &Companion, file: &Path, objects: usize) {
    let keys = companion.store.objects();
    assert_eq!(keys.len(), objects, "{keys:?}");
    assert!(
        keys.iter()
            .any(|key| companion.store.sha256(key) == files::sha256(file)),
        "no object is the file"
    );
    companion.store.assert_no_open_uploads();
}

#[test]
fn files_of_any_size_arrive_whole() {
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
        let at = sizes.iter().position(|size| *size == receipt.size).unwrap();
        let object = companion.store.get(
            &receipt
                .key
                .replace(' ', "%20")
                .replace('+', "%2B")
                .replace('ü', "%C3%BC"),
        );
        assert_eq!(files::sha256_of(&object), files::sha256(&files[at]));
        assert_eq!(receipt.checksum, files::checksum(&files[at], PART));
        assert_eq!(
            (receipt.proof.as_str(), &receipt.backend),
            ("none", &companion.backend())
        );
        let head = companion.store.head(
            &receipt
                .key
                .replace(' ', "%20")
                .replace('+', "%2B")
                .replace('ü', "%C3%BC"),
        );
        assert_eq!(
            head.header("etag").map(|etag| etag.trim_matches('"')),
            Some(receipt.etag.as_str())
        );
    }
    assert_eq!(companion.store.objects().len(), sizes.len());
    companion.store.assert_no_open_uploads();

    // Once more: the journal knows, nobody is asked, nothing is sent.
    let before = companion.data.traffic();
    let mut again: Vec<String> = put(&companion.sandbox.path("again"))
        .lines()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut lines: Vec<String> = first.lines().iter().map(ToString::to_string).collect();
    again.sort();
    lines.sort();
    assert_eq!(again, lines);
    assert_eq!(companion.data.traffic().since(&before).requests(), 0);

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
    companion.kill_amid(companion.put(&large), 2 * PART);
    let listed = companion.upload(&["list", "--json"]).run().succeeds();
    let begun = crate::interrupt::upload_id(listed.stdout()).unwrap();
    companion
        .upload(&["status", &begun, "--remote"])
        .run()
        .succeeds();
    companion.upload(&["abort", &begun]).run().succeeds();
    companion.store.assert_no_open_uploads();
    companion
        .upload(&["prune"])
        .run()
        .succeeds()
        .stderr_contains("removed 5 ")
        .stderr_contains("cannot list uploads");
}

#[test]
fn killed_amid_it_sends_only_what_is_missing() {
    let companion = Companion::start("killed");
    let file = companion.sandbox.file("film.bin", 6 * PART);
    // The fourth part begins when two of those before it are answered.
    companion.data.block_after(4 * PART);
    let mut running = companion.put(&file).args(["--json", "-vvv"]).spawn();
    companion.data.wait_until_blocked();
    running.wait_for("two parts", |running| {
        (parts_so_far(&running.stdout()) >= 2).then_some(())
    });
    let output = running.kill9();
    companion.data.unblock();
    for path in companion
        .sandbox
        .files()
        .into_iter()
        .filter(|path| *path != file)
    {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for secret in ["X-Amz-Signature", "connect.sid"] {
            assert!(
                !text.contains(secret),
                "{secret} stands in {}",
                path.display()
            );
        }
    }
    assert!(!output.stderr().contains("X-Amz-Signature"), "{output}");

    // What is of other bytes in the store is not taken for ours.
    companion.store.replace_part(1, b"something else");
    let before = companion.data.traffic();
    let output = companion.resume().arg("--json").run().succeeds();
    events(&output);
    holds(&companion, &file, 1);
    let traffic = companion.data.traffic().since(&before);
    assert_eq!(companion.begun(), 1, "begun more than once");
    assert_eq!(traffic.attempts(1), 1, "the part that was another");
    let sent = traffic.bytes("PUT");
    // What was on the wire may have arrived behind the client's back.
    assert!(
        (2 * PART..=5 * PART).contains(&sent),
        "{sent} bytes were sent"
    );
}

#[test]
fn what_the_store_has_and_the_journal_does_not_know_is_told_by_its_md5() {
    let companion = Companion::start("unknown");
    let file = companion.sandbox.file("film.bin", 3 * PART);
    // Stored, and no answer came.
    companion
        .data
        .inject(Requests::part(2).first(1), Fault::DropResponse);
    companion
        .data
        .inject(Requests::part(2).after(1), Fault::Hold);
    let running = companion.put(&file).spawn();
    crate::support::wait::until("the second attempt", || {
        companion.data.is_holding().then_some(())
    });
    running.kill9();
    companion.data.clear_faults();
    let before = companion.data.traffic();
    let output = companion.resume().arg("--json").run().succeeds();
    holds(&companion, &file, 1);
    assert_eq!(
        companion.data.traffic().since(&before).attempts(2),
        0,
        "{output}"
    );
    assert!(output.stdout().contains(r#""skipped":true"#), "{output}");
}

#[test]
fn what_goes_wrong_on_the_way_is_sent_again() {
    let companion = Companion::start("faults");
    let file = companion.sandbox.file("film.bin", 4 * PART);
    companion
        .data
        .inject(Requests::part(1).first(1), Fault::expired());
    companion
        .data
        .inject(Requests::part(2).first(1), Fault::s3(403, "AccessDenied"));
    // The store refuses it for its Content-MD5.
    companion
        .data
        .inject(Requests::part(3).first(1), Fault::FlipBit { at: 1000 });
    companion.data.inject(
        Requests::part(4).first(1),
        Fault::SetHeader("etag", "\"00000000000000000000000000000000\""),
    );
    // Not every implementation of these routes signs several parts at once, and Companion may be busy.
    companion.api.inject(
        Requests::get("/batch"),
        Fault::Respond(Response::json(404, r#"{"message":"Not Found"}"#)),
    );
    companion.api.inject(
        Requests::post("/complete").first(1),
        Fault::Respond(Response::html_page(502)),
    );
    let before = companion.data.traffic();
    let output = companion.put(&file).arg("--json").run().succeeds();
    holds(&companion, &file, 1);
    let traffic = companion.data.traffic().since(&before);
    assert_eq!(
        (1..=4)
            .map(|part| traffic.attempts(part))
            .collect::<Vec<_>>(),
        [2, 2, 2, 2]
    );
    let refused: Vec<_> = traffic
        .by_method("PUT")
        .filter(|put| put.part == Some(3))
        .map(|put| put.status)
        .collect();
    assert_eq!(refused, [Some(400), Some(200)]);
    for kind in ["url_expired", "unauthorized", "corrupt", "temporary"] {
        assert!(
            output.stdout().contains(&format!(r#""kind":"{kind}""#)),
            "no retry for {kind}: {output}"
        );
    }
}

/// The complete is carried out and its answer lost: nothing assert_receipt_matches that the object is there, and nothing is sent twice.
#[test]
fn a_complete_whose_answer_is_lost_is_called_unconfirmed() {
    for (says_why, companion) in [
        (true, Companion::start("lost")),
        (false, Companion::in_production("lost-silently")),
    ] {
        let file = companion.sandbox.file("film.bin", 2 * PART);
        companion
            .api
            .inject(Requests::post("/complete").first(1), Fault::DropResponse);
        let receipt = companion.sandbox.path("receipt");
        let output = companion
            .put(&file)
            .arg("--receipt")
            .arg(&receipt)
            .run()
            .exits(1)
            .stderr_contains("unconfirmed");
        assert_eq!(output.stdout(), "");
        assert_eq!(receipts(&receipt).len(), 0);
        // It is there, as who has access to the store can see.
        holds(&companion, &file, 1);
        let output = companion.resume().arg("--json").run().exits(1);
        assert!(
            output.stdout().contains(r#""kind":"unconfirmed""#),
            "{output}"
        );
        holds(&companion, &file, 1);

        let listed = companion.upload(&["list", "--json"]).run().succeeds();
        let id = crate::interrupt::upload_id(listed.stdout()).unwrap();
        // Told that there is no such upload, or told nothing: given up it is here in both cases.
        let aborted = companion.upload(&["abort", &id]).run();
        if says_why {
            aborted.succeeds();
        } else {
            aborted.exits(1).stderr_contains("unconfirmed");
        }
        companion
            .upload(&["list"])
            .run()
            .succeeds()
            .stderr_contains("no unfinished uploads");
        companion.put(&file).run().succeeds();
        holds(&companion, &file, 2);

        // And a begin: what it began nobody knows by name any more.
        companion.api.inject(
            Requests::post("/s3/multipart").first(1),
            Fault::DropResponse,
        );
        let other = companion.sandbox.file("other.bin", 1);
        companion
            .put(&other)
            .arg("-v")
            .run()
            .succeeds()
            .stderr_contains("stays in the store");
        assert_eq!(
            (
                companion.store.objects().len(),
                companion.store.open_uploads().len()
            ),
            (3, 1)
        );
    }
}

/// In production "there is no such upload" is told as any other failure: only the store itself says so.
#[test]
fn an_upload_that_is_gone_is_begun_anew_where_companion_says_no_reason() {
    let companion = Companion::in_production("gone");
    let file = companion.sandbox.file("film.bin", 4 * PART);
    companion.kill_amid(companion.put(&file), 2 * PART);
    companion.store.abort_all_uploads();
    companion.resume().run().succeeds();
    holds(&companion, &file, 1);
    assert_eq!(companion.begun(), 2);
}

#[test]
fn who_is_not_let_in_is_told_to_log_in() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let is_let_in = |headers: &HeaderMap| {
        headers.get("x-key").is_some_and(|key| key == "canary")
            && headers
                .get("authorization")
                .is_some_and(|token| token == "Bearer token-canary")
    };
    let none = move |headers: HeaderMap| async move {
        let status = if is_let_in(&headers) {
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
        let known = headers
            .get("cookie")
            .is_some_and(|cookie| cookie == "connect.sid=s%3Acanary");
        let status = if known && is_let_in(&headers) {
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
