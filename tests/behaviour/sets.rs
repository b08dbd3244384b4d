//! Directories and lists as units: `upload resume`, `list`, `abort` and `prune` of sets.
//!
//! Not here: the files that a set has (`folders`, `filters`, `path_lists`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::command::Output;
use crate::support::events::{Event, events, failure_kind};
use crate::support::files;
use crate::support::world::World;
use crate::support::{MIB, PART};

const FILES: usize = 900;

/// A directory `card` with small files, and one of some parts that is found first.
fn card(world: &World) -> Vec<PathBuf> {
    card_with(world, FILES)
}

fn card_with(world: &World, count: usize) -> Vec<PathBuf> {
    let root = world.sandbox.path("card");
    fs::create_dir_all(&root).unwrap();
    let mut paths: Vec<PathBuf> = (0..count)
        .map(|number| {
            let path = root.join(format!("{number:04}.txt"));
            fs::write(&path, format!("file {number}")).unwrap();
            path
        })
        .collect();
    let film = root.join("0-film.mov");
    files::random(&film, 3 * PART, 7);
    paths.push(film);
    paths
}

/// Asserts that the store has each of these files once, and nothing else.
#[track_caller]
fn assert_holds(world: &World, paths: &[PathBuf]) {
    let store = world.store();
    let mut stored: Vec<String> = store
        .objects()
        .iter()
        .map(|key| store.sha256(key))
        .collect();
    let mut wanted: Vec<String> = paths.iter().map(|path| files::sha256(path)).collect();
    stored.sort();
    wanted.sort();
    assert!(
        stored == wanted,
        "{} objects, {} files",
        stored.len(),
        wanted.len()
    );
    store.assert_no_open_uploads();
}

/// Puts with these arguments, and kills the client while the store accepts no more bytes.
fn put_and_kill(world: &World, args: &[&str]) {
    let running = world.run_until_blocked(world.upload(args), MIB);
    running.kill9();
    world.proxy.unblock();
}

