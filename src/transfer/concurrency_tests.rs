//! The limiter on simulated links: a model that moves bytes in steps of a few milliseconds, with a
//! clock of its own.
//!
//! Not here: whether the engine keeps to the limit (`tests/behaviour`).

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the model computes in floats"
)]

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

const MB: f64 = 1e6;

/// A link and the store at its end.
#[derive(Debug, Clone)]
struct Link {
    /// Bytes per second of one connection.
    each: f64,
    /// Pairs of a second, and the bytes per second of all connections together from then on.
    total: Vec<(f64, f64)>,
    /// Seconds from the last byte to the response.
    response: f64,
    /// How far the rates of connections differ, as a share.
    noise: f64,
    /// Bytes of a connection that the kernel accepts before it sends them.
    buffer: f64,
    /// From and to which second each connection has only this share of its rate.
    slow_phases: Vec<(f64, f64, f64)>,
    /// From and to which second the store refuses more connections than this.
    throttled_phases: Vec<(f64, f64, usize)>,
    part: u64,
    /// Bytes in all.
    size: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            each: 1e12,
            total: vec![(0.0, 1e12)],
            response: 0.05,
            noise: 0.0,
            buffer: 3.0 * MB,
            slow_phases: vec![],
            throttled_phases: vec![],
            part: 8 << 20,
            size: u64::MAX,
        }
    }
}

impl Link {
    /// A link with a rate in MB/s for each connection, and 50 ms to a response.
    fn capped(each: f64) -> Self {
        Self {
            each: each * MB,
            ..Self::default()
        }
    }

    /// A link with a rate in MB/s for all connections together.
    fn shared(total: f64) -> Self {
        Self {
            total: vec![(0.0, total * MB)],
            ..Self::default()
        }
    }

    fn step(&self) -> Duration {
        Duration::from_millis(if self.response < 0.02 || self.part < 1 << 20 {
            2
        } else {
            10
        })
    }

    fn total_at(&self, second: f64) -> f64 {
        self.total
            .iter()
            .rev()
            .find(|(from, _)| *from <= second)
            .map_or(0.0, |(_, total)| *total)
    }
}

/// A part that is being sent.
struct Part {
    since: Instant,
    piece: (Instant, u64),
    len: u64,
    moved: f64,
    each: f64,
    /// When the response comes, once that is known, and whether it is a refusal.
    response: Option<(Instant, bool)>,
}

/// The course of a simulation: the second, the limit and the bytes sent at each tick.
struct Course {
    ticks: Vec<(f64, usize, f64)>,
    ended: Option<f64>,
}

impl Course {
    fn bytes(&self, at: f64) -> f64 {
        self.ticks
            .iter()
            .take_while(|(second, ..)| *second <= at)
            .last()
            .map_or(0.0, |(.., bytes)| *bytes)
    }

    /// MB/s.
    fn rate(&self, from: f64, to: f64) -> f64 {
        (self.bytes(to) - self.bytes(from)) / (to - from) / MB
    }

    fn limits(&self, from: f64, to: f64) -> impl Iterator<Item = usize> {
        self.ticks
            .iter()
            .filter(move |(second, ..)| (from..to).contains(second))
            .map(|(_, limit, _)| *limit)
    }

    fn highest(&self, from: f64, to: f64) -> usize {
        self.limits(from, to).max().unwrap()
    }

    fn lowest(&self, from: f64, to: f64) -> usize {
        self.limits(from, to).min().unwrap()
    }

