//! The first call to a backend: repeated until it responds.

use std::time::Instant;

use tokio::sync::watch;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::BackendInfo;

use super::deadline::WaitingFor;
use super::options::Options;
use super::retry::{self, Attempt, Failures, Verdict};
use super::signal::{interrupted, stop_signal};
use crate::backend::Backend;
use crate::event::{Event, EventSender};

/// After this many responses of another server, the address counts as wrong.
const MAX_UNEXPECTED_SERVERS: u32 = 3;

/// Asks a backend for its limits and capabilities.
///
/// # Errors
/// The backend's error if a retry cannot help, [`Kind::Temporary`] if the time to give up has come,
/// [`Kind::Interrupted`] after a signal.
pub async fn handshake(
    backend: &Backend,
    options: &Options,
    events: &EventSender,
    stop: &mut watch::Receiver<Option<u8>>,
) -> Result<BackendInfo> {
    events.emit(Event::Connecting {
        host: backend.host(),
    });
    let start = Instant::now();
    let mut failures = Failures::default();
    let stopped = |signal| Err(interrupted(signal, &options.resume_command, None));
    loop {
        let response = tokio::select! {
            response = backend.info() => response,
            signal = stop_signal(stop) => return stopped(signal),
        };
        let error = match response {
            Ok(info) => return Ok(info),
            Err(error) => error,
        };
        let verdict = retry::judge(error.kind(), Attempt::Call, &mut failures, fastrand::f64());
        let Verdict::Retry(wait) = verdict else {
            return Err(error);
        };
        let is_unexpected = error.kind() == Kind::UnexpectedServer;
        if is_unexpected && failures.attempts >= MAX_UNEXPECTED_SERVERS {
            return Err(error);
        }
        events.emit(Event::retry(
            options.first_item,
            None,
            None,
            failures.attempts,
            &error,
            wait,
        ));
        let give_up = options.give_up;
        let left = give_up.left(Instant::now(), start, WaitingFor::FirstResponse);
        tokio::select! {
            () = tokio::time::sleep(left.map_or(wait, |left| wait.min(left))) => {}
            signal = stop_signal(stop) => return stopped(signal),
        }
        if give_up.is_due(Instant::now(), start, WaitingFor::FirstResponse) {
            let what = "gave up waiting for the backend";
            let hint =
                "check the address of the backend and the network; then run the command again";
            return Err(Error::new(Kind::Temporary, what)
                .with_source(error.to_string())
                .with_hint(hint));
        }
    }
}
