//! Asked to stop, the client stops in good order and says how to go on; asked to go slower or faster, it does.
//!
//! Border: SIGINT, SIGTERM and SIGHUP, SIGUSR1 and SIGUSR2; what cannot be caught is `interrupt`.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::interrupt::held;
use crate::support::wait;
use crate::support::world::World;
use crate::support::{MIB, PART};

/// The command that continues, as the run printed it.
fn continues(stderr: &str) -> Option<Vec<String>> {
    let (_, command) = stderr.split_once("upload resume ")?;
    let id: String = command
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .collect();
    (!id.is_empty()).then(|| vec!["resume".to_owned(), id])
}

/// One signal while two parts of eight are half sent; the rest of the story after `code`.
fn stops(signal: Signal, code: i32) {
    let world = World::new();
    let size = 8 * PART;
    let file = world.sandbox.file("film.bin", size);
    let running = held(&world, world.put(&file), 12 * MIB);
    running.signal(signal);
    world.proxy.unblock();
    let output = running.wait().exits(code);
    assert_eq!(
        output.stdout(),
        "",
        "a location was printed for what is not there"
    );
    let command =
        continues(output.stderr()).unwrap_or_else(|| panic!("no command that continues: {output}"));
    assert!(world.store().objects().is_empty());
    assert_eq!(
        world.store().open_uploads().len(),
        1,
        "something was aborted unasked"
    );
    world.sandbox.upload(command).run().succeeds();
    world.assert_holds_only(&file);
    let sent = world.bytes_put();
    assert!(sent <= size + 2 * PART, "{sent} bytes were sent");
}

#[test]
fn an_interrupt_lets_parts_in_flight_end_and_tells_how_to_go_on() {
    stops(Signal::INT, 130);
}

#[test]
fn a_termination_does_the_same() {
    stops(Signal::TERM, 143);
}

#[test]
fn a_hang_up_does_the_same() {
    stops(Signal::HUP, 129);
}

#[test]
fn the_second_interrupt_leaves_at_once() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    // The parts in flight can never end.
    let mut running = held(&world, world.put(&file), 12 * MIB);
    let first = Instant::now();
    // More than two, as two that come too close are one.
    let left = wait::within(Duration::from_secs(4), || {
        running.signal(Signal::INT);
        (!running.is_running()).then_some(())
    });
    assert!(left.is_some(), "still there after {:?}", first.elapsed());
    running.wait().exits(130);
    world.proxy.unblock();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn parts_in_flight_that_do_not_end_are_not_waited_for_long() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let running = held(&world, world.put(&file), 12 * MIB);
    running.signal(Signal::INT);
    running
        .wait_within(Duration::from_secs(12))
        .expect("it waits longer than five seconds")
        .exits(130);
    world.proxy.unblock();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

/// `nohup` starts it with SIGHUP ignored; so it stays.
#[test]
fn nohup_is_obeyed() {
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
    let running = held(&world, put, PART);
    running.signal(Signal::HUP);
    world.proxy.unblock();
    running.wait().succeeds();
    world.assert_holds_only(&file);
}

/// At the rate it begins with, this file takes five minutes.
#[test]
fn a_limit_holds_until_it_is_doubled_away() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 20 * MIB);
    let mut running = world.put(&file).args(["--limit-rate", "64KiB/s"]).spawn();
    wait::until("the first bytes", || (world.bytes_put() > 0).then_some(()));
    assert!(running.is_running());
    let mut told = 0;
    while told < 14 {
        running.signal(Signal::USR2);
        told = running.wait_for("the new limit", |running| {
            let limits = running.stderr().matches("rate limit").count();
            (limits > told).then_some(limits)
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
fn without_a_limit_a_signal_sets_one_at_half_of_what_is_sent() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 100 * MIB);
    world.proxy.throttle(8 * MIB);
    let mut running = world.put(&file).spawn();
    wait::until("bytes that flow", || (world.bytes_put() > 0).then_some(()));
    running.signal(Signal::USR1);
    running.wait_for("a limit", |running| {
        running.stderr().contains("iB/s\n").then_some(())
    });
    running.signal(Signal::USR2);
    running.wait_for("its end", |running| {
        running.stderr().contains("rate limit: none").then_some(())
    });
    world.proxy.unthrottle();
    running.wait().succeeds();
    world.assert_holds_only(&file);
}
