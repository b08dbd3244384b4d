//! Links of many shapes, and what `auto` makes of them: a small model that moves bytes in steps of a few ms and knows no clock but
//! its own.
//!
//! Border: the rules of `jobs` alone; that the engine keeps to the limit is the behaviour tests' to see.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a model of a link counts in floats"
)]

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

const MB: f64 = 1e6;

/// A link and the store behind it.
#[derive(Debug, Clone)]
struct Link {
    /// Bytes per second of one connection, and of all.
    each: f64,
    /// From which second on, all together so much.
    total: Vec<(f64, f64)>,
    /// From the last byte to the answer, in seconds.
    answer: f64,
    /// How far connections differ, as a share.
    noise: f64,
    /// How much the kernel takes before the wire has.
    buffer: f64,
    /// In these seconds, each connection has only this share of its rate.
    slows: Vec<(f64, f64, f64)>,
    /// In these seconds, more connections than that are refused.
    refuses: Vec<(f64, f64, usize)>,
    part: u64,
    /// The file ends here.
    size: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            each: 1e12,
            total: vec![(0.0, 1e12)],
            answer: 0.05,
            noise: 0.0,
            buffer: 3.0 * MB,
            slows: vec![],
            refuses: vec![],
            part: 8 << 20,
            size: u64::MAX,
        }
    }
}

impl Link {
    /// So many MB/s for each connection, 50 ms to an answer.
    fn capped(each: f64) -> Self {
        Self {
            each: each * MB,
            ..Self::default()
        }
    }

    /// So many MB/s for all.
    fn shared(total: f64) -> Self {
        Self {
            total: vec![(0.0, total * MB)],
            ..Self::default()
        }
    }

    fn step(&self) -> Duration {
        Duration::from_millis(if self.answer < 0.02 || self.part < 1 << 20 {
            2
        } else {
            10
        })
    }

    fn at(&self, second: f64) -> f64 {
        self.total
            .iter()
            .rev()
            .find(|(from, _)| *from <= second)
            .map_or(0.0, |(_, total)| *total)
    }
}

/// A part under way.
struct Part {
    since: Instant,
    piece: (Instant, u64),
    len: u64,
    moved: f64,
    each: f64,
    /// When the answer comes, once it is known, and whether it refuses.
    answer: Option<(Instant, bool)>,
}

