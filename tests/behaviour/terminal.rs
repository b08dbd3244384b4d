//! On a terminal a run shows bars there, and they stay within it; standard output is as it is elsewhere.
//!
//! Border: what is drawn is looked at as text; how it looks is for people.

use crate::support::terminal::Terminal;
use crate::support::world::World;
use crate::support::{PART, wait};

const ESCAPE: char = '\u{1b}';

#[test]
fn bars_are_drawn_on_a_terminal_and_the_location_on_standard_output() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 6 * PART);
    let terminal = Terminal::new(80);
    // Slow enough that there is something to show.
    world.proxy.throttle(30 * PART);
    let running = world
        .put(&file)
        .env("TERM", "xterm-256color")
        .stderr_to(terminal.line())
        .spawn();
    wait::until("a bar", || {
        (terminal.text().contains(ESCAPE) && terminal.text().contains("film.bin")).then_some(())
    });
    let output = running.wait().succeeds();
    assert!(!output.line().contains(ESCAPE));
    wait::until("the last word", || {
        terminal.text().contains('%').then_some(())
    });
}

/// What a failing run says on a terminal, and whether in colour.
fn failure_in_colour(world: &World, env: &[(&str, &str)], args: &[&str]) -> bool {
    let terminal = Terminal::new(80);
    let mut put = world
        .put(&world.sandbox.path("absent.bin"))
        .args(args)
        .env("TERM", "xterm-256color");
    for (name, value) in env {
        put = put.env(name, value);
    }
    put.stderr_to(terminal.line()).run().exits(66);
    let text = wait::until("an error", || {
        Some(terminal.text()).filter(|text| text.contains("absent.bin"))
    });
    // Select Graphic Rendition ends in `m`; what moves the cursor does not.
    let parameter = |c: char| c == '[' || c == ';' || c.is_ascii_digit();
    text.split(ESCAPE)
        .skip(1)
        .any(|sequence| sequence.trim_start_matches(parameter).starts_with('m'))
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let world = World::new();
    assert!(
        failure_in_colour(&world, &[], &[]),
        "no colour on a terminal"
    );
    assert!(!failure_in_colour(&world, &[("NO_COLOR", "1")], &[]));
    assert!(!failure_in_colour(&world, &[("CLICOLOR", "0")], &[]));
    assert!(!failure_in_colour(&world, &[("TERM", "dumb")], &[]));
    assert!(!failure_in_colour(&world, &[], &["--color", "never"]));
    assert!(failure_in_colour(
        &world,
        &[("NO_COLOR", "1")],
        &["--color", "always"]
    ));
}

#[test]
fn a_dumb_terminal_is_spoken_to_plainly() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 3 * PART);
    let terminal = Terminal::new(80);
    world
        .put(&file)
        .env("TERM", "dumb")
        .stderr_to(terminal.line())
        .run()
        .succeeds();
    let text = wait::until("a word", || {
        Some(terminal.text()).filter(|text| text.contains("film.bin"))
    });
    assert!(!text.contains(ESCAPE), "{text:?}");
}

#[test]
fn a_terminal_of_one_column_is_survived() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 3 * PART);
    for columns in [0, 1, 7] {
        let terminal = Terminal::new(columns);
        let put = world
            .put(&file)
            .arg("--force")
            .env("TERM", "xterm-256color");
        put.stderr_to(terminal.line()).run().succeeds();
    }
}
