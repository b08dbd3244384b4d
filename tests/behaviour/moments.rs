//! A source that changes at a moment of the upload's own: before it is read, between reading and sending, while a part is on
//! the wire, before and after the last look at it. Whatever is done to it, the object is one snapshot of it or there is none.
//!
//! Border: one run that goes on while the file changes; what happened between runs is `changed`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::interrupt::held;
use crate::support::command::{Command, Output, Running};
use crate::support::interceptor::{HoldPoint, Interceptor};
use crate::support::world::World;
use crate::support::{MIB, PART, files};

const SIZE: u64 = PART + 1000;

/// What is done to the file, and its name in messages.
type Change = (&'static str, fn(&Path));

const APPEND: Change = ("append", |file| files::resize(file, SIZE + 1));
const TRUNCATE: Change = ("truncate", |file| files::resize(file, SIZE - 1));
const OVERWRITE: Change = ("overwrite", rewrite);
const OVERWRITE_QUIETLY: Change = ("overwrite, and put the time back", |file| {
    let before = fs::metadata(file).unwrap().modified().unwrap();
    rewrite(file);
    File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_modified(before)
        .unwrap();
});
const REPLACE: Change = ("put another file in its place", |file| {
    let other = file.with_extension("new");
    files::random(&other, SIZE, 98);
    fs::rename(other, file).unwrap();
});
const TOUCH: Change = ("touch", files::touch);
const REMOVE: Change = ("remove", |file| fs::remove_file(file).unwrap());
const FORBID: Change = ("chmod 000", |file| {
    fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
});

/// Other bytes in every part.
fn rewrite(file: &Path) {
    files::flip_byte(file, 10);
    files::flip_byte(file, PART + 10);
}

/// What may come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Exit 65 and no object.
    Refused,
    /// Exit 0, and the object is the file as it was opened: what was opened is read on, whatever stands at its path.
    AsItWas,
    /// Exit 0, and the object is the file as it is now: nothing had been read of it before.
    AsItIs,
}

use Fate::{AsItIs, AsItWas, Refused};

/// Has each change happen while `reach` holds an upload of its own at the moment meant.
fn at(
    name: &str,
    reach: impl Fn(&World, &Interceptor, Command) -> Running,
    fates: [(Change, Fate); 8],
) {
    let world = World::new();
    let gate = Interceptor::of(&world);
    let original = world.sandbox.file("original.bin", SIZE);
    for (number, ((change, make), fate)) in fates.into_iter().enumerate() {
        let file = copy(&world, &original, &format!("{number}.bin"));
        let running = reach(&world, &gate, world.put(&file));
        make(&file);
        gate.release();
        world.proxy.unblock();
        let output = running.wait();
        assert_eq!(
            end(&world, &original, &file, &output),
            Some(fate),
            "{change} {name}: {output}"
        );
    }
    world.store().assert_no_open_uploads();
}

fn copy(world: &World, original: &Path, name: &str) -> PathBuf {
    let file = world.sandbox.path(name);
    fs::copy(original, &file).unwrap();
    file
}

/// What came of it; none if it must not be. What was refused is given up.
#[track_caller]
fn end(world: &World, original: &Path, file: &Path, output: &Output) -> Option<Fate> {
    let sha256 = |path: &Path| path.exists().then(|| files::sha256(path));
    match output.code() {
        Some(0) => {
            let key = output.line().trim_start_matches("embedded:");
            let object = world.store().sha256(key);
            if object == files::sha256(original) {
                Some(AsItWas)
            } else {
                (Some(object) == sha256(file)).then_some(AsItIs)
            }
        }
        Some(65) if output.stdout().is_empty() => {
            world.upload(&["abort"]).arg(file).run().succeeds();
            Some(Refused)
        }
        _ => None,
    }
}

