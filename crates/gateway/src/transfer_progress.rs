//! The lag of the transfers of a connection behind a minimum rate.
//!
//! Not here: the choice of the connection that is closed (`connection_limiter`).

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use upload_types::saturating;
use upload_types::sync::lock;

/// A transfer at this rate never falls behind.
const MIN_BYTES_PER_SECOND: u64 = 1 << 10;

/// One direction of a connection: the bytes that its client sends, or the bytes that it reads.
///
/// Each second of waiting for the client adds a second to the lag, and each
/// [`MIN_BYTES_PER_SECOND`] bytes subtract one. So a transfer may pause, and may be slow, but not
/// for long below the minimum rate. Time in which the gateway itself works does not count.
#[derive(Debug, Default)]
pub struct TransferProgress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lag: Duration,
    waiting_since: Option<Instant>,
}

impl TransferProgress {
    /// Records that the gateway waits for the client.
    pub fn begin_wait(&self, now: Instant) {
        lock(&self.0).waiting_since.get_or_insert(now);
    }

    /// Records that the client has sent or read some bytes.
    pub fn advance(&self, now: Instant, bytes: usize) {
        let mut state = lock(&self.0);
        let waited = waited(state.waiting_since.take(), now);
        if waited > Duration::ZERO || state.lag > Duration::ZERO {
            state.lag = lag_after(state.lag, waited, bytes);
        }
    }

    /// Records that the transfer has ended. The next one begins without a lag.
    pub fn end(&self) {
        *lock(&self.0) = State::default();
    }

    pub fn is_waiting(&self) -> bool {
        lock(&self.0).waiting_since.is_some()
    }

    pub fn lag(&self, now: Instant) -> Duration {
        let state = lock(&self.0);
        state.lag + waited(state.waiting_since, now)
    }
}

fn waited(since: Option<Instant>, now: Instant) -> Duration {
    since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
}

/// The lag of a transfer that has waited for `bytes`.
fn lag_after(lag: Duration, waited: Duration, bytes: usize) -> Duration {
    let bytes = saturating::to_u64(bytes);
    let expected = Duration::from_millis(bytes.saturating_mul(1000) / MIN_BYTES_PER_SECOND);
    (lag + waited).saturating_sub(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The lag after each wait of a second for `bytes` bytes.
    fn lag_of(waits: impl IntoIterator<Item = usize>) -> Duration {
        let progress = TransferProgress::default();
        let mut now = Instant::now();
        for bytes in waits {
            progress.begin_wait(now);
            now += SECOND;
            progress.advance(now, bytes);
        }
        progress.lag(now)
    }

    #[test]
    fn transfer_lags_only_below_the_minimum_rate() {
        assert_eq!(lag_of(std::iter::repeat_n(1024, 10_000)), Duration::ZERO);
        assert_eq!(lag_of(std::iter::repeat_n(512, 100)), SECOND * 50);
        assert!(lag_of(std::iter::repeat_n(1, 100)) > SECOND * 99);
        // One burst pays for the pauses before it, and not for those after it.
        let pauses = || [0; 60].into_iter();
        assert_eq!(lag_of(pauses().chain([1 << 20])), Duration::ZERO);
        assert_eq!(lag_of([1 << 20].into_iter().chain(pauses())), SECOND * 60);
    }

    #[test]
    fn wait_counts_while_it_lasts_and_the_next_transfer_begins_anew() {
        let (progress, now) = (TransferProgress::default(), Instant::now());
        assert_eq!(progress.lag(now + SECOND), Duration::ZERO);
        progress.begin_wait(now);
        progress.begin_wait(now + SECOND);
        assert_eq!(progress.lag(now + SECOND * 3), SECOND * 3);
        progress.end();
        assert_eq!(progress.lag(now + SECOND * 3), Duration::ZERO);
    }
}
