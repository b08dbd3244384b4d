//! The client's machine: suspension, a clock that jumps, few file descriptors, read errors.
//!
//! Not here: terminals and signals (`terminal`, `signals`, `terminal_signals`), memory (`memory`).

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::events::{Event, events, failure_kind};
use crate::support::requirements::{has_strace, skip};
use crate::support::world::World;
use crate::support::{PART, wait};

/// A process that is stopped for longer than any delay of a busy machine counts as suspended. Parts
/// on the wire are sent again with new URLs over new connections; this does not count as a failed
/// attempt.
#[test]
fn suspended_client_sends_its_parts_over_new_connections() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    // The proxy blocks the two parts on the wire.
    let running = world.run_until_blocked(world.put(&file).arg("--json"), PART / 2);
    wait::until("two parts on the wire", || {
        (world.proxy.traffic().count("PUT") == 2).then_some(())
    });
    let before = world.proxy.traffic();
    running.signal(Signal::STOP);
    // The test is about the length of this sleep.
    let stopped = Instant::now();
    thread::sleep(Duration::from_millis(11_500));
    running.signal(Signal::CONT);
    wait::until("two more parts on the wire", || {
        (world.proxy.traffic().count("PUT") >= 4).then_some(())
    });
    let since = world.proxy.traffic().since(&before);
    assert!(since.posts("/claim") >= 1, "the lease was not renewed");
    assert!(
        since.posts("/sign") >= 1,
        "a URL from before the suspension was used"
    );
    assert!(stopped.elapsed() < Duration::from_secs(30));
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

/// With 32 descriptors, the client sends fewer parts at once; no request fails.
#[test]
fn put_succeeds_with_few_descriptors() {
    let world = World::new();
    let mut put = world
        .sandbox
        .command("sh")
        .env("UPLOAD_BACKEND", world.proxy.url());
    put = put.args([
        "-c",
        "ulimit -n 32; exec \"$0\" put --json --jobs 64 --part-size 5MiB \"$@\"",
        env!("CARGO_BIN_EXE_upload"),
    ]);
    put = put.arg(world.sandbox.file("film.bin", 16 * PART));
    let small = (0..60).map(|number| world.sandbox.file(&format!("{number}.bin"), 100));
    let output = put.args(small).run().succeeds();
    let is_retry = |event: &Event| matches!(event, Event::Retry { .. });
    assert!(!events(&output).iter().any(is_retry), "{output}");
    assert_eq!(world.store().objects().len(), 61);
}

#[test]
fn embedded_put_succeeds_with_few_descriptors() {
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

/// The client raises its soft limit of open files to the hard limit.
#[test]
fn client_raises_its_descriptor_limit() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let put = world
        .sandbox
        .command("sh")
        .env("UPLOAD_BACKEND", world.proxy.url());
    let script = "ulimit -Sn 32; ulimit -Hn 512; exec \"$0\" put --jobs 2 --part-size 5MiB \"$@\"";
    let running = world.run_until_blocked(
        put.args(["-c", script, env!("CARGO_BIN_EXE_upload")])
            .arg(&file),
        PART / 2,
    );
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.pid())).unwrap();
    let open_files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    assert_eq!(
        open_files
            .split_whitespace()
            .skip(3)
            .take(2)
            .collect::<Vec<_>>(),
        ["512", "512"]
    );
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().nth(4),
        Some("0"),
        "a core dump would hold secrets"
    );
    world.proxy.unblock();
    running.wait().succeeds();
}

/// Runs `upload put` under `strace`, which makes reads of the source fail.
fn put_with_failing_reads(
    world: &World,
    faults: &[&str],
    file: &std::path::Path,
) -> crate::support::command::Output {
    let strace = world
        .sandbox
        .command("strace")
        .env("UPLOAD_BACKEND", world.proxy.url());
    let strace = strace
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(file)
        .args(["-e", "trace=pread64,preadv2"]);
    let strace = faults
        .iter()
        .fold(strace, |strace, fault| strace.args(["-e", fault]));
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
    put.run()
}