    /// The changes of the limit, for messages.
    fn limit_changes(&self) -> String {
        let mut changes = String::new();
        let mut before = 0;
        for (second, limit, _) in &self.ticks {
            if *limit != before {
                let _ = write!(changes, "{second:.1}s:{limit} ");
                before = *limit;
            }
        }
        changes
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Shares a rate evenly among the connections, up to the rate of each.
fn shares(parts: &[Part], mut total: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..parts.len())
        .filter(|i| parts[*i].response.is_none())
        .collect();
    order.sort_by(|a, b| parts[*a].each.total_cmp(&parts[*b].each));
    let mut shares = vec![0.0; parts.len()];
    let mut left = order.len();
    for index in order {
        shares[index] = parts[index].each.min(total / left as f64);
        total -= shares[index];
        left -= 1;
    }
    shares
}

fn run(link: &Link, jobs: Jobs, length: f64, seed: u64) -> Course {
    let mut random = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    let mut now = start;
    let mut limiter = ConcurrencyLimiter::new(jobs, now);
    let mut parts: Vec<Part> = Vec::new();
    let (mut stored, mut begun, mut next_tick) = (0.0, 0, now + Duration::from_millis(100));
    let mut course = Course {
        ticks: Vec::new(),
        ended: None,
    };
    let step = link.step();
    while now < start + seconds(length) {
        let second = (now - start).as_secs_f64();
        let max_connections = link
            .throttled_phases
            .iter()
            .find(|(from, to, _)| (*from..*to).contains(&second))
            .map(|(.., most)| *most);
        while parts.len() < limiter.limit() && begun < link.size {
            let len = link.part.min(link.size - begun);
            let each = link.each * (1.0 + link.noise * (2.0 * random.f64() - 1.0));
            let is_refused = max_connections.is_some_and(|most| parts.len() >= most);
            let response = is_refused.then(|| (now + seconds(link.response.max(0.02)), true));
            begun += if is_refused { 0 } else { len };
            parts.push(Part {
                since: now,
                piece: (now, 0),
                len,
                moved: 0.0,
                each,
                response,
            });
        }
        let is_full = parts.len() >= limiter.limit();
        now += step;
        let slow = link
            .slow_phases
            .iter()
            .find(|(from, to, _)| (*from..*to).contains(&second))
            .map_or(1.0, |(.., slow)| *slow);
        let shares = shares(&parts, link.total_at(second));
        for (part, share) in parts.iter_mut().zip(&shares) {
            part.moved = (part.moved + slow * share * step.as_secs_f64()).min(part.len as f64);
            stored += if part.moved >= part.len as f64 && part.response.is_none() {
                part.len as f64
            } else {
                0.0
            };
            if part.response.is_none() && part.moved >= part.len as f64 {
                part.response = Some((
                    now + seconds(link.response * (0.9 + 0.2 * random.f64())),
                    false,
                ));
            }
        }
        parts.retain(|part| match part.response {
            Some((at, is_refusal)) if at <= now => {
                if is_refusal {
                    limiter.on_throttled(now, part.since);
                } else {
                    limiter.on_sent(now, part.piece.0, part.len - part.piece.1);
                }
                false
            }
            _ => true,
        });
        if now >= next_tick {
            next_tick += Duration::from_millis(100);
            for part in &mut parts {
                let sent = ((part.moved + link.buffer) as u64).min(part.len);
                if part.response.is_none() && sent - part.piece.1 >= PIECE_BYTES {
                    limiter.on_sent(now, part.piece.0, sent - part.piece.1);
                    part.piece = (now, sent);
                }
            }
            limiter.on_tick(now, is_full);
            let under_way: f64 = parts
                .iter()
                .filter(|part| part.response.is_none())
                .map(|part| part.moved)
                .sum();
            course
                .ticks
                .push((second, limiter.limit(), stored + under_way));
        }
        if parts.is_empty() && begun >= link.size {
            course.ended = Some(second);
            break;
        }
    }
    course
}

fn auto(link: &Link, length: f64, seed: u64) -> Course {
    run(link, Jobs::Auto, length, seed)
}

/// The best rate of a fixed number of jobs between two seconds, in MB/s.
fn best(link: &Link, from: f64, to: f64) -> f64 {
    [4, 8, 16, 32, 64]
        .map(|jobs| run(link, Jobs::Fixed(jobs), to, 0).rate(from, to))
        .into_iter()
        .fold(0.0, f64::max)
}

#[test]
fn link_limited_per_connection_is_saturated_within_3_s() {
    for seed in 0..10 {
        let link = Link {
            noise: 0.03 * seed as f64,
            ..Link::capped(10.0)
        };
        let course = auto(&link, 12.0, seed);
        let (rate, best) = (course.rate(3.0, 12.0), best(&link, 3.0, 12.0));
        assert!(
            rate >= 0.9 * best,
            "seed {seed}: {rate:.0} of {best:.0} MB/s: {}",
            course.limit_changes()
        );
        let file = Link {
            size: 1 << 30,
            ..link
        };
        let ended = auto(&file, 20.0, seed).ended.unwrap();
        assert!(ended <= 5.0, "seed {seed}: 1 GiB took {ended:.1} s");
    }
}

#[test]
fn slow_uplink_gets_few_connections() {
    for (each, part) in [
        (1e6, 8 << 20),
        (2.0, 8 << 20),
        (1e6, 5 << 20),
        (1e6, 64 << 20),
    ] {
        let link = Link {
            total: vec![(0.0, MB)],
            part,
            ..Link::capped(each)
        };
        for seed in 0..5 {
            let course = auto(&link, 300.0, seed);
            assert!(
                course.highest(0.0, 300.0) <= 6,
                "{each} {part} {seed}: {}",
                course.limit_changes()
            );
            assert!(
                course.rate(20.0, 300.0) >= 0.9,
                "{}",
                course.rate(20.0, 300.0)
            );
        }
    }
}

#[test]
fn shared_link_is_saturated_with_few_extra_connections() {
    for (each, total) in [
        (10.0, 60.0),
        (10.0, 100.0),
        (10.0, 200.0),
        (10.0, 400.0),
        (20.0, 100.0),
        (5.0, 150.0),
        (3.0, 60.0),
    ] {
        for seed in 0..5 {
            let link = Link {
                noise: 0.1,
                total: vec![(0.0, total * MB)],
                ..Link::capped(each)
            };
            let course = auto(&link, 60.0, seed);
            let what = format!(
                "{each} of {total} MB/s, seed {seed}: {}",
                course.limit_changes()
            );
            let rate = course.rate(20.0, 60.0);
            assert!(rate >= 0.88 * total, "{rate:.0} MB/s at {what}");
            let needed = (total / each).max(4.0);
            assert!(
                course.highest(20.0, 60.0) as f64 <= needed * 1.6 + 3.0,
                "{what}"
            );
        }
    }
}

/// Four connections saturate the link or the machine: more are tried once.
#[test]
fn link_saturated_by_4_connections_is_not_given_64() {
    for total in [10.0, 40.0, 120.0, 500.0, 1000.0, 3000.0] {
        for (seed, response) in [(0, 0.0), (1, 0.0005), (2, 0.001)] {
            let link = Link {
                response,
                noise: 0.1,
                ..Link::shared(total)
            };
            let course = auto(&link, 60.0, seed);
            let what = format!("{total} MB/s, seed {seed}: {}", course.limit_changes());
            assert!(course.highest(0.0, 60.0) <= 16, "{what}");
            assert!(course.highest(15.0, 60.0) <= 8, "{what}");
            assert!(course.rate(15.0, 60.0) >= 0.9 * total, "{what}");
        }
    }
}

/// With files of 10 KiB and 50 ms to each response, the time is spent waiting for responses.
#[test]
fn small_files_get_many_connections() {
    let small = Link {
        part: 10 << 10,
        ..Link::capped(100.0)
    };
    let course = auto(&small, 10.0, 0);
    assert!(
        course.rate(3.0, 10.0) >= 0.9 * best(&small, 3.0, 10.0),
        "{}",
        course.limit_changes()
    );
    // A slow uplink is saturated by fewer.
    let narrow = Link {
        total: vec![(0.0, MB)],
        ..small
    };
    let course = auto(&narrow, 60.0, 0);
    assert!(
        course.highest(5.0, 60.0) <= 16,
        "{}",
        course.limit_changes()
    );
    assert!(
        course.rate(5.0, 60.0) >= 0.85,
        "{} MB/s: {}",
        course.rate(5.0, 60.0),
        course.limit_changes()
    );
}

#[test]
fn parts_of_gigabytes_are_measured_by_pieces() {
    let link = Link {
        part: 1 << 30,
        ..Link::capped(10.0)
    };
    let course = auto(&link, 60.0, 0);
    assert!(
        course.lowest(20.0, 60.0) >= 56,
        "{}",
        course.limit_changes()
    );
}

#[test]
fn throttling_store_gets_fewer_connections_within_3_s() {
    for most in [4, 8, 16, 24, 40] {
        let link = Link {
            throttled_phases: vec![(10.0, 1e9, most)],
            ..Link::capped(10.0)
        };
        let course = auto(&link, 120.0, 0);
        assert!(
            course.highest(8.0, 10.0) >= 56,
            "{}",
            course.limit_changes()
        );
        assert!(
            course.highest(12.8, 13.0) <= most,
            "{most}: {}",
            course.limit_changes()
        );
        // The limiter uses most of what the store accepts.
        let rate = course.rate(20.0, 120.0);
        assert!(
            rate >= 0.6 * 9.4 * most as f64,
            "{most}: {rate:.0} MB/s: {}",
            course.limit_changes()
        );
    }
}

#[test]
fn limit_recovers_slowly_after_throttling() {
    let link = Link {
        throttled_phases: vec![(10.0, 15.0, 8)],
        ..Link::capped(10.0)
    };
    let course = auto(&link, 120.0, 0);
    assert!(
        course.highest(12.0, 16.0) <= 9,
        "{}",
        course.limit_changes()
    );
    assert!(
        course.highest(16.0, 20.0) <= 16,
        "{}",
        course.limit_changes()
    );
    assert!(
        course.lowest(100.0, 120.0) >= 48,
        "{}",
        course.limit_changes()
    );
}

#[test]
fn limit_follows_a_link_that_becomes_faster() {
    let link = Link {
        total: vec![(0.0, 50.0 * MB), (30.0, 500.0 * MB)],
        noise: 0.1,
        ..Link::capped(10.0)
    };
    for seed in 0..5 {
        let course = auto(&link, 120.0, seed);
        assert!(
            course.highest(20.0, 30.0) <= 10,
            "{}",
            course.limit_changes()
        );
        assert!(
            course.rate(70.0, 120.0) >= 450.0,
            "{}",
            course.limit_changes()
        );
    }
}

#[test]
fn limit_follows_a_link_that_becomes_slower() {
    let link = Link {
        total: vec![(0.0, 500.0 * MB), (20.0, 20.0 * MB)],
        noise: 0.1,
        ..Link::capped(10.0)
    };
    for seed in 0..5 {
        let course = auto(&link, 200.0, seed);
        assert!(
            course.lowest(10.0, 20.0) >= 40,
            "{}",
            course.limit_changes()
        );
        assert!(
            course.highest(120.0, 200.0) <= 10,
            "{}",
            course.limit_changes()
        );
        assert!(
            course.rate(60.0, 200.0) >= 18.0,
            "{}",
            course.limit_changes()
        );
    }
}

/// The store or this machine is busy: every connection is slower, and fewer connections would not
/// be faster.
#[test]
fn slower_connections_are_kept() {
    for slow in [0.3, 0.5, 0.7] {
        let slow_phases = vec![(10.0, 30.0, slow), (40.0, 42.0, slow), (50.0, 53.0, slow)];
        let link = Link {
            slow_phases,
            noise: 0.1,
            ..Link::capped(10.0)
        };
        for seed in 0..5 {
            let course = auto(&link, 80.0, seed);
            let steady = Link {
                slow_phases: vec![],
                ..link.clone()
            };
            let best = best(&steady, 3.0, 10.0);
            assert!(
                course.rate(12.0, 30.0) >= 0.8 * slow * best,
                "{slow} {seed}: {}",
                course.limit_changes()
            );
            assert!(
                course.rate(56.0, 80.0) >= 0.85 * best,
                "{slow} {seed}: {}",
                course.limit_changes()
            );
        }
    }
}

/// The slowdown comes between two probes, so that only the speed shows it. Fewer connections are
/// tried once, have less throughput, and the old limit is restored.
#[test]
fn slowdown_costs_one_probe_with_fewer_connections() {
    let mut probes = 0;
    for from in [25.0, 30.0, 50.0] {
        let link = Link {
            slow_phases: vec![(from, 1e9, 0.5)],
            noise: 0.1,
            ..Link::capped(10.0)
        };
        let course = auto(&link, from + 30.0, 0);
        let mut levels: Vec<usize> = course.limits(from, from + 30.0).collect();
        levels.dedup();
        for step in levels
            .windows(3)
            .filter(|step| step[0] == 64 && step[1] < 48)
        {
            probes += 1;
            assert_eq!(step[2], 64, "{from}: {}", course.limit_changes());
        }
    }
    assert!(probes >= 2, "{probes} probes");
}

#[test]
fn rate_recovers_after_an_outage() {
    let link = Link {
        total: vec![(0.0, 1e12), (10.0, 0.0), (20.0, 1e12)],
        ..Link::capped(10.0)
    };
    let course = auto(&link, 40.0, 0);
    assert!(
        course.rate(26.0, 40.0) >= 550.0,
        "{}",
        course.limit_changes()
    );
}

/// Without parts that wait, the measurement does not show the capacity of the link.
#[test]
fn limit_stays_while_no_part_waits() {
    let start = Instant::now();
    let mut limiter = ConcurrencyLimiter::new(Jobs::Auto, start);
    for tick in 1..600 {
        let now = start + Duration::from_millis(100) * tick;
        for _ in 0..10 {
            limiter.on_sent(
                now,
                start.max(now.checked_sub(Duration::from_millis(50)).unwrap()),
                8 << 20,
            );
        }
        limiter.on_tick(now, false);
        assert_eq!(limiter.limit(), 4);
    }
}

#[test]
fn fixed_number_is_kept_unless_the_store_throttles() {
    let course = run(&Link::capped(10.0), Jobs::Fixed(7), 30.0, 0);
    assert_eq!(
        (course.lowest(0.0, 30.0), course.highest(0.0, 30.0)),
        (7, 7)
    );
    let link = Link {
        throttled_phases: vec![(10.0, 12.0, 4)],
        ..Link::capped(10.0)
    };
    let course = run(&link, Jobs::Fixed(16), 400.0, 0);
    assert_eq!(course.lowest(10.0, 15.0), 4, "{}", course.limit_changes());
    assert_eq!(
        course.lowest(390.0, 400.0),
        16,
        "{}",
        course.limit_changes()
    );
}

#[test]
fn burst_of_refusals_halves_the_limit_once() {
    let start = Instant::now();
    let mut limiter = ConcurrencyLimiter::new(Jobs::Fixed(64), start);
    let now = start + Duration::from_secs(1);
    for _ in 0..32 {
        limiter.on_throttled(now, start);
    }
    assert_eq!(limiter.limit(), 32);
    limiter.on_throttled(now + Duration::from_secs(1), start);
    assert_eq!(limiter.limit(), 32, "the request is from before the cut");
    limiter.on_throttled(now + Duration::from_secs(1), now);
    assert_eq!(limiter.limit(), 16);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, rng_seed: RngSeed::Fixed(3), ..ProptestConfig::default() })]

    /// On any link, `auto` settles: it saturates the link and only probes at intervals.
    #[test]
    fn limit_settles_on_any_link(
        each in 1.0..100.0_f64,
        connections in 1.0..64.0_f64,
        response in 0.0..0.2_f64,
        noise in 0.0..0.3_f64,
        part in prop::sample::select(vec![10_u64 << 10, 1 << 20, 5 << 20, 8 << 20]),
        seed: u64,
    ) {
        let link = Link { response, noise, part, total: vec![(0.0, each * connections * MB)], ..Link::capped(each) };
        let course = auto(&link, 60.0, seed);
        prop_assert!(course.lowest(0.0, 60.0) >= 4 && course.highest(0.0, 60.0) <= 64);
        let (rate, best) = (course.rate(30.0, 60.0), best(&link, 30.0, 60.0));
        prop_assert!(rate >= 0.8 * best, "{rate:.1} of {best:.1} MB/s: {}", course.limit_changes());
        let moves = course.ticks.windows(2).filter(|ticks| ticks[0].0 >= 30.0 && ticks[0].1 != ticks[1].1).count();
        prop_assert!(moves <= 30, "{moves} moves: {}", course.limit_changes());
    }

    /// For any sequence of calls, the limit is between 1 and its maximum.
    #[test]
    fn limit_stays_within_its_bounds(
        jobs in prop::option::of(1_usize..=256),
        calls in prop::collection::vec((0_u8..4, 0_u64..3000, 0_u64..3000, 0_u64..(1 << 33)), 0..400),
    ) {
        let start = Instant::now();
        let mut now = start;
        let most = jobs.unwrap_or(64);
        let mut limiter = ConcurrencyLimiter::new(jobs.map_or(Jobs::Auto, Jobs::Fixed), now);
        for (what, later, ago, bytes) in calls {
            now += Duration::from_millis(later);
            let since = now.checked_sub(Duration::from_millis(ago)).unwrap_or(start);
            match what {
                0 => limiter.on_sent(now, since, bytes),
                1 if ago % 8 == 0 => limiter.on_throttled(now, since),
                n => limiter.on_tick(now, n == 2),
            }
            prop_assert!((1..=most).contains(&limiter.limit()));
        }
    }
}