/// What a run came to: at each tick, its second, the limit, and the bytes the store had by then.
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

    fn error_chain(&self) -> String {
        let mut story = String::new();
        let mut before = 0;
        for (second, limit, _) in &self.ticks {
            if *limit != before {
                let _ = write!(story, "{second:.1}s:{limit} ");
                before = *limit;
            }
        }
        story
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Shares what there is evenly among those who can take it.
fn shares(parts: &[Part], mut total: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..parts.len())
        .filter(|i| parts[*i].answer.is_none())
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
    let mut dice = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    let mut now = start;
    let mut lanes = Lanes::new(jobs, now);
    let mut parts: Vec<Part> = Vec::new();
    let (mut stored, mut begun, mut next_tick) = (0.0, 0, now + Duration::from_millis(100));
    let mut course = Course {
        ticks: Vec::new(),
        ended: None,
    };
    let step = link.step();
    while now < start + seconds(length) {
        let second = (now - start).as_secs_f64();
        let refused = link
            .refuses
            .iter()
            .find(|(from, to, _)| (*from..*to).contains(&second))
            .map(|(.., most)| *most);
        while parts.len() < lanes.limit() && begun < link.size {
            let len = link.part.min(link.size - begun);
            let each = link.each * (1.0 + link.noise * (2.0 * dice.f64() - 1.0));
            let too_many = refused.is_some_and(|most| parts.len() >= most);
            let answer = too_many.then(|| (now + seconds(link.answer.max(0.02)), true));
            begun += if too_many { 0 } else { len };
            parts.push(Part {
                since: now,
                piece: (now, 0),
                len,
                moved: 0.0,
                each,
                answer,
            });
        }
        let full = parts.len() >= lanes.limit();
        now += step;
        let slow = link
            .slows
            .iter()
            .find(|(from, to, _)| (*from..*to).contains(&second))
            .map_or(1.0, |(.., slow)| *slow);
        let shares = shares(&parts, link.at(second));
        for (part, share) in parts.iter_mut().zip(&shares) {
            part.moved = (part.moved + slow * share * step.as_secs_f64()).min(part.len as f64);
            stored += if part.moved >= part.len as f64 && part.answer.is_none() {
                part.len as f64
            } else {
                0.0
            };
            if part.answer.is_none() && part.moved >= part.len as f64 {
                part.answer = Some((now + seconds(link.answer * (0.9 + 0.2 * dice.f64())), false));
            }
        }
        parts.retain(|part| match part.answer {
            Some((at, refused)) if at <= now => {
                if refused {
                    lanes.throttled(now, part.since);
                } else {
                    lanes.landed(now, part.piece.0, part.len - part.piece.1);
                }
                false
            }
            _ => true,
        });
        if now >= next_tick {
            next_tick += Duration::from_millis(100);
            for part in &mut parts {
                let sent = ((part.moved + link.buffer) as u64).min(part.len);
                if part.answer.is_none() && sent - part.piece.1 >= PIECE {
                    lanes.landed(now, part.piece.0, sent - part.piece.1);
                    part.piece = (now, sent);
                }
            }
            lanes.tick(now, full);
            let under_way: f64 = parts
                .iter()
                .filter(|part| part.answer.is_none())
                .map(|part| part.moved)
                .sum();
            course
                .ticks
                .push((second, lanes.limit(), stored + under_way));
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

/// The best rate that a fixed number of jobs has from one second to another.
fn best(link: &Link, from: f64, to: f64) -> f64 {
    [4, 8, 16, 32, 64]
        .map(|jobs| run(link, Jobs::Fixed(jobs), to, 0).rate(from, to))
        .into_iter()
        .fold(0.0, f64::max)
}

#[test]
fn a_link_capped_per_connection_is_filled_before_the_third_second() {
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
            course.error_chain()
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
fn a_slow_uplink_is_not_stuffed() {
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
                course.error_chain()
            );
            assert!(
                course.rate(20.0, 300.0) >= 0.9,
                "{}",
                course.rate(20.0, 300.0)
            );
        }
    }
}

/// Whatever all connections together can have, it is had, and with few more connections than it takes.
#[test]
fn a_link_is_filled_with_no_more_connections_than_it_takes() {
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
                course.error_chain()
            );
            let rate = course.rate(20.0, 60.0);
            assert!(rate >= 0.88 * total, "{rate:.0} MB/s at {what}");
            let takes = (total / each).max(4.0);
            assert!(
                course.highest(20.0, 60.0) as f64 <= takes * 1.6 + 3.0,
                "{what}"
            );
        }
    }
}

/// A link (or a machine) that four connections fill: more is tried once and given up.
#[test]
fn what_four_connections_fill_is_not_given_sixty_four() {
    for total in [10.0, 40.0, 120.0, 500.0, 1000.0, 3000.0] {
        for (seed, answer) in [(0, 0.0), (1, 0.0005), (2, 0.001)] {
            let link = Link {
                answer,
                noise: 0.1,
                ..Link::shared(total)
            };
            let course = auto(&link, 60.0, seed);
            let what = format!("{total} MB/s, seed {seed}: {}", course.error_chain());
            assert!(course.highest(0.0, 60.0) <= 16, "{what}");
            assert!(course.highest(15.0, 60.0) <= 8, "{what}");
            assert!(course.rate(15.0, 60.0) >= 0.9 * total, "{what}");
        }
    }
}

/// Files of 10 KiB with 50 ms to each answer: it is answers that are waited for, not bytes.
#[test]
fn small_files_need_many_connections() {
    let small = Link {
        part: 10 << 10,
        ..Link::capped(100.0)
    };
    let course = auto(&small, 10.0, 0);
    assert!(
        course.rate(3.0, 10.0) >= 0.9 * best(&small, 3.0, 10.0),
        "{}",
        course.error_chain()
    );
    // On an uplink that fewer of them fill, fewer.
    let narrow = Link {
        total: vec![(0.0, MB)],
        ..small
    };
    let course = auto(&narrow, 60.0, 0);
    assert!(course.highest(5.0, 60.0) <= 16, "{}", course.error_chain());
    assert!(
        course.rate(5.0, 60.0) >= 0.85,
        "{} MB/s: {}",
        course.rate(5.0, 60.0),
        course.error_chain()
    );
}

#[test]
fn parts_of_gigabytes_are_not_waited_for() {
    let link = Link {
        part: 1 << 30,
        ..Link::capped(10.0)
    };
    let course = auto(&link, 60.0, 0);
    assert!(course.lowest(20.0, 60.0) >= 56, "{}", course.error_chain());
}

