//! The filters of `upload put -r`.
//!
//! Not here: the language of patterns (unit tests of `selection`).

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use super::folders::folder;
use crate::support::command::Output;
use crate::support::events::{Event, events};
use crate::support::world::World;

/// The paths of the files that a run stored, without the name of the folder.
#[track_caller]
fn sent(output: Output) -> Vec<String> {
    let output = output.succeeds();
    let completed = events(&output).into_iter().filter_map(|event| match event {
        Event::Completed { path, .. } => Some(path),
        _ => None,
    });
    let mut paths: Vec<String> = completed
        .map(|path| path.strip_prefix("card/").unwrap_or(&path).to_owned())
        .collect();
    paths.sort();
    paths
}

/// The reason and the rule of each entry that was left out.
fn skipped(output: &Output) -> BTreeMap<String, (String, Option<String>)> {
    let skipped = events(output).into_iter().filter_map(|event| match event {
        Event::Skipped {
            path, reason, rule, ..
        } => Some((path, (reason, rule))),
        _ => None,
    });
    skipped.collect()
}

const TREE: [&str; 6] = [
    "a.mov",
    "a.tmp",
    "raw/b.mov",
    "raw/b.xml",
    "raw/tmp/c.mov",
    "tmp/d.mov",
];

#[test]
fn includes_and_excludes_select_files_in_any_order() {
    let world = World::new();
    folder(&world, &TREE);
    for (args, expected) in [
        (
            &["--include", "*.mov"][..],
            &["a.mov", "raw/b.mov", "raw/tmp/c.mov", "tmp/d.mov"][..],
        ),
        (
            &["--include", "*.mov", "--exclude", "tmp/"],
            &["a.mov", "raw/b.mov"],
        ),
        (
            &["--exclude", "tmp/", "--include", "*.mov"],
            &["a.mov", "raw/b.mov"],
        ),
        (
            &["--exclude", "/tmp"],
            &["a.mov", "a.tmp", "raw/b.mov", "raw/b.xml", "raw/tmp/c.mov"],
        ),
        (
            &["--include", "raw/"],
            &["raw/b.mov", "raw/b.xml", "raw/tmp/c.mov"],
        ),
        (&["--include", "raw/*.mov"], &["raw/b.mov"]),
        (
            &[
                "--include",
                "*.MOV",
                "--ignore-case",
                "--exclude",
                "**/tmp/**",
            ],
            &["a.mov", "raw/b.mov"],
        ),
    ] {
        // The anchor is the argument, not the working directory.
        for (folder, directory) in [("card", ""), (".", "card")] {
            let command = world.upload(&["put", "-r", "--json", folder]).args(args);
            let command = command.current_dir(&world.sandbox.path(directory));
            let sent = sent(command.run());
            let sent: Vec<&str> = sent
                .iter()
                .map(|path| path.trim_start_matches("./"))
                .collect();
            assert_eq!(sent, expected, "{args:?} in {directory:?}");
        }
    }
}

#[test]
fn named_files_are_never_filtered() {
    let world = World::new();
    folder(&world, &TREE);
    world.sandbox.file("film.tmp", 10);
    let args = [
        "put",
        "-r",
        "--json",
        "card",
        "film.tmp",
        "--exclude",
        "*.tmp",
        "--max-size",
        "5",
    ];
    assert_eq!(sent(world.upload(&args).run()), ["film.tmp"]);
}

#[test]
fn dry_run_names_the_rule_that_leaves_each_file_out() {
    let world = World::new();
    let root = folder(&world, &TREE);
    fs::write(root.join(".DS_Store"), b"x").unwrap();
    fs::write(world.sandbox.path("rules"), "# comment\n*.xml\n").unwrap();
    let args = [
        "put",
        "-r",
        "--dry-run",
        "card",
        "--exclude",
        "tmp/",
        "--exclude-from",
        "rules",
        "--include",
        "*.mov",
        "--include",
        "*.xml",
        "--exclude-junk",
    ];
    let output = world.upload(&args).arg("-v").run().succeeds();
    for line in [
        "skipped: card/tmp: excluded, --exclude 'tmp/'",
        "skipped: card/raw/tmp: excluded, --exclude 'tmp/'",
        "skipped: card/raw/b.xml: excluded, rules:2: *.xml",
        "skipped: card/a.tmp: not included, no --include matches it",
    ] {
        assert!(output.stderr().contains(line), "{line}\n{output}");
    }
    let output = world.upload(&args).run().succeeds();
    assert!(!output.stderr().contains("card/tmp"), "{output}");
    let counts = "would send 2 files";
    assert!(output.stderr().contains(counts), "{output}");
    assert!(
        output.stderr().contains("3 excluded, 2 not included"),
        "{output}"
    );
}

