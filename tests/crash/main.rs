//! Death at every named point of client and gateway, each followed by what a user would do: the same command once more.
//!
//! Border: processes that die; faults of network and store are `behaviour`'s. The points are `crash::point` in the sources, and
//! one that is never passed fails its test. How often each is passed is learnt from runs that nothing happens to; then it is
//! fatal the first, the second and the last time.

#[path = "../support/mod.rs"]
mod support;

mod hooks;
mod lives;
mod oracle;
mod points;
mod postgres;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lives::{Life, Story};
use points::{Passed, Side};

/// Lives at the same time in one test; most of their time they wait for a disk or for each other.
const AT_ONCE: usize = 4;

/// Lets a story be cut short at each point of a side, the `share`th of `shares` equal shares of them; tells how it went.
fn matrix(side: Side, life: Life, (share, shares): (usize, usize)) {
    let mut deaths = Vec::new();
    let mut never: Vec<String> = points::of(side);
    for story in Story::ALL {
        let passed = life.unharmed(story);
        never.retain(|point| passed.of(point) == 0);
        deaths.extend(
            fatal(&points::of(side), &passed)
                .into_iter()
                .map(|(point, hit)| (story, point, hit)),
        );
    }
    assert!(never.is_empty(), "no story passes {never:?}");
    // A story that passes a point the others pass too tells nothing new.
    let mut seen = BTreeMap::new();
    deaths.retain(|(story, point, _)| *seen.entry(point.clone()).or_insert(*story) == *story);

    let deaths: Vec<_> = deaths.into_iter().skip(share).step_by(shares).collect();
    let (next, died, wrong) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        Mutex::new(Vec::new()),
    );
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut place = life.place();
                while let Some((story, point, hit)) =
                    deaths.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    match catch_unwind(AssertUnwindSafe(|| place.cut_short(*story, point, *hit))) {
                        Ok(true) => _ = died.fetch_add(1, Ordering::SeqCst),
                        // How often a point is passed is not the same each time; the first time it always is.
                        Ok(false) if *hit > 1 => {}
                        _ => {
                            wrong
                                .lock()
                                .unwrap()
                                .push(format!("{point}:{hit} ({story:?})"));
                            place = life.place();
                        }
                    }
                }
            });
        }
    });
    println!(
        "{} points, {} of {} runs died",
        points::of(side).len(),
        died.into_inner(),
        deaths.len()
    );
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "what is said above befell {wrong:?}");
}

/// Each point with the passages that are to be fatal.
fn fatal(points: &[String], passed: &Passed) -> Vec<(String, u32)> {
    let hits = |last: u32| -> Vec<u32> {
        let mut hits = vec![1, 2, last];
        hits.retain(|hit| (1..=last).contains(hit));
        hits.dedup();
        hits
    };
    points
        .iter()
        .flat_map(|point| {
            hits(passed.of(point))
                .into_iter()
                .map(|hit| (point.clone(), hit))
        })
        .collect()
}