#[test]
fn a_store_that_asks_for_less_gets_it_within_two_seconds() {
    for most in [4, 8, 16, 24, 40] {
        let link = Link {
            refuses: vec![(10.0, 1e9, most)],
            ..Link::capped(10.0)
        };
        let course = auto(&link, 120.0, 0);
        assert!(course.highest(8.0, 10.0) >= 56, "{}", course.error_chain());
        assert!(
            course.highest(12.8, 13.0) <= most,
            "{most}: {}",
            course.error_chain()
        );
        // What it takes is used, most of the time.
        let rate = course.rate(20.0, 120.0);
        assert!(
            rate >= 0.6 * 9.4 * most as f64,
            "{most}: {rate:.0} MB/s: {}",
            course.error_chain()
        );
    }
}

#[test]
fn what_a_store_took_before_comes_back_slowly() {
    let link = Link {
        refuses: vec![(10.0, 15.0, 8)],
        ..Link::capped(10.0)
    };
    let course = auto(&link, 120.0, 0);
    assert!(course.highest(12.0, 16.0) <= 9, "{}", course.error_chain());
    assert!(course.highest(16.0, 20.0) <= 16, "{}", course.error_chain());
    assert!(
        course.lowest(100.0, 120.0) >= 48,
        "{}",
        course.error_chain()
    );
}

#[test]
fn a_link_that_grows_is_followed() {
    let link = Link {
        total: vec![(0.0, 50.0 * MB), (30.0, 500.0 * MB)],
        noise: 0.1,
        ..Link::capped(10.0)
    };
    for seed in 0..5 {
        let course = auto(&link, 120.0, seed);
        assert!(course.highest(20.0, 30.0) <= 10, "{}", course.error_chain());
        assert!(
            course.rate(70.0, 120.0) >= 450.0,
            "{}",
            course.error_chain()
        );
    }
}

#[test]
fn a_link_that_shrinks_is_followed() {
    let link = Link {
        total: vec![(0.0, 500.0 * MB), (20.0, 20.0 * MB)],
        noise: 0.1,
        ..Link::capped(10.0)
    };
    for seed in 0..5 {
        let course = auto(&link, 200.0, seed);
        assert!(course.lowest(10.0, 20.0) >= 40, "{}", course.error_chain());
        assert!(
            course.highest(120.0, 200.0) <= 10,
            "{}",
            course.error_chain()
        );
        assert!(course.rate(60.0, 200.0) >= 18.0, "{}", course.error_chain());
    }
}

/// A far end that is busy, or this machine: every connection is slower, and fewer of them would not be faster.
#[test]
fn what_is_only_slower_is_not_given_fewer_connections() {
    for slow in [0.3, 0.5, 0.7] {
        let slows = vec![(10.0, 30.0, slow), (40.0, 42.0, slow), (50.0, 53.0, slow)];
        let link = Link {
            slows,
            noise: 0.1,
            ..Link::capped(10.0)
        };
        for seed in 0..5 {
            let course = auto(&link, 80.0, seed);
            let steady = Link {
                slows: vec![],
                ..link.clone()
            };
            let best = best(&steady, 3.0, 10.0);
            assert!(
                course.rate(12.0, 30.0) >= 0.8 * slow * best,
                "{slow} {seed}: {}",
                course.error_chain()
            );
            assert!(
                course.rate(56.0, 80.0) >= 0.85 * best,
                "{slow} {seed}: {}",
                course.error_chain()
            );
        }
    }
}

/// It comes while nothing is tried, so that only the fall of the pace tells: fewer connections are tried once, get less done, and
/// all of them are taken back at once.
#[test]
fn what_became_slower_loses_its_connections_for_one_trial_only() {
    let mut trials = 0;
    for from in [25.0, 30.0, 50.0] {
        let link = Link {
            slows: vec![(from, 1e9, 0.5)],
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
            trials += 1;
            assert_eq!(step[2], 64, "{from}: {}", course.error_chain());
        }
    }
    assert!(trials >= 2, "{trials} trials");
}

#[test]
fn an_outage_costs_no_more_than_itself_and_a_new_beginning() {
    let link = Link {
        total: vec![(0.0, 1e12), (10.0, 0.0), (20.0, 1e12)],
        ..Link::capped(10.0)
    };
    let course = auto(&link, 40.0, 0);
    assert!(course.rate(26.0, 40.0) >= 550.0, "{}", course.error_chain());
}

