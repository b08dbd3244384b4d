//! A journal that is damaged, full, of another version, in the way of others, or gone while it is used: nothing is lost, nothing
//! is done twice, and what is said is true.
//!
//! Border: what the command does about it; the file itself is tested where it is made (`src/sqlite`, `src/journal`). A disk that
//! fails at every call in turn is `scripts/crash-sweep`'s.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::interrupt::{held, kill_after_parts};
use crate::support::command::{Command, Running};
use crate::support::events::{Event, events};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, files};

fn journal(world: &World) -> PathBuf {
    world
        .sandbox
        .files()
        .into_iter()
        .find(|path| path.ends_with("journal.db"))
        .expect("a journal")
}

#[test]
fn a_damaged_journal_is_told_from_a_new_one_and_left_as_it_is() {
    let empty = |path: &Path| files::resize(path, 0);
    let short = |path: &Path| files::resize(path, path.metadata().unwrap().len() / 2);
    let text =
        |path: &Path| fs::write(path, "dear diary, today I uploaded a file. ".repeat(400)).unwrap();
    let noise = |path: &Path| {
        // All pages but the first, which says what it is.
        let bytes = vec![0xA5; usize::try_from(path.metadata().unwrap().len()).unwrap() - 4096];
        OpenOptions::new()
            .write(true)
            .open(path)
            .unwrap()
            .write_all_at(&bytes, 4096)
            .unwrap();
    };
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    for (name, damage) in [
        ("empty", &empty as &dyn Fn(&Path)),
        ("short", &short),
        ("text", &text),
        ("noise", &noise),
    ] {
        world.put(&file).arg("--force").run().succeeds();
        let journal = journal(&world);
        damage(&journal);
        let before = fs::read(&journal).unwrap();
        let sent = world.bytes_put();
        for command in [world.put(&file), world.resume(), world.upload(&["list"])] {
            let output = command.run();
            assert!(matches!(output.code(), Some(73 | 74)), "{name}: {output}");
            assert!(!output.stderr().contains("panicked"), "{name}: {output}");
        }
        assert_eq!(world.bytes_put(), sent, "{name}: something was sent");
        assert_eq!(
            fs::read(&journal).unwrap(),
            before,
            "{name}: it was touched"
        );
        fs::rename(&journal, world.sandbox.path(name)).unwrap();
    }
    world.put(&file).arg("--force").run().succeeds();
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_as_it_is() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    world.put(&file).run().succeeds();
    let journal = journal(&world);
    Connection::open(&journal)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let before = fs::read(&journal).unwrap();
    for command in [world.put(&file), world.resume(), world.upload(&["list"])] {
        command.run().exits(78).stderr_contains("newer");
    }
    assert_eq!(fs::read(&journal).unwrap(), before);
}

#[test]
fn without_a_place_for_the_journal_nothing_begins_and_another_can_be_named() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let homeless = || {
        world
            .put(&file)
            .env("HOME", "/dev/null/home")
            .env("XDG_STATE_HOME", "")
    };
    homeless().run().exits(73).stderr_contains("--journal");
    assert_eq!(world.proxy.traffic().count("POST"), 0);
    homeless()
        .arg("--journal")
        .arg(world.sandbox.path("elsewhere/journal.db"))
        .run()
        .succeeds();
    world.assert_holds_only(&file);
}

/// What is told as stored is in the journal: a part, and the end, whose failure names the file.
#[test]
fn what_the_journal_does_not_take_is_not_told() {
    let cases = [
        ("UPDATE OF etag ON part WHEN NEW.etag IS NOT NULL", 0),
        ("UPDATE ON upload WHEN NEW.state = 'completed'", 3),
    ];
    for (write, most) in cases {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 3 * PART);
        let running = held(&world, world.put(&file).arg("--json"), PART / 2);
        let journal = Connection::open(journal(&world)).unwrap();
        let stop =
            format!("CREATE TRIGGER stop BEFORE {write} BEGIN SELECT RAISE(ABORT, 'full'); END");
        journal.execute_batch(&stop).unwrap();
        world.proxy.unblock();
        let output = running.wait().exits(74);
        let events = events(&output);
        let parts = events
            .iter()
            .filter(|event| matches!(event, Event::Part { .. }))
            .count();
        assert!(parts <= most, "{parts} parts were told of: {output}");
        assert!(
            !events
                .iter()
                .any(|event| matches!(event, Event::Completed { .. })),
            "{output}"
        );
        let failed = events.iter().find_map(|event| {
            if let Event::Failed { path, .. } = event {
                Some(path)
            } else {
                None
            }
        });
        assert_eq!(failed.map(String::as_str), file.to_str(), "{output}");
        journal.execute_batch("DROP TRIGGER stop").unwrap();
        world.resume().run().succeeds();
        world.assert_holds_only(&file);
    }
}

