//! Calls to the backend, repeated until they succeed, a repetition cannot help, a signal arrives,
//! or the run gives up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use upload_types::error::{Error, Kind, Result};

use super::hints::interrupted;
use super::run::StreamRun;
use crate::backend::Backend;
use crate::event::Event;
use crate::transfer::deadline::WaitingFor;
use crate::transfer::handshake::wait_for;
use crate::transfer::retry::{self, Attempt, Failures, Verdict};
use crate::transfer::signal::stop_signal;

impl StreamRun<'_> {
    /// Makes a call.
    ///
    /// # Errors
    /// Its error if a repetition cannot help; [`Kind::Interrupted`]; [`Kind::KeyInUse`] or
    /// [`Kind::Temporary`] if the run gives up.
    pub(super) async fn call<T, F>(&mut self, make: impl Fn(Arc<Backend>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.call_with_grace(Duration::ZERO, make).await
    }

    /// As [`StreamRun::call`], but a call under way gets this time after a signal.
    pub(super) async fn call_with_grace<T, F>(
        &mut self,
        grace: Duration,
        make: impl Fn(Arc<Backend>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut failures = Failures::default();
        let since = Instant::now();
        let mut last = None;
        loop {
            let left = self
                .options
                .give_up
                .left(Instant::now(), since, WaitingFor::Progress);
            let result = tokio::select! {
                result = make(Arc::clone(&self.backend)) => result,
                () = wait_for(left) => return Err(gave_up_call(last)),
                signal = stop_after(&mut self.stop, grace) => return Err(interrupted(signal)),
            };
            let error = match result {
                Ok(value) => {
                    self.last_success = Instant::now();
                    self.last_call = Instant::now();
                    return Ok(value);
                }
                Err(error) => error,
            };
            let verdict = retry::judge(error.kind(), Attempt::Call, &mut failures, fastrand::f64());
            let Verdict::Retry(wait) = verdict else {
                return Err(error);
            };
            self.emit_retry(&error, failures.attempts, wait)?;
            self.wait(left.map_or(wait, |left| wait.min(left))).await?;
            last = Some(error);
        }
    }

    /// Waits for this time.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] if a signal arrives.
    pub(super) async fn wait(&mut self, time: Duration) -> Result<()> {
        tokio::select! {
            () = sleep(time) => Ok(()),
            signal = stop_signal(&mut self.stop) => Err(interrupted(signal)),
        }
    }

    fn emit_retry(&mut self, error: &Error, attempts: u32, wait: Duration) -> Result<()> {
        let event = Event::retry(self.event_source(), None, attempts, error, wait);
        self.committer.emit(event);
        self.commit_now()
    }
}

/// Waits for a signal, and then for this time. Returns the number of the signal.
async fn stop_after(stop: &mut watch::Receiver<Option<u8>>, grace: Duration) -> u8 {
    let signal = stop_signal(stop).await;
    sleep(grace).await;
    signal
}

/// The error of a call that was repeated until the run gave up. `last` is that of the last attempt.
fn gave_up_call(last: Option<Error>) -> Error {
    match last {
        // As for a file: its hint says to wait for the other upload.
        Some(error) if matches!(error.kind(), Kind::KeyInUse(_)) => error,
        last => gave_up(last.as_ref()),
    }
}

/// The error of a run without progress.
pub fn gave_up(last: Option<&Error>) -> Error {
    let error = Error::new(
        Kind::Temporary,
        "gave up: no byte was confirmed for too long",
    );
    match last {
        Some(last) => error.with_source(last.to_string()),
        None => error,
    }
}
