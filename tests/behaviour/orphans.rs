//! Abandoned uploads: expiry, orphans in `list` and `prune`, and `prune` of the journal.
//!
//! Not here: the cases of the gateway's sweep (unit tests of the gateway).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rusqlite::Connection;

use crate::support::PART;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;

/// Makes every lease and upload in the gateway's ledger expire, except those that have expired.
fn expire_uploads(world: &World) {
    let ledger = Connection::open(world.gateway.sandbox().ledger()).unwrap();
    ledger.busy_timeout(Duration::from_secs(10)).unwrap();
    let sql = "UPDATE upload SET lease_until = 0, expires_at = 0 WHERE expires_at > 0";
    ledger.execute(sql, []).unwrap();
}

#[test]
fn expired_upload_is_swept_and_begun_again() {
    for verb in ["resume", "put"] {
        let world = World::with_args(&["--sweep-every", "100ms"]);
        let file = world.sandbox.file("film.bin", 4 * PART);
        world.put_and_kill_after_parts(&file, 1);
        assert_eq!(world.store().open_uploads().len(), 1);
        wait::until("the sweep's abort", || {
            // A call of the killed client that the gateway still answers may renew the lease.
            expire_uploads(&world);
            world.store().open_uploads().is_empty().then_some(())
        });
        if verb == "put" {
            world.put(&file)
        } else {
            world.resume()
        }
        .run()
        .succeeds();
        world.assert_holds_only(&file);
    }
}

#[test]
fn orphans_are_listed_and_can_be_aborted() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let (id, _) = world.put_and_kill_after_parts(&file, 1);
    world.upload(&["list", "--orphans"]).run().succeeds();
    assert!(
        !world
            .upload(&["list", "--orphans"])
            .run()
            .succeeds()
            .stdout()
            .contains("orphan"),
        "an upload in the journal is listed as an orphan"
    );

    let other = Sandbox::new();
    let run_there = |args: &[&str]| {
        other
            .upload(args)
            .env("UPLOAD_BACKEND", world.proxy.url())
            .run()
            .succeeds()
    };
    assert!(run_there(&["list"]).stdout().is_empty());
    for verb in [&["list", "--orphans"][..], &["prune", "--orphans"]] {
        let output = run_there(verb);
        assert!(
            output.line().starts_with(&id) && output.line().contains("orphan"),
            "{output}"
        );
    }
    let line: serde_json::Value =
        serde_json::from_str(run_there(&["list", "--orphans", "--json"]).line()).unwrap();
    assert_eq!(
        (&line["type"], &line["id"], &line["state"]),
        (&"orphan".into(), &id.into(), &"uploading".into())
    );
    run_there(&["abort", line["id"].as_str().unwrap()]);
    world.store().assert_no_open_uploads();
    assert!(run_there(&["prune", "--orphans"]).stdout().is_empty());
    other.upload(["prune"]).run().succeeds();
    other.upload(["prune", "--orphans"]).run().exits(78);
    other.upload(["list", "--orphans"]).run().exits(78);
}

/// The command on standard error has the flags that the orphan needs.
#[test]
fn command_that_aborts_an_orphan_can_be_run() {
    let world = World::with_args(&["--auth", "tokens"]);
    let token = world.sandbox.path("my token");
    fs::write(&token, world.gateway.token("ci")).unwrap();
    fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let put = world.put(&file).arg("--token-file").arg(&token);
    world.run_until_blocked(put, PART).kill9();
    world.proxy.unblock();
    let (other, mut last) = (Sandbox::new(), Vec::new());
    for verb in [&["prune"][..], &["list", "--orphans"]] {
        let command = other.upload(verb).arg("--token-file").arg(&token);
        let output = command.args(["--backend", &world.proxy.url()]).run();
        let output = output.succeeds();
        let id = output.line().split(' ').next().unwrap().to_owned();
        let command = output.stderr().split('`').nth(1).unwrap();
        let mut words = shlex::split(command).unwrap();
        let placeholder = words.iter_mut().find(|word| *word == "ID");
        *placeholder.expect("a placeholder") = id;
        last = words;
    }
    other.upload(&last[1..]).run().succeeds();
    world.store().assert_no_open_uploads();
}

/// A backend that responds with the same page again and again.
#[test]
fn endless_list_of_uploads_is_an_error() {
    let world = World::new();
    let page = r#"{"uploads":[{"id":"x","state":"uploading","name":"n","key":"k","size":1,"content_type":"a/b","part_size":5242880,"part_count":1,"created_at":"2026-01-01T00:00:00Z","expires_at":"2027-01-01T00:00:00Z"}],"next":"x"}"#;
    world.proxy.inject(
        Requests::get("/v1/uploads"),
        Fault::Respond(Response::json(200, page)),
    );
    let list = world.upload(&["list", "--orphans"]).run();
    list.exits(69);
}

