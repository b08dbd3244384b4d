//! Signals that ask to stop: the first one politely, the second at once.
//!
//! Border: turns signals into a value the engine watches; what stopping means is `transfer`'s. Those that change the rate
//! are `tempo`'s.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use upload_types::error::{Error, Kind, Result};

/// From the first signal to the end, whatever else holds on: what is on the wire has five seconds, and a little is needed to
/// write down what came of it.
pub const LAST: Duration = Duration::from_millis(5500);

/// How long telling of it may take.
const TELL: Duration = Duration::from_millis(100);

/// Listens from now on. The first SIGINT, SIGTERM or SIGHUP shows in the receiver by its number, after `first` was called; a
/// second one, or the time `last` without an end, ends the process there and then, which journal and ledger are made for.
///
/// # Errors
/// [`Kind::Other`] when the system lets nobody listen.
pub fn listen(
    last: Duration,
    first: impl FnOnce() + Send + 'static,
) -> Result<watch::Receiver<Option<u8>>> {
    let mut interrupt = heard(SignalKind::interrupt())?;
    let mut terminate = heard(SignalKind::terminate())?;
    let mut hangup = heard(SignalKind::hangup())?;
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut first = Some(first);
        loop {
            let number = tokio::select! {
                () = came(&mut interrupt) => 2,
                () = came(&mut terminate) => 15,
                () = came(&mut hangup) => 1,
            };
            let code = i32::from(128 + number);
            let Some(first) = first.take() else {
                std::process::exit(code)
            };
            tokio::spawn(async move {
                tokio::time::sleep(last).await;
                std::process::exit(code);
            });
            // A terminal that is stopped takes no word.
            let _ = tokio::time::timeout(TELL, tokio::task::spawn_blocking(first)).await;
            if sender.send(Some(number)).is_err() {
                std::process::exit(code);
            }
        }
    });
    Ok(receiver)
}

/// A signal that is listened to from now on, unless we were started with it ignored.
///
/// # Errors
/// [`Kind::Other`] when the system lets nobody listen.
pub fn heard(kind: SignalKind) -> Result<Option<Signal>> {
    let wrong = |error| Error::new(Kind::Other, "could not listen for signals").with_source(error);
    if ignored(kind) {
        Ok(None)
    } else {
        signal(kind).map(Some).map_err(wrong)
    }
}

/// Waits for a signal; for one that is not listened to, for ever.
pub async fn came(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether we were started with a signal ignored (`nohup`, a script's `&`): then it stays so. Where the system does not tell,
/// none is.
fn ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default();
    u32::try_from(kind.as_raw_value() - 1)
        .is_ok_and(|bit| mask.checked_shr(bit).unwrap_or_default() & 1 == 1)
}
