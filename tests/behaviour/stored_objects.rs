//! Objects that are deleted or replaced in the store after their upload. Nothing is reported as
//! stored unless the store has it now.
//!
//! Not here: uploads that are not complete (`source_changes`, `postgres_restart`).

use std::path::PathBuf;

use crate::support::PART;
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
    world.put(&file).run().succeeds();
    assert_ne!(world.store().objects(), [key]);
    world.assert_holds_only(&file);
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
