//! The concurrency limiter: how many parts are sent at the same time. A fixed number, or (`auto`)
//! as many as still raise the throughput. Pure: the clock is an argument.
//!
//! It measures how long each part took until its response arrived. The bytes that the kernel
//! accepted say less: each new connection has a send buffer of several MiB, so their number rises
//! just when a higher limit is tried.
//!
//! The *speed* of a limit is the work of one connection per second. As long as another connection
//! does not slow down the others, the speed stays the same. Once the link or this machine is
//! saturated, the speed falls as connections are added, and limit × speed stays the same. The
//! phases (compare AIMD, and the start-up and probe phases of BBR):
//!
//! - *Ramp*: multiply the limit while the speed stays the same. When the speed falls, the drop
//!   shows which limit saturates the link.
//! - *Hold*, and *probe* one step up or down at intervals. More connections must raise the
//!   throughput, fewer must not lower it. Each failed probe lengthens the interval.
//! - *Recover*: if the store throttles requests, halve the limit at once. Afterwards raise it step
//!   by step to just below the limit at which the store throttled.
//!
//! Not here: which part is sent next (`part_queue`).

use std::time::{Duration, Instant};
use upload_types::saturating;

/// The number of connections that the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// This number; fewer only while the store throttles requests.
    Fixed(usize),
    Auto,
}

/// The first limit of `auto`, and the lowest it probes.
const START_LIMIT: u32 = 4;
const MAX_LIMIT: u32 = 64;
/// The work of a part besides its bytes: a round trip, as the number of bytes that one connection
/// could send in that time. At 10 MB/s, this is 50 ms.
const WORK_PER_RESPONSE_BYTES: f64 = 512.0 * 1024.0;
/// Parts that are longer are measured in pieces of this size. Otherwise there would be no
/// measurement for minutes.
pub const PIECE_BYTES: u64 = 16 << 20;
/// The shortest time for which a limit is measured.
const MIN_WINDOW: Duration = Duration::from_millis(200);
/// After this time with fewer parts than the limit allows, the measurement starts again.
const IDLE_WINDOW: Duration = Duration::from_secs(1);
/// Pairs of a speed of a connection, in work per second, and the factor by which a ramp multiplies
/// the limit from that speed on. A wrong step lasts until its parts are sent, so slower connections
/// get smaller steps. Below the last speed, the limit is not raised.
const RAMP_FACTORS: [(f64, f64); 3] = [(5e6, 4.0), (2e6, 2.0), (5e5, 1.5)];
/// The share of the speed that must be left for a ramp to continue.
const RAMP_MIN_SPEED: f64 = 0.8;
/// A speed below this share, without a change of the limit, means that the link has changed.
const LINK_CHANGED_SPEED: f64 = 0.6;
/// The limit is set to the one that seems to saturate the link, multiplied by this.
const HEADROOM: f64 = 1.1;
/// The share of the possible gain that a probe upwards must bring to be accepted.
const MIN_PROBE_GAIN: f64 = 0.25;
/// The share of the possible gain from which on the step of the next probe is doubled.
const GOOD_PROBE_GAIN: f64 = 0.75;
/// The share of the throughput that must be left after a probe downwards.
const MIN_PROBE_THROUGHPUT: f64 = 0.97;
/// The step of a probe upwards, as a share of the limit.
const PROBE_STEP_UP: f64 = 0.25;
const PROBE_STEP_DOWN: f64 = 0.125;
/// Each failed probe doubles the interval to the next one, from the minimum to the maximum.
const MIN_PROBE_INTERVAL: Duration = Duration::from_secs(2);
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Several throttling responses within this time reduce the limit only once.
const CUT_INTERVAL: Duration = Duration::from_millis(500);
/// After a cut, the limit is not raised for this time, and then once in each step interval.
const RECOVERY_DELAY: Duration = Duration::from_secs(2);
const RECOVERY_STEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long the limit at which a store throttled is avoided.
const CUT_MEMORY: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// With the previous limit, once its speed is known.
    Ramp(Option<Level>),
    Hold,
    /// With the previous limit.
    Probe(Level),
    Recover,
}

/// A limit and its speed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    limit: u32,
    speed: f64,
}

/// The measurement of the current limit, over parts that began after it was set.
#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    parts: u32,
    work: f64,
    seconds: f64,
    ticks: u32,
    full_ticks: u32,
}

