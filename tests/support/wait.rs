//! Waiting for a condition, never for a time.
//!
//! Border: it knows no process and no socket, only closures.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before the test is called stuck. Generous: a loaded machine is no failure.
pub const WAIT_LIMIT: Duration = Duration::from_secs(90);

const INTERVAL: Duration = Duration::from_millis(2);

/// Asks again until `found` gives something; gives up, with `what` in the message, after [`WAIT_LIMIT`].
#[track_caller]
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    match within(WAIT_LIMIT, &mut found) {
        Some(value) => value,
        None => panic!("waited {WAIT_LIMIT:?} in vain for {what}"),
    }
}

/// Asks again until `found` gives something or the time is over.
pub fn within<T>(patience: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = found() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(INTERVAL);
    }
}
