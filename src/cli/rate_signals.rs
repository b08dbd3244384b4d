//! The signals that change the rate limit during a run: SIGUSR1 halves it, SIGUSR2 doubles it.
//!
//! Not here: enforcing the limit (`backend`).

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::SignalKind;

use super::signals::{receive, subscribe};
use crate::backend::Limiter;
use upload_types::error::Result;

/// The lowest limit that a signal sets: a store may close a slower connection.
const MIN_LIMIT_BYTES_PER_SECOND: u64 = 1 << 10;
/// The highest limit that a signal sets: a higher one has no effect.
const MAX_LIMIT_BYTES_PER_SECOND: u64 = 1 << 30;
/// How long the current rate is measured if there is no limit that can be halved.
const MEASURE_TIME: Duration = Duration::from_millis(500);

/// Halves and doubles a limit. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct RateControl {
    /// The rate that was halved while there was no limit. Doubling the limit up to this rate
    /// removes the limit.
    unlimited_rate: Option<u64>,
}

impl RateControl {
    /// Half of `limit`, or without one, of the current rate.
    fn halve(&mut self, limit: Option<u64>, current_rate: u64) -> u64 {
        if limit.is_none() {
            self.unlimited_rate = Some(current_rate);
        }
        (limit.unwrap_or(current_rate) / 2).max(MIN_LIMIT_BYTES_PER_SECOND)
    }

    /// Twice `limit`; `None` if that is as fast as without a limit.
    fn double(self, limit: Option<u64>) -> Option<u64> {
        let doubled = limit?.saturating_mul(2);
        let end = self
            .unlimited_rate
            .unwrap_or(MAX_LIMIT_BYTES_PER_SECOND)
            .clamp(MIN_LIMIT_BYTES_PER_SECOND, MAX_LIMIT_BYTES_PER_SECOND);
        // Halving may have rounded down.
        (doubled.saturating_add(1) < end).then_some(doubled)
    }
}

/// Listens for the signals from now on; `on_change` gets each new limit.
///
/// # Errors
/// [`Kind::Other`](upload_types::error::Kind::Other) if the process cannot listen for signals.
pub fn follow(
    limiter: Arc<Limiter>,
    mut on_change: impl FnMut(Option<u64>) + Send + 'static,
) -> Result<()> {
    let mut slower = subscribe(SignalKind::user_defined1())?;
    let mut faster = subscribe(SignalKind::user_defined2())?;
    tokio::spawn(async move {
        let mut control = RateControl::default();
        loop {
            let limit = tokio::select! {
                () = receive(&mut slower) => {
                    let limit = limiter.rate();
                    let current_rate = match limit {
                        Some(_) => 0,
                        None => measure(&limiter).await,
                    };
                    if limit.is_none() && current_rate == 0 {
                        // Nothing is being sent: there is no rate to halve.
                        continue;
                    }
                    Some(control.halve(limit, current_rate))
                }
                () = receive(&mut faster) => control.double(limiter.rate()),
            };
            limiter.set(limit);
            on_change(limit);
        }
    });
    Ok(())
}

/// The current rate, in bytes per second.
async fn measure(limiter: &Limiter) -> u64 {
    let before = limiter.granted_bytes();
    tokio::time::sleep(MEASURE_TIME).await;
    (limiter.granted_bytes() - before) * 1000
        / u64::try_from(MEASURE_TIME.as_millis()).unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_after_halving_ends_without_a_limit() {
        let mut control = RateControl::default();
        let half = control.halve(None, 10_000_001);
        let quarter = control.halve(Some(half), 0);
        assert_eq!((half, quarter), (5_000_000, 2_500_000));
        assert_eq!(control.double(Some(quarter)), Some(half));
        assert_eq!(control.double(Some(half)), None);
        assert_eq!(control.double(None), None);
    }

    #[test]
    fn limit_of_the_command_line_ends_at_the_maximum() {
        let control = RateControl::default();
        assert_eq!(control.double(Some(64 << 10)), Some(128 << 10));
        assert_eq!(control.double(Some(512 << 20)), None);
        assert_eq!(control.double(Some(u64::MAX)), None);
    }

    #[test]
    fn limit_never_falls_below_the_minimum() {
        let mut control = RateControl::default();
        assert_eq!(control.halve(Some(1500), 0), MIN_LIMIT_BYTES_PER_SECOND);
        assert_eq!(control.halve(None, 0), MIN_LIMIT_BYTES_PER_SECOND);
        assert_eq!(
            control.double(Some(MIN_LIMIT_BYTES_PER_SECOND)),
            None,
            "nothing was sent without a limit"
        );
    }
}