impl Window {
    fn new(began: Instant) -> Self {
        Self {
            began,
            parts: 0,
            work: 0.0,
            seconds: 0.0,
            ticks: 0,
            full_ticks: 0,
        }
    }

    /// Whether parts waited because of the limit for at least half of the window.
    fn is_full(&self) -> bool {
        self.full_ticks * 2 >= self.ticks
    }

    fn speed(&self) -> f64 {
        self.work / self.seconds.max(1e-6)
    }
}

/// The last reduction of the limit because the store throttled.
#[derive(Debug, Clone, Copy)]
struct Cut {
    at: Instant,
    /// When the last throttling response arrived.
    last_throttled: Instant,
    /// The limit before the cut.
    from: u32,
}

#[derive(Debug, Clone)]
pub struct ConcurrencyLimiter {
    jobs: Jobs,
    max_limit: u32,
    limit: u32,
    phase: Phase,
    window: Window,
    /// The speeds of the latest windows at this limit.
    recent_speeds: Vec<f64>,
    /// The speed when this limit was settled on; 0 if not known.
    usual_speed: f64,
    /// How long a part, or a piece of one, took in the last window.
    seconds_per_part: f64,
    next_probe: Instant,
    probes_upward: bool,
    probe_step: f64,
    /// The interval after the next probe, if that fails.
    probe_interval: Duration,
    cut: Option<Cut>,
}

impl ConcurrencyLimiter {
    #[must_use]
    pub fn new(jobs: Jobs, now: Instant) -> Self {
        let (limit, max_limit, phase) = match jobs {
            Jobs::Fixed(count) => {
                let count = saturating::to_u32(count).max(1);
                (count, count, Phase::Hold)
            }
            Jobs::Auto => (START_LIMIT, MAX_LIMIT, Phase::Ramp(None)),
        };
        Self {
            jobs,
            max_limit,
            limit,
            phase,
            window: Window::new(now),
            recent_speeds: Vec::new(),
            usual_speed: 0.0,
            seconds_per_part: 0.0,
            next_probe: now,
            probes_upward: true,
            probe_step: PROBE_STEP_UP,
            probe_interval: MIN_PROBE_INTERVAL,
            cut: None,
        }
    }

    /// How many parts may be sent at the same time: at least 1.
    #[must_use]
    pub fn limit(&self) -> usize {
        saturating::to_usize(self.limit)
    }

    /// A part, or a piece of one, was sent. It was under way since `since`.
    pub fn on_sent(&mut self, now: Instant, since: Instant, bytes: u64) {
        if since >= self.window.began {
            self.window.parts += 1;
            self.window.work += float(bytes) + WORK_PER_RESPONSE_BYTES;
            self.window.seconds += now.saturating_duration_since(since).as_secs_f64();
        }
    }

    /// The store throttled a request that was under way since `since`.
    pub fn on_throttled(&mut self, now: Instant, since: Instant) {
        if let Some(cut) = &mut self.cut {
            cut.last_throttled = now;
            // A request from before the cut, or shortly after it, belongs to the same throttling.
            if since < cut.at || now.saturating_duration_since(cut.at) < CUT_INTERVAL {
                return;
            }
        }
        self.cut = Some(Cut {
            at: now,
            last_throttled: now,
            from: self.limit,
        });
        self.phase = Phase::Recover;
        self.next_probe = now + RECOVERY_DELAY;
        self.probe_interval = MIN_PROBE_INTERVAL;
        self.set_limit(now, self.limit / 2);
    }

    /// Evaluates the measurement. The engine calls it about ten times a second. `is_full` is true
    /// if parts wait only because of the limit.
    pub fn on_tick(&mut self, now: Instant, is_full: bool) {
        self.window.ticks += 1;
        self.window.full_ticks += u32::from(is_full);
        let is_over = |cut: Cut| now.saturating_duration_since(cut.last_throttled) >= CUT_MEMORY;
        if self.cut.is_some_and(is_over) {
            self.cut = None;
            self.probe_interval = MIN_PROBE_INTERVAL;
            self.next_probe = now;
            self.probes_upward = true;
        }
        if self.phase == Phase::Recover {
            return self.recover(now, is_full);
        }
        let elapsed = now.saturating_duration_since(self.window.began);
        if self.jobs != Jobs::Auto || elapsed < MIN_WINDOW {
            return;
        }
        if !self.window.is_full() {
            if elapsed >= IDLE_WINDOW {
                self.discard_window(now);
            }
            return;
        }
        let min_parts = match self.phase {
            Phase::Ramp(_) => (self.limit / 2).max(3),
            Phase::Hold | Phase::Recover => self.limit.max(8),
            Phase::Probe(_) => (2 * self.limit).max(16),
        };
        if self.window.parts < min_parts {
            return self.on_few_parts(now, elapsed.as_secs_f64());
        }
        let level = Level {
            limit: self.limit,
            speed: self.window.speed(),
        };
        self.seconds_per_part = self.window.seconds / f64::from(self.window.parts);
        match self.phase {
            Phase::Ramp(before) => self.on_ramp_measured(now, before, level),
            Phase::Probe(before) => self.on_probe_measured(now, before, level),
            Phase::Hold | Phase::Recover => self.on_hold_measured(now, level.speed),
        }
    }

