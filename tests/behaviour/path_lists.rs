//! `upload put --files-from` and `--map`: files that a list names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::folders::folder;
use crate::support::command::{Command, Output};
use crate::support::events::{Event, events};
use crate::support::wait;
use crate::support::world::World;

#[track_caller]
fn completed(output: &Output) -> Vec<String> {
    let completed = events(output).into_iter().filter_map(|event| match event {
        Event::Completed { path, .. } => Some(path),
        _ => None,
    });
    let mut paths: Vec<String> = completed.collect();
    paths.sort();
    paths
}

/// `upload put --json` with a list of this text.
fn put_list(world: &World, list: &str, args: &[&str]) -> Command {
    fs::write(world.sandbox.path("list"), list).unwrap();
    world
        .upload(&["put", "--json", "--files-from", "list"])
        .args(args)
}

#[test]
fn listed_paths_are_verbatim_and_each_is_sent_once() {
    let world = World::new();
    folder(&world, &["a b", " #c", "*.d", "e"]);
    let list = "card/a b\n\ncard/ #c\ncard/*.d\n./card/a b\ncard//a b\ncard/e";
    let output = put_list(&world, list, &[]).run().succeeds();
    assert_eq!(
        completed(&output),
        ["card/ #c", "card/*.d", "card/a b", "card/e"]
    );
    assert_eq!(world.store().objects().len(), 4);
}

#[test]
fn paths_may_be_separated_by_nul() {
    let world = World::new();
    folder(&world, &["two\nlines", "a\r"]);
    let output = put_list(&world, "card/two\nlines\0card/a\r\0", &["-0"])
        .run()
        .succeeds();
    assert_eq!(completed(&output), ["card/a\r", "card/two\nlines"]);
}

