//! A source that changes during a put, at each stage of the upload. The object is one version of
//! the file, or there is no object.
//!
//! Not here: changes between two runs (`source_changes`).

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::command::{Command, Output, Running};
use crate::support::interceptor::{HoldPoint, Interceptor};
use crate::support::world::World;
use crate::support::{MIB, PART, files};

const SIZE: u64 = PART + 1000;

/// A change of the file, with its name in messages.
type Change = (&'static str, fn(&Path));

const APPEND: Change = ("append", |file| files::resize(file, SIZE + 1));
const TRUNCATE: Change = ("truncate", |file| files::resize(file, SIZE - 1));
const OVERWRITE: Change = ("overwrite", rewrite);
const OVERWRITE_KEEPING_MTIME: Change = ("overwrite and restore the mtime", |file| {
    let before = fs::metadata(file).unwrap().modified().unwrap();
    rewrite(file);
    File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_modified(before)
        .unwrap();
});
const REPLACE: Change = ("replace with another file", |file| {
    let other = file.with_extension("new");
    files::random(&other, SIZE, 98);
    fs::rename(other, file).unwrap();
});
const TOUCH: Change = ("touch", files::touch);
const REMOVE: Change = ("remove", |file| fs::remove_file(file).unwrap());
const FORBID: Change = ("chmod 000", |file| {
    fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
});

/// Changes a byte of each part.
fn rewrite(file: &Path) {
    files::flip_byte(file, 10);
    files::flip_byte(file, PART + 10);
}

/// The result of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Exit 65 and no object.
    Rejected,
    /// Exit 0, and the object is the original file. The client reads the file that it opened, not
    /// the one at the path.
    OriginalFile,
    /// Exit 0, and the object is the changed file, because nothing was read before the change.
    ChangedFile,
}

use Outcome::{ChangedFile, OriginalFile, Rejected};

/// Makes each change during an upload of its own, at the stage that `run_until` reaches.
fn change_during_put(
    stage: &str,
    run_until: impl Fn(&World, &Interceptor, Command) -> Running,
    outcomes: [(Change, Outcome); 8],
) {
    let world = World::new();
    let interceptor = Interceptor::of(&world);
    let original = world.sandbox.file("original.bin", SIZE);
    for (number, ((name, change), outcome)) in outcomes.into_iter().enumerate() {
        let file = copy(&world, &original, &format!("{number}.bin"));
        let running = run_until(&world, &interceptor, world.put(&file));
        change(&file);
        interceptor.release();
        world.proxy.unblock();
        let output = running.wait();
        assert_eq!(
            outcome_of(&world, &original, &file, &output),
            Some(outcome),
            "{name} {stage}: {output}"
        );
    }
    world.store().assert_no_open_uploads();
}

/// Spawns `put` and waits until `count` messages are held at `point`.
fn run_until_held(
    interceptor: &Interceptor,
    put: Command,
    point: HoldPoint,
    count: usize,
) -> Running {
    interceptor.hold(point);
    let running = put.spawn();
    interceptor.wait_until_held(count);
    running
}

fn copy(world: &World, original: &Path, name: &str) -> PathBuf {
    let file = world.sandbox.path(name);
    fs::copy(original, &file).unwrap();
    file
}

/// The outcome of a run; `None` if it is not allowed. Aborts a rejected upload.
#[track_caller]
fn outcome_of(world: &World, original: &Path, file: &Path, output: &Output) -> Option<Outcome> {
    let sha256 = |path: &Path| path.exists().then(|| files::sha256(path));
    match output.code() {
        Some(0) => {
            let key = output.line().trim_start_matches("embedded:");
            let object = world.store().sha256(key);
            if object == files::sha256(original) {
                Some(OriginalFile)
            } else {
                (Some(object) == sha256(file)).then_some(ChangedFile)
            }
        }
        Some(65) if output.stdout().is_empty() => {
            world.upload(&["abort"]).arg(file).run().succeeds();
            Some(Rejected)
        }
        _ => None,
    }
}

