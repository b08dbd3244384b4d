//! Kills at every crash point of client and gateway; after each kill, the same command runs again.
//!
//! The points are the calls of `crash::point` in the sources; a point that no scenario passes fails
//! its test. Runs without a kill count how often each point is passed; then the first, the second
//! and the last passage kill the process.
//!
//! Not here: faults of network and store (`tests/chaos`).

#[path = "../support/mod.rs"]
mod support;

mod assertions;
mod hooks;
mod points;
mod postgres;
mod restartable_gateway;
mod scenarios;
mod sets;
mod streams;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use points::{PassCounts, Side};
use scenarios::{Scenario, Victim};

/// Concurrent runs of one test; most of the time they wait for a disk or for each other.
const WORKERS: usize = 4;

/// Runs all scenarios with a kill at each point of a side, or at the `share`th of `shares` equal
/// shares.
fn matrix(side: Side, victim: Victim, (share, shares): (usize, usize)) {
    let mut kills = Vec::new();
    let mut not_passed: Vec<String> = points::of(side);
    for scenario in Scenario::ALL {
        let counts = victim.count_passes(scenario);
        not_passed.retain(|point| counts.of(point) == 0);
        kills.extend(
            passages_to_kill(&points::of(side), &counts)
                .into_iter()
                .map(|(point, hit)| (scenario, point, hit)),
        );
    }
    assert!(not_passed.is_empty(), "no scenario passes {not_passed:?}");
    // Each point is tested in the first scenario that passes it.
    let mut seen = BTreeMap::new();
    kills.retain(|(scenario, point, _)| {
        *seen.entry(point.clone()).or_insert(*scenario) == *scenario
    });

    let kills: Vec<_> = kills.into_iter().skip(share).step_by(shares).collect();
    let (next, killed, failed) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        Mutex::new(Vec::new()),
    );
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut environment = victim.environment();
                while let Some((scenario, point, hit)) =
                    kills.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    match catch_unwind(AssertUnwindSafe(|| {
                        environment.run_killed(*scenario, point, *hit)
                    })) {
                        Ok(true) => _ = killed.fetch_add(1, Ordering::SeqCst),
                        // The number of passages varies; only the first one is certain.
                        Ok(false) if *hit > 1 => {}
                        _ => {
                            failed
                                .lock()
                                .unwrap()
                                .push(format!("{point}:{hit} ({scenario:?})"));
                            environment = victim.environment();
                        }
                    }
                }
            });
        }
    });
    println!(
        "{} points, {} of {} runs were killed",
        points::of(side).len(),
        killed.into_inner(),
        kills.len()
    );
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "failed, with the messages above: {failed:?}"
    );
}

/// Each point with the passages that kill the process.
fn passages_to_kill(points: &[String], counts: &PassCounts) -> Vec<(String, u32)> {
    let hits = |last: u32| -> Vec<u32> {
        let mut hits = vec![1, 2, last];
        hits.retain(|hit| (1..=last).contains(hit));
        hits.dedup();
        hits
    };
    points
        .iter()
        .flat_map(|point| {
            hits(counts.of(point))
                .into_iter()
                .map(|hit| (point.clone(), hit))
        })
        .collect()
}
