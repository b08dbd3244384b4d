//! A source that is not what it was: two generations of a file never mix.
//!
//! Border: what happens to the file between and during runs; the rules are those under *Changed file* of the documentation.

use std::fs::{self, File};
use std::path::Path;

use crate::interrupt::{held, kill_after_parts};
use crate::support::command::Running;
use crate::support::events::{Event, events};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests};
use crate::support::s3::S3;
use crate::support::world::World;
use crate::support::{PART, files};

const SIZE: u64 = 8 * PART;

/// An upload that was killed with parts in the store, and then `change` happened to its file.
#[track_caller]
fn changed(change: impl Fn(&Path, &[u64])) -> (World, std::path::PathBuf, u64) {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let (_, stored) = kill_after_parts(&world, &file, 3);
    change(&file, &stored);
    (world, file, stored.len() as u64)
}

/// `resume` refuses with 65; `put` begins anew and leaves nothing of the old generation.
fn is_another_generation(change: impl Fn(&Path, &[u64])) {
    let (world, file, _) = changed(change);
    let before = world.proxy.traffic();
    world.resume().run().exits(65);
    assert_eq!(
        world.proxy.traffic().since(&before).count("PUT"),
        0,
        "parts of the new file were sent"
    );
    assert!(world.store().objects().is_empty());
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn a_truncated_file_is_another_generation() {
    is_another_generation(|file, _| files::resize(file, SIZE - 1));
}

#[test]
fn a_grown_file_is_another_generation() {
    is_another_generation(|file, _| files::resize(file, SIZE + 1));
}

#[test]
fn a_rewritten_file_is_another_generation() {
    is_another_generation(|file, _| files::random(file, SIZE, 99));
}

#[test]
fn another_file_in_its_place_is_another_generation() {
    is_another_generation(|file, _| {
        let other = file.with_extension("new");
        files::random(&other, SIZE, 98);
        fs::rename(other, file).unwrap();
    });
}

#[test]
fn one_byte_of_a_stored_part_is_another_generation() {
    is_another_generation(|file, stored| files::flip_byte(file, (stored[0] - 1) * PART + 10));
}

#[test]
fn a_modification_time_that_was_put_back_hides_nothing() {
    is_another_generation(|file, stored| {
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
fn put_goes_straight_to_the_new_generation() {
    let (world, file, _) = changed(|file, _| files::resize(file, SIZE - 1));
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn a_touched_file_goes_on() {
    let (world, file, stored) = changed(|file, _| files::touch(file));
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
fn a_renamed_file_goes_on_by_its_new_name() {
    let (world, file, stored) = changed(|_, _| ());
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
fn a_file_that_is_gone_is_no_source() {
    let (world, file, _) = changed(|file, _| fs::remove_file(file).unwrap());
    world.resume().run().exits(66);
    assert!(!file.exists());
}

#[test]
fn a_change_while_it_runs_fails_the_upload() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let running = held(&world, world.put(&file).arg("--json"), 2 * PART);
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
fn if_changed_restart_begins_anew_by_itself() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let running = held(
        &world,
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

/// A killed upload whose journal has lost the store's acknowledgement of a part, as a power cut may have it; and then that
/// part of the file was changed.
fn with_a_forgotten_part_changed() -> (World, std::path::PathBuf) {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let (_, stored) = kill_after_parts(&world, &file, 3);
    let journal = world
        .sandbox
        .files()
        .into_iter()
        .find(|path| path.ends_with("journal.db"))
        .unwrap();
    let journal = rusqlite::Connection::open(journal).unwrap();
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

/// A SHA-256 that nobody acknowledged must not outlive a change of its source: the store may hold that very part.
#[test]
fn a_forgotten_part_of_the_generation_before_is_not_taken_over() {
    let (world, file) = with_a_forgotten_part_changed();
    // This run notes the new times of the file, and ends before it has read the part again.
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

/// The gateway has pinned what was signed; the file has other bytes since. That is another generation, however it shows.
#[test]
fn a_change_that_only_the_gateway_notices_begins_anew() {
    let (world, file) = with_a_forgotten_part_changed();
    world.resume().run().exits(65);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

/// What `upload list --all` says has become of the uploads, oldest first: state and location.
fn told(world: &World) -> Vec<(String, Option<String>)> {
    let lines = world.upload(&["list", "--all", "--json"]).run().succeeds();
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let told = |line: serde_json::Value| {
        (
            text(&line["state"]).unwrap(),
            text(&line["receipt"]["location"]),
        )
    };
    lines
        .lines()
        .into_iter()
        .map(|text| told(line(text)))
        .collect()
}

/// Of two generations that were both completed, the journal knows both objects, and no other is there.
#[track_caller]
fn both_are_known(world: &World, store: &S3, generations: [&str; 2]) {
    let told = told(world);
    let shas = told.iter().map(|(state, location)| {
        assert_eq!(state, "completed", "{told:?}");
        let location = location.as_deref().unwrap();
        let key = &location[location.find("uploads/").unwrap()..];
        store.sha256(key)
    });
    assert_eq!(shas.collect::<Vec<_>>(), generations);
    assert_eq!(store.objects().len(), 2);
    store.assert_no_open_uploads();
}

/// Only the client does not know that the generation before has become an object.
#[test]
fn a_generation_that_was_completed_stays_an_object_that_is_known() {
    for size in [10, PART + 1] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", size);
        world
            .put(&file)
            .env("UPLOAD_CRASH", "transfer.verified:1")
            .run();
        let before = files::sha256(&file);
        files::resize(&file, size + 1);
        let output = world.put(&file).run().succeeds();
        assert_eq!(
            output.lines().len(),
            1,
            "the location of what was put, and no other: {output}"
        );
        both_are_known(&world, &world.store(), [&before, &files::sha256(&file)]);
    }
}

/// It is not told that it is there already, though size and time are those of what is there.
#[test]
fn a_modification_time_that_was_put_back_is_no_file_that_is_there() {
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
    both_are_known(&world, &world.store(), [&before, &files::sha256(&file)]);
}

/// Nobody knows yet: the store does not complete it, and who asked for it is dead.
#[test]
fn a_generation_that_is_completing_is_brought_to_its_end_first() {
    let keeper = Gateway::start(&[], &[]);
    let store = keeper.store();
    let world = World::on_store(&store);
    let file = world.sandbox.file("film.bin", PART + 1);
    world
        .part_proxy()
        .inject(Requests::store_complete(), Fault::s3(500, "InternalError"));
    let before = world.part_proxy().traffic();
    let mut running = world.put(&file).spawn();
    let asked = || world.part_proxy().traffic().since(&before).count("POST") > 1;
    running.wait_for("the store to be asked", |_| asked().then_some(()));
    running.kill9();
    let before = files::sha256(&file);
    files::resize(&file, PART + 2);
    let mut running = world.put(&file).spawn();
    let refused = |_: &Running| (world.proxy.traffic().count("DELETE") > 0).then_some(());
    running.wait_for("an abort", refused);
    world.part_proxy().clear_faults();
    running.wait().succeeds();
    both_are_known(&world, &store, [&before, &files::sha256(&file)]);
}