#[test]
fn change_before_reading_is_rejected_or_uploaded_whole() {
    change_during_put(
        "before reading",
        |_, interceptor, put| {
            run_until_held(
                interceptor,
                put,
                HoldPoint::Request("POST", "/v1/uploads"),
                1,
            )
        },
        [
            (APPEND, Rejected),
            (TRUNCATE, Rejected),
            (OVERWRITE, ChangedFile),
            (OVERWRITE_KEEPING_MTIME, ChangedFile),
            (REPLACE, OriginalFile),
            (TOUCH, OriginalFile),
            (REMOVE, OriginalFile),
            (FORBID, OriginalFile),
        ],
    );
}

/// After the first SHA-256, other bytes are another file version.
const OUTCOMES_AFTER_READING: [(Change, Outcome); 8] = [
    (APPEND, Rejected),
    (TRUNCATE, Rejected),
    (OVERWRITE, Rejected),
    (OVERWRITE_KEEPING_MTIME, Rejected),
    (REPLACE, OriginalFile),
    (TOUCH, OriginalFile),
    (REMOVE, OriginalFile),
    (FORBID, OriginalFile),
];

#[test]
fn change_between_reading_and_sending_is_rejected() {
    change_during_put(
        "between reading and sending",
        |_, interceptor, put| {
            run_until_held(interceptor, put, HoldPoint::Request("POST", "/sign"), 1)
        },
        OUTCOMES_AFTER_READING,
    );
}

#[test]
fn change_while_a_part_is_on_the_wire_is_rejected() {
    change_during_put(
        "while a part is on the wire",
        |world, _, put| world.run_until_blocked(put, 2 * MIB),
        OUTCOMES_AFTER_READING,
    );
}

#[test]
fn change_before_the_last_check_is_rejected() {
    change_during_put(
        "before the last check",
        |_, interceptor, put| run_until_held(interceptor, put, HoldPoint::Response("PUT", ""), 2),
        OUTCOMES_AFTER_READING,
    );
}

/// The sent bytes are those of the last check, so later changes do not matter.
#[test]
fn change_after_the_last_check_has_no_effect() {
    let changes = [
        APPEND,
        TRUNCATE,
        OVERWRITE,
        OVERWRITE_KEEPING_MTIME,
        REPLACE,
        TOUCH,
        REMOVE,
        FORBID,
    ];
    change_during_put(
        "after the last check",
        |_, interceptor, put| {
            run_until_held(interceptor, put, HoldPoint::Request("POST", "/complete"), 1)
        },
        changes.map(|change| (change, OriginalFile)),
    );
}

#[test]
fn if_changed_restart_uploads_the_changed_file() {
    let world = World::new();
    let interceptor = Interceptor::of(&world);
    let original = world.sandbox.file("original.bin", SIZE);
    let points = [
        HoldPoint::Request("POST", "/sign"),
        HoldPoint::Response("PUT", ""),
    ];
    for (number, point) in points.into_iter().enumerate() {
        let file = copy(&world, &original, &format!("{number}.bin"));
        let put = world.put(&file).args(["--if-changed", "restart"]);
        let running = run_until_held(&interceptor, put, point, 1);
        rewrite(&file);
        interceptor.release();
        let output = running.wait().succeeds();
        assert_eq!(
            outcome_of(&world, &original, &file, &output),
            Some(ChangedFile),
            "{point:?}: {output}"
        );
    }
    world.store().assert_no_open_uploads();
}

/// A file of one part is read before its upload begins; many such files are begun and completed in
/// batches.
#[test]
fn change_of_a_small_file_is_rejected() {
    let world = World::new();
    let interceptor = Interceptor::of(&world);
    for (number, point) in [
        HoldPoint::Request("POST", "/v1/uploads"),
        HoldPoint::Response("PUT", ""),
        HoldPoint::Request("PUT", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let file = world.sandbox.file(&format!("{number}.bin"), 1000);
        let running = run_until_held(&interceptor, world.put(&file), point, 1);
        files::flip_byte(&file, 10);
        interceptor.release();
        running.wait().exits(65);
        world.upload(&["abort"]).arg(&file).run().succeeds();
        assert!(world.store().objects().is_empty(), "{point:?}");
    }
}
