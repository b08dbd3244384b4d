//! The first call to a backend, and the opening of a bucket: repeated until they succeed.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::BackendInfo;

use super::deadline::{GiveUp, WaitingFor};
use super::retry::{self, Attempt, Failures, Verdict};
use super::signal::{interrupted, stop_signal};
use crate::backend::Backend;
use crate::event::{Event, EventSender, EventSource};

/// After this many responses of another server, the address counts as wrong.
const MAX_UNEXPECTED_SERVERS: u32 = 3;

/// Opens a bucket, and repeats that while its store is not available.
///
/// # Errors
/// The last error if the time to give up has come or a retry cannot help, [`Kind::Interrupted`]
/// after a signal.
pub async fn open_bucket<T>(
    bucket: String,
    open: impl AsyncFnMut() -> Result<T>,
    first: FirstCall<'_>,
    stop: &mut watch::Receiver<Option<u8>>,
) -> Result<T> {
    first.events.emit(Event::Connecting { host: Some(bucket) });
    let is_temporary =
        |error: &Error, _| matches!(error.kind(), Kind::Temporary | Kind::Throttled(_));
    let out_of_time = |last_error: Option<Error>| {
        last_error.unwrap_or_else(|| {
            let what = "gave up: the store of the bucket has not responded";
            let hint = "check --s3-endpoint and the network; then run the command again";
            Error::new(Kind::Temporary, what).with_hint(hint)
        })
    };
    repeat(open, is_temporary, out_of_time, first, stop).await
}

/// Asks a backend for its limits and capabilities.
///
/// # Errors
/// The backend's error if a retry cannot help, [`Kind::Temporary`] if the time to give up has come,
/// [`Kind::Interrupted`] after a signal.
pub async fn handshake(
    backend: &Backend,
    first: FirstCall<'_>,
    stop: &mut watch::Receiver<Option<u8>>,
) -> Result<BackendInfo> {
    first.events.emit(Event::Connecting {
        host: backend.host(),
    });
    let may_help = |error: &Error, attempts| {
        error.kind() != Kind::UnexpectedServer || attempts < MAX_UNEXPECTED_SERVERS
    };
    let out_of_time = |last_error: Option<Error>| gave_up(last_error.as_ref());
    repeat(
        async || backend.info().await,
        may_help,
        out_of_time,
        first,
        stop,
    )
    .await
}

/// The first call of a run to a backend.
#[derive(Debug, Clone, Copy)]
pub struct FirstCall<'a> {
    /// The first item for this backend.
    pub item: usize,
    pub give_up: GiveUp,
    pub events: &'a EventSender,
}

/// Repeats a call. `may_help` says whether a retry may help after an error, given the number of
/// attempts. `out_of_time` is the error when the time to give up has come, given the last error.
async fn repeat<T>(
    mut call: impl AsyncFnMut() -> Result<T>,
    may_help: impl Fn(&Error, u32) -> bool,
    out_of_time: impl Fn(Option<Error>) -> Error,
    first: FirstCall<'_>,
    stop: &mut watch::Receiver<Option<u8>>,
) -> Result<T> {
    let start = Instant::now();
    let mut failures = Failures::default();
    let stopped = |signal| Err(interrupted(signal, None));
    let time_left = || {
        let now = Instant::now();
        first.give_up.left(now, start, WaitingFor::FirstResponse)
    };
    let mut last_error: Option<Error> = None;
    loop {
        let response = tokio::select! {
            response = call() => response,
            // The response may arrive byte by byte.
            () = wait_for(time_left()) => return Err(out_of_time(last_error)),
            signal = stop_signal(stop) => return stopped(signal),
        };
        let error = match response {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let verdict = retry::judge(error.kind(), Attempt::Call, &mut failures, fastrand::f64());
        let Verdict::Retry(wait) = verdict else {
            return Err(error);
        };
        if !may_help(&error, failures.attempts) {
            return Err(error);
        }
        let source = EventSource {
            item: first.item,
            path: None,
            upload: None,
        };
        let retry = Event::retry(source, None, failures.attempts, &error, wait);
        first.events.emit(retry);
        let left = time_left();
        tokio::select! {
            () = tokio::time::sleep(left.map_or(wait, |left| wait.min(left))) => {}
            signal = stop_signal(stop) => return stopped(signal),
        }
        if time_left() == Some(Duration::ZERO) {
            return Err(out_of_time(Some(error)));
        }
        last_error = Some(error);
    }
}

/// Returns after this time; without one, never.
pub(super) async fn wait_for(limit: Option<Duration>) {
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
