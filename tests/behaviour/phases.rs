//! Every signal a terminal sends, at every phase of a run: it ends in time and in good order, or goes on; the terminal is left
//! as it was; and a plain resume finishes.
//!
//! Border: on a terminal; what exactly is printed, and the signals without one, are `signals`.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::command::{Command, Output, Running};
use crate::support::interceptor::{HoldPoint, Interceptor};
use crate::support::terminal::Terminal;
use crate::support::wait;
use crate::support::world::World;
use crate::support::{MIB, PART, files};

const SIZE: u64 = PART + 1000;

/// From the first signal to the end: five seconds for what is on the wire, and a little. (A machine that is busy gets as much
/// again before the test calls it late.)
const IN_TIME: Duration = Duration::from_secs(6);
const LATE: Duration = Duration::from_secs(12);

/// What is done to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    One(Signal),
    /// Until it has left: the second one does not wait.
    Twice,
    /// It is made smaller, and goes on.
    Resized,
    /// It is stopped, and goes on.
    Stopped,
}

const ALL: [Sent; 8] = [
    Sent::One(Signal::INT),
    Sent::Twice,
    Sent::One(Signal::TERM),
    Sent::One(Signal::HUP),
    Sent::One(Signal::QUIT),
    Sent::One(Signal::PIPE),
    Sent::Resized,
    Sent::Stopped,
];

/// Reaches a phase by `hold` (which lets go of nothing until `release`), sends each signal there to a run of its own, and
/// goes on from what is left.
fn at(
    hold: impl Fn(&World, &Interceptor),
    reached: impl Fn(&World, &Interceptor),
    release: impl Fn(&World, &Interceptor),
) {
    let world = World::new();
    let gate = Interceptor::of(&world);
    for (number, sent) in ALL.into_iter().enumerate() {
        let file = world.sandbox.file(&format!("{number}.bin"), SIZE);
        let terminal = Terminal::new(80);
        hold(&world, &gate);
        let put = world.put(&file).env("TERM", "xterm-256color");
        let mut running = put
            .stdin_from(terminal.line())
            .stderr_to(terminal.line())
            .spawn();
        reached(&world, &gate);
        let began = Instant::now();
        let output =
            send(sent, &terminal, &mut running, || release(&world, &gate)).unwrap_or_else(|| {
                let output = running
                    .wait_within(LATE)
                    .unwrap_or_else(|| panic!("{sent:?}: still there after {LATE:?}"));
                println!("{sent:?}: {:?} of {IN_TIME:?}", began.elapsed());
                output
            });
        release(&world, &gate);
        ends(sent, &output, &terminal);
        // Whatever had begun is finished by `resume`, what had not by the same command again.
        world.resume().run().succeeds();
        world.put(&file).run().succeeds();
    }
    let objects = world.store().objects();
    assert_eq!(objects.len(), ALL.len(), "one object for each file");
    world.store().assert_no_open_uploads();
}

/// Sends it. What is meant to go on is let go, and waited for.
fn send(
    sent: Sent,
    terminal: &Terminal,
    running: &mut Running,
    release: impl Fn(),
) -> Option<Output> {
    match sent {
        Sent::One(signal) => {
            running.signal(signal);
            release();
        }
        Sent::Twice => {
            // More than two, as two that come too close are one.
            wait::until("its end", || {
                running.signal(Signal::INT);
                (!running.is_running()).then_some(())
            });
        }
        Sent::Resized => {
            terminal.resize(20);
            running.signal(Signal::WINCH);
            release();
        }
        Sent::Stopped => {
            running.signal(Signal::TSTP);
            // Where there is no shell to go on from (an orphaned group), the kernel drops it.
            if wait::within(Duration::from_secs(1), || {
                is_stopped(running.pid()).then_some(())
            })
            .is_none()
            {
                running.signal(Signal::STOP);
                wait::until("it to stop", || is_stopped(running.pid()).then_some(()));
            }
            terminal.assert_restored();
            running.signal(Signal::CONT);
            release();
        }
    }
    None
}

