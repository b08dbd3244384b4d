//! A source that changes while its parts are sent: the change is noticed when it happens, not after
//! the last part.
//!
//! Not here: the outcome of a change at each stage (`source_changes_by_stage`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::command::Running;
use crate::support::events::{Event, events, parts_so_far};
use crate::support::world::World;
use crate::support::{MIB, PART, files};

const SIZE: u64 = 14 * PART;
/// The slow link of a put, in bytes a second. At this rate, the whole file takes nine seconds.
const RATE: u64 = 8 * MIB;

/// Starts a put on a slow link, and changes its file once a part is stored.
#[track_caller]
fn change_after_a_part(args: &[&str], change: impl Fn(&Path)) -> (World, PathBuf, Running) {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    world.proxy.throttle(RATE);
    let mut running = world.put(&file).arg("--json").args(args).spawn();
    running.wait_for("a `part` event", |running| {
        (parts_so_far(&running.stdout()) > 0).then_some(())
    });
    change(&file);
    (world, file, running)
}

#[track_caller]
fn assert_ends_early(change: impl Fn(&Path)) {
    let (world, _, running) = change_after_a_part(&[], change);
    let output = running.wait().exits(65);
    let sent = world.bytes_put();
    assert!(sent <= SIZE / 2, "{sent} bytes were sent: {output}");
    let is_changed = |event: &Event| matches!(event, Event::Changed { .. });
    assert!(events(&output).iter().any(is_changed), "{output}");
    assert!(world.store().objects().is_empty());
}

#[test]
fn appended_file_is_noticed_while_parts_are_sent() {
    assert_ends_early(|file| files::resize(file, SIZE + 1));
}

#[test]
fn truncated_file_is_noticed_while_parts_are_sent() {
    assert_ends_early(|file| files::resize(file, SIZE - 1));
}

#[test]
fn overwritten_part_is_noticed_while_parts_are_sent() {
    assert_ends_early(|file| files::flip_byte(file, 10));
}

#[test]
fn touched_file_is_sent_once() {
    let (world, file, mut running) = change_after_a_part(&[], files::touch);
    running.wait_for("half of the file", |_| {
        (world.bytes_put() > SIZE / 2).then_some(())
    });
    world.proxy.unthrottle();
    running.wait().succeeds();
    assert_eq!(world.bytes_put(), SIZE);
    world.assert_holds_only(&file);
}

#[test]
fn if_changed_restart_begins_again_before_the_rest_is_sent() {
    let grow: fn(&Path) = |file| files::resize(file, SIZE + 1);
    let (world, file, mut running) = change_after_a_part(&["--if-changed", "restart"], grow);
    running.wait_for_stdout(r#""type":"changed""#);
    let sent = world.bytes_put();
    assert!(
        sent <= SIZE / 2,
        "{sent} bytes of the old version were sent"
    );
    world.proxy.unthrottle();
    running.wait().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn file_that_another_one_replaces_is_noticed_while_parts_are_sent() {
    assert_ends_early(|file| {
        let new = file.with_extension("new");
        files::random(&new, SIZE, 8);
        fs::rename(new, file).unwrap();
    });
}

/// The bytes that are sent are those of the file, which has no other content.
#[test]
fn file_that_is_moved_or_deleted_while_parts_are_sent_is_stored() {
    for is_moved in [false, true] {
        let (world, file, running) = change_after_a_part(&[], |file| {
            let other = file.with_extension("other");
            if is_moved {
                fs::rename(file, other).unwrap();
            } else {
                fs::copy(file, other).unwrap();
                fs::remove_file(file).unwrap();
            }
        });
        world.proxy.unthrottle();
        running.wait().succeeds();
        world.assert_holds_only(&file.with_extension("other"));
    }
}
