//! Every exit code of the table in `upload --help`.
//!
//! Not here: 129, 130 and 143 (`signals`).

use std::fs;

use rustix::process::geteuid;

use crate::support::events::failure_kind;
use crate::support::proxy::{Fault, Proxy, Requests};
use crate::support::reserved_port::ReservedPort;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{MIB, PART, files};

#[test]
fn invalid_command_line_exits_with_2() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    for args in [
        &["put"][..],
        &["frobnicate"],
        &["put", "--no-such-flag", "x"],
        &["put", "--jobs", "none", "x"],
    ] {
        sandbox.upload(args).run().exits(2);
    }
    let put = sandbox
        .upload(["put", "--backend", "embedded", "--part-size", "4MiB"])
        .arg(&file);
    put.run().exits(2).stderr_contains("5");
}

#[test]
fn changed_source_exits_with_65() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    world.put_and_kill_after_parts(&file, 2);
    files::resize(&file, 3);
    let output = world.resume().arg("--json").run().exits(65);
    assert_eq!(failure_kind(&output), "source_changed");
}

#[test]
fn unreadable_source_exits_with_66() {
    let sandbox = Sandbox::new();
    let put = |path: &std::path::Path| {
        sandbox
            .upload(["put", "--backend", "embedded"])
            .arg(path)
            .run()
            .exits(66)
    };
    let absent = put(&sandbox.path("absent.bin"));
    assert!(absent.stderr().contains("absent.bin"), "{absent}");
    put(&sandbox.path("home"));
    // A path below a file, which not even root can open.
    put(&sandbox.file("film.bin", 1).join("below"));
    if !geteuid().is_root() {
        let unreadable = sandbox.file("unreadable.bin", 1);
        let mut mode = fs::metadata(&unreadable).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0);
        fs::set_permissions(&unreadable, mode).unwrap();
        put(&unreadable);
    }
}

#[test]
fn server_that_is_no_gateway_exits_with_69() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let portal = Proxy::start();
    for requests in [Requests::get(""), Requests::post("")] {
        portal.inject(requests, Fault::html_page(200));
    }
    let output = sandbox
        .upload(["put", "--backend", &portal.url()])
        .arg(&file)
        .run()
        .exits(69);
    assert!(
        !output.stderr().contains("<!doctype"),
        "the HTML page is printed: {output}"
    );
}

#[test]
fn journal_that_cannot_be_made_exits_with_73() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let journal = sandbox.file("a-file", 1).join("journal.db");
    let put = sandbox
        .upload(["put", "--backend", "embedded", "--journal"])
        .arg(&journal)
        .arg(&file);
    put.run().exits(73).stderr_contains("--journal");
}

#[test]
fn receipt_that_cannot_be_written_exits_with_74() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    sandbox
        .upload(["put", "--backend", "embedded", "--receipt", "/dev/full"])
        .arg(&file)
        .run()
        .exits(74);
}

#[test]
fn full_standard_output_exits_with_74() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    sandbox
        .upload(["put", "--backend", "embedded"])
        .arg(&file)
        .stdout_to(full)
        .run()
        .exits(74);
}

/// A completion that the journal could not record is not reported. `resume` finds the object later.
#[test]
fn completion_that_the_journal_cannot_record_exits_with_74() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 3 * PART);
    let running = world.run_until_blocked(world.put(&file), PART);
    let journal = rusqlite::Connection::open(world.sandbox.journal()).unwrap();
    let full = "CREATE TRIGGER full BEFORE UPDATE ON upload WHEN NEW.state = 'completed' BEGIN SELECT RAISE(ABORT, 'full'); END";
    journal.execute_batch(full).unwrap();
    world.proxy.unblock();
    let output = running.wait().exits(74);
    assert_eq!(output.stdout(), "", "{output}");
    journal.execute_batch("DROP TRIGGER full").unwrap();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn unreachable_gateway_exits_with_75() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let closed = ReservedPort::new();
    let put = sandbox
        .upload(["put", "--give-up-after", "1s", "--backend", &closed.url()])
        .arg(&file);
    let output = put.run().exits(75);
    // The journal holds no upload, so `upload resume` would not send this file.
    assert!(!output.stderr().contains("upload resume"), "{output}");
}

#[test]
fn gateway_that_stays_down_during_a_put_exits_with_75() {
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let running =
        world.run_until_blocked(world.put(&file).args(["--give-up-after", "2s"]), 12 * MIB);
    world.gateway.kill9();
    world.proxy.unblock();
    running.wait().exits(75).stderr_contains("upload resume");
    world.gateway.restart();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn rejected_token_exits_with_77() {
    let world = World::with_args(&["--auth", "tokens"]);
    let file = world.sandbox.file("film.bin", PART + 1);
    world.put(&file).run().exits(77).stderr_contains("token");
    world
        .put(&file)
        .env("UPLOAD_TOKEN", "not-a-token")
        .run()
        .exits(77);

    let token = world.gateway.token("ci");
    world
        .put(&file)
        .env("UPLOAD_TOKEN", &token)
        .run()
        .succeeds();
    world.assert_holds_only(&file);
    let path = world.sandbox.path("token");
    fs::write(&path, format!("{token}\n")).unwrap();
    world
        .put(&file)
        .arg("--force")
        .arg("--token-file")
        .arg(&path)
        .run()
        .succeeds();
    assert_eq!(world.store().objects().len(), 2);
}

#[test]
fn rejected_type_or_size_exits_with_77() {
    let world = World::with_args(&["--allow-type", "image/*", "--max-size", "1MiB"]);
    let film = world.sandbox.file("film.mp4", 10);
    world.put(&film).run().exits(77);
    let large = world.sandbox.file("large.png", MIB + 1);
    world.put(&large).run().exits(77);
    assert_eq!(world.proxy.traffic().count("PUT"), 0);
    let allowed = world.sandbox.file("allowed.png", MIB);
    world.put(&allowed).run().succeeds();
    world.assert_holds_only(&allowed);
}

#[test]
fn missing_backend_exits_with_78() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let output = sandbox.upload(["put"]).arg(&file).run().exits(78);
    for form in [
        "--backend",
        "UPLOAD_BACKEND",
        "embedded",
        "https://",
        "s3://",
    ] {
        assert!(
            output.stderr().contains(form),
            "{form} is not named: {output}"
        );
    }
}

#[test]
fn unknown_upload_and_mixed_failures_exit_with_1() {
    let sandbox = Sandbox::new();
    sandbox
        .upload(["status", "0198c0de-0000-7000-8000-000000000000"])
        .run()
        .exits(1);

    let world = World::with_args(&["--max-size", "1MiB"]);
    let large = world.sandbox.file("large.bin", MIB + 1);
    world
        .put(&large)
        .arg(world.sandbox.path("absent.bin"))
        .run()
        .exits(1);
}
