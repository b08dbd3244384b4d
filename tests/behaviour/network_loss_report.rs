//! The report while nothing moves: a lost network, bytes that are not confirmed yet, and the end of
//! a run by a signal.
//!
//! Not here: the results of a run (`reports`), and the backend's checks (`wait_for_hooks`).

use std::io::Write as _;

use rustix::process::Signal;

use crate::support::command::{Command, Output, Running};
use crate::support::emulator;
use crate::support::events::{Event, events};
use crate::support::proxy::Proxy;
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;
use crate::support::wait;
use crate::support::world::World;
use crate::support::{MIB, PART};

const COLUMNS: u16 = 80;

fn rows(terminal: &Terminal) -> Vec<String> {
    emulator::rows(&terminal.text(), usize::from(COLUMNS))
}

fn on_terminal(command: Command, terminal: &Terminal) -> Running {
    command
        .env("TERM", "xterm-256color")
        .stderr_to(terminal.tty())
        .spawn()
}

fn count(lines: impl IntoIterator<Item = impl AsRef<str>>, text: &str) -> usize {
    let lines = lines.into_iter();
    lines.filter(|line| line.as_ref().contains(text)).count()
}

/// Three runs lose the gateway at the same time: on a terminal, without one, and with `--quiet`.
#[test]
fn lost_network_has_one_line_and_one_when_it_returns() {
    let mut world = World::new();
    let files = ["a", "b", "c"].map(|name| world.sandbox.file(name, 6 * PART));
    let journal = |name: &str| world.sandbox.path(name);
    let put = |index: usize, journal_name: &str| {
        let put = world.put(&files[index]).arg("--journal");
        put.arg(journal(journal_name))
    };
    let terminal = Terminal::new(COLUMNS);
    world.proxy.block_after(3 * PART);
    let bars = on_terminal(put(0, "a.db"), &terminal);
    let mut plain = put(1, "b.db").args(["--progress", "none"]).spawn();
    let quiet = put(2, "c.db").arg("--quiet").spawn();
    world.proxy.wait_until_blocked();
    world.gateway.kill9();
    world.proxy.unblock();
    let host = world.proxy.addr().to_string();
    wait::until("a line about the loss", || {
        (count(rows(&terminal), &host) == 1).then_some(())
    });
    let at_loss = rows(&terminal);
    // The bar, its rate, and the line, which may need two rows.
    assert!(at_loss.len() <= 4, "{at_loss:#?}");
    assert_eq!(count(&at_loss, " left"), 0, "{at_loss:#?}");
    plain.wait_for("a line about the loss", |running| {
        running.stderr().contains(&host).then_some(())
    });
    world.gateway.restart();
    wait::until("a line about the return", || {
        (count(rows(&terminal), "restored") == 1).then_some(())
    });
    plain.wait_for("a line about the return", |running| {
        running.stderr().contains("restored").then_some(())
    });
    assert_eq!(quiet.stderr(), "");
    let at_return = rows(&terminal);
    assert_eq!(count(&at_return, &host), 0, "{at_return:#?}");
    let lines = plain.stderr();
    assert_eq!((lines.lines().count(), count(lines.lines(), &host)), (2, 1));
    // The whole transfer would take longer than the test.
    for running in [bars, plain, quiet] {
        running.signal(Signal::INT);
        running.wait();
    }
}

#[test]
fn lost_network_line_names_host_and_proxy() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let (proxy, host) = (Proxy::start(), "uploads.example");
    proxy.stop_listening();
    let put = sandbox.upload(["put", "--backend", "https://uploads.example", "--proxy"]);
    let mut running = put.arg(proxy.url()).arg(&file).spawn();
    let line = running.wait_for("a line about the loss", |running| {
        let stderr = running.stderr();
        let line = stderr.lines().find(|line| line.contains(host))?;
        Some(line.to_owned())
    });
    assert!(line.contains(&proxy.addr().to_string()), "{line}");
    running.signal(Signal::INT);
    running.wait().exits(130);
}

#[test]
fn bar_shows_sent_bytes_before_a_part_is_confirmed() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let terminal = Terminal::new(COLUMNS);
    // Fewer bytes than a part has.
    world.proxy.block_after(4 * MIB);
    let running = on_terminal(world.put(&file), &terminal);
    world.proxy.wait_until_blocked();
    wait::until("sent bytes in the bar", || {
        let rows = rows(&terminal);
        let bar = rows.iter().find(|row| row.ends_with(']'))?;
        (bar.contains("[-") && bar.contains(" 0% of ")).then_some(())
    });
    world.proxy.unblock();
    running.wait().succeeds();
}

/// The parts in flight end after the signal.
#[test]
fn interrupted_run_reports_the_bytes_that_status_has() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let running = world.run_until_blocked(world.put(&file), 2 * PART);
    running.signal(Signal::INT);
    world.proxy.unblock();
    let stopped = running.wait().exits(130);
    let status = world.sandbox.upload(["status", "--json"]).arg(&file);
    let status = status.run().succeeds();
    let status: serde_json::Value = serde_json::from_str(status.stdout()).unwrap();
    let stored = status["stored_bytes"].as_u64().unwrap();
    let reported = format!("{}.0 MiB of 40.0 MiB", stored / MIB);
    assert!(
        stored > 0 && stopped.stderr().contains(&reported),
        "{stored}: {stopped}"
    );
}

/// The terminal echoes `^C` where the cursor is.
#[test]
fn interrupted_run_leaves_no_bar_on_the_terminal() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let terminal = Terminal::new(COLUMNS);
    world.proxy.block_after(12 * MIB);
    let running = on_terminal(world.put(&file), &terminal);
    world.proxy.wait_until_blocked();
    wait::until("a bar", || {
        rows(&terminal)
            .iter()
            .any(|row| row.ends_with(']'))
            .then_some(())
    });
    terminal.tty().write_all(b"^C").unwrap();
    running.signal(Signal::INT);
    world.proxy.unblock();
    running.wait().exits(130);
    let rows = rows(&terminal);
    let is_rest = |row: &&String| row.contains("^C") || row.contains(']') || row.contains('%');
    assert_eq!(rows.iter().find(is_rest), None, "{rows:#?}");
    let last = rows.concat();
    assert!(last.contains("upload resume "), "{rows:#?}");
}

/// Interrupts a run twice after a part was stored. Returns its output.
fn interrupt_twice(world: &World, put: Command, stored: &str) -> Output {
    let mut running = world.run_until_blocked(put, 2 * PART + MIB);
    running.wait_for("a stored part", |running| {
        let text = running.stdout() + &running.stderr();
        text.contains(stored).then_some(())
    });
    wait::until("the end of the run", || {
        running.signal(Signal::INT);
        (!running.is_running()).then_some(())
    });
    world.proxy.unblock();
    running.wait().exits(130)
}

#[test]
fn second_interrupt_names_the_upload_and_the_command() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let output = interrupt_twice(&world, world.put(&file).arg("-vv"), ": stored");
    let last = output.stderr().lines().next_back().unwrap();
    let (_, command) = last.split_once(": upload ").expect("a command");
    let command = shlex::split(command).unwrap();
    assert_eq!(command.len(), 2, "{output}");
    world.sandbox.upload(command).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn second_interrupt_ends_the_events_with_exit() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let output = interrupt_twice(&world, world.put(&file).arg("--json"), "\"part\"");
    let events = events(&output);
    assert!(
        matches!(
            events.last(),
            Some(Event::Exit {
                code: 130,
                uploads: 1,
                completed: 0,
                failed: 1,
                resumable: true,
                ..
            })
        ),
        "{output}"
    );
}