/// With nothing waiting there is nothing to learn, and no ground to ask for more.
#[test]
fn without_a_queue_nothing_grows() {
    let start = Instant::now();
    let mut lanes = Lanes::new(Jobs::Auto, start);
    for tick in 1..600 {
        let now = start + Duration::from_millis(100) * tick;
        for _ in 0..10 {
            lanes.landed(
                now,
                start.max(now.checked_sub(Duration::from_millis(50)).unwrap()),
                8 << 20,
            );
        }
        lanes.tick(now, false);
        assert_eq!(lanes.limit(), 4);
    }
}

#[test]
fn a_number_that_was_asked_for_is_kept_unless_the_store_asks_for_less() {
    let course = run(&Link::capped(10.0), Jobs::Fixed(7), 30.0, 0);
    assert_eq!(
        (course.lowest(0.0, 30.0), course.highest(0.0, 30.0)),
        (7, 7)
    );
    let link = Link {
        refuses: vec![(10.0, 12.0, 4)],
        ..Link::capped(10.0)
    };
    let course = run(&link, Jobs::Fixed(16), 400.0, 0);
    assert_eq!(course.lowest(10.0, 15.0), 4, "{}", course.error_chain());
    assert_eq!(course.lowest(390.0, 400.0), 16, "{}", course.error_chain());
}

#[test]
fn one_burst_of_refusals_is_one_request_for_less() {
    let start = Instant::now();
    let mut lanes = Lanes::new(Jobs::Fixed(64), start);
    let now = start + Duration::from_secs(1);
    for _ in 0..32 {
        lanes.throttled(now, start);
    }
    assert_eq!(lanes.limit(), 32);
    lanes.throttled(now + Duration::from_secs(1), start);
    assert_eq!(lanes.limit(), 32, "it was under way before the cut");
    lanes.throttled(now + Duration::from_secs(1), now);
    assert_eq!(lanes.limit(), 16);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, rng_seed: RngSeed::Fixed(3), ..ProptestConfig::default() })]

    /// Whatever the link, `auto` comes to rest: then it tries a step up or down now and then, and fills the link.
    #[test]
    fn it_comes_to_rest_on_any_link(
        each in 1.0..100.0_f64,
        connections in 1.0..64.0_f64,
        answer in 0.0..0.2_f64,
        noise in 0.0..0.3_f64,
        part in prop::sample::select(vec![10_u64 << 10, 1 << 20, 5 << 20, 8 << 20]),
        seed: u64,
    ) {
        let link = Link { answer, noise, part, total: vec![(0.0, each * connections * MB)], ..Link::capped(each) };
        let course = auto(&link, 60.0, seed);
        prop_assert!(course.lowest(0.0, 60.0) >= 4 && course.highest(0.0, 60.0) <= 64);
        let (rate, best) = (course.rate(30.0, 60.0), best(&link, 30.0, 60.0));
        prop_assert!(rate >= 0.8 * best, "{rate:.1} of {best:.1} MB/s: {}", course.error_chain());
        let moves = course.ticks.windows(2).filter(|ticks| ticks[0].0 >= 30.0 && ticks[0].1 != ticks[1].1).count();
        prop_assert!(moves <= 30, "{moves} moves: {}", course.error_chain());
    }

    /// Whatever it is told, there is always one, and never more than may be.
    #[test]
    fn the_limit_keeps_its_bounds(
        jobs in prop::option::of(1_usize..=256),
        told in prop::collection::vec((0_u8..4, 0_u64..3000, 0_u64..3000, 0_u64..(1 << 33)), 0..400),
    ) {
        let start = Instant::now();
        let mut now = start;
        let most = jobs.unwrap_or(64);
        let mut lanes = Lanes::new(jobs.map_or(Jobs::Auto, Jobs::Fixed), now);
        for (what, later, ago, bytes) in told {
            now += Duration::from_millis(later);
            let since = now.checked_sub(Duration::from_millis(ago)).unwrap_or(start);
            match what {
                0 => lanes.landed(now, since, bytes),
                1 if ago % 8 == 0 => lanes.throttled(now, since),
                n => lanes.tick(now, n == 2),
            }
            prop_assert!((1..=most).contains(&lanes.limit()));
        }
    }
}
