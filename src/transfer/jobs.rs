//! How many parts may be on the wire now: as many as were asked for, or (`auto`) as many as the link rewards. Pure: the clock is
//! an argument.
//!
//! What is believed is how long parts took that have been answered. Bytes that were handed to the kernel run ahead of the wire
//! by its send buffers, several MiB for each new connection: just when a level is tried, they would praise it.
//!
//! A part's *pace* is its work over its time. While a further connection costs the others nothing, the pace stays; where the link
//! (or this machine) is full, the pace falls as the connections grow, and level × pace stays. So:
//!
//! - *Ramp*: multiply the level while the pace holds. Where it falls, the fall tells which level would have filled the link.
//! - *Hold*, and now and then *probe* one step up or down: more must pay for itself, less must cost nothing. Each failed probe
//!   makes the next one wait longer.
//! - A store that asks for less gets half at once; what it took before comes back step by step.
//!
//! Border: counts and times; which part goes when is `pace`'s and `queue`'s.

use std::time::{Duration, Instant};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// So many, fewer only while the store asks for less.
    Fixed(usize),
    Auto,
}

/// Where `auto` begins, and below which only a store that asks for less brings it.
const START: u32 = 4;
/// As far as `auto` goes.
const MOST: u32 = 64;
/// A part counts for its bytes and so many more: it costs an answer, however small it is. At 10 MB/s these are 50 ms.
const ANSWER: f64 = 512.0 * 1024.0;
/// Longer parts are told of piece by piece, or nothing would be known for minutes.
pub const PIECE: u64 = 16 << 20;
/// The least a level is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// With less to send than there is room for, nothing is learnt: after so long, looking begins anew.
const IDLE: Duration = Duration::from_secs(1);
/// By the pace of one connection (work per second), by how much a ramp multiplies the level: a step that turns out wrong lasts until
/// its parts are through, so the slower they are, the smaller the step. Below the last one nothing is tried.
const STEPS: [(f64, f64); 3] = [(5e6, 4.0), (2e6, 2.0), (5e5, 1.5)];
/// A ramp goes on while the pace keeps this share.
const KEPT: f64 = 0.8;
/// A pace that falls below this share, without any step of ours, is another link.
const LOST: f64 = 0.6;
/// Room above the level at which the link seems full.
const HEADROOM: f64 = 1.1;
/// A probe upwards must bring this share of what it would bring were the link empty.
const PAYS: f64 = 0.25;
/// One that brings this share lets the next one reach further.
const GOES_ON: f64 = 0.75;
/// A probe downwards may cost this share of the throughput.
const COSTS: f64 = 0.97;
/// The pause after a probe that failed doubles between these.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
/// One request for less counts for so long.
const CUT: Duration = Duration::from_millis(500);
/// After a cut, nothing grows for so long, and then a step each second.
const CALM: Duration = Duration::from_secs(2);
const REGAIN: Duration = Duration::from_secs(1);
/// What was too much is remembered for so long.
const MEMORY: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// From the level before, once its pace is known.
    Ramp(Option<Level>),
    Hold,
    Probe(Level),
    Regain,
}

/// A number of connections and what each of them gets done in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    limit: u32,
    pace: f64,
}

/// What was seen since the limit was last moved, of parts that began since.
#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    parts: u32,
    work: f64,
    seconds: f64,
    ticks: u32,
    full: u32,
}

impl Window {
    fn new(began: Instant) -> Self {
        Self {
            began,
            parts: 0,
            work: 0.0,
            seconds: 0.0,
            ticks: 0,
            full: 0,
        }
    }

    /// Whether the limit was what held the parts back.
    fn is_full(&self) -> bool {
        self.full * 2 >= self.ticks
    }

    fn pace(&self) -> f64 {
        self.work / self.seconds.max(1e-6)
    }
}

/// The last time a store asked for less.
#[derive(Debug, Clone, Copy)]
struct Cut {
    at: Instant,
    /// The last answer that asked.
    last: Instant,
    /// The level that was too much.
    from: u32,
}

/// The places on the wire.
#[derive(Debug, Clone)]
pub struct Lanes {
    jobs: Jobs,
    most: u32,
    limit: u32,
    phase: Phase,
    window: Window,
    /// The paces of the latest windows at this level, and what it was when the level was settled on.
    recent: Vec<f64>,
    usual: f64,
    /// How long a part (or a piece of one) took of late, in seconds.
    takes: f64,
    /// The next probe: when, in which direction, by which share; and the pause after it, should it fail.
    due: Instant,
    upward: bool,
    share: f64,
    pause: Duration,
    cut: Option<Cut>,
}

