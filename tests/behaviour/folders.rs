//! `upload put -r`: the files below directories.
//!
//! Not here: filters (`filters`) and lists (`path_lists`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;

use crate::support::command::{Output, Running};
use crate::support::events::{Event, events, receipts};
use crate::support::files;
use crate::support::gateway::Gateway;
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;
use crate::support::world::World;

/// Makes files of some bytes that depend on their paths.
pub fn folder(world: &World, paths: &[&str]) -> PathBuf {
    let root = world.sandbox.path("card");
    for path in paths {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("content of {path}")).unwrap();
    }
    root
}

/// `count` small files in several directories.
fn many_files(world: &World, count: usize) -> PathBuf {
    let root = world.sandbox.path("card");
    for number in 0..count {
        let directory = root.join(format!("d{}", number % 7));
        fs::create_dir_all(&directory).unwrap();
        let bytes = format!("file {number} ").repeat(number % 50 + 1);
        fs::write(directory.join(format!("{number:05}")), bytes).unwrap();
    }
    root
}

/// The key of each completed source, by path.
fn keys(output: &Output) -> BTreeMap<String, String> {
    let completed = events(output).into_iter().filter_map(|event| match event {
        Event::Completed { path, receipt, .. } => Some((path, receipt.key)),
        _ => None,
    });
    completed.collect()
}

/// Asserts that the store has the bytes of each file under the key of its event, and nothing else.
#[track_caller]
fn assert_stored(world: &World, keys: &BTreeMap<String, String>) {
    let store = world.store();
    for (path, key) in keys {
        assert!(
            store.get(key) == fs::read(world.sandbox.path(path)).unwrap(),
            "{path} has other bytes in the store"
        );
    }
    let stored: BTreeSet<String> = store.objects().into_iter().collect();
    let expected: BTreeSet<String> = keys.values().cloned().collect();
    assert_eq!(stored, expected);
    store.assert_no_open_uploads();
}

/// The fields of the last event.
#[track_caller]
fn exit(output: &Output) -> (u64, u64, u64, BTreeMap<String, u64>) {
    match events(output).pop() {
        Some(Event::Exit {
            uploads,
            completed,
            already_stored,
            skipped,
            ..
        }) => (uploads, completed, already_stored, skipped),
        other => panic!("{other:?}"),
    }
}

