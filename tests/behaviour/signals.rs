//! SIGINT, SIGTERM and SIGHUP stop the client cleanly; SIGUSR1 and SIGUSR2 change the rate limit.
//!
//! Not here: SIGKILL (`kills`), signals at each phase (`terminal_signals`).

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::wait;
use crate::support::world::World;
use crate::support::{MIB, PART};

/// The arguments of the `upload resume` command that the run printed.
fn printed_resume(stderr: &str) -> Option<Vec<String>> {
    let (_, command) = stderr.split_once("upload resume ")?;
    let id: String = command
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .collect();
    (!id.is_empty()).then(|| vec!["resume".to_owned(), id])
}

/// Sends a signal while two parts of eight are on the wire. Asserts the exit code, and that the
/// printed command finishes the upload.
fn stop_and_resume(signal: Signal, code: i32) {
    let world = World::new();
    let size = 8 * PART;
    let file = world.sandbox.file("film.bin", size);
    let running = world.run_until_blocked(world.put(&file), 12 * MIB);
    running.signal(signal);
    world.proxy.unblock();
    let output = running.wait().exits(code);
    assert_eq!(
        output.stdout(),
        "",
        "a location was printed without an object"
    );
    let resume = printed_resume(output.stderr())
        .unwrap_or_else(|| panic!("no `upload resume` command was printed: {output}"));
    assert!(world.store().objects().is_empty());
    assert_eq!(
        world.store().open_uploads().len(),
        1,
        "the multipart upload was aborted"
    );
    world.sandbox.upload(resume).run().succeeds();
    world.assert_holds_only(&file);
    let sent = world.bytes_put();
    assert!(sent <= size + 2 * PART, "{sent} bytes were sent");
}

#[test]
fn sigint_lets_parts_finish_and_prints_the_resume_command() {
    stop_and_resume(Signal::INT, 130);
}

#[test]
fn sigterm_lets_parts_finish_and_prints_the_resume_command() {
    stop_and_resume(Signal::TERM, 143);
}

#[test]
fn sighup_lets_parts_finish_and_prints_the_resume_command() {
    stop_and_resume(Signal::HUP, 129);
}

#[test]
fn second_sigint_exits_at_once() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    // The proxy blocks the parts in flight, so they cannot finish.
    let mut running = world.run_until_blocked(world.put(&file), 12 * MIB);
    let started = Instant::now();
    // Repeated, because two signals in quick succession are delivered as one.
    let ended = wait::within(Duration::from_secs(4), || {
        running.signal(Signal::INT);
        (!running.is_running()).then_some(())
    });
    assert!(
        ended.is_some(),
        "still running after {:?}",
        started.elapsed()
    );
    running.wait().exits(130);
    world.proxy.unblock();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn sigint_waits_for_parts_in_flight_for_a_limited_time() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let running = world.run_until_blocked(world.put(&file), 12 * MIB);
    running.signal(Signal::INT);
    running
        .wait_within(Duration::from_secs(12))
        .expect("an exit within five seconds and a margin")
        .exits(130);
    world.proxy.unblock();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

/// `nohup` starts the client with SIGHUP ignored.
#[test]
fn sighup_is_ignored_under_nohup() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let put = world
        .sandbox
        .command("nohup")
        .arg(env!("CARGO_BIN_EXE_upload"));
    let put = put
        .args([
            "put",
            "--jobs",
            "1",
            "--part-size",
            "5MiB",
            "--backend",
            &world.proxy.url(),
        ])
        .arg(&file);
    let running = world.run_until_blocked(put, PART);
    running.signal(Signal::HUP);
    world.proxy.unblock();
    running.wait().succeeds();
    world.assert_holds_only(&file);
}

/// At the initial rate this file takes five minutes.
#[test]
fn sigusr2_doubles_the_rate_limit_until_there_is_none() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 20 * MIB);
    let mut running = world.put(&file).args(["--limit-rate", "64KiB/s"]).spawn();
    wait::until("the first bytes", || (world.bytes_put() > 0).then_some(()));
    assert!(running.is_running());
    let mut printed = 0;
    while printed < 14 {
        running.signal(Signal::USR2);
        printed = running.wait_for("the new limit", |running| {
            let limits = running.stderr().matches("rate limit").count();
            (limits > printed).then_some(limits)
        });
    }
    let output = running.wait().succeeds();
    let sizes = [
        "128 KiB/s",
        "256 KiB/s",
        "512 KiB/s",
        "1.0 MiB/s",
        "2.0 MiB/s",
    ];
    for limit in sizes.map(|size| format!("rate limit: {size}\n")) {
        assert!(output.stderr().contains(&limit), "{limit}: {output}");
    }
    world.assert_holds_only(&file);
}

#[test]
fn sigusr1_without_a_limit_sets_half_of_the_current_rate() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 100 * MIB);
    world.proxy.throttle(8 * MIB);
    let mut running = world.put(&file).spawn();
    wait::until("the first bytes", || (world.bytes_put() > 0).then_some(()));
    running.signal(Signal::USR1);
    running.wait_for("a limit", |running| {
        running.stderr().contains("iB/s\n").then_some(())
    });
    running.signal(Signal::USR2);
    running.wait_for("the end of the limit", |running| {
        running.stderr().contains("rate limit: none").then_some(())
    });
    world.proxy.unthrottle();
    running.wait().succeeds();
    world.assert_holds_only(&file);
}
