//! Signals that ask to stop: the first one politely, the second at once.
//!
//! Border: turns signals into a value the engine watches; what stopping means is `transfer`'s.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Kind, Result};

/// Listens from now on. The first SIGINT, SIGTERM or SIGHUP shows in the receiver by its number, after `first` was called; a
/// second one ends the process there and then, which the journal is made for.
///
/// # Errors
/// [`Kind::Other`] when the system lets nobody listen.
pub fn listen(first: impl FnOnce() + Send + 'static) -> Result<watch::Receiver<Option<u8>>> {
    let wrong = |error| Error::new(Kind::Other, "could not listen for signals").because(error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(wrong)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(wrong)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(wrong)?;
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut first = Some(first);
        loop {
            let number = tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
                _ = hangup.recv() => 1,
            };
            let Some(first) = first.take() else { std::process::exit(i32::from(128 + number)) };
            first();
            if sender.send(Some(number)).is_err() {
                std::process::exit(i32::from(128 + number));
            }
        }
    });
    Ok(receiver)
}
