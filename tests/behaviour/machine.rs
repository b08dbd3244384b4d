//! The machine under it: suspended and woken, its clock set, its descriptors and its memory few.
//!
//! Border: what the system does to the client; its terminal and signals are `terminal`, `signals` and `phases`.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::interrupt::held;
use crate::support::events::{Event, events};
use crate::support::world::World;
use crate::support::{PART, wait};

/// Stopped for longer than any busy machine holds a process up, it is taken for suspended: nothing that was open is trusted,
/// each part on the wire goes again by a fresh URL over a new connection, and no attempt is counted for it.
#[test]
fn after_a_sleep_it_connects_anew() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    // Two parts on the wire that will never end: who they are sent to has forgotten them.
    let running = held(&world, world.put(&file).arg("--json"), PART / 2);
    wait::until("two parts on the wire", || {
        (world.proxy.traffic().count("PUT") == 2).then_some(())
    });
    let before = world.proxy.traffic();
    running.signal(Signal::STOP);
    // The length of the sleep is what this is about.
    let asleep = Instant::now();
    thread::sleep(Duration::from_millis(11_500));
    running.signal(Signal::CONT);
    wait::until("parts on the wire again", || {
        (world.proxy.traffic().count("PUT") >= 4).then_some(())
    });
    let since = world.proxy.traffic().since(&before);
    assert!(
        since.posts("/claim") >= 1,
        "a lease that aged out meanwhile was not renewed"
    );
    assert!(
        since.posts("/sign") >= 1,
        "a URL from before the sleep was used"
    );
    assert!(asleep.elapsed() < Duration::from_secs(30));
    world.proxy.unblock();
    let output = running.wait().succeeds();
    assert!(
        !events(&output)
            .iter()
            .any(|event| matches!(event, Event::Retry { .. })),
        "{output}"
    );
    world.assert_holds_only(&file);
}

/// Thirty-two files are few: as many parts at once as they suffice for, and nothing fails.
#[test]
fn few_descriptors_are_enough() {
    let world = World::new();
    let mut put = world
        .sandbox
        .command("sh")
        .env("UPLOAD_BACKEND", world.proxy.url());
    put = put.args([
        "-c",
        "ulimit -n 32; exec \"$0\" put --jobs 64 --part-size 5MiB \"$@\"",
        env!("CARGO_BIN_EXE_upload"),
    ]);
    put = put.arg(world.sandbox.file("film.bin", 16 * PART));
    let small = (0..60).map(|number| world.sandbox.file(&format!("{number}.bin"), 100));
    let output = put.args(small).run().succeeds();
    assert!(!output.stderr().contains("retry"), "{output}");
    assert_eq!(world.store().objects().len(), 61);
}

#[test]
fn few_descriptors_are_enough_for_a_store_in_the_same_process() {
    let world = World::new();
    let mut put = world.sandbox.command("sh");
    put = put.args([
        "-c",
        "ulimit -n 64; exec \"$0\" put --backend embedded --jobs 64 \"$@\"",
        env!("CARGO_BIN_EXE_upload"),
    ]);
    put = put
        .arg("--part-size")
        .arg("5MiB")
        .arg(world.sandbox.file("film.bin", 8 * PART));
    let small = (0..60).map(|number| world.sandbox.file(&format!("{number}.bin"), 100));
    let output = put.args(small).run().succeeds();
    assert_eq!(output.lines().len(), 61, "{output}");
}

/// The soft limit is what a shell gives everybody; the hard one is what may be had.
#[test]
fn as_many_descriptors_as_there_may_be_are_used() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let put = world
        .sandbox
        .command("sh")
        .env("UPLOAD_BACKEND", world.proxy.url());
    let script = "ulimit -Sn 32; ulimit -Hn 512; exec \"$0\" put --jobs 2 --part-size 5MiB \"$@\"";
    let running = held(
        &world,
        put.args(["-c", script, env!("CARGO_BIN_EXE_upload")])
            .arg(&file),
        PART / 2,
    );
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.pid())).unwrap();
    let open = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    assert_eq!(
        open.split_whitespace().skip(3).take(2).collect::<Vec<_>>(),
        ["512", "512"]
    );
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().nth(4),
        Some("0"),
        "a dump of its memory would hold secrets"
    );
    world.proxy.unblock();
    running.wait().succeeds();
}