impl Lanes {
    #[must_use]
    pub fn new(jobs: Jobs, now: Instant) -> Self {
        let (limit, most) = match jobs {
            Jobs::Fixed(count) => {
                let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
                (count, count)
            }
            Jobs::Auto => (START, MOST),
        };
        Self {
            jobs,
            most,
            limit,
            phase: if jobs == Jobs::Auto {
                Phase::Ramp(None)
            } else {
                Phase::Hold
            },
            window: Window::new(now),
            recent: Vec::new(),
            usual: 0.0,
            takes: 0.0,
            due: now,
            upward: true,
            share: 0.25,
            pause: PAUSE.0,
            cut: None,
        }
    }

    /// How many parts may be on the wire: at least one.
    #[must_use]
    pub fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// A part, or a piece of one, came through; it was under way since `since`.
    pub fn landed(&mut self, now: Instant, since: Instant, bytes: u64) {
        if since >= self.window.began {
            self.window.parts += 1;
            self.window.work += float(bytes) + ANSWER;
            self.window.seconds += now.saturating_duration_since(since).as_secs_f64();
        }
    }

    /// The other side asks for less, in answer to what was under way since `since`.
    pub fn throttled(&mut self, now: Instant, since: Instant) {
        if let Some(cut) = &mut self.cut {
            cut.last = now;
            // What was under way before the cut, or comes close behind it, says nothing new.
            if since < cut.at || now.saturating_duration_since(cut.at) < CUT {
                return;
            }
        }
        self.cut = Some(Cut {
            at: now,
            last: now,
            from: self.limit,
        });
        self.phase = Phase::Regain;
        self.due = now + CALM;
        self.pause = PAUSE.0;
        self.set(now, self.limit / 2);
    }

    /// Looks at what came of the present level; to be called about ten times a second. `full` says that parts were waiting
    /// for nothing but the limit.
    pub fn tick(&mut self, now: Instant, full: bool) {
        self.window.ticks += 1;
        self.window.full += u32::from(full);
        if self
            .cut
            .is_some_and(|cut| now.saturating_duration_since(cut.last) >= MEMORY)
        {
            self.cut = None;
            (self.pause, self.due, self.upward) = (PAUSE.0, now, true);
        }
        if self.phase == Phase::Regain {
            return self.regain(now, full);
        }
        let looked = now.saturating_duration_since(self.window.began);
        if self.jobs != Jobs::Auto || looked < LOOK {
            return;
        }
        if !self.window.is_full() {
            if looked >= IDLE {
                self.forget(now);
            }
            return;
        }
        let wanted = match self.phase {
            Phase::Ramp(_) => (self.limit / 2).max(3),
            Phase::Hold | Phase::Regain => self.limit.max(8),
            Phase::Probe(_) => (2 * self.limit).max(16),
        };
        if self.window.parts < wanted {
            return self.overdue(now, looked.as_secs_f64());
        }
        let level = Level {
            limit: self.limit,
            pace: self.window.pace(),
        };
        self.takes = self.window.seconds / f64::from(self.window.parts);
        match self.phase {
            Phase::Ramp(before) => self.ramp(now, before, level),
            Phase::Probe(from) => self.probed(now, from, level),
            Phase::Hold | Phase::Regain => self.hold(now, level.pace),
        }
    }

    /// Goes on while more connections cost the others nothing; else to where the link seems full.
    fn ramp(&mut self, now: Instant, before: Option<Level>, level: Level) {
        let kept = before.map_or(1.0, |before| level.pace / before.pace);
        if kept < KEPT {
            let enough = whole(f64::from(level.limit) * kept * HEADROOM);
            self.settle(
                now,
                enough.clamp(before.map_or(START, |before| before.limit), level.limit),
            );
            return;
        }
        let times = STEPS
            .iter()
            .find(|(pace, _)| level.pace >= *pace)
            .map_or(1.0, |(_, times)| *times);
        let next = whole(f64::from(level.limit) * times).min(self.ceiling(now));
        if next <= level.limit {
            self.settle(now, level.limit);
        } else {
            self.phase = Phase::Ramp(Some(level));
            self.set(now, next);
        }
    }

    /// Another window at the level that was settled on.
    fn hold(&mut self, now: Instant, pace: f64) {
        if self.recent.len() == 3 {
            self.recent.remove(0);
        }
        self.recent.push(pace);
        let pace = median(&self.recent);
        self.window = Window::new(now);
        if self.usual == 0.0 {
            self.usual = pace;
        }
        // The link has changed: what was found out about it is of no use.
        if pace < self.usual * LOST {
            // Full, or only slower? With fewer connections, only a full link gets as much done as before.
            let enough = whole(f64::from(self.limit) * pace / self.usual * HEADROOM)
                .max(START)
                .min(self.limit);
            let from = Level {
                limit: self.limit,
                pace,
            };
            if enough < from.limit {
                self.upward = false;
                self.phase = Phase::Probe(from);
                return self.set(now, enough);
            }
        }
        if pace < self.usual * KEPT || pace * KEPT > self.usual {
            self.upward = pace > self.usual;
            (self.usual, self.pause, self.due) = (pace, PAUSE.0, now);
        }
        if now >= self.due {
            self.probe(
                now,
                Level {
                    limit: self.limit,
                    pace,
                },
            );
        }
    }

