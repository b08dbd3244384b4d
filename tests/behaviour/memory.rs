//! The client's memory does not grow with the size of a file or of its parts.

use std::fs;
use std::time::Duration;

use crate::support::command::Running;
use crate::support::world::World;
use crate::support::{MIB, files, wait};

/// The largest resident set so far in bytes; `None` after the end of the process.
fn peak_memory(running: &Running) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Puts a sparse file of 600 MiB; asserts that at most 64 MiB of memory are used.
#[track_caller]
fn assert_memory_is_bounded(args: &[&str]) {
    let world = World::new();
    let file = world.sandbox.path("film.bin");
    files::sparse(&file, 600 * MIB);
    let mut running = world.upload(&["put"]).args(args).arg(&file).spawn();
    let mut most = 0;
    wait::within(Duration::from_mins(5), || {
        most = most.max(peak_memory(&running).unwrap_or_default());
        (!running.is_running()).then_some(())
    })
    .expect("the end of the upload");
    running.wait().succeeds();
    world.assert_holds_only(&file);
    assert!(most > MIB, "the peak was not measured");
    assert!(most <= 64 * MIB, "peak: {} MiB", most / MIB);
}

#[test]
fn put_of_many_parts_uses_at_most_64_mib() {
    assert_memory_is_bounded(&[]);
}

#[test]
fn put_of_300_mib_parts_uses_at_most_64_mib() {
    assert_memory_is_bounded(&["--part-size", "300MiB"]);
}