/// Puts with these arguments, and kills the client when a first file is uploaded.
fn put_and_kill_early(world: &World, args: &[&str]) {
    let mut running = world.upload(args).spawn();
    running.wait_for_stdout(r#""type":"completed""#);
    running.kill9();
}

/// The lines of `upload list`.
fn listed(world: &World, args: &[&str]) -> Vec<Value> {
    let list = [&["list", "--json"], args].concat();
    let output = world.sandbox.upload(list).run().succeeds();
    let lines = output.lines();
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sets(world: &World, args: &[&str]) -> Vec<Value> {
    let mut lines = listed(world, args);
    lines.retain(|line| line["type"] == "set");
    lines
}

/// Whether the last event says that `resume` continues.
fn is_resumable(output: &Output) -> bool {
    matches!(
        events(output).last(),
        Some(Event::Exit {
            resumable: true,
            ..
        })
    )
}

/// The number of uploads of a run.
fn uploads_of(output: &Output) -> u64 {
    match events(output).last() {
        Some(Event::Exit { uploads, .. }) => *uploads,
        other => panic!("{other:?}"),
    }
}

#[test]
fn resume_sends_the_files_that_were_never_begun() {
    let world = World::new();
    let paths = card_with(&world, 1500);
    let put = [
        "put",
        "-r",
        "--json",
        "--jobs",
        "1",
        "--part-size",
        "5MiB",
        "card",
    ];
    put_and_kill_early(&world, &put);
    let [set] = sets(&world, &[]).try_into().unwrap();
    assert_eq!(set["state"], "unfinished");
    assert!(
        set["done_files"].as_u64().unwrap() < paths.len() as u64,
        "{set}"
    );
    let begun = listed(&world, &["card", "--all"]).len();
    assert!(begun < paths.len(), "all files were begun before the kill");

    let output = world.resume().arg("--json").run().succeeds();
    assert!(!is_resumable(&output));
    assert_holds(&world, &paths);
    let size: u64 = paths
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    let bytes_sent = world.bytes_put();
    assert!(
        bytes_sent <= size + PART + MIB,
        "{bytes_sent} bytes sent of {size}: the part in flight at the kill is sent again"
    );
    assert_eq!(sets(&world, &[]), [Value::Null; 0]);
    let [set] = sets(&world, &["--all"]).try_into().unwrap();
    assert_eq!(set["state"], "finished");
    assert_eq!(set["files"], paths.len());
    assert_eq!(set["done_files"], paths.len());
    assert_eq!(set["done_bytes"], size);
    assert_eq!(set["bytes"], size);
    assert_eq!(set["failed_files"], 0);
    assert!(set["name"].as_str().unwrap().ends_with("/card"), "{set}");
}

/// Uploads of a set are not listed one by one, except on request.
#[test]
fn list_has_one_line_for_a_set() {
    let world = World::new();
    card(&world);
    let single = world.sandbox.file("single.bin", 4 * PART);
    world.put_and_kill_after_parts(&single, 1);
    put_and_kill_early(&world, &["put", "-r", "--json", "card"]);

    let lines = listed(&world, &[]);
    let kinds: Vec<&str> = lines
        .iter()
        .map(|line| line["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["set", "upload"], "{lines:?}");
    assert!(lines[1]["path"].as_str().unwrap().ends_with("single.bin"));
    let id = lines[0]["set"].as_str().unwrap();
    let of_set = listed(&world, &[id]);
    assert!(!of_set.is_empty());
    for upload in &of_set {
        assert!(
            upload["path"].as_str().unwrap().contains("/card/"),
            "{upload}"
        );
    }
    assert_eq!(
        listed(&world, &["card"]),
        of_set,
        "a directory names its set"
    );
    let all_of_set = listed(&world, &["--all", "card"]);
    assert!(all_of_set.len() > of_set.len());
    let all = listed(&world, &["--all"]);
    assert_eq!(all.len(), 2 + all_of_set.len(), "--all lists everything");
    let text = world.sandbox.upload(["list"]).run().succeeds();
    assert_eq!(text.lines().len(), 2, "{text}");
    world.sandbox.upload(["list", "nothing"]).run().exits(1);
}

/// A list is read again from where it was named, and so are its relative paths.
#[test]
fn resume_in_another_directory_finds_the_same_files() {
    let world = World::new();
    let paths = card(&world);
    let other = world.sandbox.path("elsewhere");
    fs::create_dir_all(&other).unwrap();
    let names: Vec<String> = paths
        .iter()
        .map(|path| format!("card/{}\n", path.file_name().unwrap().to_str().unwrap()))
        .collect();
    fs::write(world.sandbox.path("list.txt"), names.concat()).unwrap();
    put_and_kill(
        &world,
        &[
            "put",
            "--jobs",
            "1",
            "--files-from",
            "list.txt",
            "--key-style",
            "uuid",
        ],
    );
    world.resume().current_dir(&other).run().succeeds();
    assert_holds(&world, &paths);
}

#[test]
fn resume_keeps_filters_keys_and_attributes() {
    let attributes = ["--allow-attribute", "cache-control"];
    let world =
        World::with_args(&[&["--auth", "tokens", "--client-keys"][..], &attributes].concat());
    let paths = card(&world);
    let output = world
        .gateway
        .sandbox()
        .upload(["serve", "token", "add", "ci", "--keys", "in/**"]);
    let token = output.run().succeeds().line().to_owned();
    fs::write(world.sandbox.path("rules"), "*9.txt\n").unwrap();
    let put = world.upload(&[
        "put",
        "-r",
        "card/.",
        "--exclude-from",
        "rules",
        "--prefix",
        "in",
        "--newer-than",
        "24h",
        "--cache-control",
        "no-store",
        "--jobs",
        "1",
        "--meta",
        "a=b",
    ]);
    let running = world.run_until_blocked(put.env("UPLOAD_TOKEN", &token), MIB);
    running.kill9();
    world.proxy.unblock();
    world.resume().env("UPLOAD_TOKEN", &token).run().succeeds();
    let names = paths
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap());
    let wanted: BTreeSet<String> = names
        .filter(|name| !name.ends_with("9.txt"))
        .map(|name| format!("in/{name}"))
        .collect();
    let store = world.store();
    let stored: BTreeSet<String> = store.objects().into_iter().collect();
    assert_eq!(stored, wanted);
    for key in ["in/0000.txt", "in/0298.txt", "in/0-film.mov"] {
        let head = store.head(key);
        assert_eq!(head.header("cache-control"), Some("no-store"), "{key}");
        assert_eq!(head.header("x-amz-meta-a"), Some("b"), "{key}");
    }
}

#[test]
fn stopped_put_of_a_directory_names_resume() {
    let world = World::new();
    let paths = card(&world);
    let put = world.upload(&["put", "-r", "--json", "--jobs", "1", "card"]);
    let running = world.run_until_blocked(put, MIB);
    running.signal(Signal::INT);
    let output = running.wait().exits(130);
    assert!(is_resumable(&output), "{output}");
    world.proxy.unblock();
    // With its directory as the argument.
    let output = world.resume().args(["--json", "card"]).run().succeeds();
    assert!(!is_resumable(&output));
    assert_holds(&world, &paths);
}

/// The list of standard input cannot be read again.
#[test]
fn set_of_standard_input_is_not_in_the_journal() {
    let world = World::new();
    card(&world);
    let list = world.sandbox.path("list.txt");
    fs::write(&list, "card/0001.txt\ncard/0002.txt\ncard/0-film.mov\n").unwrap();
    let put = || {
        let put = world.upload(&["put", "--json", "--jobs", "1", "--files-from", "-"]);
        put.stdin_from(fs::File::open(&list).unwrap())
    };
    world.run_until_blocked(put(), MIB).kill9();
    world.proxy.unblock();
    assert_eq!(sets(&world, &["--all"]), [Value::Null; 0]);
    let output = put().run().succeeds();
    let selected = events(&output).into_iter().find_map(|event| match event {
        Event::Selected { set, .. } => Some(set),
        _ => None,
    });
    assert_eq!(selected, Some(None));
}

#[test]
fn second_put_of_a_directory_is_the_same_set() {
    let world = World::new();
    let root = world.sandbox.path("card");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("a"), "a").unwrap();
    let put = |args: &[&str]| {
        let put = world.upload(&["put", "-r", "card"]);
        put.args(args).run().succeeds();
    };
    put(&[]);
    fs::write(root.join("b"), "b").unwrap();
    put(&[]);
    let [set] = sets(&world, &["--all"]).try_into().unwrap();
    assert_eq!((&set["files"], &set["done_files"]), (&2.into(), &2.into()));
    put(&["--meta", "a=b", "--force"]);
    assert_eq!(sets(&world, &["--all"]).len(), 1, "the files are the same");
    put(&["--exclude", "b"]);
    assert_eq!(sets(&world, &["--all"]).len(), 2);
    put(&["--dry-run", "--exclude", "a"]);
    assert_eq!(sets(&world, &["--all"]).len(), 2, "a dry run is no set");
}

#[test]
fn set_that_another_process_uploads_is_left_alone() {
    let world = World::new();
    let paths = card(&world);
    let put = || world.upload(&["put", "-r", "--json", "--jobs", "1", "card"]);
    let running = world.run_until_blocked(put(), MIB);
    let output = put().run().exits(75);
    assert_eq!(failure_kind(&output), "busy");
    let output = world.resume().arg("--json").run().exits(75);
    assert_eq!(failure_kind(&output), "busy");
    let abort = world.upload(&["abort", "card"]);
    abort.run().exits(75);
    let recorded = sets(&world, &[]);
    let other = put().args(["--content-type", "text/x-other"]);
    other.run().exits(75);
    assert_eq!(sets(&world, &[]), recorded);
    running.kill9();
    world.proxy.unblock();
    world.resume().run().succeeds();
    assert_holds(&world, &paths);
    let store = world.store();
    for key in store.objects() {
        let head = store.head(&key);
        assert_ne!(head.header("content-type"), Some("text/x-other"), "{key}");
    }
}

/// A set with a file that could not be read is unfinished.
#[test]
fn resume_tries_failed_files_again() {
    let world = World::new();
    let root = world.sandbox.path("card");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("a"), "a").unwrap();
    // A dangling link cannot be read, not even by root.
    std::os::unix::fs::symlink("later", root.join("b")).unwrap();
    let put = world.upload(&["put", "-r", "--follow-symlinks", "--json", "card"]);
    let output = put.run().exits(66);
    assert!(!is_resumable(&output), "nothing is left but what failed");
    let [set] = sets(&world, &[]).try_into().unwrap();
    assert_eq!(set["failed_files"], 1, "{set}");
    world.resume().run().exits(66);
    fs::write(root.join("later"), "later").unwrap();
    world.resume().run().succeeds();
    assert_eq!(sets(&world, &[]), [Value::Null; 0]);
    let store = world.store();
    let contents: BTreeSet<Vec<u8>> = store.objects().iter().map(|key| store.get(key)).collect();
    assert_eq!(contents, BTreeSet::from([b"a".to_vec(), b"later".to_vec()]));
}

/// An unfinished upload whose file was deleted is reported, and stays until it is aborted.
#[test]
fn deleted_file_of_a_set_is_reported_by_resume() {
    let world = World::new();
    let mut paths = card(&world);
    put_and_kill(&world, &["put", "-r", "card"]);
    let film = paths.pop().unwrap();
    fs::remove_file(&film).unwrap();
    let output = world.resume().arg("--json").run().exits(66);
    let failed: Vec<String> = events(&output)
        .into_iter()
        .filter_map(|event| match event {
            Event::Failed { path, .. } => Some(path),
            _ => None,
        })
        .collect();
    assert_eq!(failed.len(), 1, "{output}");
    assert!(failed[0].ends_with("0-film.mov"), "{output}");
    let [upload] = listed(&world, &[]).try_into().unwrap();
    assert_eq!(upload["type"], "upload");
    let id = upload["upload"].as_str().unwrap();
    world.upload(&["abort", id]).run().succeeds();
    assert_holds(&world, &paths);
}

#[test]
fn abort_of_a_set_ends_its_unfinished_uploads() {
    let world = World::new();
    card(&world);
    put_and_kill(&world, &["put", "-r", "card"]);
    assert!(!world.store().open_uploads().is_empty());
    let output = world.upload(&["abort", "--json", "card"]).run().succeeds();
    let line: Value = serde_json::from_str(output.line()).unwrap();
    assert_eq!(line["type"], "aborted_set");
    assert!(line["aborted"].as_u64() >= Some(1), "{line}");
    world.store().assert_no_open_uploads();
    assert_eq!(sets(&world, &["--all"]), [Value::Null; 0]);
    // Objects that the gateway has completed meanwhile stay.
    let output = world.resume().arg("--json").run().succeeds();
    assert_eq!(line["completing"], uploads_of(&output), "{output}");
    assert_eq!(listed(&world, &[]), [Value::Null; 0]);
}

#[test]
fn prune_removes_finished_sets_only() {
    let world = World::new();
    card(&world);
    fs::create_dir_all(world.sandbox.path("done")).unwrap();
    fs::write(world.sandbox.path("done/a"), "a").unwrap();
    world.upload(&["put", "-r", "done"]).run().succeeds();
    put_and_kill(&world, &["put", "-r", "card"]);
    let output = world.upload(&["prune", "--json"]).run().succeeds();
    let line: Value = serde_json::from_str(output.line()).unwrap();
    assert_eq!(line["removed_sets"], 1);
    let [set] = sets(&world, &["--all"]).try_into().unwrap();
    assert_eq!(set["state"], "unfinished");
    world.resume().run().succeeds();
}

/// A file beside a directory on the command line does not name the set.
#[test]
fn abort_of_a_file_does_not_abort_the_set_that_it_is_in() {
    let world = World::new();
    card_with(&world, 1500);
    fs::write(world.sandbox.path("a.mov"), "a").unwrap();
    let put = ["put", "-r", "--json", "--jobs", "1", "card", "a.mov"];
    put_and_kill_early(&world, &put);
    let recorded = sets(&world, &[]);
    assert_eq!(recorded.len(), 1);
    world.upload(&["abort", "a.mov"]).run().exits(1);
    assert_eq!(sets(&world, &[]), recorded);
    world.upload(&["abort", "card"]).run().succeeds();
    assert_eq!(sets(&world, &["--all"]), [Value::Null; 0]);
}

#[test]
fn search_reports_once_how_many_files_it_found_with_those_that_cannot_be_uploaded() {
    let world = World::new();
    fs::write(world.sandbox.path("a"), "a").unwrap();
    fs::write(world.sandbox.path("list"), "a\nmissing\nabsent\n").unwrap();
    let put = ["put", "--json", "--files-from", "list"];
    let output = world.upload(&put).run().exits(66);
    let all = events(&output);
    let found: Vec<u64> = all
        .iter()
        .filter_map(|event| match event {
            Event::Selected { files, .. } => Some(*files),
            _ => None,
        })
        .collect();
    assert_eq!(found, [3], "{output}");
}

/// Checks the last line of a receipt file as `sha256sum` does.
#[test]
fn last_line_of_the_receipts_sums_up_the_set() {
    let world = World::new();
    let paths = card(&world);
    let receipts = world.sandbox.path("receipts.jsonl");
    put_and_kill(
        &world,
        &["put", "-r", "--receipt", "receipts.jsonl", "card"],
    );
    if receipts.exists() {
        let text = fs::read_to_string(&receipts).unwrap();
        assert!(!text.contains(r#""type":"set""#), "the set is not whole");
    }
    world
        .resume()
        .args(["--receipt", "receipts.jsonl"])
        .run()
        .succeeds();
    let text = fs::read_to_string(&receipts).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let last: Value = serde_json::from_str(lines.pop().unwrap()).unwrap();
    assert_eq!(last["type"], "set");
    assert_eq!(last["files"], paths.len());
    let size: u64 = paths
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert_eq!(last["bytes"], size);
    assert_eq!(lines.len(), paths.len());
    lines.sort_unstable();
    let mut hasher = Sha256::new();
    for line in lines {
        hasher.update(line);
        hasher.update("\n");
    }
    assert_eq!(last["sha256"], files::hex(&hasher.finalize()));

    // A run without a receipt leaves those of an earlier one as they are.
    fs::create_dir(world.sandbox.path("empty")).unwrap();
    let put = ["put", "-r", "--receipt", "receipts.jsonl", "empty"];
    world.upload(&put).run().succeeds();
    assert_eq!(fs::read_to_string(&receipts).unwrap(), text);

    // A failed file has no line, so there is no last line.
    std::os::unix::fs::symlink("missing", world.sandbox.path("card/dangling")).unwrap();
    let put = [
        "put",
        "-r",
        "--follow-symlinks",
        "--receipt",
        "receipts.jsonl",
        "card",
    ];
    world.upload(&put).run().exits(66);
    let text = fs::read_to_string(&receipts).unwrap();
    assert_eq!(text.lines().count(), paths.len());
    assert!(!text.contains(r#""type":"set""#));
}

/// The files of an unfinished set are needed by `resume`, so their uploads stay in the journal.
#[test]
fn prune_keeps_the_uploads_of_an_unfinished_set() {
    let world = World::new();
    let paths = card_with(&world, 2000);
    put_and_kill_early(&world, &["put", "-r", "--json", "card"]);
    world.upload(&["prune"]).run().succeeds();
    world.resume().run().succeeds();
    assert_holds(&world, &paths);
}

/// Each file of the interrupted run gets one new object, and no second one from `resume`.
#[test]
fn resume_of_a_forced_set_makes_one_new_object_of_each_file() {
    let world = World::new();
    let paths = card_with(&world, 1200);
    world.upload(&["put", "-r", "card"]).run().succeeds();
    put_and_kill_early(&world, &["put", "-r", "--force", "--json", "card"]);
    world.resume().run().succeeds();
    let twice: Vec<PathBuf> = paths.iter().chain(&paths).cloned().collect();
    assert_holds(&world, &twice);
    assert_eq!(sets(&world, &[]), [Value::Null; 0]);
}

/// The objects of the interrupted run are not objects of others.
#[test]
fn resume_of_a_set_that_replaces_nothing_finishes_it() {
    let world = World::new();
    card_with(&world, 1200);
    let backend = format!("s3://{}", world.store().bucket());
    let (store, endpoint) = (world.store(), format!("http://{}", world.store().addr()));
    let flags = ["--s3-path-style", "--s3-endpoint", &endpoint];
    let run = |args: &[&str]| {
        let mut command = world.sandbox.upload(args).args(flags);
        for (name, value) in store.envs() {
            command = command.env(name, value);
        }
        command
    };
    let put = [
        "put",
        "-r",
        "--json",
        "card",
        "--if-exists",
        "fail",
        "--backend",
        &backend,
    ];
    let mut running = run(&put).spawn();
    running.wait_for_stdout(r#""type":"completed""#);
    running.kill9();
    run(&["resume"]).run().succeeds();
    assert_eq!(store.objects().len(), 1201);
    // A second put is another one.
    let output = run(&put).run().exits(77);
    assert_eq!(failure_kind(&output), "exists");
}

#[test]
fn set_of_a_deleted_directory_can_be_aborted() {
    let world = World::new();
    card(&world);
    put_and_kill(&world, &["put", "-r", "card"]);
    fs::remove_dir_all(world.sandbox.path("card")).unwrap();
    world.resume().run().exits(66);
    let [set] = sets(&world, &[]).try_into().unwrap();
    // As it is listed, and as it was named.
    let name = set["name"].as_str().unwrap().to_owned();
    world.upload(&["resume", &name]).run().exits(66);
    world.upload(&["abort", "card"]).run().succeeds();
    assert_eq!(sets(&world, &["--all"]), [Value::Null; 0]);
    world.store().assert_no_open_uploads();
}

#[test]
fn finished_set_is_not_aborted() {
    let world = World::new();
    fs::create_dir_all(world.sandbox.path("card")).unwrap();
    fs::write(world.sandbox.path("card/a"), "a").unwrap();
    world.upload(&["put", "-r", "card"]).run().succeeds();
    world.upload(&["abort", "card"]).run().exits(1);
    assert_eq!(sets(&world, &["--all"]).len(), 1);
}

/// A set at a backend that was never reached is not left behind.
#[test]
fn set_of_which_nothing_was_found_is_not_kept() {
    let world = World::new();
    card(&world);
    world.proxy.stop_listening();
    let put = ["put", "-r", "--json", "--give-up-after", "1s", "card"];
    let output = world.upload(&put).run().exits(75);
    assert!(!is_resumable(&output), "{output}");
    assert_eq!(sets(&world, &["--all"]), [Value::Null; 0]);
    world.proxy.listen_again();
    put_and_kill(&world, &["put", "-r", "card"]);
    world.proxy.stop_listening();
    let output = world.upload(&put).run().exits(75);
    assert!(is_resumable(&output), "{output}");
    world.proxy.listen_again();
    world.resume().run().succeeds();
}

/// A file may have the first characters of the id of a set as its name.
#[test]
fn set_is_not_named_by_seven_characters_of_its_id() {
    let world = World::new();
    fs::create_dir_all(world.sandbox.path("card")).unwrap();
    fs::write(world.sandbox.path("card/a"), "a").unwrap();
    world.upload(&["put", "-r", "card"]).run().succeeds();
    let [set] = sets(&world, &["--all"]).try_into().unwrap();
    let id = set["set"].as_str().unwrap();
    world.upload(&["list", &id[..7]]).run().exits(1);
    world.upload(&["list", id]).run().succeeds();
}

/// An upload of an earlier command is one of the set that continues it.
#[test]
fn upload_belongs_to_the_last_set_that_has_its_file() {
    let world = World::new();
    card(&world);
    put_and_kill(&world, &["put", "-r", "--jobs", "1", "card"]);
    let [earlier] = sets(&world, &[]).try_into().unwrap();
    let put = ["put", "-r", "--exclude", "08*", "card"];
    world.upload(&put).run().succeeds();
    let all = sets(&world, &["--all"]);
    let later = all.iter().find(|set| set["set"] != earlier["set"]).unwrap();
    let uploads_of = |set: &Value| listed(&world, &["--all", set["set"].as_str().unwrap()]);
    assert_eq!(
        uploads_of(later).len() as u64,
        later["files"].as_u64().unwrap()
    );
    let of_earlier = uploads_of(&earlier);
    let is_excluded = |upload: &Value| upload["path"].as_str().unwrap().contains("/08");
    assert!(of_earlier.iter().all(is_excluded), "{of_earlier:?}");
    world.resume().run().succeeds();
    assert_eq!(listed(&world, &[]), [Value::Null; 0]);
}

#[test]
fn resume_of_several_sets_reports_each() {
    let world = World::new();
    card(&world);
    let other = world.sandbox.path("other");
    fs::create_dir_all(&other).unwrap();
    for number in 0..1200 {
        fs::write(other.join(number.to_string()), format!("other {number}")).unwrap();
    }
    put_and_kill(&world, &["put", "-r", "card"]);
    put_and_kill_early(&world, &["put", "-r", "--json", "other"]);
    let ids: Vec<String> = sets(&world, &[])
        .iter()
        .map(|set| set["set"].as_str().unwrap().to_owned())
        .collect();
    let output = world.resume().arg("--json").run().succeeds();
    let found: Vec<(Option<String>, u64)> = events(&output)
        .into_iter()
        .filter_map(|event| match event {
            Event::Selected { set, files, .. } => Some((set, files)),
            _ => None,
        })
        .collect();
    let expected = [
        (Some(ids[0].clone()), FILES as u64 + 1),
        (Some(ids[1].clone()), 1200),
    ];
    assert_eq!(found, expected);
    assert_eq!(uploads_of(&output), FILES as u64 + 1201);
}

#[test]
fn list_of_a_finished_set_says_how_to_list_its_uploads() {
    let world = World::new();
    card_with(&world, 2);
    world.upload(&["put", "-r", "card"]).run().succeeds();
    let list = |args: &[&str]| {
        let list = [&["list", "card"], args].concat();
        world.sandbox.upload(list).run().succeeds()
    };
    let output = list(&[]);
    assert_eq!(output.stdout(), "");
    let message = "no unfinished uploads of card; add --all to list the finished ones";
    assert!(output.stderr().contains(message), "{output}");
    assert_eq!(list(&["--all"]).lines().len(), 3);
}

#[test]
fn set_of_another_version_is_ended_as_its_hint_says() {
    let world = World::new();
    card(&world);
    put_and_kill_early(&world, &["put", "-r", "--json", "card"]);
    let journal = rusqlite::Connection::open(world.sandbox.journal()).unwrap();
    let change = r#"UPDATE file_set SET definition = '{"later":1,' || substr(definition, 2)"#;
    assert_eq!(journal.execute(change, []).unwrap(), 1);
    drop(journal);
    let output = world.resume().run().exits(1);
    assert!(output.stderr().contains("another version"), "{output}");
    let mut commands = output.stderr().split('`');
    let abort = commands.find(|text| text.starts_with("upload abort"));
    let words = shlex::split(abort.expect("a command")).unwrap();
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    world.upload(&words).run().succeeds();
    assert_eq!(sets(&world, &[]), Vec::<Value>::new());
    world.upload(&["put", "-r", "card"]).run().succeeds();
    world.store().assert_no_open_uploads();
}