fn is_stopped(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// The exit code says which signal it was, unless everything was done in time all the same.
#[track_caller]
fn ends(sent: Sent, output: &Output, terminal: &Terminal) {
    let codes: &[Option<i32>] = match sent {
        Sent::One(Signal::INT) | Sent::Twice => &[Some(130), Some(0)],
        Sent::One(Signal::TERM) => &[Some(143), Some(0)],
        Sent::One(Signal::HUP) => &[Some(129), Some(0)],
        // It asks for a dump of memory: that ends it there and then, without one.
        Sent::One(Signal::QUIT) => &[None],
        _ => &[Some(0)],
    };
    assert!(
        codes.contains(&output.code()),
        "{sent:?}: {output}\n{}",
        terminal.text()
    );
    terminal.assert_restored();
    if output.code() == Some(0) {
        output.line();
    } else {
        assert_eq!(output.stdout(), "", "a location of what is not there");
    }
}

#[test]
fn before_anything_began() {
    at(
        |_, gate| gate.hold(HoldPoint::Request("GET", "/v1")),
        |_, gate| gate.wait_until_held(1),
        |_, gate| gate.release(),
    );
}

#[test]
fn while_it_begins() {
    at(
        |_, gate| gate.hold(HoldPoint::Response("POST", "/v1/uploads")),
        |_, gate| gate.wait_until_held(1),
        |_, gate| gate.release(),
    );
}

#[test]
fn while_it_sends() {
    at(
        |world, _| world.proxy.block_after(2 * MIB),
        |world, _| world.proxy.wait_until_blocked(),
        |world, _| world.proxy.unblock(),
    );
}

#[test]
fn while_it_completes() {
    at(
        |_, gate| gate.hold(HoldPoint::Response("POST", "/complete")),
        |_, gate| gate.wait_until_held(1),
        |_, gate| gate.release(),
    );
}

/// A file that takes seconds to be read, and a signal that does not wait for that.
#[test]
fn while_it_reads() {
    let world = World::new();
    let file = world.sandbox.path("film.bin");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        files::sparse(&file, 5 << 30);
        let terminal = Terminal::new(100);
        let put = world
            .upload(&["put", "--part-size", "5GiB"])
            .arg(&file)
            .env("TERM", "xterm-256color");
        let running = put.stderr_to(terminal.line()).spawn();
        wait::until("reading", || {
            let text = terminal.text();
            let percent = text
                .rsplit("hashed ")
                .next()
                .and_then(|rest| rest.split('%').next()?.parse::<u64>().ok());
            percent.filter(|percent| *percent > 0)
        });
        let began = Instant::now();
        running.signal(signal);
        running.wait_within(LATE).expect("an end").exits(code);
        println!("{signal:?}: {:?} of {IN_TIME:?}", began.elapsed());
        terminal.assert_restored();
        assert_eq!(world.proxy.traffic().count("PUT"), 0);
        fs::remove_file(&file).unwrap();
    }
    let file = world.sandbox.file("film.bin", SIZE);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

/// All is done but to say so, and whoever reads what is said has stopped reading.
#[test]
fn when_all_is_done_but_nobody_reads() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let full = |writer: &std::io::PipeWriter| rustix::io::ioctl_fionbio(writer, true);
    full(&writer).unwrap();
    while std::io::Write::write(&mut writer, &[b'\n'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let out = fs::File::from(std::os::fd::OwnedFd::from(writer));
    let running = world.put(&file).stdout_to(out).spawn();
    wait::until("the end of it", || {
        let traffic = world.proxy.traffic();
        traffic
            .by_method("POST")
            .any(|call| call.path.ends_with("/complete") && call.status == Some(200))
            .then_some(())
    });
    let began = Instant::now();
    running.signal(Signal::INT);
    running.wait_within(LATE).expect("an end").exits(130);
    println!("{:?} of {IN_TIME:?}", began.elapsed());
    drop(reader);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

/// What the store has said yes to is in the journal within a second of the signal, though what else is on the wire never ends.
#[test]
fn the_journal_is_written_within_a_second() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 6 * PART);
    let running = crate::interrupt::held(&world, world.put(&file), 3 * PART);
    let stored = || {
        let traffic = world.proxy.traffic();
        i64::try_from(
            traffic
                .by_method("PUT")
                .filter(|put| put.status == Some(200))
                .count(),
        )
        .unwrap()
    };
    wait::until("a part that is stored", || (stored() > 0).then_some(()));
    running.signal(Signal::TERM);
    let began = Instant::now();
    let journal = world
        .sandbox
        .files()
        .into_iter()
        .find(|path| path.ends_with("journal.db"))
        .unwrap();
    let journal = rusqlite::Connection::open(journal).unwrap();
    let known = || {
        journal
            .query_row(
                "SELECT count(*) FROM part WHERE etag IS NOT NULL",
                [],
                |row| row.get::<_, i64>(0),
            )
            .unwrap()
    };
    let written = wait::within(Duration::from_secs(1), || {
        (known() >= stored()).then_some(())
    });
    assert!(
        written.is_some(),
        "{} of {} after {:?}",
        known(),
        stored(),
        began.elapsed()
    );
    running.kill9();
    world.proxy.unblock();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

/// Runs `upload put` under a shell that does something to its streams.
fn in_shell(world: &World, script: &str) -> Command {
    let file = world.sandbox.file("film.bin", SIZE);
    let command = world
        .sandbox
        .command("sh")
        .env("UPLOAD_BACKEND", world.proxy.url());
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_upload")])
        .arg(file)
}

#[test]
fn whatever_becomes_of_its_streams_the_upload_arrives() {
    for script in [
        "\"$0\" put --json --part-size 5MiB \"$1\"; echo $? >&3",
        "\"$0\" put --part-size 5MiB \"$1\" >&-; echo $? >&3",
        "\"$0\" put --part-size 5MiB \"$1\" 2>&-; echo $? >&3",
        "\"$0\" put --part-size 5MiB \"$1\" <&- >&- 2>&-; echo $? >&3",
        "\"$0\" put -vvv --part-size 5MiB \"$1\" 2>/dev/full; echo $? >&3",
        "{ \"$0\" put --json --part-size 5MiB \"$1\"; echo $? >&3; } | head -1",
        "{ \"$0\" put -vvv --part-size 5MiB \"$1\" 2>&1; echo $? >&3; } | head -1",
        "{ COLUMNS=1 TERM=dumb \"$0\" put --part-size 5MiB \"$1\"; echo $? >&3; } | cat",
    ] {
        let world = World::new();
        let code = world.sandbox.path("code");
        in_shell(&world, &format!("exec 3>{}; {script}", code.display()))
            .run()
            .succeeds();
        assert_eq!(fs::read_to_string(&code).unwrap(), "0\n", "{script}");
        world.assert_holds_only(&world.sandbox.path("film.bin"));
    }
}

/// A window that is made narrow takes narrow lines from then on.
#[test]
fn bars_fit_a_window_that_is_made_narrow() {
    let world = World::new();
    let file = world.sandbox.file("zoo.bin", 3 * PART);
    let terminal = Terminal::new(120);
    world.proxy.block_after(PART);
    let put = world
        .put(&file)
        .env("TERM", "xterm-256color")
        .stderr_to(terminal.line());
    let running = put.spawn();
    world.proxy.wait_until_blocked();
    wait::until("a bar", || {
        terminal.text().contains("zoo.bin").then_some(())
    });
    terminal.resize(30);
    running.signal(Signal::WINCH);
    let before = terminal.text().len();
    world.proxy.unblock();
    running.wait().succeeds();
    let text = terminal.text().split_off(before);
    // From the one letter that stands nowhere else to the end of the bar; the first may have been drawn before.
    let shown = without_escapes(&text);
    let bars = shown
        .split('z')
        .skip(2)
        .filter_map(|rest| rest.chars().position(|c| c == ']'));
    assert!(bars.clone().count() > 0, "{shown:?}");
    assert!(bars.clone().all(|columns| columns < 30), "{shown:?}");
}

fn without_escapes(text: &str) -> String {
    let mut shown = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            shown.push(c);
        }
    }
    shown
}