#[test]
fn pattern_that_matched_nothing_is_a_warning_at_the_end() {
    let world = World::new();
    folder(&world, &TREE);
    let args = [
        "put",
        "-r",
        "card",
        "--exclude",
        "*.tmp",
        "--exclude",
        "*.bak",
    ];
    let output = world.upload(&args).run().succeeds();
    assert!(
        output
            .stderr()
            .contains("warning: --exclude '*.bak' matched nothing"),
        "{output}"
    );
    assert!(
        !output.stderr().contains("'*.tmp' matched nothing"),
        "{output}"
    );
    let output = world.upload(&args).arg("--json").run().succeeds();
    let unmatched = events(&output).into_iter().filter_map(|event| match event {
        Event::Unmatched { rule, .. } => Some(rule),
        _ => None,
    });
    assert_eq!(unmatched.collect::<Vec<_>>(), ["--exclude '*.bak'"]);
}

#[test]
fn pattern_file_that_cannot_be_used_ends_the_command_before_anything_is_sent() {
    let world = World::new();
    folder(&world, &TREE);
    fs::write(world.sandbox.path("wrong"), "a\n!b\n").unwrap();
    for (file, text) in [
        ("missing", "missing"),
        ("card", "card"),
        ("wrong", "wrong:2"),
    ] {
        let output = world
            .upload(&["put", "-r", "card", "--exclude-from", file])
            .run()
            .exits(2);
        assert!(output.stderr().contains(text), "{output}");
    }
    for pattern in ["[a", "!a", ""] {
        world
            .upload(&["put", "-r", "card", "--exclude", pattern])
            .run()
            .exits(2);
    }
    assert_eq!(world.proxy.traffic().requests(), 0);
}

#[test]
fn filter_without_directories_is_a_wrong_command_line() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let output = world.put(&file).args(["--exclude", "*.tmp"]).run().exits(2);
    assert!(output.stderr().contains("add -r"), "{output}");
}

#[test]
fn gitignore_is_applied_as_git_does() {
    let world = World::new();
    let root = folder(
        &world,
        &[
            "a.log",
            "keep.log",
            "sub/b.log",
            "sub/c.txt",
            "build/x",
            ".git/config",
            "sub/local",
        ],
    );
    fs::write(root.join(".gitignore"), "*.log\n!keep.log\nbuild/\n").unwrap();
    fs::write(root.join("sub/.gitignore"), "!b.log\n").unwrap();
    fs::create_dir_all(root.join(".git/info")).unwrap();
    fs::write(root.join(".git/info/exclude"), "local\n").unwrap();
    let put = |path: &str| {
        world
            .upload(&["put", "-r", "--json", "--gitignore", path])
            .run()
    };
    let expected = [
        ".gitignore",
        "keep.log",
        "sub/.gitignore",
        "sub/b.log",
        "sub/c.txt",
    ];
    assert_eq!(sent(put("card")), expected);
    fs::write(root.join("sub/d.log"), b"x").unwrap();
    let expected = ["sub/.gitignore", "sub/b.log", "sub/c.txt"];
    assert_eq!(sent(put("card/sub")), expected, "the file above it counts");
    let output = put("card");
    let left_out = &skipped(&output)["card/build"];
    assert_eq!(left_out.0, "ignored");
    assert!(
        left_out
            .1
            .as_ref()
            .unwrap()
            .ends_with("card/.gitignore: build/"),
        "{left_out:?}"
    );
}

#[test]
fn ignore_file_of_another_name_is_read_in_each_directory() {
    let world = World::new();
    let root = folder(&world, &["a.x", "a.y", "sub/b.x", "sub/b.y"]);
    fs::write(root.join(".uploadignore"), "*.x\n").unwrap();
    fs::write(root.join("sub/.uploadignore"), "*.y\n!b.x\n").unwrap();
    let args = [
        "put",
        "-r",
        "--json",
        "card",
        "--ignore-file",
        ".uploadignore",
    ];
    let expected = [".uploadignore", "a.y", "sub/.uploadignore", "sub/b.x"];
    assert_eq!(sent(world.upload(&args).run()), expected);
}

#[test]
fn size_and_age_limit_the_files() {
    let world = World::new();
    let root = folder(&world, &["old", "new"]);
    fs::write(root.join("large"), vec![0; 5000]).unwrap();
    fs::write(root.join("empty"), b"").unwrap();
    let two_days_ago = SystemTime::now() - Duration::from_hours(48);
    let old = fs::File::options()
        .append(true)
        .open(root.join("old"))
        .unwrap();
    old.set_modified(two_days_ago).unwrap();
    for (args, expected) in [
        (&["--max-size", "1KiB"][..], &["empty", "new", "old"][..]),
        (&["--min-size", "1"], &["large", "new", "old"]),
        (&["--newer-than", "24h"], &["empty", "large", "new"]),
        (&["--older-than", "24h"], &["old"]),
        (
            &["--newer-than", "2020-01-01", "--older-than", "1d"],
            &["old"],
        ),
    ] {
        let output = world
            .upload(&["put", "-r", "--json", "card"])
            .args(args)
            .run();
        assert_eq!(sent(output), expected, "{args:?}");
    }
}
