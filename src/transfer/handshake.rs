//! The first call to a backend: repeated until it responds.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::BackendInfo;

use super::deadline::WaitingFor;
use super::options::Options;
use super::retry::{self, Attempt, Failures, Verdict};
use super::signal::{interrupted, stop_signal};
use crate::backend::Backend;
use crate::event::{Event, EventSender, EventSource};

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
    let start = Instant::now();
    let mut failures = Failures::default();
    let stopped = |signal| Err(interrupted(signal, &options.resume_command, None));
    let give_up = options.give_up;
    let time_left = || give_up.left(Instant::now(), start, WaitingFor::FirstResponse);
    let mut last_error: Option<Error> = None;
    loop {
        let response = tokio::select! {
            response = backend.info() => response,
            // The response may arrive byte by byte.
            () = elapsed(time_left()) => return Err(gave_up(last_error.as_ref())),
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
        let source = EventSource {
            item: options.first_item,
            path: None,
            upload: None,
        };
        events.emit(Event::retry(source, None, failures.attempts, &error, wait));
        let left = time_left();
        tokio::select! {
            () = tokio::time::sleep(left.map_or(wait, |left| wait.min(left))) => {}
            signal = stop_signal(stop) => return stopped(signal),
        }
        if time_left() == Some(Duration::ZERO) {
            return Err(gave_up(Some(&error)));
        }
        last_error = Some(error);
    }
}

/// Returns after this time; without one, never.
pub(super) async fn elapsed(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

pub(super) fn gave_up(last_error: Option<&Error>) -> Error {
    let what = "gave up waiting for the backend";
    let hint = "check the address of the backend and the network; then run the command again";
    let error = Error::new(Kind::Temporary, what).with_hint(hint);
    match last_error {
        Some(last) => error.with_source(last.to_string()),
        None => error.with_source("it has not sent a whole response"),
    }
}