    /// Multiplies the limit if the speed has stayed the same. Otherwise settles on the limit that
    /// seems to saturate the link.
    fn on_ramp_measured(&mut self, now: Instant, before: Option<Level>, level: Level) {
        let kept = before.map_or(1.0, |before| level.speed / before.speed);
        if kept < RAMP_MIN_SPEED {
            let saturating = whole(f64::from(level.limit) * kept * HEADROOM);
            let lowest = before.map_or(START_LIMIT, |before| before.limit);
            self.settle(now, saturating.clamp(lowest, level.limit));
            return;
        }
        let factor = RAMP_FACTORS
            .iter()
            .find(|(speed, _)| level.speed >= *speed)
            .map_or(1.0, |(_, factor)| *factor);
        let next = whole(f64::from(level.limit) * factor).min(self.ceiling(now));
        if next <= level.limit {
            self.settle(now, level.limit);
        } else {
            self.phase = Phase::Ramp(Some(level));
            self.set_limit(now, next);
        }
    }

    /// Evaluates another window at the limit that was settled on.
    fn on_hold_measured(&mut self, now: Instant, speed: f64) {
        if self.recent_speeds.len() == 3 {
            self.recent_speeds.remove(0);
        }
        self.recent_speeds.push(speed);
        let speed = median(&self.recent_speeds);
        let level = Level {
            limit: self.limit,
            speed,
        };
        self.window = Window::new(now);
        if self.usual_speed == 0.0 {
            self.usual_speed = speed;
        }
        if speed < self.usual_speed * LINK_CHANGED_SPEED {
            // The link is saturated, or only slower. If it is saturated, fewer connections have the
            // same throughput.
            let saturating = f64::from(self.limit) * speed / self.usual_speed * HEADROOM;
            let saturating = whole(saturating).max(START_LIMIT).min(self.limit);
            if saturating < level.limit {
                self.probes_upward = false;
                self.phase = Phase::Probe(level);
                return self.set_limit(now, saturating);
            }
        }
        if speed < self.usual_speed * RAMP_MIN_SPEED || speed * RAMP_MIN_SPEED > self.usual_speed {
            self.probes_upward = speed > self.usual_speed;
            self.usual_speed = speed;
            self.probe_interval = MIN_PROBE_INTERVAL;
            self.next_probe = now;
        }
        if now >= self.next_probe {
            self.probe(now, level);
        }
    }

    /// Tries another limit in the direction that is due.
    fn probe(&mut self, now: Instant, from: Level) {
        let step = |share: f64| whole(f64::from(from.limit) * share).max(1);
        let is_fast_enough = RAMP_FACTORS
            .last()
            .is_some_and(|(speed, _)| from.speed >= *speed);
        let up = if is_fast_enough {
            (from.limit + step(self.probe_step)).min(self.ceiling(now))
        } else {
            from.limit
        };
        let down = from
            .limit
            .saturating_sub(step(PROBE_STEP_DOWN))
            .max(START_LIMIT);
        let to = if self.probes_upward { up } else { down };
        if to == from.limit || (self.probes_upward && to < from.limit) {
            self.probes_upward = !self.probes_upward;
            self.next_probe = now + self.probe_interval;
        } else {
            self.phase = Phase::Probe(from);
            self.set_limit(now, to);
        }
    }

