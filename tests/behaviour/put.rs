//! `upload put` without faults: objects, locations and receipts.
//!
//! Not here: kills (`kills`), changed files (`source_changes`), network faults (`backend_faults`).

use std::fs;
use std::path::Path;

use crate::support::events::{Event, Receipt, events, receipts};
use crate::support::sandbox::Sandbox;
use crate::support::world::{World, assert_receipt_matches, location};
use crate::support::{MIB, PART, files};

/// Runs `upload put --backend embedded`; returns the location and the receipt.
#[track_caller]
fn put_embedded(sandbox: &Sandbox, file: &Path) -> (String, Receipt) {
    let receipt = sandbox.path("receipt.json");
    let command = sandbox.upload([
        "put",
        "--backend",
        "embedded",
        "--part-size",
        "5MiB",
        "--receipt",
    ]);
    let location = location(command.arg(&receipt).arg(file).run());
    let receipts = receipts(&receipt);
    let [receipt] = receipts.as_slice() else {
        panic!("one receipt expected: {receipts:?}")
    };
    fs::remove_file(sandbox.path("receipt.json")).unwrap();
    (location, receipt.clone())
}

#[test]
fn put_stores_files_of_any_size() {
    let sandbox = Sandbox::new();
    for size in [0, 1, PART - 1, PART, PART + 1, 3 * PART, 12 * MIB + 7] {
        let file = sandbox.file(&format!("{size}.bin"), size);
        let (location, receipt) = put_embedded(&sandbox, &file);
        assert_eq!(location, format!("embedded:{}", receipt.key));
        assert_eq!(location, receipt.location);
        assert_receipt_matches(&receipt, &file, PART);
        let output = sandbox.upload(["cat", &receipt.id]).run().succeeds();
        assert!(
            output.stdout_bytes() == fs::read(&file).unwrap(),
            "`cat` returns other bytes for a file of {size} bytes"
        );
    }
}

#[test]
fn key_holds_the_extension_and_no_other_part_of_the_name() {
    let sandbox = Sandbox::new();
    let (_, receipt) = put_embedded(&sandbox, &sandbox.file("secret plans.MOV", 10));
    let segments: Vec<&str> = receipt.key.split('/').collect();
    let ["uploads", owner, name] = segments.as_slice() else {
        panic!("{}", receipt.key)
    };
    assert!(
        owner.len() == 26
            && owner
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
        "{owner}"
    );
    assert_eq!(*name, format!("{}.mov", receipt.id));
}

#[test]
fn repeated_put_prints_the_same_location_and_sends_nothing() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART + 1);
    let first = location(world.put(&file).run());
    let before = world.proxy.traffic();
    assert_eq!(location(world.put(&file).run()), first);
    let after = world.proxy.traffic().since(&before);
    assert_eq!(
        (after.count("PUT"), after.posts("/v1/uploads")),
        (0, 0),
        "{after:?}"
    );
    world.assert_holds_only(&file);
}

#[test]
fn forced_put_makes_a_new_object() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 1);
    let first = location(world.put(&file).run());
    let second = location(world.put(&file).arg("--force").run());
    assert_ne!(first, second);
    assert_eq!(world.store().objects().len(), 2);
    world.store().assert_no_open_uploads();
}

#[test]
fn same_file_with_another_name_is_another_upload() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let first = location(world.put(&file).run());
    assert_ne!(
        location(world.put(&file).args(["--name", "other.bin"]).run()),
        first
    );
    assert_eq!(world.store().objects().len(), 2);
}

#[test]
fn several_files_are_put_in_one_call() {
    let world = World::new();
    let sources: Vec<_> = [
        ("a.bin", 0),
        ("b.bin", 1),
        ("c.bin", 2 * PART + 1),
        ("d.bin", PART),
    ]
    .map(|(name, size)| world.sandbox.file(name, size))
    .into();
    let output = world.put(&sources[0]).args(&sources[1..]).run().succeeds();
    assert_eq!(output.lines().len(), 4, "{output}");
    let store = world.store();
    let mut stored: Vec<String> = store
        .objects()
        .iter()
        .map(|key| files::sha256_of(&store.get(key)))
        .collect();
    let mut sent: Vec<String> = sources.iter().map(|file| files::sha256(file)).collect();
    stored.sort();
    sent.sort();
    assert_eq!(stored, sent);
    store.assert_no_open_uploads();
}

#[test]
fn unreadable_file_does_not_stop_the_others() {
    let world = World::new();
    let readable = world.sandbox.file("readable.bin", PART + 1);
    let output = world
        .put(&world.sandbox.path("absent.bin"))
        .arg(&readable)
        .run()
        .exits(66);
    assert_eq!(output.lines().len(), 1, "{output}");
    world.assert_holds_only(&readable);
}

