//! Sources whose metadata does not describe their content: files of the kernel, files that are
//! touched all the time, and files with other bytes than the journal recorded.
//!
//! Not here: sources that are changed between runs (`source_changes`).

use std::fs::{File, FileTimes};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::support::interceptor::{HoldPoint, Interceptor};
use crate::support::world::World;
use crate::support::{PART, files};

/// Asserts that `put` exits with 66, and leaves neither an object nor an upload to resume.
fn assert_is_no_source(path: &str) {
    assert!(Path::new(path).is_file(), "{path} is required");
    let world = World::new();
    world.put(Path::new(path)).run().exits(66);
    assert!(world.store().objects().is_empty());
    let list = world.upload(&["list"]).run().succeeds();
    assert_eq!(list.stdout(), "", "an unfinished upload is recorded");
    world.resume().run().succeeds();
}

#[test]
fn file_with_more_bytes_than_its_size_is_rejected() {
    assert_is_no_source("/proc/cpuinfo");
}

#[test]
fn file_with_fewer_bytes_than_its_size_is_rejected() {
    assert_is_no_source("/sys/kernel/uevent_seqnum");
}

#[test]
fn empty_file_that_grows_during_its_upload_is_rejected() {
    let world = World::new();
    let interceptor = Interceptor::of(&world);
    let file = world.sandbox.file("film.bin", 0);
    interceptor.hold(HoldPoint::Response("PUT", ""));
    let running = world.put(&file).spawn();
    interceptor.wait_until_held(1);
    files::resize(&file, 1);
    interceptor.release();
    running.wait().exits(65);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn sparse_file_is_uploaded_with_its_holes() {
    let world = World::new();
    let file = world.sandbox.path("film.bin");
    files::sparse(&file, 2 * PART + 17);
    files::flip_byte(&file, PART + 5);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn source_that_is_touched_all_the_time_ends_with_65_and_is_resumed_afterwards() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let is_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let handle = File::options().append(true).open(&file).unwrap();
            while !is_ended.load(Ordering::Relaxed) {
                let times = FileTimes::new().set_modified(SystemTime::now());
                handle.set_times(times).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let output = world.put(&file).spawn().wait_within(Duration::from_mins(1));
        // Before an assertion fails: the scope waits for its threads.
        is_ended.store(true, Ordering::Relaxed);
        output.expect("an end within a minute").exits(65);
    });
    assert!(world.store().objects().is_empty());
    let before = world.bytes_put();
    world.put(&file).run().succeeds();
    assert_eq!(world.bytes_put(), before, "parts were sent again");
    world.assert_holds_only(&file);
}

/// The digests in the journal differ from those of the file although the file version is the same,
/// as after a change through a memory mapping.
fn put_with_wrong_digests(args: &[&str]) {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    world.put_and_kill_after_parts(&file, 3);
    let journal = rusqlite::Connection::open(world.sandbox.journal()).unwrap();
    let changed = journal.execute("UPDATE part SET sha256 = randomblob(32)", []);
    assert!(changed.unwrap() > 0);
    drop(journal);
    world.put(&file).args(args).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn digests_that_are_disproved_are_forgotten() {
    put_with_wrong_digests(&[]);
}

#[test]
fn force_uses_no_digest_of_the_journal() {
    put_with_wrong_digests(&["--force"]);
}
