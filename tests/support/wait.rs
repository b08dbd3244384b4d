//! Polling until a condition holds, instead of waiting for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits before it fails. Long, because a loaded machine must not fail a test.
pub const WAIT_LIMIT: Duration = Duration::from_secs(90);

const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Polls `found` until it returns a value. Panics with `what` in the message after [`WAIT_LIMIT`].
#[track_caller]
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    match within(WAIT_LIMIT, &mut found) {
        Some(value) => value,
        None => panic!("{what}: not seen within {WAIT_LIMIT:?}"),
    }
}

/// Polls `found` until it returns a value. Returns `None` after `limit`.
pub fn within<T>(limit: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = found() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(POLL_INTERVAL);
    }
}