#[test]
fn name_content_type_and_metadata_reach_the_backend() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let output = world
        .put(&file)
        .args([
            "--json",
            "--name",
            "holiday.mp4",
            "--content-type",
            "video/mp4",
            "--meta",
            "camera=old one",
        ])
        .run()
        .succeeds();
    let events = events(&output);
    let Some(Event::Completed { receipt, .. }) = events
        .iter()
        .find(|event| matches!(event, Event::Completed { .. }))
    else {
        panic!("no `completed` event: {output}")
    };
    assert_eq!(
        receipt.key.rsplit('.').next(),
        Some("mp4"),
        "{}",
        receipt.key
    );
    let head = world.store().head(&receipt.key);
    assert_eq!(head.header("content-type"), Some("video/mp4"));
    assert_eq!(head.header("x-amz-meta-camera"), Some("old one"));
    let status = world
        .upload(&["status", "--remote", "--json", &receipt.id])
        .run()
        .succeeds();
    let status: serde_json::Value = serde_json::from_str(status.line()).unwrap();
    assert_eq!(
        (&status["v"], &status["type"]),
        (&1.into(), &"upload".into())
    );
    for text in ["holiday.mp4", "video/mp4"] {
        assert!(status.to_string().contains(text), "no {text} in {status}");
    }
}

#[test]
fn dry_run_prints_the_plan_and_sends_nothing() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART + 1);
    let output = world.put(&file).arg("--dry-run").run().succeeds();
    assert!(
        output.stderr().contains("film.bin: 10.0 MiB in 3 parts"),
        "{output}"
    );
    let traffic = world.proxy.traffic();
    assert_eq!(
        (traffic.count("PUT"), traffic.posts("/v1/uploads")),
        (0, 0),
        "{traffic:?}"
    );
    assert!(world.store().objects().is_empty());
    location(world.put(&file).run());
    world.assert_holds_only(&file);
}

#[test]
fn receipts_of_several_files_are_appended_to_one_file() {
    let world = World::new();
    let (a, b) = (
        world.sandbox.file("a.bin", 3),
        world.sandbox.file("b.bin", PART + 1),
    );
    let path = world.sandbox.path("receipts");
    world
        .put(&a)
        .arg(&b)
        .arg("--receipt")
        .arg(&path)
        .run()
        .succeeds();
    let receipts = receipts(&path);
    assert_eq!(receipts.len(), 2);
    for receipt in receipts {
        assert_receipt_matches(&receipt, if receipt.size == 3 { &a } else { &b }, PART);
        assert_eq!(receipt.backend, world.proxy.url());
    }
}

#[test]
fn resume_of_a_completed_upload_prints_its_location() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 1);
    let path = world.sandbox.path("receipt");
    let first = location(world.put(&file).arg("--receipt").arg(&path).run());
    let before = world.proxy.traffic();
    let id = &receipts(&path)[0].id;
    assert_eq!(location(world.upload(&["resume", id]).run()), first);
    assert_eq!(world.proxy.traffic().since(&before).count("PUT"), 0);
    // Without unfinished uploads, `resume` succeeds.
    world.resume().run().succeeds();
}

#[test]
fn aborted_upload_leaves_nothing_in_the_store() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    world.proxy.block_after(PART + 1);
    let mut running = world.put(&file).arg("--json").spawn();
    world.proxy.wait_until_blocked();
    let id = running.wait_for("an upload id", |running| {
        crate::support::events::upload_id(&running.stdout())
    });
    running.kill9();
    world.proxy.unblock();
    assert_eq!(world.store().open_uploads().len(), 1);
    world.upload(&["abort", &id]).run().succeeds();
    world.store().assert_no_open_uploads();
    // The file can be uploaded again.
    location(world.put(&file).run());
    world.assert_holds_only(&file);
}

#[test]
fn read_url_returns_the_object_without_credentials() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 1);
    let path = world.sandbox.path("receipt");
    world
        .put(&file)
        .arg("--receipt")
        .arg(&path)
        .run()
        .succeeds();
    let id = receipts(&path)[0].id.clone();
    let url = world
        .upload(&["url", &id])
        .run()
        .succeeds()
        .line()
        .to_owned();
    let short_lived = world
        .upload(&["url", &id, "--expires", "2m"])
        .run()
        .succeeds();
    assert!(
        short_lived.line().contains("X-Amz-Expires=120&"),
        "{short_lived}"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let bytes =
        runtime.block_on(async { client.get(url).send().await.unwrap().bytes().await.unwrap() });
    assert_eq!(files::sha256_of(&bytes), files::sha256(&file));
}

