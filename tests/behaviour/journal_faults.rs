//! A journal that is damaged, full, newer, removed or shared: no upload is lost or done twice, and
//! the output is true.
//!
//! Not here: the file itself (unit tests of `journal` and `crates/sqlite`), a failure at each
//! system call (`scripts/crash-sweep`).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rusqlite::Connection;

use crate::support::command::{Command, Running};
use crate::support::events::{Event, events, failure_kind};
use crate::support::requirements::skip;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, files};

#[test]
fn damaged_journal_is_rejected_and_not_changed() {
    let empty = |path: &Path| files::resize(path, 0);
    let short = |path: &Path| files::resize(path, path.metadata().unwrap().len() / 2);
    let text =
        |path: &Path| fs::write(path, "dear diary, today I uploaded a file. ".repeat(400)).unwrap();
    let noise = |path: &Path| {
        // All pages but the first, which identifies the format.
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
        let journal = world.sandbox.journal();
        damage(&journal);
        let before = fs::read(&journal).unwrap();
        let sent = world.bytes_put();
        for command in [world.put(&file), world.resume(), world.upload(&["list"])] {
            let output = command.run();
            assert!(matches!(output.code(), Some(73 | 74)), "{name}: {output}");
            assert!(!output.stderr().contains("panicked"), "{name}: {output}");
        }
        assert_eq!(world.bytes_put(), sent, "{name}: bytes were sent");
        assert_eq!(
            fs::read(&journal).unwrap(),
            before,
            "{name}: the journal was changed"
        );
        fs::rename(&journal, world.sandbox.path(name)).unwrap();
    }
    world.put(&file).arg("--force").run().succeeds();
}

#[test]
fn newer_journal_is_rejected_and_not_changed() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    world.put(&file).run().succeeds();
    let journal = world.sandbox.journal();
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
fn put_without_a_state_directory_fails_unless_journal_is_given() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let put_without_home = || {
        world
            .put(&file)
            .env("HOME", "/dev/null/home")
            .env("XDG_STATE_HOME", "")
    };
    put_without_home()
        .run()
        .exits(73)
        .stderr_contains("--journal");
    assert_eq!(world.proxy.traffic().count("POST"), 0);
    put_without_home()
        .arg("--journal")
        .arg(world.sandbox.path("elsewhere/journal.db"))
        .run()
        .succeeds();
    world.assert_holds_only(&file);
}

/// A part or completion that the journal could not record is not reported; the failure names the
/// file.
#[test]
fn failed_write_to_the_journal_is_not_reported_as_success() {
    let cases = [
        ("UPDATE OF etag ON part WHEN NEW.etag IS NOT NULL", 0),
        ("UPDATE ON upload WHEN NEW.state = 'completed'", 3),
    ];
    for (write, max_parts) in cases {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 3 * PART);
        let running = world.run_until_blocked(world.put(&file).arg("--json"), PART / 2);
        let journal = Connection::open(world.sandbox.journal()).unwrap();
        let trigger =
            format!("CREATE TRIGGER stop BEFORE {write} BEGIN SELECT RAISE(ABORT, 'full'); END");
        journal.execute_batch(&trigger).unwrap();
        world.proxy.unblock();
        let output = running.wait().exits(74);
        let events = events(&output);
        let parts = events
            .iter()
            .filter(|event| matches!(event, Event::Part { .. }))
            .count();
        assert!(parts <= max_parts, "{parts} parts were reported: {output}");
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
fn journal_removed_during_an_upload_is_restored() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let running = world.run_until_blocked(world.put(&file), PART + 1);
    fs::remove_dir_all(world.sandbox.journal().parent().unwrap()).unwrap();
    world.proxy.unblock();
    running.wait().succeeds().stderr_contains("journal");
    assert!(world.sandbox.journal().exists());
    let before = world.proxy.traffic();
    world.put(&file).run().succeeds();
    assert_eq!(
        world.proxy.traffic().since(&before).count("PUT"),
        0,
        "the completed upload was sent again"
    );
    world.assert_holds_only(&file);
}

/// If a client dies while it replaces an expired upload with a new one, one of the two can still be
/// resumed.
#[test]
fn expired_upload_stays_resumable_while_it_is_replaced() {
    for crash_point in [
        "journal.full.written:1",
        "journal.full.durable:1",
        "transfer.restarted:1",
    ] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 3 * PART);
        world.put_and_kill_after_parts(&file, 1);
        // The gateway has expired the upload, so the client begins a new one.
        Connection::open(world.gateway.sandbox().ledger())
            .unwrap()
            .execute("UPDATE upload SET state = 'expired'", [])
            .unwrap();
        let put = world.put(&file).env("UPLOAD_CRASH", crash_point).run();
        assert_eq!(put.code(), None, "{crash_point} was not reached: {put}");
        world.resume().run().succeeds();
        assert_eq!(
            world.store().objects().len(),
            1,
            "{crash_point}: no upload was left to resume"
        );
    }
}