#[test]
fn before_it_is_read() {
    let reach = |_: &World, gate: &Interceptor, put: Command| {
        gate.hold(HoldPoint::Request("POST", "/v1/uploads"));
        let running = put.spawn();
        gate.wait_until_held(1);
        running
    };
    at(
        "before it is read",
        reach,
        [
            (APPEND, Refused),
            (TRUNCATE, Refused),
            (OVERWRITE, AsItIs),
            (OVERWRITE_QUIETLY, AsItIs),
            (REPLACE, AsItWas),
            (TOUCH, AsItWas),
            (REMOVE, AsItWas),
            (FORBID, AsItWas),
        ],
    );
}

/// From the first SHA-256 on, other bytes are another generation.
const ONCE_READ: [(Change, Fate); 8] = [
    (APPEND, Refused),
    (TRUNCATE, Refused),
    (OVERWRITE, Refused),
    (OVERWRITE_QUIETLY, Refused),
    (REPLACE, AsItWas),
    (TOUCH, AsItWas),
    (REMOVE, AsItWas),
    (FORBID, AsItWas),
];

#[test]
fn between_reading_and_sending() {
    let reach = |_: &World, gate: &Interceptor, put: Command| {
        gate.hold(HoldPoint::Request("POST", "/sign"));
        let running = put.spawn();
        gate.wait_until_held(1);
        running
    };
    at("between reading and sending", reach, ONCE_READ);
}

#[test]
fn while_a_part_is_on_the_wire() {
    let reach = |world: &World, _: &Interceptor, put: Command| held(world, put, 2 * MIB);
    at("while a part is on the wire", reach, ONCE_READ);
}

#[test]
fn before_the_last_look() {
    let reach = |_: &World, gate: &Interceptor, put: Command| {
        gate.hold(HoldPoint::Response("PUT", ""));
        let running = put.spawn();
        gate.wait_until_held(2);
        running
    };
    at("before the last look", reach, ONCE_READ);
}

/// What was sent is what was looked at.
#[test]
fn after_the_last_look() {
    let reach = |_: &World, gate: &Interceptor, put: Command| {
        gate.hold(HoldPoint::Request("POST", "/complete"));
        let running = put.spawn();
        gate.wait_until_held(1);
        running
    };
    let all = [
        APPEND,
        TRUNCATE,
        OVERWRITE,
        OVERWRITE_QUIETLY,
        REPLACE,
        TOUCH,
        REMOVE,
        FORBID,
    ];
    at(
        "after the last look",
        reach,
        all.map(|change| (change, AsItWas)),
    );
}

#[test]
fn with_if_changed_restart_it_is_sent_as_it_is() {
    let world = World::new();
    let gate = Interceptor::of(&world);
    let original = world.sandbox.file("original.bin", SIZE);
    let moments = [
        HoldPoint::Request("POST", "/sign"),
        HoldPoint::Response("PUT", ""),
    ];
    for (number, moment) in moments.into_iter().enumerate() {
        let file = copy(&world, &original, &format!("{number}.bin"));
        gate.hold(moment);
        let running = world.put(&file).args(["--if-changed", "restart"]).spawn();
        gate.wait_until_held(1);
        rewrite(&file);
        gate.release();
        let output = running.wait().succeeds();
        assert_eq!(
            end(&world, &original, &file, &output),
            Some(AsItIs),
            "{moment:?}: {output}"
        );
    }
    world.store().assert_no_open_uploads();
}

/// A file of one part is read before it begins, and begins and completes together with others.
#[test]
fn a_small_file_is_no_exception() {
    let world = World::new();
    let gate = Interceptor::of(&world);
    for (number, moment) in [
        HoldPoint::Request("POST", "/v1/uploads"),
        HoldPoint::Response("PUT", ""),
        HoldPoint::Request("PUT", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let file = world.sandbox.file(&format!("{number}.bin"), 1000);
        gate.hold(moment);
        let running = world.put(&file).spawn();
        gate.wait_until_held(1);
        files::flip_byte(&file, 10);
        gate.release();
        running.wait().exits(65);
        world.upload(&["abort"]).arg(&file).run().succeeds();
        assert!(world.store().objects().is_empty(), "{moment:?}");
    }
}
