//! Signals that end a run.

use tokio::sync::watch;
use upload_types::error::{Error, Kind};

/// Waits for a signal. Returns its number.
pub async fn stop_signal(stop: &mut watch::Receiver<Option<u8>>) -> u8 {
    loop {
        if let Some(signal) = *stop.borrow_and_update() {
            return signal;
        }
        if stop.changed().await.is_err() {
            // The sender is closed: no further signal arrives.
            std::future::pending::<()>().await;
        }
    }
}

/// The error of an upload that a signal ended, with the command that continues it, if it has begun.
pub fn interrupted(signal: u8, resume_command: Option<&str>) -> Error {
    let hint = match resume_command {
        Some(command) => format!("to continue: {command}"),
        None => "run the command again".to_owned(),
    };
    Error::new(Kind::Interrupted(signal), "interrupted; nothing is lost").with_hint(hint)
}
