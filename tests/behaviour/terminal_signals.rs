//! Every signal that a terminal sends, at every phase of a run on a terminal: the client stops in
//! time or continues, restores the terminal, and `resume` finishes the upload.
//!
//! Not here: the printed text, and signals without a terminal (`signals`).

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

/// The expected time from the first signal to the end: five seconds for parts on the wire, and a
/// margin.
const EXPECTED_STOP_TIME: Duration = Duration::from_secs(6);
/// The time after which the test fails; longer for a loaded machine.
const MAX_STOP_TIME: Duration = Duration::from_secs(12);

/// An action on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Signal(Signal),
    /// SIGINT repeatedly: the client exits at the second.
    RepeatedInterrupt,
    /// A smaller window; the run continues.
    Resize,
    /// SIGTSTP, then SIGCONT; the run continues.
    StopAndContinue,
}

const ACTIONS: [Action; 8] = [
    Action::Signal(Signal::INT),
    Action::RepeatedInterrupt,
    Action::Signal(Signal::TERM),
    Action::Signal(Signal::HUP),
    Action::Signal(Signal::QUIT),
    Action::Signal(Signal::PIPE),
    Action::Resize,
    Action::StopAndContinue,
];

/// Holds a run at a phase, performs each action there on a run of its own, releases it, and
/// finishes the upload with `resume` and `put`.
fn act_during(
    hold: impl Fn(&World, &Interceptor),
    wait_until_held: impl Fn(&World, &Interceptor),
    release: impl Fn(&World, &Interceptor),
) {
    let world = World::new();
    let interceptor = Interceptor::of(&world);
    for (number, action) in ACTIONS.into_iter().enumerate() {
        let file = world.sandbox.file(&format!("{number}.bin"), SIZE);
        let terminal = Terminal::new(80);
        hold(&world, &interceptor);
        let put = world.put(&file).env("TERM", "xterm-256color");
        let mut running = put
            .stdin_from(terminal.tty())
            .stderr_to(terminal.tty())
            .spawn();
        wait_until_held(&world, &interceptor);
        let started = Instant::now();
        perform(action, &terminal, &mut running, || {
            release(&world, &interceptor);
        });
        let output = running
            .wait_within(MAX_STOP_TIME)
            .unwrap_or_else(|| panic!("{action:?}: still running after {MAX_STOP_TIME:?}"));
        println!(
            "{action:?}: {:?} of {EXPECTED_STOP_TIME:?}",
            started.elapsed()
        );
        release(&world, &interceptor);
        assert_end(action, &output, &terminal);
        // `resume` finishes an upload that had begun; `put` uploads the others.
        world.resume().run().succeeds();
        world.put(&file).run().succeeds();
    }
    let objects = world.store().objects();
    assert_eq!(objects.len(), ACTIONS.len(), "one object for each file");
    world.store().assert_no_open_uploads();
}

/// Performs the action and releases the run. Repeated interrupts end the run without a release.
fn perform(action: Action, terminal: &Terminal, running: &mut Running, release: impl Fn()) {
    match action {
        Action::Signal(signal) => {
            running.signal(signal);
            release();
        }
        Action::RepeatedInterrupt => {
            // Repeated, because two signals in quick succession are delivered as one.
            wait::until("the end of the run", || {
                running.signal(Signal::INT);
                (!running.is_running()).then_some(())
            });
        }
        Action::Resize => {
            terminal.resize(20);
            running.signal(Signal::WINCH);
            release();
        }
        Action::StopAndContinue => {
            running.signal(Signal::TSTP);
            // The kernel discards SIGTSTP for an orphaned process group, that is, without a shell.
            if wait::within(Duration::from_secs(1), || {
                is_stopped(running.pid()).then_some(())
            })
            .is_none()
            {
                running.signal(Signal::STOP);
                wait::until("a stopped process", || {
                    is_stopped(running.pid()).then_some(())
                });
            }
            terminal.assert_restored();
            running.signal(Signal::CONT);
            release();
        }
    }
}

