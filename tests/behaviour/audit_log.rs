//! The audit log: a line for each upload that is ready or has ended, at the default log level.

use serde_json::Value;

use crate::support::PART;
use crate::support::raw_http;
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;

/// The lines of the audit log, once there are `count`.
#[track_caller]
fn audit_lines(world: &World, count: usize) -> Vec<Value> {
    wait::until("the lines of the audit log", || {
        let stderr = world.gateway.stderr();
        let lines = stderr
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<Value> = lines
            .filter(|line: &Value| line["target"] == "upload_audit")
            .collect();
        (lines.len() >= count).then_some(lines)
    })
}

#[test]
fn finished_and_ended_uploads_have_one_line_each() {
    let args = ["--log-format", "json", "--auth", "tokens"];
    let world = World::with_args(&args);
    let token = world.gateway.token("alice");
    let name = "a\u{1b}[2J\nb.bin";
    let file = world.sandbox.file(name, 3 * PART);
    let put = world
        .put(&file)
        .args(["--json"])
        .env("UPLOAD_TOKEN", &token);
    let output = put.run().succeeds();
    let id = crate::support::events::upload_id(output.stdout()).unwrap();
    let lines = audit_lines(&world, 1);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    for (key, value) in [
        ("level", Value::from("INFO")),
        ("event", "ready".into()),
        ("id", id.into()),
        ("subject", "token:alice".into()),
        ("size", (3 * PART).into()),
        ("proof", "sha256".into()),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    let owner = line["owner"].as_str().unwrap();
    assert!(line["key"].as_str().unwrap().contains(owner), "{line}");
    assert!(line["name"].as_str().unwrap().ends_with("b.bin"), "{line}");
    let stderr = world.gateway.stderr();
    assert!(
        !stderr.contains(&token) && !stderr.contains("X-Amz"),
        "{stderr}"
    );

    let authorization = format!("authorization: Bearer {token}");
    let headers = [
        &authorization[..],
        "content-type: application/json",
        "idempotency-key: one",
    ];
    let body = br#"{"name":"a","size":7,"content_type":"a/b"}"#;
    let addr = world.gateway.addr();
    let begun = raw_http::request(addr, "POST", "/v1/uploads", &headers, body);
    let begun: Value = serde_json::from_str(&begun.body).unwrap();
    let path = format!("/v1/uploads/{}", begun["id"].as_str().unwrap());
    let aborted = raw_http::request(addr, "DELETE", &path, &headers, b"");
    assert_eq!(aborted.status, 204);
    let lines = audit_lines(&world, 2);
    assert_eq!((lines.len(), &lines[1]["event"]), (2, &"aborted".into()));
    assert!(lines[1].get("proof").is_none());
}

#[test]
fn rejected_upload_has_a_line_with_hook_and_reason_without_subject_if_it_is_hidden() {
    let args = [
        "--log-format",
        "json",
        "--subjects",
        "hooks",
        "--hook",
        "check=exec:/bin/sh",
        "--hook-arg",
        "check=-c",
        "--hook-arg",
        "check=grep -q '\"owner_subject\":\"local\"' && echo '{\"reason\":\"too loud\"}' && exit 10",
    ];
    let world = World::with_args(&args);
    let file = world.sandbox.file("film.bin", 1000);
    world.put(&file).args(["--wait", "ready"]).run().exits(77);
    let lines = audit_lines(&world, 1);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    for (key, value) in [
        ("event", "rejected"),
        ("hook", "check"),
        ("disposal", "delete"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert!(line["reason"].is_string(), "{line}");
    assert!(line.get("subject").is_none(), "{line}");
}

#[test]
fn expired_upload_has_a_line() {
    let args = [
        "--log-format",
        "json",
        "--lease",
        "1s",
        "--upload-ttl",
        "1s",
        "--sweep-every",
        "1s",
    ];
    let world = World::with_args(&args);
    let file = world.sandbox.file("film.bin", 4 * PART);
    world.run_until_blocked(world.put(&file), PART).kill9();
    world.proxy.unblock();
    let lines = audit_lines(&world, 1);
    assert_eq!((lines.len(), &lines[0]["event"]), (1, &"expired".into()));
}

#[test]
fn line_as_text_is_one_line() {
    let world = World::new();
    let file = world.sandbox.file("a\u{1b}[2J\nb", 1000);
    world.put(&file).run().succeeds();
    let line = wait::until("the line", || {
        let stderr = world.gateway.stderr();
        let line = stderr.lines().find(|line| line.contains("upload_audit"))?;
        Some(line.to_owned())
    });
    assert!(
        line.contains("event=\"ready\"") && line.contains("name=\""),
        "{line:?}"
    );
    assert!(!world.gateway.stderr().contains('\u{1b}'), "{line:?}");
}

#[test]
fn client_with_a_gateway_in_its_process_logs_no_audit() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 1000);
    for args in [&["put"][..], &["put", "-v"]] {
        let put = sandbox.upload(args).args(["--backend", "embedded"]);
        let output = put.arg(&file).run().succeeds();
        assert!(
            !output.stderr().contains("upload_audit"),
            "{}",
            output.stderr()
        );
    }
}
