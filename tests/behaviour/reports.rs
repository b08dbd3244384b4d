//! The report of several files: names, order, failures, and the summary.
//!
//! Not here: JSON events and quiet runs (`output`), and the report while nothing moves
//! (`network_loss_report`).

use std::fs::{self, File};
use std::path::PathBuf;

use crate::support::command::Command;
use crate::support::emulator;
use crate::support::events::{Event, events};
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;
use crate::support::wait;
use crate::support::world::World;

/// Files of one byte.
fn small_files(sandbox: &Sandbox, count: usize) -> Vec<PathBuf> {
    (0..count)
        .map(|number| sandbox.file(&format!("small-{number}.bin"), 1))
        .collect()
}

#[test]
fn names_are_paths_as_given() {
    let world = World::new();
    for dir in ["card-1", "card-2"] {
        fs::create_dir(world.sandbox.path(dir)).unwrap();
        world.sandbox.file(&format!("{dir}/MVI_0003.MOV"), 1000);
    }
    let paths = ["card-1/MVI_0003.MOV", "./card-2/MVI_0003.MOV"];
    let output = world.upload(&["put"]).args(paths).run().succeeds();
    for path in paths {
        let lines = output.stderr().lines().filter(|line| line.contains(path));
        assert_eq!(lines.count(), 1, "{output}");
    }
    let again = world.upload(&["put"]).args(paths).run().succeeds();
    for path in paths {
        assert!(again.stderr().contains(path), "{again}");
    }
}

/// One stream for both, as in a terminal or the mail of a timer.
#[test]
fn location_precedes_the_message_for_one_and_for_several_files() {
    let world = World::new();
    let files = small_files(&world.sandbox, 3);
    for count in [1, 3] {
        let log = world.sandbox.path(format!("{count}.log"));
        let stream = File::create(&log).unwrap();
        let put = world.upload(&["put", "--force"]).args(&files[..count]);
        let put = put.stdout_to(stream.try_clone().unwrap());
        put.stderr_to(stream).run().succeeds();
        let log = fs::read_to_string(log).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        for file in &files[..count] {
            let name = file.to_str().unwrap();
            let message = lines.iter().position(|line| line.contains(name)).unwrap();
            assert!(lines[message - 1].starts_with("embedded:"), "{log}");
        }
        let summary = usize::from(count > 1);
        assert_eq!(lines.len(), 2 * count + summary, "{log}");
    }
}

#[test]
fn many_files_have_one_line_each_on_standard_output_only() {
    let world = World::new();
    let files = small_files(&world.sandbox, 25);
    let put = |args: &[&str]| world.upload(&["put"]).args(args).args(&files).run();
    let output = put(&[]).succeeds();
    assert_eq!(output.lines().len(), 25);
    assert_eq!(output.stderr().lines().count(), 1, "{output}");
    assert!(output.stderr().contains("25 of 25 files"), "{output}");
    let again = put(&[]).succeeds();
    assert_eq!(
        (again.lines().len(), again.stderr().lines().count()),
        (25, 1)
    );
    assert!(!again.stderr().contains("uploaded 0"), "{again}");
    let verbose = put(&["-v"]).succeeds();
    assert!(verbose.stderr().lines().count() > 25, "{verbose}");
}

#[test]
fn failures_of_many_files_are_listed_at_the_end() {
    let world = World::new();
    let stored = small_files(&world.sandbox, 3);
    let absent: Vec<PathBuf> = (0..30)
        .map(|number| world.sandbox.path(format!("absent-{number}.bin")))
        .collect();
    let put = |args: &[&str]| {
        world
            .upload(&["put"])
            .args(args)
            .args(&absent)
            .args(&stored)
    };
    let output = put(&[]).run().exits(66);
    let lines: Vec<&str> = output.stderr().lines().collect();
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        count("error: "),
        2,
        "the first one, and the group: {output}"
    );
    assert_eq!(count("  /"), 20, "{output}");
    let is_first = |line: &&&str| line.ends_with("absent-0.bin");
    assert_eq!(lines.iter().filter(is_first).count(), 0, "{output}");
    assert_eq!(count("… and 9 more"), 1, "{output}");
    let last = lines.last().unwrap();
    assert!(
        last.contains("3 of 33") && last.contains("30 failed"),
        "{output}"
    );

    let quiet = put(&["--quiet"]).run().exits(66);
    // Without the summary.
    assert_eq!(quiet.stderr().lines().count(), lines.len() - 1, "{quiet}");

    let json = put(&["--json"]).run().exits(66);
    let failed = events(&json)
        .into_iter()
        .filter(|event| matches!(event, Event::Failed { .. }));
    assert_eq!(failed.count(), 30);
}

/// Runs a command on a terminal of 40 columns, with both streams; returns the rows.
fn rows_of_40_columns(command: Command) -> Vec<String> {
    let terminal = Terminal::new(40);
    let command = command.env("TERM", "xterm-256color");
    let command = command.stdout_to(terminal.tty());
    command.stderr_to(terminal.tty()).run();
    let mut length = 0;
    wait::until("the whole text", || {
        let before = std::mem::replace(&mut length, terminal.text().len());
        (length > 0 && length == before).then_some(())
    });
    emulator::rows(&terminal.text(), 40)
}

/// Breaks within a word would be visible: the words of the rows are those of the unbroken text.
#[test]
fn help_and_errors_break_at_words_on_a_narrow_terminal() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 1);
    let wrong = || sandbox.upload(["put", "--part-size", "1MiB"]).arg(&file);
    let absent = || sandbox.upload(["put", "--backend", "embedded", "absent-film.bin"]);
    let help = || sandbox.upload(["put", "-h"]);
    for command in [&wrong as &dyn Fn() -> Command, &absent, &help] {
        let output = command().run();
        let whole = format!("{}{}", output.stdout(), output.stderr());
        let words: Vec<&str> = whole.split_whitespace().collect();
        let rows = rows_of_40_columns(command());
        let text = rows.join("\n");
        let shown: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(shown, words, "{text}");
    }
}