/// Runs `upload put` with some of the system calls about its source failing, by `strace`; None where there is no `strace`.
fn with_failing_reads(
    world: &World,
    injects: &[&str],
    file: &std::path::Path,
) -> Option<crate::support::command::Output> {
    let traced = std::process::Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    if !traced.is_ok_and(|output| output.status.success()) {
        println!("no strace: not tested");
        return None;
    }
    let strace = world
        .sandbox
        .command("strace")
        .env("UPLOAD_BACKEND", world.proxy.url());
    let strace = strace
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(file)
        .args(["-e", "trace=pread64,preadv2"]);
    let strace = injects
        .iter()
        .fold(strace, |strace, inject| strace.args(["-e", inject]));
    let strace = strace.arg(env!("CARGO_BIN_EXE_upload"));
    let put = strace
        .args([
            "put",
            "--json",
            "--part-size",
            "5MiB",
            "--jobs",
            "2",
            "--give-up-after",
            "60s",
        ])
        .arg(file);
    Some(put.run())
}

/// A disk, or a file system of the network, that fails for a moment and is back.
#[test]
fn a_source_that_cannot_be_read_for_a_while_is_read_again() {
    let world = World::new();
    let cases: [&[&str]; 3] = [
        &["inject=pread64:error=EIO:when=5..6"],
        &["inject=pread64:error=ESTALE:when=3"],
        // A thread has hashed a part after 80 reads of 64 KiB: the next reads are for sending.
        &[
            "inject=preadv2:error=EIO",
            "inject=pread64:error=EIO:when=81",
        ],
    ];
    for (number, inject) in cases.into_iter().enumerate() {
        let file = world.sandbox.file(&format!("{number}.bin"), 2 * PART);
        let Some(output) = with_failing_reads(&world, inject, &file) else {
            return;
        };
        let events = events(&output.succeeds());
        let retried = events
            .iter()
            .any(|event| matches!(event, Event::Retry { kind, .. } if kind == "io"));
        assert!(retried, "{inject:?} befell nothing: {events:?}");
        let Some(Event::Completed { receipt, .. }) = events.iter().rev().nth(1) else {
            panic!("{events:?}")
        };
        assert_eq!(
            world.store().sha256(&receipt.key),
            crate::support::files::sha256(&file)
        );
        // What is there and was touched is read again, which may fail as well.
        crate::support::files::touch(&file);
        if inject.len() == 1 {
            let Some(output) = with_failing_reads(&world, inject, &file) else {
                return;
            };
            assert!(
                output.succeeds().stdout().contains("\"retry\""),
                "{inject:?} befell nothing"
            );
        }
    }
}

/// Debian's place for it.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// The wall clock is wrong by more than any store tolerates, and is put right in mid-transfer: no signature is the client's, and
/// what it measures it measures by a clock that does not jump. Needs `libfaketime`.
#[test]
fn a_clock_that_is_wrong_and_jumps_changes_nothing() {
    if !std::path::Path::new(FAKETIME).exists() {
        println!("no libfaketime: not tested");
        return;
    }
    let world = World::new();
    let clock = world.sandbox.path("clock");
    for (number, (before, after)) in [("+16m", "-16m"), ("-1d", "+0"), ("+0", "+4000d")]
        .into_iter()
        .enumerate()
    {
        let file = world.sandbox.file(&format!("{number}.bin"), 3 * PART);
        std::fs::write(&clock, before).unwrap();
        let put = world
            .put(&file)
            .arg("--json")
            .env("LD_PRELOAD", FAKETIME)
            .env("FAKETIME_TIMESTAMP_FILE", &clock);
        let put = put
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let traffic = world.proxy.traffic();
        let running = held(&world, put, PART);
        std::fs::write(&clock, after).unwrap();
        world.proxy.unblock();
        let output = running.wait().succeeds();
        assert!(!output.stdout().contains("\"retry\""), "{output}");
        assert!(
            world.proxy.traffic().since(&traffic).posts("/sign") <= 3,
            "signed again for a jump"
        );
    }
    assert_eq!(world.store().objects().len(), 3);
}
