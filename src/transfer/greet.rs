//! The first call to a backend: what it is, asked until it answers.
//!
//! Border: before there is any upload; everything later is the engine's.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::pace::GiveUp;
use super::retry::{self, Failures, Verdict};
use super::{TICK, interrupted, stopped, tell_retry};
use crate::backend::Backend;
use crate::error::{Error, Kind, Result};
use crate::event::Sink;
use crate::wire::Info;

/// Asks a backend what it is, for as long as the run may wait.
///
/// # Errors
/// What the backend answers for good; [`Kind::Temporary`] when it is given up; [`Kind::Interrupted`].
pub async fn greet(
    backend: &Backend,
    give_up: GiveUp,
    sink: &Sink,
    stop: &mut watch::Receiver<Option<u8>>,
) -> Result<Info> {
    let (start, mut failures) = (Instant::now(), Failures::default());
    loop {
        let answer = tokio::select! {
            answer = backend.info() => answer,
            signal = stopped(stop) => return Err(interrupted(signal, "upload resume", None)),
        };
        let error = match answer {
            Ok(info) => return Ok(info),
            Err(error) => error,
        };
        let Verdict::Again(wait) = retry::judge(error.kind(), false, &mut failures, fastrand::f64()) else {
            return Err(error);
        };
        tell_retry(sink, 0, None, None, failures.attempts, &error, wait);
        let mut waited = Duration::ZERO;
        while waited < wait {
            if give_up.is_due(Instant::now(), start, false) {
                return Err(given_up(Some(&error)));
            }
            let nap = TICK.min(wait.saturating_sub(waited));
            tokio::select! {
                () = tokio::time::sleep(nap) => waited += nap,
                signal = stopped(stop) => return Err(interrupted(signal, "upload resume", None)),
            }
        }
        if give_up.is_due(Instant::now(), start, false) {
            return Err(given_up(Some(&error)));
        }
    }
}

fn given_up(last: Option<&Error>) -> Error {
    let error = Error::new(Kind::Temporary, "gave up waiting for the backend");
    match last {
        Some(last) => error.because(last.to_string()),
        None => error,
    }
}
