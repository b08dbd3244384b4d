//! Skips tests that need a program that is not installed.

use std::env;
use std::process::{Command, Stdio};

/// Reports that a test cannot run because `reason`. Panics if the environment variable `CI` is set,
/// because a skipped test must not look like a passed one there.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(
        env::var_os("CI").is_none(),
        "this test must run if CI is set: {reason}"
    );
    eprintln!("SKIPPED: {reason}");
}

/// Returns true if `strace` can trace a process here.
pub fn has_strace() -> bool {
    Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
