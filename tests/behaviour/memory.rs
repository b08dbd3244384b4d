//! A big file, or a big part, takes no more memory than a small one.
//!
//! Border: the client's own memory, at default settings; gateway and store are another process.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::support::command::Running;
use crate::support::world::World;
use crate::support::{MIB, files};

/// Largest resident set so far in bytes, as Linux tells it; none once the process has ended.
fn peak(running: &Running) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[track_caller]
fn stays_small(args: &[&str]) {
    let world = World::new();
    let file = world.sandbox.path("film.bin");
    files::sparse(&file, 600 * MIB);
    let mut running = world.upload(&["put"]).args(args).arg(&file).spawn();
    let mut most = 0;
    while running.is_running() {
        most = most.max(peak(&running).unwrap_or_default());
        thread::sleep(Duration::from_millis(2));
    }
    running.wait().succeeds();
    world.assert_holds_only(&file);
    assert!(most > MIB, "nothing was measured");
    assert!(most <= 64 * MIB, "{} MiB", most / MIB);
}

#[test]
fn many_parts_take_no_more_than_64_mib() {
    stays_small(&[]);
}

#[test]
fn parts_of_300_mib_take_no_more_than_64_mib() {
    stays_small(&["--part-size", "300MiB"]);
}