#[test]
fn prune_removes_completed_uploads_from_the_journal_only() {
    let world = World::new();
    let (done, open) = (
        world.sandbox.file("done.bin", 10),
        world.sandbox.file("open.bin", 4 * PART),
    );
    world.put(&done).run().succeeds();
    let (id, _) = world.put_and_kill_after_parts(&open, 1);
    let journal_len = || {
        world
            .upload(&["list", "--all"])
            .run()
            .succeeds()
            .lines()
            .len()
    };
    world
        .upload(&["prune", "--older-than", "1d"])
        .run()
        .succeeds();
    assert_eq!(journal_len(), 2);
    world.upload(&["prune"]).run().succeeds();
    assert_eq!(journal_len(), 1);
    let line = world
        .upload(&["list", "--json"])
        .run()
        .succeeds()
        .line()
        .to_owned();
    assert!(line.contains(&id));
    // The object stays in the store, and the unfinished upload can be resumed.
    assert_eq!(world.store().objects().len(), 1);
    world.resume().run().succeeds();
    assert_eq!(world.store().objects().len(), 2);
}

#[test]
fn prune_makes_the_file_of_the_journal_smaller() {
    let world = World::new();
    let (many, open) = (
        world.sandbox.file("many.bin", 2 * PART),
        world.sandbox.file("open.bin", 4 * PART),
    );
    world.put(&many).run().succeeds();
    let (id, _) = world.put_and_kill_after_parts(&open, 1);
    let rows = Connection::open(world.sandbox.journal()).unwrap();
    rows.execute_batch(
        "WITH RECURSIVE number(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM number WHERE n < 9000)
         INSERT INTO part SELECT row, n, zeroblob(32), 'etag-of-32-characters-0000000000'
         FROM number, upload WHERE state = 'completed'",
    )
    .unwrap();
    drop(rows);
    let bytes = || fs::metadata(world.sandbox.journal()).unwrap().len();
    let prune = || {
        let output = world.upload(&["prune", "--json"]).run().succeeds();
        let line: serde_json::Value = serde_json::from_str(output.line()).unwrap();
        let number = |key: &str| line[key].as_u64().unwrap();
        (number("removed"), number("freed_bytes"))
    };
    let before = bytes();
    let (removed, freed) = prune();
    assert_eq!(removed, 1);
    assert!(bytes() < before / 2, "{} of {before} bytes", bytes());
    assert_eq!(freed, before - bytes());
    assert_eq!(prune(), (0, 0));
    let listed = world.upload(&["list", "--all"]).run().succeeds();
    assert!(listed.line().contains(&id), "{listed}");
    world.resume().run().succeeds();
}

/// If the backend cannot be reached, the upload stays in the journal and can be aborted later.
#[test]
fn abort_without_the_backend_keeps_the_upload() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let (id, _) = world.put_and_kill_after_parts(&file, 1);
    world.proxy.stop_listening();
    world.upload(&["abort", &id]).run().exits(75);
    world.proxy.listen_again();
    assert!(
        world
            .upload(&["list"])
            .run()
            .succeeds()
            .line()
            .contains(&id)
    );
    world.upload(&["abort", &id]).run().succeeds();
    world.store().assert_no_open_uploads();
}

/// The uploads of a direct backend are forgotten without its credentials and network.
#[test]
fn prune_asks_no_backend() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    world.put(&file).run().succeeds();
    world.proxy.stop_listening();
    let prune = |args: &[&str]| {
        let prune = world.sandbox.upload([&["prune", "--json"], args].concat());
        let prune = prune.env("UPLOAD_BACKEND", "s3://bucket").run().succeeds();
        let line: serde_json::Value = serde_json::from_str(prune.line()).unwrap();
        (line["removed"].clone(), line["dry_run"].clone())
    };
    assert_eq!(prune(&["--dry-run"]), (1.into(), true.into()));
    assert_eq!(prune(&[]), (1.into(), false.into()));
    assert_eq!(prune(&[]), (0.into(), false.into()));
}

#[test]
fn prune_counts_the_objects_that_stay_in_the_embedded_store() {
    let sandbox = Sandbox::new();
    for name in ["a.bin", "b.bin"] {
        let put = sandbox.upload(["put", "--backend", "embedded"]);
        put.arg(sandbox.file(name, 1000)).run().succeeds();
    }
    let output = sandbox.upload(["prune", "--dry-run"]).run().succeeds();
    let store = sandbox.path("home/data/upload/store");
    assert!(output.stderr().contains("2 objects"), "{output}");
    assert!(
        output.stderr().contains(&store.display().to_string()),
        "{output}"
    );
    let output = sandbox.upload(["prune", "--json"]).run().succeeds();
    let line: serde_json::Value = serde_json::from_str(output.line()).unwrap();
    assert_eq!(line["embedded_objects"], 2);
    assert_eq!(line["embedded_bytes"], 2000);
    let listed = sandbox.upload(["list", "--all"]).run().succeeds();
    assert_eq!(listed.stdout(), "");
}