fn completed_so_far(running: &Running) -> usize {
    let stdout = running.stdout();
    stdout.matches(r#""type":"completed""#).count()
}

#[test]
fn every_file_below_a_directory_is_stored_once() {
    let world = World::new();
    folder(
        &world,
        &[
            "a",
            ".hidden",
            "DCIM/100/A.MOV",
            "DCIM/100/B.MOV",
            "DCIM/x/y/z",
        ],
    );
    for argument in ["card", "card/", "card/.", "./card", "card//"] {
        let output = world
            .upload(&["put", "-r", "--json", argument])
            .run()
            .succeeds();
        let (uploads, completed, already, skipped) = exit(&output);
        assert_eq!((uploads, completed), (5, 5), "{argument}");
        assert_eq!(already, if argument == "card" { 0 } else { 5 });
        assert_eq!(skipped, BTreeMap::new());
        assert_stored(&world, &keys(&output));
        let selected = events(&output).into_iter().find_map(|event| match event {
            Event::Selected { files, bytes, .. } => Some((files, bytes)),
            _ => None,
        });
        let store = world.store();
        let bytes: usize = store.objects().iter().map(|key| store.get(key).len()).sum();
        assert_eq!(selected, Some((5, bytes as u64)));
    }
}

#[test]
fn directory_is_stored_in_a_bucket_by_a_client_with_credentials() {
    let keeper = Gateway::start(&[], &[]);
    let (sandbox, store) = (Sandbox::new(), keeper.store());
    for path in ["card/a", "card/DCIM/b c"] {
        let file = sandbox.path(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("content of {path}")).unwrap();
    }
    let endpoint = format!("http://{}", store.addr());
    let backend = format!("s3://{}/in", store.bucket());
    let args = [
        "put",
        "-r",
        "--json",
        "card",
        "--s3-path-style",
        "--s3-endpoint",
    ];
    let command = sandbox
        .upload(args)
        .args([&endpoint, "--backend", &backend]);
    let command = store
        .envs()
        .into_iter()
        .fold(command, |command, (name, value)| command.env(name, value));
    let keys = keys(&command.run().succeeds());
    assert_eq!(keys.len(), 2);
    for (path, key) in keys {
        assert_eq!(key, format!("in/{path}"));
        assert!(store.get_encoded(&key) == fs::read(sandbox.path(path)).unwrap());
    }
}

#[test]
fn directory_without_the_flag_is_rejected() {
    let world = World::new();
    let root = folder(&world, &["a"]);
    let output = world.put(&root).run().exits(66);
    let output = output.stderr_contains("add -r");
    assert!(output.stderr().contains("is a directory"), "{output}");
    assert_eq!(world.store().objects().len(), 0);
}

#[test]
fn directories_and_files_are_named_together() {
    let world = World::new();
    folder(&world, &["a", "b/c"]);
    world.sandbox.file("film.bin", 10);
    let output = world.upload(&[
        "put", "-r", "--json", "card", "film.bin", "card/", "missing",
    ]);
    let output = output.run().exits(66);
    let keys = keys(&output);
    let paths: Vec<&str> = keys.keys().map(String::as_str).collect();
    assert_eq!(paths, ["card/a", "card/b/c", "film.bin"]);
    assert_stored(&world, &keys);
    assert_eq!(exit(&output).0, 4);
}

#[test]
fn directory_in_another_one_is_stored_once() {
    let world = World::new();
    folder(&world, &["a", "b/c", "b/d"]);
    let output = world
        .upload(&["put", "-r", "--json", "card", "card/b"])
        .run()
        .succeeds();
    let (uploads, completed, already, _) = exit(&output);
    assert_eq!((uploads, completed, already), (5, 5, 2));
    assert_stored(&world, &keys(&output));
}

#[test]
fn links_and_special_files_are_counted_and_never_opened() {
    let world = World::new();
    let root = folder(&world, &["a", "b/c"]);
    symlink("a", root.join("link")).unwrap();
    symlink("..", root.join("b/up")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    mkfifoat(CWD, root.join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    let output = world
        .upload(&["put", "-r", "--json", "card"])
        .run()
        .succeeds();
    let (uploads, completed, _, skipped) = exit(&output);
    assert_eq!((uploads, completed), (2, 2));
    let expected = [("empty_directory", 1), ("fifo", 1), ("link", 2)];
    assert_eq!(
        skipped,
        expected
            .map(|(name, count)| (name.to_owned(), count))
            .into()
    );
    let output = world.upload(&["put", "-r", "card"]).run().succeeds();
    let summary = "2 files: 2 already there; skipped: 1 fifo, 2 links";
    assert!(output.stderr().contains(summary), "{output}");
}

#[test]
fn followed_links_store_each_directory_once() {
    let world = World::new();
    let root = folder(&world, &["a/f", "a/b/g"]);
    symlink("../..", root.join("a/b/up")).unwrap();
    symlink("a", root.join("z")).unwrap();
    symlink("missing", root.join("dangling")).unwrap();
    let output = world.upload(&["put", "-r", "--json", "--follow-symlinks", "card"]);
    let output = output.run().exits(66);
    let (uploads, completed, _, skipped) = exit(&output);
    assert_eq!(
        (uploads, completed),
        (3, 2),
        "the dangling link is the third"
    );
    assert_eq!(skipped, [("repeated".to_owned(), 2)].into());
    assert!(output.stderr().contains("card/dangling"), "{output}");
}

#[test]
fn second_run_sends_only_new_and_changed_files_and_confirms_the_others_in_batches() {
    let world = World::new();
    let root = many_files(&world, 500);
    let put = || {
        world
            .upload(&["put", "-r", "--json", "card"])
            .run()
            .succeeds()
    };
    put();
    fs::write(root.join("new"), b"new").unwrap();
    fs::write(root.join("d0/00007"), b"changed").unwrap();
    let before = world.proxy.traffic();
    let output = put();
    let after = world.proxy.traffic().since(&before);
    let (uploads, completed, already, _) = exit(&output);
    assert_eq!((uploads, completed, already), (501, 501, 499));
    assert_eq!(after.count("PUT"), 2, "{after:?}");
    assert!(after.requests() < 30, "{} requests", after.requests());
    let current: BTreeSet<String> = keys(&output).into_values().collect();
    let stored = world.store().objects();
    assert_eq!(stored.len(), 502, "the object of the changed file stays");
    assert!(current.iter().all(|key| stored.contains(key)));
}

#[test]
fn files_that_a_killed_run_began_are_neither_begun_twice_nor_lost() {
    const FILES: usize = 2000;
    let world = World::new();
    many_files(&world, FILES);
    let put = || world.upload(&["put", "-r", "--json", "card"]);
    for completed in [10, 400, 900] {
        let mut running = put().spawn();
        running.wait_for("completed files", |running| {
            (completed_so_far(running) >= completed).then_some(())
        });
        running.kill9();
    }
    let output = put().run().succeeds();
    let keys = keys(&output);
    assert_eq!(keys.len(), FILES);
    assert_stored(&world, &keys);
    let ledger = rusqlite::Connection::open(world.gateway.sandbox().ledger()).unwrap();
    let begun: i64 = ledger
        .query_row("SELECT count(*) FROM upload", [], |row| row.get(0))
        .unwrap();
    assert_eq!(
        usize::try_from(begun),
        Ok(FILES),
        "uploads were begun twice"
    );
}

#[test]
fn stopped_run_names_the_command_that_sends_the_files_not_begun() {
    let world = World::new();
    many_files(&world, 600);
    let command = world.upload(&["put", "-r", "--jobs", "2", "card"]);
    let running = world.run_until_blocked(command, 1);
    running.signal(Signal::INT);
    let output = running.wait().exits(130);
    assert!(
        output.stderr().contains("of 600 files unfinished"),
        "{output}"
    );
    assert!(
        output.stderr().contains("to continue: upload resume"),
        "{output}"
    );
    world.proxy.unblock();
    let output = world.resume().arg("--json").run().succeeds();
    assert_stored(&world, &keys(&output));
    assert_eq!(exit(&output).1, 600);
}

/// Puts 500 files and deletes 50 of them after they were found.
fn put_while_files_vanish(world: &World, args: &[&str]) -> Output {
    let root = many_files(world, 500);
    let command = world
        .upload(&["put", "-r", "--json", "--jobs", "2"])
        .args(args)
        .arg("card");
    let mut running = world.run_until_blocked(command, 1);
    running.wait_for_stdout(r#""type":"selected""#);
    let mut last: Vec<PathBuf> = fs::read_dir(root.join("d6"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    last.sort();
    for file in last.iter().rev().take(50) {
        fs::remove_file(file).unwrap();
    }
    world.proxy.unblock();
    running.wait()
}

#[test]
fn file_that_vanishes_is_a_failure() {
    let world = World::new();
    let output = put_while_files_vanish(&world, &[]).exits(66);
    let (uploads, completed, ..) = exit(&output);
    assert_eq!((uploads, completed), (500, 450));
    assert!(output.stderr().contains("vanished"), "{output}");
}

#[test]
fn file_that_vanishes_is_left_out_if_the_user_says_so() {
    let world = World::new();
    let output = put_while_files_vanish(&world, &["--ignore-vanished"]).succeeds();
    let (uploads, completed, _, skipped) = exit(&output);
    assert_eq!((uploads, completed), (450, 450));
    assert_eq!(skipped, [("vanished".to_owned(), 50)].into());
}

#[test]
fn set_without_files_fails_if_the_user_says_so() {
    let world = World::new();
    folder(&world, &["a.txt", "b.txt"]);
    fs::create_dir(world.sandbox.path("empty")).unwrap();
    fs::write(world.sandbox.path("list"), "").unwrap();
    let put = |args: &[&str]| world.upload(&["put", "--json"]).args(args).run();
    let without_files: [&[&str]; 4] = [
        &["-r", "empty"],
        &["-r", "card", "--include", "*.mov"],
        &["--files-from", "list"],
        &["--map", "list"],
    ];
    for args in without_files {
        put(args).succeeds();
        for more in [&["--fail-if-empty"][..], &["--fail-if-empty", "--dry-run"]] {
            let output = put(&[args, more].concat()).exits(66);
            assert_eq!(exit(&output).1, 0, "{args:?}");
        }
    }
    put(&["-r", "card", "--fail-if-empty"]).succeeds();
    // All files are there already.
    put(&["-r", "card", "--fail-if-empty"]).succeeds();
}

#[test]
fn receipts_and_journal_in_the_directory_are_not_sent() {
    let world = World::new();
    folder(&world, &["a", "b"]);
    let args = [
        "--journal",
        "card/j.db",
        "put",
        "-r",
        "--json",
        "--receipt",
        "card/receipts",
    ];
    for _ in 0..2 {
        let output = world.upload(&args).arg("card").run().succeeds();
        let keys = keys(&output);
        let paths: Vec<&str> = keys.keys().map(String::as_str).collect();
        assert_eq!(paths, ["card/a", "card/b"]);
        assert!(exit(&output).3["own"] >= 1);
        assert_eq!(receipts(&world.sandbox.path("card/receipts")).len(), 2);
    }
}

#[test]
fn embedded_store_in_the_directory_is_not_read() {
    let world = World::new();
    folder(&world, &["a"]);
    let sandbox = &world.sandbox;
    let put = || sandbox.upload(["put", "-r", "--json", "--backend", "embedded", "."]);
    put().run().succeeds();
    let output = put().run().succeeds();
    let store = sandbox.path("home/data");
    assert!(store.join("upload/store").is_dir());
    let stored = store
        .strip_prefix(sandbox.path(""))
        .unwrap()
        .display()
        .to_string();
    let is_of_the_store = |path: &String| path.contains(&stored) && path.contains("store");
    assert!(!keys(&output).keys().any(is_of_the_store), "{output}");
    assert!(exit(&output).3["own"] >= 1, "{output}");
}

#[test]
fn files_with_names_that_are_not_utf8_or_have_line_breaks_are_sent() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::new();
    let root = folder(&world, &["a"]);
    let names = [&b"caf\xe9"[..], b"two\nlines", "Müller".as_bytes()];
    for name in names {
        fs::write(root.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    let output = world
        .upload(&["put", "-r", "--json", "card"])
        .run()
        .succeeds();
    assert_eq!(exit(&output).1, 4);
    let store = world.store();
    let keys = store.objects();
    assert_eq!(keys.len(), 4);
    let stored: BTreeSet<Vec<u8>> = keys.iter().map(|key| store.get(key)).collect();
    assert!(names.iter().all(|name| stored.contains(*name)), "{output}");
}

#[test]
fn empty_directory_has_nothing_to_upload() {
    let world = World::new();
    fs::create_dir_all(world.sandbox.path("card/empty")).unwrap();
    let output = world.upload(&["put", "-r", "card"]).run().succeeds();
    assert!(output.stderr().contains("no files to upload"), "{output}");
    assert_eq!(output.stdout(), "");
}

#[test]
fn few_files_have_a_line_each_and_many_only_a_total() {
    let world = World::new();
    folder(&world, &["a", "b/c"]);
    let output = world.upload(&["put", "-r", "card"]).run().succeeds();
    assert!(output.stderr().contains("uploaded card/b/c"), "{output}");
    assert_eq!(output.lines().len(), 2);
    many_files(&world, 100);
    let output = world.upload(&["put", "-r", "card"]).run().succeeds();
    assert!(!output.stderr().contains("card/d1/"), "{output}");
    let summary = "102 files: 100 uploaded, 2 already there; sent";
    assert!(output.stderr().contains(summary), "{output}");
    assert_eq!(output.lines().len(), 102);
    let output = world.upload(&["put", "-r", "-v", "card"]).run().succeeds();
    assert!(
        output
            .stderr()
            .contains("card/d1/00001 is already uploaded"),
        "{output}"
    );
}

#[test]
fn dry_run_counts_the_files_and_sends_nothing() {
    let world = World::new();
    folder(&world, &["a"]);
    world.upload(&["put", "-r", "card"]).run().succeeds();
    let root = many_files(&world, 60);
    symlink("a", root.join("link")).unwrap();
    let output = world
        .upload(&["put", "-r", "--dry-run", "card"])
        .run()
        .succeeds();
    assert!(output.stderr().contains("would send 60 files"), "{output}");
    let rest = "1 file is already uploaded; skipped: 1 link";
    assert!(output.stderr().contains(rest), "{output}");
    assert!(!output.stderr().contains("card/d1/"), "{output}");
    assert_eq!(world.store().objects().len(), 1);
    let output = world
        .upload(&["put", "-r", "--dry-run", "-v", "card"])
        .run()
        .succeeds();
    assert!(output.stderr().contains("card/d1/00001: "), "{output}");
    assert!(
        output.stderr().contains("skipped: card/link: link"),
        "{output}"
    );
}

#[test]
fn terminal_shows_the_total_and_at_most_four_files() {
    let world = World::new();
    let root = world.sandbox.path("card");
    fs::create_dir_all(&root).unwrap();
    for number in 0..30 {
        files::random(&root.join(format!("{number:02}.bin")), 200_000, number);
    }
    let terminal = Terminal::new(100);
    let command = world
        .upload(&["put", "-r", "card"])
        .stderr_to(terminal.tty());
    let running = world.run_until_blocked(command, 500_000);
    crate::support::wait::until("the total", || {
        terminal.text().contains("of 30 files").then_some(())
    });
    world.proxy.unblock();
    running.wait().succeeds();
    let text = terminal.text();
    let frames = text.split("\u{1b}[?7l");
    let most = frames.map(|frame| frame.matches("card/").count()).max();
    assert!(most.is_some_and(|most| (1..=4).contains(&most)), "{most:?}");
    assert!(text.contains("30 files: 30 uploaded"), "{text}");
}

#[test]
fn backend_that_cannot_be_reached_is_one_failure() {
    let world = World::new();
    folder(&world, &["a", "b"]);
    let output = world
        .sandbox
        .upload([
            "put",
            "-r",
            "card",
            "--backend",
            "http://127.0.0.1:9",
            "--json",
        ])
        .args(["--give-up-after", "1s"])
        .run()
        .exits(75);
    let failures = events(&output).into_iter().filter_map(|event| match event {
        Event::Failed { path, .. } => Some(path),
        _ => None,
    });
    assert_eq!(failures.collect::<Vec<_>>(), ["card"]);
}

#[test]
fn other_file_system_is_left_out() {
    let world = World::new();
    let root = folder(&world, &["a"]);
    // A directory of another file system on every Linux machine.
    assert!(Path::new("/proc/self/net").exists());
    symlink("/proc/self/net", root.join("net")).unwrap();
    let output = world.upload(&["put", "-r", "-x", "--follow-symlinks", "--json", "card"]);
    let output = output.run().succeeds();
    let (uploads, _, _, skipped) = exit(&output);
    assert_eq!(uploads, 1);
    assert_eq!(skipped, [("other_file_system".to_owned(), 1)].into());
}