#[test]
fn a_journal_that_is_removed_during_an_upload_is_there_at_its_end() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let running = held(&world, world.put(&file), PART + 1);
    fs::remove_dir_all(journal(&world).parent().unwrap()).unwrap();
    world.proxy.unblock();
    running.wait().succeeds().stderr_contains("was removed");
    let before = world.proxy.traffic();
    world.put(&file).run().succeeds();
    assert_eq!(
        world.proxy.traffic().since(&before).count("PUT"),
        0,
        "it was forgotten"
    );
    world.assert_holds_only(&file);
}

/// Whoever dies between giving up one upload and beginning the next leaves one of them to be resumed.
#[test]
fn an_upload_that_makes_room_for_another_is_not_forgotten() {
    for fatal in [
        "journal.full.written:1",
        "journal.full.durable:1",
        "transfer.restarted:1",
    ] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 3 * PART);
        kill_after_parts(&world, &file, 1);
        // The backend has given the upload up: another takes its place.
        let ledger = world
            .gateway
            .sandbox()
            .files()
            .into_iter()
            .find(|path| path.ends_with("gateway.db"))
            .unwrap();
        Connection::open(ledger)
            .unwrap()
            .execute("UPDATE upload SET state = 'expired'", [])
            .unwrap();
        let put = world.put(&file).env("UPLOAD_CRASH", fatal).run();
        assert_eq!(put.code(), None, "{fatal} was not passed: {put}");
        world.resume().run().succeeds();
        assert_eq!(
            world.store().objects().len(),
            1,
            "{fatal}: nothing was left to resume"
        );
    }
}

/// One drives it; the others are told so, or find it done.
#[test]
fn any_number_of_processes_make_one_object() {
    for (size, count) in [(3 * PART, 2), (1000, 4), (PART + 1, 8)] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", size);
        let all: Vec<Running> = (0..count).map(|_| world.put(&file).spawn()).collect();
        let codes: Vec<_> = all.into_iter().map(|one| one.wait().code()).collect();
        assert!(
            codes.iter().all(|code| matches!(code, Some(0 | 75))),
            "{codes:?}"
        );
        assert!(codes.contains(&Some(0)), "{codes:?}");
        world.assert_holds_only(&file);
        world.put(&file).run().succeeds();
        world.resume().run().succeeds();
        world.assert_holds_only(&file);
    }
}

/// Runs a script with a tmpfs at `$1` which nobody else sees; none where that is not permitted.
fn with_tmpfs(sandbox: &Sandbox, script: &str) -> Option<Command> {
    let dir = sandbox.path("small");
    fs::create_dir_all(&dir).unwrap();
    let unshare = || {
        sandbox
            .command("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c"])
    };
    let tried = unshare()
        .args(["mount -t tmpfs none \"$1\"", "sh"])
        .arg(&dir)
        .run();
    if tried.code() != Some(0) {
        eprintln!(
            "SKIPPED: no tmpfs can be mounted here: {}",
            tried.stderr().trim()
        );
        return None;
    }
    Some(
        unshare()
            .args([script, "sh"])
            .arg(&dir)
            .arg(env!("CARGO_BIN_EXE_upload")),
    )
}

/// Once there is room again, it goes on.
#[test]
fn a_disk_too_small_for_the_journal_ends_it_with_74_and_loses_nothing() {
    // 73 where not even an empty journal has room.
    let script = r#"
        dir=$1; upload=$2; size=$3; shift 3
        mount -t tmpfs -o mode=700,size="$size" none "$dir" || exit 99
        "$upload" put --jobs 2 --part-size 5MiB --journal "$dir/journal.db" "$@" >"$dir/../first"; code=$?
        mount -o remount,size=16m "$dir" || exit 99
        [ "$code" = 0 ] || "$upload" resume --journal "$dir/journal.db" || exit 98
        "$upload" put --jobs 2 --part-size 5MiB --journal "$dir/journal.db" "$@" >/dev/null || exit 97
        exit "$code""#;
    let mut codes = Vec::new();
    for size in ["64k", "112k", "160k", "1m"] {
        let world = World::new();
        let Some(command) = with_tmpfs(&world.sandbox, script) else {
            return;
        };
        let mut sources = vec![world.sandbox.file("film.bin", 2 * PART + 7)];
        sources.extend((0..60).map(|n| world.sandbox.file(&format!("{n}.bin"), 100 + n)));
        let command = command
            .arg(size)
            .args(&sources)
            .env("UPLOAD_BACKEND", world.proxy.url());
        let output = command.run();
        assert!(
            matches!(output.code(), Some(0 | 73 | 74)),
            "{size}: {output}"
        );
        assert!(!output.stderr().contains("panicked"), "{size}: {output}");
        assert_eq!(
            world.store().objects().len(),
            sources.len(),
            "{size}: {output}"
        );
        world.store().assert_no_open_uploads();
        // Each location that was printed is one of them.
        let first = fs::read_to_string(world.sandbox.path("first")).unwrap();
        let objects = world.store().objects();
        assert!(
            first
                .lines()
                .all(|line| objects.iter().any(|key| line.ends_with(key))),
            "{first}"
        );
        codes.push(output.code().unwrap());
    }
    assert!(codes.contains(&74) && codes.ends_with(&[0]), "{codes:?}");
}