/// One process uploads; the others exit with 75, or find the upload completed.
#[test]
fn concurrent_puts_of_one_file_make_one_object() {
    for (size, count) in [(3 * PART, 2), (1000, 4), (PART + 1, 8)] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", size);
        let processes: Vec<Running> = (0..count).map(|_| world.put(&file).spawn()).collect();
        let codes: Vec<_> = processes
            .into_iter()
            .map(|process| process.wait().code())
            .collect();
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

/// A command that runs `script` in a mount namespace of its own, with a directory for a tmpfs as
/// `$1`. Returns `None` if this process has no permission to mount a tmpfs.
fn with_tmpfs(sandbox: &Sandbox, script: &str) -> Option<Command> {
    let dir = sandbox.path("small");
    fs::create_dir_all(&dir).unwrap();
    let unshare = || {
        sandbox
            .command("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c"])
    };
    let mount = unshare()
        .args(["mount -t tmpfs none \"$1\"", "sh"])
        .arg(&dir)
        .run();
    if mount.code() != Some(0) {
        skip(&format!("cannot mount a tmpfs: {}", mount.stderr().trim()));
        return None;
    }
    Some(
        unshare()
            .args([script, "sh"])
            .arg(&dir)
            .arg(env!("CARGO_BIN_EXE_upload")),
    )
}

/// The store cannot grow. Waiting would not help, so nothing is repeated.
#[test]
fn full_disk_of_the_embedded_store_ends_with_74_and_its_cause() {
    let script = r#"
        dir=$1; upload=$2; shift 2
        mount -t tmpfs -o mode=700,size=8m none "$dir" || exit 99
        XDG_DATA_HOME=$dir "$upload" put --part-size 5MiB --backend embedded --give-up-after 9s --json "$@"; code=$?
        mount -o remount,size=64m "$dir" || exit 98
        XDG_DATA_HOME=$dir "$upload" resume >/dev/null || exit 97
        exit "$code""#;
    let sandbox = Sandbox::new();
    let Some(command) = with_tmpfs(&sandbox, script) else {
        return;
    };
    let file = sandbox.file("film.bin", 4 * PART);
    let output = command.arg(&file).run().exits(74);
    assert_eq!(failure_kind(&output), "io");
    assert!(output.stderr().contains("No space left"), "{output}");
    let store = sandbox.path("small/upload/store");
    let store = store.display().to_string();
    assert!(output.stderr().contains(&store), "{output}");
    assert!(!output.stderr().contains("ERROR"), "{output}");
}

#[test]
fn full_disk_amid_a_directory_ends_with_74_and_the_same_put_sends_the_rest() {
    const FILES: u64 = 600;
    let script = r#"
        dir=$1; upload=$2
        mount -t tmpfs -o mode=700,size=640k none "$dir" || exit 99
        "$upload" --journal "$dir/journal.db" put -r card >"$dir/../first"; code=$?
        mount -o remount,size=16m "$dir" || exit 99
        "$upload" --journal "$dir/journal.db" put -r card >/dev/null || exit 97
        exit "$code""#;
    let world = World::new();
    let Some(command) = with_tmpfs(&world.sandbox, script) else {
        return;
    };
    fs::create_dir(world.sandbox.path("card")).unwrap();
    for number in 0..FILES {
        world.sandbox.file(&format!("card/{number}"), 100 + number);
    }
    let output = command
        .env("UPLOAD_BACKEND", world.proxy.url())
        .run()
        .exits(74);
    let first = fs::read_to_string(world.sandbox.path("first")).unwrap();
    assert!(
        (1..FILES).contains(&(first.lines().count() as u64)),
        "{output}"
    );
    let objects = world.store().objects();
    assert_eq!(objects.len() as u64, FILES, "{output}");
    let is_stored = |line: &str| objects.iter().any(|key| line.ends_with(key));
    assert!(first.lines().all(is_stored));
    world.store().assert_no_open_uploads();
}

/// When the disk has space again, the upload is resumed.
#[test]
fn full_disk_ends_with_74_and_upload_is_resumed() {
    // Exit code 73 if not even an empty journal fits.
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
        // Each printed location names an object.
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
