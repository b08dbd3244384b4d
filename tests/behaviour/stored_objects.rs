//! Objects that are deleted or replaced in the store after their upload. Nothing is reported as
//! stored unless the store has it now.
//!
//! Not here: uploads that are not complete (`source_changes`, `postgres_restart`).

use std::path::PathBuf;

use crate::support::PART;
use crate::support::events::{Event, events};
use crate::support::world::{World, location};

/// Uploads a file. Returns it, the key of its object, and the id of its upload.
fn uploaded(world: &World) -> (PathBuf, String, String) {
    let file = world.sandbox.file("film.bin", 2 * PART);
    world.put(&file).run().succeeds();
    let [key] = &world.store().objects()[..] else {
        panic!("one object");
    };
    let list = world.upload(&["list", "--all"]).run().succeeds();
    let id = list.line().split(' ').next().unwrap().to_owned();
    (file, key.clone(), id)
}

#[test]
fn object_that_is_there_is_not_uploaded_again() {
    let world = World::new();
    let (file, key, _) = uploaded(&world);
    let before = world.bytes_put();
    let output = world.put(&file).run().succeeds();
    assert_eq!(world.bytes_put(), before);
    assert!(location(output).contains(&key));
    assert_eq!(world.store().objects(), [key]);
}

#[test]
fn deleted_object_is_uploaded_again() {
    let world = World::new();
    let (file, key, _) = uploaded(&world);
    world.store().delete(&key);
    let output = world.put(&file).run().succeeds();
    assert!(output.stderr().contains("restarted: "), "{output}");
    assert_ne!(world.store().objects(), [key]);
    world.assert_holds_only(&file);
}

/// The gateway has lost its ledger, so it knows neither the upload nor its parts.
#[test]
fn upload_that_the_backend_no_longer_has_is_restarted_and_reported() {
    for json in [false, true] {
        let mut world = World::new();
        let file = world.sandbox.file("film.bin", 4 * PART);
        let (id, _) = world.put_and_kill_after_parts(&file, 1);
        world.gateway.kill9();
        let ledger = world.gateway.sandbox().ledger();
        for suffix in ["", "-wal", "-shm"] {
            let mut path = ledger.clone().into_os_string();
            path.push(suffix);
            // The log may not exist.
            let _ = std::fs::remove_file(path);
        }
        world.gateway.restart();
        let flag = json.then_some("--json");
        let output = world.resume().args(flag).run().succeeds();
        if json {
            let restarts: Vec<_> = events(&output)
                .into_iter()
                .filter(|event| matches!(event, Event::Restarted { .. }))
                .collect();
            let [Event::Restarted { upload, path, .. }] = &restarts[..] else {
                panic!("one restart: {output}");
            };
            assert_eq!(upload.as_ref(), Some(&id));
            assert_eq!(path, &file.display().to_string());
        } else {
            let lines = output.stderr().lines();
            let lines = lines.filter(|line| line.contains("restarted: "));
            assert_eq!(lines.count(), 1, "{output}");
        }
        assert_eq!(world.store().objects().len(), 1);
    }
}

#[test]
fn replaced_object_is_uploaded_again() {
    let world = World::new();
    let (file, key, _) = uploaded(&world);
    world.store().put(&key, b"other bytes");
    world.put(&file).run().succeeds();
    let objects = world.store().objects();
    let new = objects.iter().find(|object| **object != key).unwrap();
    assert_eq!(world.store().get(new), std::fs::read(&file).unwrap());
}

#[test]
fn url_of_a_deleted_object_is_an_error() {
    let world = World::new();
    let (_, key, id) = uploaded(&world);
    world.upload(&["url", &id]).run().succeeds();
    world.store().delete(&key);
    let output = world.upload(&["url", &id]).run().exits(1);
    assert_eq!(output.stdout(), "");
}

#[test]
fn status_reports_that_the_store_has_lost_the_object() {
    let world = World::new();
    let (_, key, id) = uploaded(&world);
    let status = || {
        let args = ["status", &id, "--remote", "--json"];
        let output = world.upload(&args).run().succeeds();
        let line: serde_json::Value = serde_json::from_str(output.line()).unwrap();
        line["remote"]["object"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(), "present");
    world.store().put(&key, b"other bytes");
    assert_eq!(status(), "replaced");
    world.store().delete(&key);
    assert_eq!(status(), "missing");
}

#[test]
fn resume_of_a_finished_upload_asks_the_store() {
    let world = World::new();
    let (_, key, id) = uploaded(&world);
    let receipt = world.sandbox.path("receipt.json");
    let resume = || world.resume().arg(&id).arg("--receipt").arg(&receipt);
    let output = resume().run().succeeds();
    assert!(location(output).contains(&key));
    std::fs::remove_file(&receipt).unwrap();
    world.store().delete(&key);
    let output = resume().run().exits(1);
    assert_eq!(output.stdout(), "");
    assert!(!receipt.exists());
}
