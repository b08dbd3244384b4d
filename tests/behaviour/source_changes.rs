//! A source that changes between runs or during one: no object mixes two file versions. The rules
//! are those of *Changed file* in the documentation.
//!
//! Not here: each stage of an upload (`source_changes_by_stage`).

use std::fs::{self, File};
use std::path::Path;

use crate::support::command::Running;
use crate::support::events::{Event, events};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests};
use crate::support::s3::S3;
use crate::support::world::World;
use crate::support::{PART, files};

const SIZE: u64 = 8 * PART;

/// Kills an upload after some parts and changes its file. Returns the number of stored parts.
#[track_caller]
fn kill_and_change(change: impl Fn(&Path, &[u64])) -> (World, std::path::PathBuf, u64) {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let (_, stored) = world.put_and_kill_after_parts(&file, 3);
    change(&file, &stored);
    (world, file, stored.len() as u64)
}

/// Asserts that `resume` exits with 65 after `change`, and that `put` then uploads the new file
/// version and leaves nothing of the old one.
fn assert_is_new_version(change: impl Fn(&Path, &[u64])) {
    let (world, file, _) = kill_and_change(change);
    let before = world.proxy.traffic();
    world.resume().run().exits(65);
    assert_eq!(
        world.proxy.traffic().since(&before).count("PUT"),
        0,
        "parts of the new file version were sent"
    );
    assert!(world.store().objects().is_empty());
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn truncated_file_is_a_new_version() {
    assert_is_new_version(|file, _| files::resize(file, SIZE - 1));
}

#[test]
fn grown_file_is_a_new_version() {
    assert_is_new_version(|file, _| files::resize(file, SIZE + 1));
}

#[test]
fn rewritten_file_is_a_new_version() {
    assert_is_new_version(|file, _| files::random(file, SIZE, 99));
}

#[test]
fn replaced_file_is_a_new_version() {
    assert_is_new_version(|file, _| {
        let other = file.with_extension("new");
        files::random(&other, SIZE, 98);
        fs::rename(other, file).unwrap();
    });
}

#[test]
fn changed_byte_of_a_stored_part_is_a_new_version() {
    assert_is_new_version(|file, stored| files::flip_byte(file, (stored[0] - 1) * PART + 10));
}

#[test]
fn restored_mtime_hides_no_change_from_resume() {
    assert_is_new_version(|file, stored| {
        let before = fs::metadata(file).unwrap().modified().unwrap();
        files::flip_byte(file, (stored[0] - 1) * PART + 10);
        File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_modified(before)
            .unwrap();
    });
}

#[test]
fn put_of_a_changed_file_uploads_the_new_version() {
    let (world, file, _) = kill_and_change(|file, _| files::resize(file, SIZE - 1));
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn touched_file_is_resumed() {
    let (world, file, stored) = kill_and_change(|file, _| files::touch(file));
    let before = world.proxy.traffic();
    world.resume().run().succeeds();
    let sent = world.proxy.traffic().since(&before).bytes("PUT");
    assert!(
        sent <= SIZE - stored * PART,
        "{sent} bytes were sent although {stored} parts were stored"
    );
    world.assert_holds_only(&file);
}

#[test]
fn renamed_file_is_resumed_by_its_new_name() {
    let (world, file, stored) = kill_and_change(|_, _| ());
    let elsewhere = file.with_file_name("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let moved = elsewhere.join("film.bin");
    fs::rename(&file, &moved).unwrap();
    let before = world.proxy.traffic();
    world.put(&moved).run().succeeds();
    let sent = world.proxy.traffic().since(&before).bytes("PUT");
    assert!(
        sent <= SIZE - stored * PART,
        "{sent} bytes were sent although {stored} parts were stored"
    );
    world.assert_holds_only(&moved);
}

#[test]
fn resume_of_a_removed_file_exits_with_66() {
    let (world, file, _) = kill_and_change(|file, _| fs::remove_file(file).unwrap());
    world.resume().run().exits(66);
    assert!(!file.exists());
}

#[test]
fn change_during_a_put_fails_the_upload() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let running = world.run_until_blocked(world.put(&file).arg("--json"), 2 * PART);
    files::resize(&file, SIZE - 1);
    world.proxy.unblock();
    let output = running.wait().exits(65);
    assert!(
        events(&output)
            .iter()
            .any(|event| matches!(event, Event::Changed { .. })),
        "{output}"
    );
    assert!(world.store().objects().is_empty());
}

#[test]
fn if_changed_restart_uploads_the_new_version() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let running = world.run_until_blocked(
        world.put(&file).args(["--json", "--if-changed", "restart"]),
        3 * PART,
    );
    files::random(&file, SIZE - PART / 2, 97);
    world.proxy.unblock();
    let output = running.wait().succeeds();
    assert!(
        events(&output)
            .iter()
            .any(|event| matches!(event, Event::Changed { .. })),
        "{output}"
    );
    world.assert_holds_only(&file);
}

/// Kills an upload, removes the ETag of a stored part from the journal, as a power loss may do, and
/// changes that part of the file.
fn kill_forget_part_and_change_it() -> (World, std::path::PathBuf) {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let (_, stored) = world.put_and_kill_after_parts(&file, 3);
    let journal = rusqlite::Connection::open(world.sandbox.journal()).unwrap();
    let forgotten = journal
        .execute(
            "UPDATE part SET etag = NULL WHERE number = ?1",
            [stored[0].cast_signed()],
        )
        .unwrap();
    assert_eq!(forgotten, 1);
    files::flip_byte(&file, (stored[0] - 1) * PART + 10);
    (world, file)
}

/// A SHA-256 without an ETag must not survive a change of the file, because the store may hold the
/// old part.
#[test]
fn forgotten_part_of_an_old_version_is_not_used() {
    let (world, file) = kill_forget_part_and_change_it();
    // This run records the file's new times and ends before it reads the part again.
    world
        .proxy
        .inject(Requests::post("/claim"), Fault::slow_down());
    world
        .put(&file)
        .args(["--give-up-after", "1s"])
        .run()
        .exits(75);
    world.proxy.clear_faults();
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

/// The gateway accepts only the SHA-256 that it signed for a part, but the file has other bytes
/// now.
#[test]
fn change_that_only_the_gateway_detects_is_a_new_version() {
    let (world, file) = kill_forget_part_and_change_it();
    world.resume().run().exits(65);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

/// The uploads in `upload list --all`, oldest first: state and location.
fn list_all(world: &World) -> Vec<(String, Option<String>)> {
    let lines = world.upload(&["list", "--all", "--json"]).run().succeeds();
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let state_and_location = |line: serde_json::Value| {
        (
            text(&line["state"]).unwrap(),
            text(&line["receipt"]["location"]),
        )
    };
    lines
        .lines()
        .into_iter()
        .map(|text| state_and_location(line(text)))
        .collect()
}

/// Asserts that the journal and the store hold both file versions as completed objects, and no
/// other.
#[track_caller]
fn assert_holds_both_versions(world: &World, store: &S3, sha256s: [&str; 2]) {
    let uploads = list_all(world);
    let stored = uploads.iter().map(|(state, location)| {
        assert_eq!(state, "completed", "{uploads:?}");
        let location = location.as_deref().unwrap();
        let key = &location[location.find("uploads/").unwrap()..];
        store.sha256(key)
    });
    assert_eq!(stored.collect::<Vec<_>>(), sha256s);
    assert_eq!(store.objects().len(), 2);
    store.assert_no_open_uploads();
}

/// The client was killed before it recorded that the old file version is completed.
#[test]
fn completed_version_stays_in_journal_and_store() {
    for size in [10, PART + 1] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", size);
        let killed = world
            .put(&file)
            .env("UPLOAD_CRASH", "transfer.verified:1")
            .run();
        assert_eq!(killed.code(), None, "{killed}");
        let before = files::sha256(&file);
        files::resize(&file, size + 1);
        let output = world.put(&file).run().succeeds();
        assert_eq!(
            output.lines().len(),
            1,
            "a location other than that of the new version: {output}"
        );
        assert_holds_both_versions(&world, &world.store(), [&before, &files::sha256(&file)]);
    }
}

/// Size and modification time are those of the completed upload, but the bytes differ.
#[test]
fn restored_mtime_hides_no_change_from_put() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 1);
    world.put(&file).run().succeeds();
    let (before, modified) = (
        files::sha256(&file),
        fs::metadata(&file).unwrap().modified().unwrap(),
    );
    files::flip_byte(&file, 10);
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    world.put(&file).run().succeeds();
    assert_holds_both_versions(&world, &world.store(), [&before, &files::sha256(&file)]);
}