    fn on_probe_measured(&mut self, now: Instant, before: Level, level: Level) {
        let ratio = f64::from(level.limit) / f64::from(before.limit);
        let gain = ratio * level.speed / before.speed;
        let is_accepted = if ratio > 1.0 {
            gain >= 1.0 + MIN_PROBE_GAIN * (ratio - 1.0)
        } else {
            gain >= MIN_PROBE_THROUGHPUT
        };
        if !is_accepted {
            return self.reject_probe(now, before);
        }
        self.probe_interval = MIN_PROBE_INTERVAL;
        if gain >= 1.0 + GOOD_PROBE_GAIN * (ratio - 1.0) {
            self.probe_step = (self.probe_step * 2.0).min(1.0);
        }
        self.usual_speed = level.speed;
        self.phase = Phase::Hold;
        self.probe(now, level);
        if self.phase == Phase::Hold {
            self.set_limit(now, level.limit);
        }
    }

    /// Returns to the limit before a probe, and lengthens the interval to the next.
    fn reject_probe(&mut self, now: Instant, before: Level) {
        self.phase = Phase::Hold;
        self.probe_step = PROBE_STEP_UP;
        self.probes_upward = !self.probes_upward;
        self.next_probe = now + self.probe_interval;
        self.probe_interval = (self.probe_interval * 2).min(MAX_PROBE_INTERVAL);
        self.set_limit(now, before.limit);
    }

    /// Too few parts were sent to measure a speed. The time that they take may be enough to decide.
    fn on_few_parts(&mut self, now: Instant, elapsed_seconds: f64) {
        match self.phase {
            // Even if the step had not raised the throughput at all, its parts would be sent by
            // now.
            Phase::Ramp(Some(before)) => {
                let ratio = f64::from(self.limit) / f64::from(before.limit);
                if elapsed_seconds > self.seconds_per_part * ratio * 1.2 + 0.2 {
                    self.settle(now, before.limit);
                }
            }
            Phase::Probe(before) if elapsed_seconds > self.seconds_per_part * 6.0 + 1.0 => {
                self.reject_probe(now, before);
            }
            // The link has nearly stopped.
            Phase::Hold
                if self.seconds_per_part > 0.0
                    && elapsed_seconds > self.seconds_per_part * 4.0 + 1.0 =>
            {
                self.phase = Phase::Ramp(None);
                self.set_limit(now, START_LIMIT.min(self.limit));
            }
            _ => {}
        }
    }

    /// After a cut: raises the limit step by step to just below the one at which the store
    /// throttled. A fixed number is restored in full eventually.
    fn recover(&mut self, now: Instant, is_full: bool) {
        let ceiling = self.ceiling(now);
        let is_delayed = |cut: Cut| now < cut.last_throttled + RECOVERY_DELAY;
        if self.limit >= ceiling && (self.jobs == Jobs::Auto || self.limit == self.max_limit) {
            self.settle(now, self.limit);
        } else if self.limit < ceiling
            && is_full
            && !self.cut.is_some_and(is_delayed)
            && now >= self.next_probe
        {
            self.next_probe = now + RECOVERY_STEP_INTERVAL;
            self.set_limit(now, (self.limit + (self.limit / 8).max(1)).min(ceiling));
        }
    }

    /// The highest limit to try: for [`CUT_MEMORY`], a little below the one at which the store
    /// throttled.
    fn ceiling(&self, now: Instant) -> u32 {
        let is_recent = |cut: &Cut| now.saturating_duration_since(cut.last_throttled) < CUT_MEMORY;
        self.cut.filter(is_recent).map_or(self.max_limit, |cut| {
            let below = (cut.from - cut.from / 8).saturating_sub(1);
            below.clamp(1, self.max_limit)
        })
    }

    fn settle(&mut self, now: Instant, limit: u32) {
        self.phase = Phase::Hold;
        self.probes_upward = true;
        self.probe_step = PROBE_STEP_UP;
        self.next_probe = now;
        self.set_limit(now, limit);
    }

    fn set_limit(&mut self, now: Instant, limit: u32) {
        if !matches!(self.phase, Phase::Probe(_)) {
            self.usual_speed = 0.0;
        }
        self.limit = limit.clamp(1, self.max_limit);
        self.recent_speeds.clear();
        self.window = Window::new(now);
    }

    /// There were too few parts to send: the window does not measure the link.
    fn discard_window(&mut self, now: Instant) {
        if let Phase::Probe(before) = self.phase {
            self.reject_probe(now, before);
        }
        self.window = Window::new(now);
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "speeds are compared by tenths")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a limit is at most a few hundred"
)]
fn whole(limit: f64) -> u32 {
    limit.round() as u32
}

#[cfg(test)]
#[path = "concurrency_tests.rs"]
mod tests;