#[test]
fn location_names_the_cdn() {
    let world = World::with_args(&["--cdn", "https://cdn.example.com"]);
    let file = world.sandbox.file("film.bin", PART + 1);
    let location = location(world.put(&file).run());
    assert!(
        location.starts_with("https://cdn.example.com/uploads/"),
        "{location}"
    );
    assert_eq!(
        world.upload(&["url"]).arg(&file).run().succeeds().line(),
        location
    );
}

/// `resume` must not repeat a rejected request, because the user has to correct it.
#[test]
fn rejected_begin_leaves_nothing_to_resume() {
    let world = World::with_args(&["--allow-type", "video/*"]);
    let file = world.sandbox.file("film.bin", 10);
    world.put(&file).run().exits(77);
    world.resume().run().succeeds();
    world
        .put(&file)
        .args(["--content-type", "video/mp4"])
        .run()
        .succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn receipt_never_overwrites_the_source() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let before = files::sha256(&file);
    world.put(&file).arg("--receipt").arg(&file).run().exits(2);
    assert_eq!(files::sha256(&file), before);
}

/// An empty variable in `upload abort "$ID"` must not select any upload.
#[test]
fn empty_id_selects_no_upload() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let (id, _) = world.put_and_kill_after_parts(&file, 3);
    world.upload(&["abort", ""]).run().exits(1);
    world.upload(&["resume", &id]).run().succeeds();
    world.assert_holds_only(&file);
}

/// Uploads a file with these attributes, and asserts that the new object has them.
fn assert_attributes_arrive(world: &World, file: &Path, content_type: &str, build: &str) {
    let before = world.store().objects();
    let put = world.put(file).args(["--content-type", content_type]);
    put.args(["--meta", &format!("build={build}")])
        .run()
        .succeeds();
    let objects = world.store().objects();
    let new: Vec<_> = objects.iter().filter(|key| !before.contains(key)).collect();
    let [key] = new[..] else { panic!("{new:?}") };
    let head = world.store().head(key);
    assert_eq!(head.header("content-type"), Some(content_type));
    assert_eq!(head.header("x-amz-meta-build"), Some(build));
    assert_eq!(world.store().get(key), fs::read(file).unwrap());
}

#[test]
fn new_attributes_of_an_uploaded_file_make_a_new_object() {
    let world = World::new();
    let file = world.sandbox.file("page", 1000);
    world.put(&file).run().succeeds();
    assert_attributes_arrive(&world, &file, "text/html", "7");
    assert_attributes_arrive(&world, &file, "text/html", "8");
}

#[test]
fn new_attributes_of_an_unfinished_upload_apply() {
    let world = World::new();
    let file = world.sandbox.file("page.bin", 8 * PART);
    world.put_and_kill_after_parts(&file, 3);
    assert_attributes_arrive(&world, &file, "text/html", "7");
    world.assert_holds_only(&file);
}

#[test]
fn dry_run_distinguishes_uploaded_files_from_new_ones() {
    let world = World::new();
    let files = [
        world.sandbox.file("old", 1000),
        world.sandbox.file("new", 1000),
    ];
    world.put(&files[0]).run().succeeds();
    let before = world.bytes_put();
    let put = world.put(&files[0]).arg(&files[1]).arg("--dry-run");
    let output = put.run().succeeds();
    assert_eq!(world.bytes_put(), before);
    let line = |file: &Path| {
        let name = file.to_str().unwrap();
        let mut lines = output
            .stderr()
            .lines()
            .filter(|line| line.starts_with(name));
        lines.next().unwrap()
    };
    assert!(line(&files[0]).contains("already"), "{output}");
    assert!(!line(&files[1]).contains("already"), "{output}");
    let summary = output.stderr().lines().next_back().unwrap();
    assert!(summary.contains("1 file, 1000 B"), "{output}");
}

#[test]
fn attributes_that_are_not_repeated_are_kept() {
    let world = World::new();
    let file = world.sandbox.file("page.bin", 8 * PART);
    let put = || world.put(&file).arg("--json");
    let typed = put().args(["--content-type", "text/html", "--meta", "build=7"]);
    // Stops when some parts are stored.
    let mut running = world.run_until_blocked(typed, 5 * PART);
    running.wait_for("a stored part", |running| {
        running.stdout().contains("\"type\":\"part\"").then_some(())
    });
    running.kill9();
    world.part_proxy().unblock();
    put().run().succeeds();
    let before = world.bytes_put();
    put().run().succeeds();
    assert_eq!(world.bytes_put(), before, "the upload is there");
    world.assert_holds_only(&file);
    let head = world.store().head(&world.store().objects()[0]);
    assert_eq!(head.header("content-type"), Some("text/html"));
    assert_eq!(head.header("x-amz-meta-build"), Some("7"));
}
