//! `upload rm` and `upload serve rm`: finished uploads are removed with their objects.
//!
//! Not here: the rules of the gateway (`gateway_api/removal`).

use rusqlite::Connection;
use serde_json::Value;

use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// Puts a file; returns its upload id.
#[track_caller]
fn put(world: &World, name: &str) -> String {
    let file = world.sandbox.file(name, 100);
    world.put(&file).run().succeeds();
    let listed = world.upload(&["list", "--all"]).run().succeeds();
    let ids = listed.lines().into_iter().rev();
    let mut ids = ids.filter(|line| line.contains(name));
    let line = ids.next().expect("the upload is listed");
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn rm_removes_a_finished_upload_where_the_gateway_permits_it() {
    let world = World::with_args(&["--client-delete"]);
    let id = put(&world, "film.bin");
    let aborted = world.upload(&["abort", &id]).run();
    let aborted = aborted.exits(1).stderr_contains("upload rm ");
    assert_eq!(world.store().objects().len(), 1, "{aborted}");
    let removed = world.upload(&["rm", &id, "--json"]).run().succeeds();
    let line: Value = serde_json::from_str(removed.line()).unwrap();
    assert_eq!(
        (&line["type"], &line["upload"]),
        (&"removed".into(), &id.as_str().into())
    );
    assert!(world.store().objects().is_empty());
    // It is removed already.
    world.upload(&["rm", &id]).run().succeeds();
    // The same file is uploaded again.
    world.put(&world.sandbox.path("film.bin")).run().succeeds();
    assert_eq!(world.store().objects().len(), 1);
}

#[test]
fn rm_is_refused_by_default_and_the_operator_removes() {
    let mut world = World::new();
    let id = put(&world, "film.bin");
    let refused = world.upload(&["rm", &id]).run();
    refused.exits(1).stderr_contains("upload serve rm ");
    assert_eq!(world.store().objects().len(), 1);
    // The embedded store has one user at a time.
    world.gateway.kill9();
    let serve = |args: &[&str]| {
        let command = world.gateway.sandbox().upload(["serve", "rm"]);
        command.args(args).run()
    };
    serve(&["no id!"]).exits(2);
    serve(&["unknown-id"]).exits(1);
    serve(&[&id, "--check"]).succeeds();
    let ledger = Connection::open(world.gateway.sandbox().ledger()).unwrap();
    let sql = "SELECT state FROM upload";
    let state: String = ledger.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(state, "ready");
    drop(ledger);
    serve(&[&id]).succeeds().stderr_contains("removed");
    world.gateway.restart();
    assert!(world.store().objects().is_empty());
    let status = world.upload(&["status", "--remote", &id]).run();
    assert!(status.succeeds().stdout().contains("aborted"));
}

#[test]
fn rm_of_an_embedded_backend_needs_no_permission() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 100);
    let put = sandbox
        .upload(["put", "--backend", "embedded", "--json"])
        .arg(&file)
        .run()
        .succeeds();
    assert!(put.stdout().contains("embedded:uploads/"));
    sandbox.upload(["rm"]).arg(&file).run().succeeds();
    let again = sandbox
        .upload(["put", "--backend", "embedded", "--json"])
        .arg(&file)
        .run();
    assert!(
        again
            .succeeds()
            .stdout()
            .contains(r#""already_stored":false"#)
    );
}
