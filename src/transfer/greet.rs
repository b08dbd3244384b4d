//! The first call to a backend: what it is, asked until it answers.
//!
//! Border: before there is any upload; everything later is the engine's.

use std::time::Instant;

use tokio::sync::watch;

use super::ends::interrupted;
use super::retry::{self, Failures, Verdict};
use super::{Options, retrying, stopped};
use crate::backend::Backend;
use crate::event::EventSender;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::BackendInfo;

/// Where nobody has answered yet who is a gateway, the address may be wrong: so often something else may answer there.
const STRANGERS: u32 = 3;

/// Asks a backend what it is, for as long as the run may wait.
///
/// # Errors
/// What the backend answers for good; [`Kind::Temporary`] when it is given up; [`Kind::Interrupted`].
pub async fn greet(
    backend: &Backend,
    options: &Options,
    sink: &EventSender,
    stop: &mut watch::Receiver<Option<u8>>,
) -> Result<BackendInfo> {
    let (start, mut failures) = (Instant::now(), Failures::default());
    loop {
        let answer = tokio::select! {
            answer = backend.info() => answer,
            signal = stopped(stop) => return Err(interrupted(signal, &options.resume, None)),
        };
        let error = match answer {
            Ok(info) => return Ok(info),
            Err(error) => error,
        };
        let Verdict::Again(wait) =
            retry::judge(error.kind(), false, &mut failures, fastrand::f64())
        else {
            return Err(error);
        };
        if error.kind() == Kind::UnexpectedServer && failures.attempts >= STRANGERS {
            return Err(error);
        }
        sink.emit(retrying(
            options.first,
            None,
            None,
            failures.attempts,
            &error,
            wait,
        ));
        let wait = options
            .give_up
            .left(Instant::now(), start, false)
            .map_or(wait, |left| wait.min(left));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            signal = stopped(stop) => return Err(interrupted(signal, &options.resume, None)),
        }
        if options.give_up.is_due(Instant::now(), start, false) {
            return Err(
                Error::new(Kind::Temporary, "gave up waiting for the backend")
                    .with_source(error.to_string()),
            );
        }
    }
}