    /// Tries the next level in the direction that is due.
    fn probe(&mut self, now: Instant, from: Level) {
        let by = |share: f64| whole(f64::from(from.limit) * share).max(1);
        let affordable = STEPS.last().is_some_and(|(pace, _)| from.pace >= *pace);
        let up = if affordable {
            (from.limit + by(self.share)).min(self.ceiling(now))
        } else {
            from.limit
        };
        let down = from.limit.saturating_sub(by(0.125)).max(START);
        let to = if self.upward { up } else { down };
        if to == from.limit || (self.upward && to < from.limit) {
            self.upward = !self.upward;
            self.due = now + self.pause;
        } else {
            self.phase = Phase::Probe(from);
            self.set(now, to);
        }
    }

    fn probed(&mut self, now: Instant, from: Level, level: Level) {
        let more = f64::from(level.limit) / f64::from(from.limit);
        let gain = more * level.pace / from.pace;
        let accepted = if more > 1.0 {
            gain >= 1.0 + PAYS * (more - 1.0)
        } else {
            gain >= COSTS
        };
        if !accepted {
            return self.refuse(now, from);
        }
        self.pause = PAUSE.0;
        if gain >= 1.0 + GOES_ON * (more - 1.0) {
            self.share = (self.share * 2.0).min(1.0);
        }
        self.usual = level.pace;
        self.phase = Phase::Hold;
        self.probe(now, level);
        if self.phase == Phase::Hold {
            self.set(now, level.limit);
        }
    }

    /// Back to where a probe came from, and no other for a while.
    fn refuse(&mut self, now: Instant, from: Level) {
        self.phase = Phase::Hold;
        self.share = 0.25;
        self.upward = !self.upward;
        self.due = now + self.pause;
        self.pause = (self.pause * 2).min(PAUSE.1);
        self.set(now, from.limit);
    }

    /// Too few parts came through to judge by. That they take so long may say enough.
    fn overdue(&mut self, now: Instant, looked: f64) {
        match self.phase {
            // Were all of the step for nothing, they would be through by now.
            Phase::Ramp(Some(before)) => {
                let more = f64::from(self.limit) / f64::from(before.limit);
                if looked > self.takes * more * 1.2 + 0.2 {
                    self.settle(now, before.limit);
                }
            }
            Phase::Probe(from) if looked > self.takes * 6.0 + 1.0 => self.refuse(now, from),
            // Hardly anything moves any more.
            Phase::Hold if self.takes > 0.0 && looked > self.takes * 4.0 + 1.0 => {
                self.phase = Phase::Ramp(None);
                self.set(now, START.min(self.limit));
            }
            _ => {}
        }
    }

    /// After a cut: nothing for a while, then step by step to just below what was too much; what somebody asked for, in the
    /// end as a whole.
    fn regain(&mut self, now: Instant, full: bool) {
        let below = self.ceiling(now);
        if self.limit >= below && (self.jobs == Jobs::Auto || self.limit == self.most) {
            self.settle(now, self.limit);
        } else if self.limit < below
            && full
            && self.cut.is_none_or(|cut| now >= cut.last + CALM)
            && now >= self.due
        {
            self.due = now + REGAIN;
            self.set(now, (self.limit + (self.limit / 8).max(1)).min(below));
        }
    }

    /// The most to try: a little below what was too much, while that is remembered.
    fn ceiling(&self, now: Instant) -> u32 {
        let remembered = self
            .cut
            .filter(|cut| now.saturating_duration_since(cut.last) < MEMORY);
        remembered.map_or(self.most, |cut| {
            (cut.from - cut.from / 8)
                .saturating_sub(1)
                .clamp(1, self.most)
        })
    }

    fn settle(&mut self, now: Instant, limit: u32) {
        self.phase = Phase::Hold;
        self.upward = true;
        self.share = 0.25;
        self.due = now;
        self.set(now, limit);
    }

    fn set(&mut self, now: Instant, limit: u32) {
        if !matches!(self.phase, Phase::Probe(_)) {
            self.usual = 0.0;
        }
        self.limit = limit.clamp(1, self.most);
        self.recent.clear();
        self.window = Window::new(now);
    }

    /// What was looked at was not the link.
    fn forget(&mut self, now: Instant) {
        if let Phase::Probe(from) = self.phase {
            self.refuse(now, from);
        }
        self.window = Window::new(now);
    }
}

fn median(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a pace is compared by tenths")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a level is at most a few hundred"
)]
fn whole(level: f64) -> u32 {
    level.round() as u32
}

#[cfg(test)]
mod tests;