/// A disk or network file system that fails for a moment.
#[test]
fn failed_read_of_the_source_is_retried() {
    if !has_strace() {
        return skip("`strace` cannot trace a process");
    }
    let world = World::new();
    let cases: [&[&str]; 3] = [
        &["inject=pread64:error=EIO:when=5..6"],
        &["inject=pread64:error=ESTALE:when=3"],
        // Hashing a part takes 80 reads of 64 KiB; the next reads are for sending.
        &[
            "inject=preadv2:error=EIO",
            "inject=pread64:error=EIO:when=81",
        ],
    ];
    for (number, faults) in cases.into_iter().enumerate() {
        let file = world.sandbox.file(&format!("{number}.bin"), 2 * PART);
        let output = put_with_failing_reads(&world, faults, &file);
        let events = events(&output.succeeds());
        let retried = events
            .iter()
            .any(|event| matches!(event, Event::Retry { kind, .. } if kind == "io"));
        assert!(retried, "no retry with {faults:?}: {events:?}");
        let Some(Event::Completed { receipt, .. }) = events.iter().rev().nth(1) else {
            panic!("{events:?}")
        };
        assert_eq!(
            world.store().sha256(&receipt.key),
            crate::support::files::sha256(&file)
        );
        // A touched file is read again to compare it with the object; these reads may fail too.
        crate::support::files::touch(&file);
        if faults.len() == 1 {
            let output = put_with_failing_reads(&world, faults, &file);
            assert!(
                output.succeeds().stdout().contains("\"retry\""),
                "no retry with {faults:?} after `touch`"
            );
        }
    }
}

/// The path of the library on Debian: `/usr/lib/TRIPLET/faketime/…`.
fn libfaketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let paths = folders.filter_map(|folder| {
        let path = folder.ok()?.path().join("faketime/libfaketimeMT.so.1");
        path.is_file().then_some(path)
    });
    paths.into_iter().next()
}

/// The wall clock is wrong by more than stores tolerate, and jumps in mid-transfer. The client
/// signs nothing and measures time with a monotonic clock. Needs `libfaketime`.
#[test]
fn wrong_clock_that_jumps_has_no_effect() {
    let Some(libfaketime) = libfaketime() else {
        return skip("libfaketime is not installed");
    };
    let world = World::new();
    let clock = world.sandbox.path("clock");
    for (number, (before, after)) in [("+16m", "-16m"), ("-1d", "+0"), ("+0", "+4000d")]
        .into_iter()
        .enumerate()
    {
        let file = world.sandbox.file(&format!("{number}.bin"), 3 * PART);
        fs::write(&clock, before).unwrap();
        let put = world
            .put(&file)
            .arg("--json")
            .env("LD_PRELOAD", &libfaketime)
            .env("FAKETIME_TIMESTAMP_FILE", &clock);
        let put = put
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let traffic = world.proxy.traffic();
        let running = world.run_until_blocked(put, PART);
        fs::write(&clock, after).unwrap();
        world.proxy.unblock();
        let output = running.wait().succeeds();
        assert!(!output.stdout().contains("\"retry\""), "{output}");
        assert!(
            world.proxy.traffic().since(&traffic).posts("/sign") <= 3,
            "parts were signed again after the jump"
        );
    }
    assert_eq!(world.store().objects().len(), 3);
}

/// A disk that fails until the run gives up.
#[test]
fn source_that_cannot_be_read_until_the_end_exits_with_74() {
    if !has_strace() {
        return skip("`strace` cannot trace a process");
    }
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let trace = world.sandbox.path("trace");
    let put = world.sandbox.command("strace").args(["-f", "-qq", "-o"]);
    let put = put.arg(trace).arg("-P").arg(&file);
    // Every read after those of the first part.
    let fault = "inject=pread64:error=EIO:when=90+";
    let put = put.args(["-e", "inject=preadv2:error=EAGAIN", "-e", fault]);
    let program = env!("CARGO_BIN_EXE_upload");
    let put = put.args([program, "put", "--json", "--part-size", "5MiB"]);
    let put = put.args(["--give-up-after", "2s", "--backend", &world.proxy.url()]);
    let output = put.arg(&file).run().exits(74);
    assert_eq!(failure_kind(&output), "io");
    let hint = events(&output).into_iter().find_map(|event| match event {
        Event::Failed { hint, .. } => hint,
        _ => None,
    });
    let hint = hint.unwrap();
    let command = hint.split('`').nth(1).unwrap();
    let words = shlex::split(command).unwrap();
    world.sandbox.upload(&words[1..]).run().succeeds();
    world.assert_holds_only(&file);
}

/// The shell limits the size of the files that the client writes.
#[test]
fn file_beyond_the_size_limit_ends_with_74_and_not_with_a_signal() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 100);
    let receipts = world.sandbox.path("receipts");
    let line = "{\"type\":\"set\",\"files\":0}\n";
    fs::write(&receipts, line.repeat((4 << 20) / line.len() + 1)).unwrap();
    let put = world.sandbox.command("sh").args([
        "-c",
        "ulimit -f 4096; exec \"$0\" put \"$@\"",
        env!("CARGO_BIN_EXE_upload"),
    ]);
    let put = put.args(["--backend", &world.proxy.url(), "--receipt-append"]);
    let output = put.arg(&receipts).arg(&file).run().exits(74);
    assert!(output.stderr().contains("receipts"), "{output}");
    world.assert_holds_only(&file);
}
