//! The signals that end a run: the first asks the engine to stop, the second exits at once.
//!
//! Not here: stopping (`transfer`), and the signals that change the rate (`rate_signals`).

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use upload_types::error::{Error, Kind, Result};

/// The exit code of a process that a signal ended is this plus the number of the signal.
const SIGNAL_EXIT_CODE: i32 = 128;
/// The longest wait for the notice: writing to a stopped terminal blocks.
const NOTICE_TIMEOUT: Duration = Duration::from_millis(100);
/// The longest wait for the last report, for the same reason.
const REPORT_TIMEOUT: Duration = Duration::from_millis(500);

/// The effect of SIGHUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// It ends the run, as SIGTERM does.
    Ends,
    /// The caller listens for it.
    Ignored,
}

/// Listens from now on. The first SIGINT or SIGTERM, or SIGHUP if that ends the run, calls
/// `on_first`, and the receiver then gets its number. At a second signal, or if the process is
/// still running `time_limit` after the first, `on_exit` reports the end, and the process exits;
/// journal and ledger stay intact.
///
/// # Errors
/// [`Kind::Other`] if the process cannot listen for signals.
pub fn listen(
    on_hangup: Hangup,
    time_limit: impl Fn() -> Duration + Send + 'static,
    on_first: impl FnOnce() + Send + 'static,
    on_exit: impl FnOnce(u8) + Clone + Send + 'static,
) -> Result<watch::Receiver<Option<u8>>> {
    let mut interrupt = subscribe(SignalKind::interrupt())?;
    let mut terminate = subscribe(SignalKind::terminate())?;
    let mut hangup = match on_hangup {
        Hangup::Ends => subscribe(SignalKind::hangup())?,
        Hangup::Ignored => None,
    };
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut on_first = Some(on_first);
        loop {
            let number = tokio::select! {
                () = receive(&mut interrupt) => 2,
                () = receive(&mut terminate) => 15,
                () = receive(&mut hangup) => 1,
            };
            let exit = exit(number, on_exit.clone());
            let Some(on_first) = on_first.take() else {
                return exit.await;
            };
            let notice = tokio::task::spawn_blocking(on_first);
            let _ = tokio::time::timeout(NOTICE_TIMEOUT, notice).await;
            if sender.send(Some(number)).is_err() {
                return exit.await;
            }
            let time_limit = time_limit();
            tokio::spawn(async move {
                tokio::time::sleep(time_limit).await;
                exit.await;
            });
        }
    });
    Ok(receiver)
}

/// Reports the end, and exits as a process that the signal ended.
async fn exit(number: u8, on_exit: impl FnOnce(u8) + Send + 'static) {
    let report = tokio::task::spawn_blocking(move || on_exit(number));
    let _ = tokio::time::timeout(REPORT_TIMEOUT, report).await;
    std::process::exit(SIGNAL_EXIT_CODE + i32::from(number));
}

/// Subscribes to a signal; `None` if the process was started with the signal ignored.
///
/// # Errors
/// [`Kind::Other`] if the process cannot listen for signals.
pub fn subscribe(kind: SignalKind) -> Result<Option<Signal>> {
    if was_ignored(kind) {
        return Ok(None);
    }
    signal(kind)
        .map(Some)
        .map_err(|error| Error::new(Kind::Other, "could not listen for signals").with_source(error))
}

/// Waits for a signal; without a subscription, forever.
pub async fn receive(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether the process was started with a signal ignored (by `nohup`, or by `&` in a script): such
/// a signal must stay ignored. False if the system does not report it.
fn was_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default();
    u32::try_from(kind.as_raw_value() - 1)
        .is_ok_and(|bit| mask.checked_shr(bit).unwrap_or_default() & 1 == 1)
}
