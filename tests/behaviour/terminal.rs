//! Progress bars and colours on a terminal. The tests check the bytes that are written, not what
//! they look like.

use crate::support::terminal::Terminal;
use crate::support::world::World;
use crate::support::{PART, wait};

const ESCAPE: char = '\u{1b}';

#[test]
fn bars_are_drawn_on_the_terminal_and_not_on_standard_output() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 6 * PART);
    let terminal = Terminal::new(80);
    // Slow enough that a bar is drawn.
    world.proxy.throttle(30 * PART);
    let running = world
        .put(&file)
        .env("TERM", "xterm-256color")
        .stderr_to(terminal.tty())
        .spawn();
    wait::until("a bar", || {
        (terminal.text().contains(ESCAPE) && terminal.text().contains("film.bin")).then_some(())
    });
    let output = running.wait().succeeds();
    assert!(!output.line().contains(ESCAPE));
    wait::until("a percentage", || {
        terminal.text().contains('%').then_some(())
    });
}

/// Runs a failing command on a terminal; returns whether its message is coloured.
fn failure_is_coloured(world: &World, env: &[(&str, &str)], args: &[&str]) -> bool {
    let terminal = Terminal::new(80);
    let mut put = world
        .put(&world.sandbox.path("absent.bin"))
        .args(args)
        .env("TERM", "xterm-256color");
    for (name, value) in env {
        put = put.env(name, value);
    }
    put.stderr_to(terminal.tty()).run().exits(66);
    let text = wait::until("an error", || {
        Some(terminal.text()).filter(|text| text.contains("absent.bin"))
    });
    // Only the sequence that selects colours (SGR) ends in `m`.
    let parameter = |c: char| c == '[' || c == ';' || c.is_ascii_digit();
    text.split(ESCAPE)
        .skip(1)
        .any(|sequence| sequence.trim_start_matches(parameter).starts_with('m'))
}

#[test]
fn colours_follow_environment_and_color_option() {
    let world = World::new();
    assert!(
        failure_is_coloured(&world, &[], &[]),
        "no colour on a terminal"
    );
    assert!(!failure_is_coloured(&world, &[("NO_COLOR", "1")], &[]));
    assert!(!failure_is_coloured(&world, &[("CLICOLOR", "0")], &[]));
    assert!(!failure_is_coloured(&world, &[("TERM", "dumb")], &[]));
    assert!(!failure_is_coloured(&world, &[], &["--color", "never"]));
    assert!(failure_is_coloured(
        &world,
        &[("NO_COLOR", "1")],
        &["--color", "always"]
    ));
}

#[test]
fn dumb_terminal_gets_no_escape_sequences() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 3 * PART);
    let terminal = Terminal::new(80);
    world
        .put(&file)
        .env("TERM", "dumb")
        .stderr_to(terminal.tty())
        .run()
        .succeeds();
    let text = wait::until("the file name", || {
        Some(terminal.text()).filter(|text| text.contains("film.bin"))
    });
    assert!(!text.contains(ESCAPE), "{text:?}");
}

#[test]
fn put_succeeds_on_a_terminal_of_one_column() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 3 * PART);
    for columns in [0, 1, 7] {
        let terminal = Terminal::new(columns);
        let put = world
            .put(&file)
            .arg("--force")
            .env("TERM", "xterm-256color");
        put.stderr_to(terminal.tty()).run().succeeds();
    }
}

/// The controls of a binary object would change the terminal.
#[test]
fn cat_writes_only_text_to_a_terminal() {
    let world = World::new();
    let binary = world.sandbox.file("film.bin", 10_000);
    let text = world.sandbox.path("notes.txt");
    std::fs::write(&text, "plain text\n").unwrap();
    for file in [&binary, &text] {
        world.put(file).run().succeeds();
    }
    let terminal = Terminal::new(80);
    let cat = |file| {
        let cat = world.upload(&["cat"]).arg(file);
        cat.stdout_to(terminal.tty()).run()
    };
    cat(&binary).exits(2);
    cat(&text).succeeds();
    wait::until("the text", || {
        terminal.text().contains("plain text").then_some(())
    });
    assert!(terminal.text().starts_with("plain text"));
}
