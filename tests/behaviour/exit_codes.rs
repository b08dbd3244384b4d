//! Every exit code of the table in `upload --help`, produced.
//!
//! Border: 0 is everywhere; 129, 130 and 143 are in `signals`; several failures in one run are here too.

use std::fs;
use std::net::TcpListener;

use rustix::process::geteuid;

use crate::interrupt::{held, kill_after_parts};
use crate::support::proxy::{Fault, Proxy, Requests};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{MIB, PART, files};

#[test]
fn code_2_for_a_command_line_that_cannot_be() {
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
fn code_65_for_a_source_that_changed() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    kill_after_parts(&world, &file, 2);
    files::resize(&file, 3);
    world.resume().run().exits(65).stderr_contains("upload");
}

#[test]
fn code_66_for_what_cannot_be_read() {
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
    // A file beneath a file, which nobody can open, whoever runs this.
    put(&sandbox.file("film.bin", 1).join("beneath"));
    if !geteuid().is_root() {
        let secret = sandbox.file("secret.bin", 1);
        let mut mode = fs::metadata(&secret).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0);
        fs::set_permissions(&secret, mode).unwrap();
        put(&secret);
    }
}

#[test]
fn code_69_for_a_server_that_is_no_gateway() {
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
        "the page is shown raw: {output}"
    );
}

#[test]
fn code_73_for_a_journal_that_cannot_be() {
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
fn code_74_for_a_receipt_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    sandbox
        .upload(["put", "--backend", "embedded", "--receipt", "/dev/full"])
        .arg(&file)
        .run()
        .exits(74);
}

#[test]
fn code_74_for_a_full_standard_output() {
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

/// What the journal could not take down is not called done, though the store has it; once it can, `resume` finds it there.
#[test]
fn code_74_for_an_end_that_the_journal_does_not_take() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 3 * PART);
    let running = held(&world, world.put(&file), PART);
    let journal = world
        .sandbox
        .files()
        .into_iter()
        .find(|path| path.ends_with("journal.db"))
        .expect("a journal");
    let journal = rusqlite::Connection::open(journal).unwrap();
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
fn code_75_for_a_gateway_that_is_down() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let backend = format!("http://127.0.0.1:{port}");
    let put = sandbox
        .upload(["put", "--give-up-after", "1s", "--backend", &backend])
        .arg(&file);
    let output = put.run().exits(75);
    // The journal has no upload: `upload resume` would not send this file.
    assert!(!output.stderr().contains("upload resume"), "{output}");
}

#[test]
fn code_75_for_a_gateway_that_goes_down_and_stays_so() {
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let running = held(
        &world,
        world.put(&file).args(["--give-up-after", "2s"]),
        12 * MIB,
    );
    world.gateway.kill9();
    world.proxy.unblock();
    running.wait().exits(75).stderr_contains("upload resume");
    world.gateway.restart();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn code_77_for_a_token_that_is_not_taken() {
    let world = World::with_args(&["--auth", "tokens"]);
    let file = world.sandbox.file("film.bin", PART + 1);
    let none = world.put(&file).run().exits(77);
    assert!(none.stderr().contains("token"), "{none}");
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
fn code_77_for_what_the_backend_does_not_take() {
    let world = World::with_args(&["--allow-type", "image/*", "--max-size", "1MiB"]);
    let film = world.sandbox.file("film.mp4", 10);
    world.put(&film).run().exits(77);
    let large = world.sandbox.file("large.png", MIB + 1);
    world.put(&large).run().exits(77);
    assert_eq!(world.proxy.traffic().count("PUT"), 0);
    let right = world.sandbox.file("right.png", MIB);
    world.put(&right).run().succeeds();
    world.assert_holds_only(&right);
}

#[test]
fn code_78_when_no_backend_is_configured() {
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
fn code_1_for_what_has_no_code_of_its_own_and_for_failures_that_differ() {
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
