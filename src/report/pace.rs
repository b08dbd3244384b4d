//! The pace at which a store confirms bytes, and the time that is left at that pace. Pure: the
//! clock is an argument.
//!
//! Bytes are confirmed in whole parts, so the pace is that of some recent confirmations together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Confirmations of this time count.
const MAX_AGE: Duration = Duration::from_mins(1);
/// Older confirmations count if there are no more than this: on a slow link a part takes longer
/// than [`MAX_AGE`].
const MIN_SAMPLES: usize = 6;
/// Confirmations within this time are one sample.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// A longer time is not shown, because it is a guess.
const MAX_TIME_LEFT: Duration = Duration::from_hours(24 * 30);

#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// The confirmed bytes at some times. The first sample is the start.
    samples: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Takes the number of bytes that were confirmed so far in this run.
    pub fn record(&mut self, now: Instant, bytes: u64) {
        match self.samples.back() {
            Some((_, before)) if *before == bytes => return,
            // Another upload of the source begins.
            Some((_, before)) if *before > bytes => self.samples.clear(),
            _ => {}
        }
        let has_start = self.samples.len() > 1;
        match self.samples.back_mut() {
            Some((at, before)) if has_start && now.duration_since(*at) < MIN_INTERVAL => {
                *before = bytes;
            }
            _ => self.samples.push_back((now, bytes)),
        }
        let is_old = |(at, _): &(Instant, u64)| now.duration_since(*at) > MAX_AGE;
        while self.samples.len() > MIN_SAMPLES && self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
    }

    /// The time in which `left` bytes are confirmed at the recent pace. `None` if the pace is not
    /// meaningful yet, because many more bytes are `in_flight`, and at the end.
    pub fn time_left(&self, now: Instant, left: u64, in_flight: u64) -> Option<Duration> {
        let ((start, before), (_, after)) = (self.samples.front()?, self.samples.back()?);
        let confirmed = after
            .checked_sub(*before)
            .filter(|bytes| *bytes > 0 && *bytes >= in_flight / 2)?;
        let confirmed = u128::from(confirmed);
        let elapsed = now.saturating_duration_since(*start).as_millis();
        let millis = u64::try_from(u128::from(left) * elapsed / confirmed).ok()?;
        let time = Duration::from_secs(millis / 1000);
        (Duration::from_secs(1)..=MAX_TIME_LEFT)
            .contains(&time)
            .then_some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn time_left_follows_recent_confirmations() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        pace.record(start, 0);
        assert_eq!(pace.time_left(at(30), 100 * MIB, 0), None);
        // 1 MiB/s in parts of 8 MiB, then 4 MiB/s.
        for second in [8, 16, 24, 32, 40, 48, 56, 64] {
            pace.record(at(second), second * MIB);
        }
        let left = pace.time_left(at(64), 100 * MIB, 32 * MIB).unwrap();
        assert!((99..=101).contains(&left.as_secs()), "{left:?}");
        for second in 65..140 {
            pace.record(at(second), (64 + (second - 64) * 4) * MIB);
        }
        let left = pace.time_left(at(140), 400 * MIB, 32 * MIB).unwrap();
        assert!((95..=105).contains(&left.as_secs()), "{left:?}");
        assert_eq!(pace.time_left(at(140), 0, 0), None);
    }

    #[test]
    fn few_small_files_are_no_pace_for_a_large_one() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.record(start, 0);
        pace.record(start + Duration::from_secs(2), 1000);
        let now = start + Duration::from_secs(3);
        assert_eq!(pace.time_left(now, 200 * MIB, 32 * MIB), None);
    }

    #[test]
    fn slow_link_has_a_time_left() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for part in 0..10 {
            pace.record(start + Duration::from_mins(2 * part), part * 8 * MIB);
        }
        let now = start + Duration::from_mins(18);
        assert_eq!(
            pace.time_left(now, 8 * MIB, 8 * MIB)
                .map(|left| left.as_secs()),
            Some(120)
        );
    }

    #[test]
    fn new_upload_of_a_source_starts_again() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.record(start, 0);
        pace.record(start + Duration::from_secs(2), 64 * MIB);
        pace.record(start + Duration::from_secs(4), 0);
        assert_eq!(pace.time_left(start + Duration::from_secs(5), MIB, 0), None);
    }
}
