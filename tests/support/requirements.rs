//! Skips tests that need a program that is not installed.

use std::env;
use std::process::{Command, Stdio};

/// Reports that a test cannot run because `reason`. Panics if `UPLOAD_TEST_REQUIRE_ALL` is set, as
/// `scripts/test` does: a skipped test must not look like a passed one there.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(
        env::var_os("UPLOAD_TEST_REQUIRE_ALL").is_none(),
        "this test must run: {reason}"
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