fn is_stopped(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// Asserts the exit code of the signal, or 0 if the upload was completed before.
#[track_caller]
fn assert_end(action: Action, output: &Output, terminal: &Terminal) {
    let codes: &[Option<i32>] = match action {
        Action::Signal(Signal::INT) | Action::RepeatedInterrupt => &[Some(130), Some(0)],
        Action::Signal(Signal::TERM) => &[Some(143), Some(0)],
        Action::Signal(Signal::HUP) => &[Some(129), Some(0)],
        // SIGQUIT is not handled: it kills the process.
        Action::Signal(Signal::QUIT) => &[None],
        _ => &[Some(0)],
    };
    assert!(
        codes.contains(&output.code()),
        "{action:?}: {output}\n{}",
        terminal.text()
    );
    terminal.assert_restored();
    if output.code() == Some(0) {
        output.line();
    } else {
        assert_eq!(output.stdout(), "", "a location without an object");
    }
}

#[test]
fn signal_before_begin_stops_in_time() {
    act_during(
        |_, interceptor| interceptor.hold(HoldPoint::Request("GET", "/v1")),
        |_, interceptor| interceptor.wait_until_held(1),
        |_, interceptor| interceptor.release(),
    );
}

#[test]
fn signal_during_begin_stops_in_time() {
    act_during(
        |_, interceptor| interceptor.hold(HoldPoint::Response("POST", "/v1/uploads")),
        |_, interceptor| interceptor.wait_until_held(1),
        |_, interceptor| interceptor.release(),
    );
}

#[test]
fn signal_during_parts_stops_in_time() {
    act_during(
        |world, _| world.proxy.block_after(2 * MIB),
        |world, _| world.proxy.wait_until_blocked(),
        |world, _| world.proxy.unblock(),
    );
}

#[test]
fn signal_during_complete_stops_in_time() {
    act_during(
        |_, interceptor| interceptor.hold(HoldPoint::Response("POST", "/complete")),
        |_, interceptor| interceptor.wait_until_held(1),
        |_, interceptor| interceptor.release(),
    );
}

/// Reading the file takes seconds; the client stops before it has read the whole file.
#[test]
fn signal_during_hashing_stops_in_time() {
    let world = World::new();
    let file = world.sandbox.path("film.bin");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        files::sparse(&file, 5 << 30);
        let terminal = Terminal::new(100);
        let put = world
            .upload(&["put", "--part-size", "5GiB"])
            .arg(&file)
            .env("TERM", "xterm-256color");
        let running = put.stderr_to(terminal.tty()).spawn();
        wait::until("hashing progress", || {
            let text = terminal.text();
            let percent = text
                .rsplit("hashing: ")
                .next()
                .and_then(|rest| rest.split('%').next()?.parse::<u64>().ok());
            percent.filter(|percent| *percent > 0)
        });
        let started = Instant::now();
        running.signal(signal);
        running
            .wait_within(MAX_STOP_TIME)
            .expect("an end in time")
            .exits(code);
        println!(
            "{signal:?}: {:?} of {EXPECTED_STOP_TIME:?}",
            started.elapsed()
        );
        terminal.assert_restored();
        assert_eq!(world.proxy.traffic().count("PUT"), 0);
        fs::remove_file(&file).unwrap();
    }
    let file = world.sandbox.file("film.bin", SIZE);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

/// The upload is complete, but the pipe of standard output is full and its reader has stopped.
#[test]
fn signal_during_blocked_output_stops_in_time() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", SIZE);
    let (reader, mut writer) = std::io::pipe().unwrap();
    // Fills the pipe.
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while std::io::Write::write(&mut writer, &[b'\n'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let out = fs::File::from(std::os::fd::OwnedFd::from(writer));
    let running = world.put(&file).stdout_to(out).spawn();
    wait::until("a successful complete", || {
        let traffic = world.proxy.traffic();
        traffic
            .by_method("POST")
            .any(|call| call.path.ends_with("/complete") && call.status == Some(200))
            .then_some(())
    });
    let started = Instant::now();
    running.signal(Signal::INT);
    running
        .wait_within(MAX_STOP_TIME)
        .expect("an end in time")
        .exits(130);
    println!("{:?} of {EXPECTED_STOP_TIME:?}", started.elapsed());
    drop(reader);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

/// Stored parts are in the journal within a second of the signal, even if other parts on the wire
/// never end.
#[test]
fn journal_records_stored_parts_within_a_second_of_a_signal() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 6 * PART);
    let running = world.run_until_blocked(world.put(&file), 3 * PART);
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
    wait::until("a stored part", || (stored() > 0).then_some(()));
    running.signal(Signal::TERM);
    let signalled = Instant::now();
    let journal = rusqlite::Connection::open(world.sandbox.journal()).unwrap();
    let recorded = || {
        journal
            .query_row(
                "SELECT count(*) FROM part WHERE etag IS NOT NULL",
                [],
                |row| row.get::<_, i64>(0),
            )
            .unwrap()
    };
    let in_time = wait::within(Duration::from_secs(1), || {
        (recorded() >= stored()).then_some(())
    });
    assert!(
        in_time.is_some(),
        "the journal holds {} of {} parts after {:?}",
        recorded(),
        stored(),
        signalled.elapsed()
    );
    running.kill9();
    world.proxy.unblock();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

/// Runs `upload put` in a shell script, which redirects its streams.
fn put_in_shell(world: &World, script: &str) -> Command {
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
fn put_succeeds_with_closed_or_full_streams() {
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
        put_in_shell(&world, &format!("exec 3>{}; {script}", code.display()))
            .run()
            .succeeds();
        assert_eq!(fs::read_to_string(&code).unwrap(), "0\n", "{script}");
        world.assert_holds_only(&world.sandbox.path("film.bin"));
    }
}

/// The bars fit the new width after the window was made narrow.
#[test]
fn bars_fit_a_window_that_is_made_narrow() {
    let world = World::new();
    let file = world.sandbox.file("zoo.bin", 3 * PART);
    let terminal = Terminal::new(120);
    world.proxy.block_after(PART);
    let put = world
        .put(&file)
        .env("TERM", "xterm-256color")
        .stderr_to(terminal.tty());
    let running = put.spawn();
    world.proxy.wait_until_blocked();
    wait::until("a bar", || {
        terminal.text().contains("zoo.bin").then_some(())
    });
    terminal.resize(30);
    running.signal(Signal::WINCH);
    let before = terminal.text().len();
    let narrow = wait::until("a bar in the narrow window", || {
        let text = without_escapes(&terminal.text().split_off(before));
        let mut rows = text.lines().map(|row| row.trim().to_owned());
        let bar = rows.rfind(|row| row.contains('%'))?;
        (bar.chars().count() < 100).then_some(bar)
    });
    assert!(narrow.chars().count() <= 30, "{narrow:?}");
    world.proxy.unblock();
    running.wait().succeeds();
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