/// The store fails to complete the old file version, and the client that asked for it was killed.
#[test]
fn completing_version_is_completed_before_the_new_one() {
    let store_gateway = Gateway::start(&[], &[]);
    let store = store_gateway.store();
    let world = World::on_store(&store);
    let file = world.sandbox.file("film.bin", PART + 1);
    world
        .part_proxy()
        .inject(Requests::store_complete(), Fault::s3(500, "InternalError"));
    let before = world.part_proxy().traffic();
    let mut running = world.put(&file).spawn();
    let completing = || world.part_proxy().traffic().since(&before).count("POST") > 1;
    running.wait_for("a call of complete at the store", |_| {
        completing().then_some(())
    });
    running.kill9();
    let before = files::sha256(&file);
    files::resize(&file, PART + 2);
    let mut running = world.put(&file).spawn();
    let aborting = |_: &Running| (world.proxy.traffic().count("DELETE") > 0).then_some(());
    running.wait_for("a call of abort", aborting);
    world.part_proxy().clear_faults();
    running.wait().succeeds();
    assert_holds_both_versions(&world, &store, [&before, &files::sha256(&file)]);
}

#[test]
fn resume_of_a_complete_upload_whose_file_has_changed_names_put() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 100);
    world.put(&file).run().succeeds();
    let resume = || world.resume().arg(&file).run();
    resume().succeeds();
    files::random(&file, 200, 9);
    let output = resume().exits(65);
    let commands = output.stderr().split('`').skip(1).step_by(2);
    let mut commands = commands.filter(|text| text.starts_with("upload put"));
    let words = shlex::split(commands.next().expect("a command")).unwrap();
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    world.upload(&words).run().succeeds();
    resume().succeeds();
    let stored = world.store().objects();
    let sha256s: Vec<String> = stored.iter().map(|key| world.store().sha256(key)).collect();
    assert_eq!(sha256s.len(), 2);
    assert!(sha256s.contains(&files::sha256(&file)));
}
