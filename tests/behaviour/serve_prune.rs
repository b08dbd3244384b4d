//! `upload serve prune` while a gateway runs, and what a client does whose upload was deleted.
//!
//! Not here: the choice of the deleted rows (unit tests of the ledger).

use rusqlite::Connection;
use serde_json::Value;

use crate::support::PART;
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;

fn execute(sandbox: &Sandbox, sql: &str) -> usize {
    let ledger = Connection::open(sandbox.ledger()).unwrap();
    ledger
        .busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    ledger.execute(sql, []).unwrap()
}

/// Runs `serve prune --json` with these arguments; returns its line.
#[track_caller]
fn prune(gateway: &Sandbox, args: &[&str]) -> Value {
    let prune = gateway.upload(["serve", "prune", "--json"]).args(args);
    serde_json::from_str(prune.run().succeeds().line()).unwrap()
}

#[test]
fn upload_that_was_pruned_is_begun_again() {
    for verb in ["put", "resume"] {
        let world = World::with_args(&["--sweep-every", "100ms"]);
        let file = world.sandbox.file("film.bin", 4 * PART);
        world.put_and_kill_after_parts(&file, 1);
        let gateway = world.gateway.sandbox();
        wait::until("the end of the upload", || {
            // A call of the killed client that the gateway still answers may renew the lease.
            let sql = "UPDATE upload SET lease_until = 0, expires_at = 0 WHERE expires_at > 0";
            execute(gateway, sql);
            // Two hours ago: the sweep itself deletes only much older ones.
            let sql = "UPDATE upload SET cleanup_at = NULL, ended_at = unixepoch() * 1000 - 7200000 \
                       WHERE state = 'expired'";
            (execute(gateway, sql) == 1).then_some(())
        });
        let old = ["--older-than", "1h"];
        let counted = prune(gateway, &["--dry-run", "--older-than", "1h"]);
        assert_eq!(
            (&counted["type"], &counted["dry_run"], &counted["expired"]),
            (&"prune".into(), &true.into(), &1.into())
        );
        let deleted = prune(gateway, &old);
        assert_eq!(
            (&deleted["dry_run"], &deleted["expired"]),
            (&false.into(), &1.into())
        );
        assert_eq!(prune(gateway, &old)["expired"], 0, "{verb}");
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
fn ready_upload_that_was_pruned_is_never_reported_as_stored() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 7);
    world.put(&file).run().succeeds();
    let gateway = world.gateway.sandbox();
    execute(gateway, "UPDATE upload SET created_at = 1");
    let old = ["--older-than", "1h"];
    assert_eq!(prune(gateway, &old)["ready"], 0, "ready uploads are kept");
    world
        .upload(&["url", "film.bin"])
        .current_dir(file.parent().unwrap())
        .run()
        .succeeds();
    assert_eq!(
        prune(gateway, &["--ready", "--older-than", "1h"])["ready"],
        1
    );
    assert_eq!(world.store().objects().len(), 1, "the object stays");

    let verb = |args: &[&str]| {
        let command = world.upload(args).current_dir(file.parent().unwrap());
        command.run()
    };
    verb(&["url", "film.bin"]).exits(1);
    verb(&["status", "film.bin", "--remote"]).exits(1);
    let before = world.bytes_put();
    world.put(&file).run().succeeds();
    assert_eq!(world.bytes_put() - before, PART + 7, "it is sent again");
    assert_eq!(world.store().objects().len(), 2);
    verb(&["url", "film.bin"]).succeeds();
}

#[test]
fn pruned_ledger_is_a_smaller_file() {
    const ROWS: u64 = 20_000;
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 7);
    world.put(&file).run().succeeds();
    let gateway = world.gateway.sandbox();
    let inserted = execute(
        gateway,
        &format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS}) \
             INSERT INTO upload (id, owner, idempotency_key, request_sha256, name, size, content_type, metadata, kind, \
             part_size, part_count, key, token, state, epoch, lease_until, created_at, expires_at, ended_at) \
             SELECT 'id-' || n, owner, CAST('key-' || n AS BLOB), request_sha256, name, size, content_type, metadata, kind, \
             part_size, part_count, key || n, token, 'aborted', epoch, 1, 1, 1, 1 FROM n, upload"
        ),
    );
    assert_eq!(inserted as u64, ROWS);
    world.gateway.kill9();
    let gateway = world.gateway.sandbox();
    let size = || std::fs::metadata(gateway.ledger()).unwrap().len();
    prune(gateway, &["--dry-run"]);
    let before = size();
    let line = prune(gateway, &[]);
    let released = line["released"].as_u64().unwrap();
    assert_eq!(line["aborted"].as_u64(), Some(ROWS));
    assert!(size() < before / 4, "{before} to {} bytes", size());
    assert!(released > before / 2, "{released} of {before} bytes");
    world.gateway.restart();
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn prune_creates_no_ledger() {
    let sandbox = Sandbox::new();
    let missing = format!("sqlite:{}", sandbox.path("missing.db").display());
    let prune = sandbox.upload(["serve", "prune", "--ledger", &missing]);
    prune.run().exits(1);
    assert!(!sandbox.path("missing.db").exists());
}