#[test]
fn sending_begins_before_the_list_ends() {
    let world = World::new();
    folder(&world, &["a", "b"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let command = world.upload(&["put", "--json", "--files-from", "-"]);
    let mut running = command
        .stdin_from(File::from(OwnedFd::from(reader)))
        .spawn();
    writer.write_all(b"card/a\n").unwrap();
    running.wait_for_stdout(r#""type":"completed""#);
    assert_eq!(world.store().objects().len(), 1);
    writer.write_all(b"card/b\n").unwrap();
    drop(writer);
    let output = running.wait().succeeds();
    assert_eq!(completed(&output), ["card/a", "card/b"]);
}

#[test]
fn run_does_not_give_up_while_the_list_is_written_slowly() {
    let world = World::new();
    folder(&world, &["a", "b"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let args = [
        "put",
        "--json",
        "--give-up-after",
        "1s",
        "--files-from",
        "-",
    ];
    let command = world.upload(&args);
    let mut running = command
        .stdin_from(File::from(OwnedFd::from(reader)))
        .spawn();
    writer.write_all(b"card/a\n").unwrap();
    running.wait_for_stdout(r#""type":"completed""#);
    let limit = Duration::from_secs(2);
    let end = wait::within(limit, || (!running.is_running()).then_some(()));
    assert_eq!(end, None, "the run has ended before its list");
    writer.write_all(b"card/b\n").unwrap();
    drop(writer);
    assert_eq!(completed(&running.wait().succeeds()), ["card/a", "card/b"]);
}

#[test]
fn stop_while_the_list_is_open_ends_the_command() {
    let world = World::new();
    folder(&world, &["a"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let command = world.upload(&["put", "--json", "--files-from", "-"]);
    let mut running = command
        .stdin_from(File::from(OwnedFd::from(reader)))
        .spawn();
    writer.write_all(b"card/a\n").unwrap();
    running.wait_for_stdout(r#""type":"completed""#);
    running.signal(rustix::process::Signal::INT);
    running.wait().exits(130);
}

#[test]
fn empty_list_sends_nothing_and_succeeds() {
    let world = World::new();
    for list in ["", "\n\n"] {
        fs::write(world.sandbox.path("list"), list).unwrap();
        let output = world
            .upload(&["put", "--files-from", "list"])
            .run()
            .succeeds();
        assert!(output.stderr().contains("no files to upload"), "{output}");
    }
    assert_eq!(world.store().objects().len(), 0);
}

#[test]
fn list_that_cannot_be_used_ends_the_command() {
    let world = World::new();
    folder(&world, &["a"]);
    let output = put_list(&world, "card/a\r\ncard/b\r\n", &[]).run().exits(2);
    assert!(output.stderr().contains("Windows line ends"), "{output}");
    let output = world
        .upload(&["put", "--files-from", "missing"])
        .run()
        .exits(66);
    assert!(output.stderr().contains("missing"), "{output}");
    assert_eq!(world.proxy.traffic().requests(), 0);
}

#[test]
fn missing_path_is_named_with_its_line_and_the_others_are_sent() {
    let world = World::new();
    folder(&world, &["a", "b"]);
    let output = put_list(&world, "card/a\n\ncard/missing\ncard/b\n", &[])
        .run()
        .exits(66);
    assert_eq!(completed(&output), ["card/a", "card/b"]);
    assert!(
        output.stderr().contains("line 3 of the list list"),
        "{output}"
    );
}

#[test]
fn listed_directory_needs_the_flag() {
    let world = World::new();
    folder(&world, &["a", "d/b"]);
    let output = put_list(&world, "card/d\ncard/a\n", &[]).run().exits(66);
    assert!(
        output
            .stderr()
            .contains("line 1 of the list list: card/d is a directory"),
        "{output}"
    );
    assert!(output.stderr().contains("add -r"), "{output}");
    assert_eq!(completed(&output), ["card/a"]);
    let output = put_list(&world, "card/d\ncard/a\n", &["-r"])
        .run()
        .succeeds();
    assert_eq!(completed(&output), ["card/a", "card/d/b"]);
}

#[test]
fn path_outside_the_working_directory_needs_a_base() {
    let world = World::new();
    let root = folder(&world, &["a", "b"]);
    let list = format!("{}\ncard/b\n", root.join("a").display());
    let output = put_list(&world, &list, &[]).run().exits(2);
    assert!(output.stderr().contains("line 1"), "{output}");
    assert!(output.stderr().contains("--base"), "{output}");
    assert_eq!(completed(&output), ["card/b"]);
    let output = put_list(&world, &list, &["--base", "card"])
        .run()
        .succeeds();
    assert_eq!(completed(&output).len(), 2);
    let output = put_list(&world, "../x\n", &["--base", "card"])
        .run()
        .exits(2);
    assert!(
        output
            .stderr()
            .contains("not below the directory of --base"),
        "{output}"
    );
}

#[test]
fn map_gives_each_file_its_attributes() {
    let world = World::with_args(&["--allow-attribute", "all"]);
    folder(&world, &["a.bin", "b.bin"]);
    let map = r#"{"path": "card/a.bin", "content_type": "text/plain", "meta": {"camera": "A"}, "cache_control": "no-cache", "tags": {"of": "file"}}
{"path": "card/missing"}
not json
{"path": "card/b.bin"}
{"path": "card/b.bin", "key_of": "a field that is not known"}
{"path": "card/b.bin", "content_language": "no language"}
"#;
    fs::write(world.sandbox.path("map"), map).unwrap();
    let output = world
        .upload(&["put", "--json", "--map", "map"])
        .args([
            "--cache-control",
            "max-age=1",
            "--tag",
            "of=command",
            "--tag",
            "a=b",
        ])
        .run()
        .exits(1);
    assert_eq!(completed(&output), ["card/a.bin", "card/b.bin"]);
    for line in [2, 3, 5] {
        let line = format!("line {line} of the map map");
        assert!(output.stderr().contains(&line), "{output}");
    }
    let key_of = |wanted: &str| {
        let key = events(&output).into_iter().find_map(|event| match event {
            Event::Completed { path, receipt, .. } if path == wanted => Some(receipt.key),
            _ => None,
        });
        key.unwrap()
    };
    let store = world.store();
    let head = store.head(&key_of("card/a.bin"));
    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(head.header("x-amz-meta-camera"), Some("A"));
    assert_eq!(head.header("cache-control"), Some("no-cache"));
    let tags = store.tags(&key_of("card/a.bin"));
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    assert_eq!(tags, pairs(&[("a", "b"), ("of", "file")]));
    let head = store.head(&key_of("card/b.bin"));
    assert_eq!(head.header("cache-control"), Some("max-age=1"));
    assert_eq!(
        store.tags(&key_of("card/b.bin")),
        pairs(&[("a", "b"), ("of", "command")])
    );
}

#[test]
fn map_and_filters_exclude_each_other() {
    let world = World::new();
    fs::write(world.sandbox.path("map"), "").unwrap();
    world
        .upload(&["put", "--map", "map", "-r", "--exclude", "a"])
        .run()
        .exits(2);
    world
        .upload(&["put", "--map", "map", "--exclude", "a"])
        .run()
        .exits(2);
}
