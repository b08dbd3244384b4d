//! The rate limit while a command runs: SIGUSR1 halves it, SIGUSR2 doubles it back.
//!
//! Border: from signals to a rate; that the rate is kept is `backend`'s.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::SignalKind;

use super::signals::{came, heard};
use crate::backend::Limiter;
use upload_types::error::Result;

/// No slower than this, or the store takes the connection for dead.
const LEAST: u64 = 1 << 10;
/// Above this a limit is none.
const MOST: u64 = 1 << 30;
/// Without a limit, the rate to halve is measured for so long.
const MEASURE: Duration = Duration::from_millis(500);

/// Where doubling ends and nothing limits any more: at the rate there was when somebody first asked for less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tempo {
    free: Option<u64>,
}

impl Tempo {
    /// Half of `limit`, or where there is none, of the rate of late.
    fn slower(&mut self, limit: Option<u64>, of_late: u64) -> u64 {
        if limit.is_none() {
            self.free = Some(of_late);
        }
        (limit.unwrap_or(of_late) / 2).max(LEAST)
    }

    /// Twice `limit`, or none any more.
    fn faster(self, limit: Option<u64>) -> Option<u64> {
        let twice = limit?.saturating_mul(2);
        // What was halved is rounded.
        (twice.saturating_add(1) < self.free.unwrap_or(MOST).clamp(LEAST, MOST)).then_some(twice)
    }
}

/// Follows the signals from now on. `tell` is given the new limit.
///
/// # Errors
/// When the system lets nobody listen.
pub fn follow(
    limiter: Arc<Limiter>,
    mut tell: impl FnMut(Option<u64>) + Send + 'static,
) -> Result<()> {
    let mut slower = heard(SignalKind::user_defined1())?;
    let mut faster = heard(SignalKind::user_defined2())?;
    tokio::spawn(async move {
        let mut tempo = Tempo::default();
        loop {
            let limit = tokio::select! {
                () = came(&mut slower) => {
                    let limit = limiter.rate();
                    let of_late = if limit.is_none() { measured(&limiter).await } else { 0 };
                    if limit.is_none() && of_late == 0 {
                        // There is nothing to halve.
                        continue;
                    }
                    Some(tempo.slower(limit, of_late))
                }
                () = came(&mut faster) => tempo.faster(limiter.rate()),
            };
            limiter.set(limit);
            tell(limit);
        }
    });
    Ok(())
}

/// Bytes per second.
async fn measured(limiter: &Limiter) -> u64 {
    let before = limiter.passed();
    tokio::time::sleep(MEASURE).await;
    (limiter.passed() - before) * 1000 / u64::try_from(MEASURE.as_millis()).unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_halved_is_doubled_back_until_nothing_limits() {
        let mut tempo = Tempo::default();
        let half = tempo.slower(None, 10_000_001);
        let quarter = tempo.slower(Some(half), 0);
        assert_eq!((half, quarter), (5_000_000, 2_500_000));
        assert_eq!(tempo.faster(Some(quarter)), Some(half));
        assert_eq!(tempo.faster(Some(half)), None);
        assert_eq!(tempo.faster(None), None);
    }

    #[test]
    fn a_limit_from_the_command_line_is_lifted_at_last() {
        let tempo = Tempo::default();
        assert_eq!(tempo.faster(Some(64 << 10)), Some(128 << 10));
        assert_eq!(tempo.faster(Some(512 << 20)), None);
        assert_eq!(tempo.faster(Some(u64::MAX)), None);
    }

    #[test]
    fn it_never_comes_to_a_halt() {
        let mut tempo = Tempo::default();
        assert_eq!(tempo.slower(Some(1500), 0), LEAST);
        assert_eq!(tempo.slower(None, 0), LEAST);
        assert_eq!(tempo.faster(Some(LEAST)), None, "it was idle then");
    }
}
