//! `upload put`: what goes in comes out again, once, under the name it was promised.
//!
//! Border: undisturbed runs; what goes wrong on the way is `interrupt`, `changed` and `faults`.

use std::fs;
use std::path::Path;

use crate::support::events::{Event, Receipt, events, receipts};
use crate::support::sandbox::Sandbox;
use crate::support::world::{World, assert_receipt_matches, location};
use crate::support::{MIB, PART, files};

/// `upload put --backend embedded` with a receipt.
#[track_caller]
fn embedded(sandbox: &Sandbox, file: &Path) -> (String, Receipt) {
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
fn a_file_of_any_size_arrives_whole() {
    let sandbox = Sandbox::new();
    for size in [0, 1, PART - 1, PART, PART + 1, 3 * PART, 12 * MIB + 7] {
        let file = sandbox.file(&format!("{size}.bin"), size);
        let (location, receipt) = embedded(&sandbox, &file);
        assert_eq!(location, format!("embedded:{}", receipt.key));
        assert_eq!(location, receipt.location);
        assert_receipt_matches(&receipt, &file, PART);
        let back = sandbox.upload(["cat", &receipt.id]).run().succeeds();
        assert!(
            back.stdout_bytes() == fs::read(&file).unwrap(),
            "{size} bytes came back changed"
        );
    }
}

#[test]
fn the_key_is_the_gateways_and_keeps_only_the_extension() {
    let sandbox = Sandbox::new();
    let (_, receipt) = embedded(&sandbox, &sandbox.file("secret plans.MOV", 10));
    let parts: Vec<&str> = receipt.key.split('/').collect();
    let ["uploads", owner, name] = parts.as_slice() else {
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
fn the_same_file_again_prints_the_same_location_and_sends_nothing() {
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
fn again_makes_a_new_object() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 1);
    let first = location(world.put(&file).run());
    let second = location(world.put(&file).arg("--force").run());
    assert_ne!(first, second);
    assert_eq!(world.store().objects().len(), 2);
    world.store().assert_no_open_uploads();
}

#[test]
fn the_same_bytes_under_another_name_are_another_upload() {
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
fn several_files_go_in_one_call() {
    let world = World::new();
    let wanted: Vec<_> = [
        ("a.bin", 0),
        ("b.bin", 1),
        ("c.bin", 2 * PART + 1),
        ("d.bin", PART),
    ]
    .map(|(n, s)| world.sandbox.file(n, s))
    .into();
    let output = world.put(&wanted[0]).args(&wanted[1..]).run().succeeds();
    assert_eq!(output.lines().len(), 4, "{output}");
    let store = world.store();
    let mut stored: Vec<String> = store
        .objects()
        .iter()
        .map(|key| files::sha256_of(&store.get(key)))
        .collect();
    let mut sent: Vec<String> = wanted.iter().map(|file| files::sha256(file)).collect();
    stored.sort();
    sent.sort();
    assert_eq!(stored, sent);
    store.assert_no_open_uploads();
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let world = World::new();
    let good = world.sandbox.file("good.bin", PART + 1);
    let output = world
        .put(&world.sandbox.path("absent.bin"))
        .arg(&good)
        .run()
        .exits(66);
    assert_eq!(output.lines().len(), 1, "{output}");
    world.assert_holds_only(&good);
}

#[test]
fn name_type_and_metadata_reach_the_backend() {
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
        panic!("not completed: {output}")
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
    for said in ["holiday.mp4", "video/mp4"] {
        assert!(status.to_string().contains(said), "no {said} in {status}");
    }
}

#[test]
fn a_dry_run_says_what_would_be_sent_and_sends_nothing() {
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
fn receipts_of_several_files_are_lines_of_one_file() {
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
fn a_finished_upload_prints_its_location_again() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 1);
    let path = world.sandbox.path("receipt");
    let first = location(world.put(&file).arg("--receipt").arg(&path).run());
    let before = world.proxy.traffic();
    let id = &receipts(&path)[0].id;
    assert_eq!(location(world.upload(&["resume", id]).run()), first);
    assert_eq!(world.proxy.traffic().since(&before).count("PUT"), 0);
    // Nothing unfinished is no failure.
    world.resume().run().succeeds();
}

#[test]
fn an_aborted_upload_is_gone_from_the_store() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    world.proxy.block_after(PART + 1);
    let mut running = world.put(&file).arg("--json").spawn();
    world.proxy.wait_until_blocked();
    let id = running.wait_for("an upload", |running| {
        crate::interrupt::upload_id(&running.stdout())
    });
    running.kill9();
    world.proxy.unblock();
    assert_eq!(world.store().open_uploads().len(), 1);
    world.upload(&["abort", &id]).run().succeeds();
    world.store().assert_no_open_uploads();
    // The file itself may go again.
    location(world.put(&file).run());
    world.assert_holds_only(&file);
}

#[test]
fn a_read_url_gives_the_bytes_to_whoever_holds_it() {
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
    let brief = world
        .upload(&["url", &id, "--expires", "2m"])
        .run()
        .succeeds();
    assert!(brief.line().contains("X-Amz-Expires=120&"), "{brief}");
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
fn what_a_cdn_shows_is_named_by_it() {
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

/// What was refused is asked for otherwise; the refused request must not come back.
#[test]
fn a_refused_request_leaves_nothing_to_resume() {
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
fn a_receipt_never_overwrites_a_source() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let before = files::sha256(&file);
    world.put(&file).arg("--receipt").arg(&file).run().exits(2);
    assert_eq!(files::sha256(&file), before);
}

/// `upload abort "$ID"` with nothing in ID is no upload, not any upload.
#[test]
fn an_empty_id_names_nothing() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let (id, _) = crate::interrupt::kill_after_parts(&world, &file, 3);
    world.upload(&["abort", ""]).run().exits(1);
    world.upload(&["resume", &id]).run().succeeds();
    world.assert_holds_only(&file);
}
