//! Measured costs of resets and stalls. Not part of the quick run: `cargo test --locked --test
//! chaos -- --ignored --nocapture --test-threads 1`. `UPLOAD_TEST_SEED=N` replaces the five seeds
//! by N.

use std::env;
use std::time::Instant;

use crate::setup::Setup;
use crate::support::proxy::{Fault, Requests, WHOLE_BODY};
use crate::support::random::Rng;
use crate::support::{MIB, PART};

fn seeds() -> Vec<u64> {
    env::var("UPLOAD_TEST_SEED").map_or((1..=5).collect(), |seed| {
        vec![seed.parse().expect("UPLOAD_TEST_SEED is a number")]
    })
}

/// Sends `parts` parts; each attempt is reset at a random byte with a probability of 1 / `odds`.
/// Returns bytes sent / size.
#[track_caller]
fn resets(parts: u64, odds: u64, seed: u64) -> f64 {
    let mut setup = Setup::new();
    let mut rng = Rng::new(seed);
    let size = parts * PART;
    let run = setup.succeeding_put(size, |proxy| {
        for part in 1..=parts {
            for attempt in 1..=5 {
                if rng.between(0, odds) == 0 {
                    let bytes = rng.between(0, PART);
                    proxy.inject(
                        Requests::part(part).nth(attempt),
                        Fault::ResetAfter { bytes },
                    );
                }
            }
        }
    });
    let reset_count = run.traffic.count("PUT") - parts;
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = run.traffic.bytes("PUT") as f64 / size as f64;
    println!(
        "seed {seed}: {parts} parts, one attempt in {odds} is reset ({reset_count} were): {share:.4} times the bytes"
    );
    share
}

/// Averages over the seeds, because a single run with few resets is not representative.
#[track_caller]
fn resets_cost(parts: u64, odds: u64, most: f64) {
    let shares: Vec<f64> = seeds()
        .into_iter()
        .map(|seed| resets(parts, odds, seed))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    println!(
        "one in {odds}: {mean:.4} times the bytes over {} seeds",
        shares.len()
    );
    assert!(mean <= most, "{mean} times the bytes");
}

#[test]
#[ignore = "a measurement: up to 1 GiB at a time, and twice as much on disk"]
fn bytes_sent_under_resets() {
    resets_cost(100, 10, 1.10);
    resets_cost(200, 100, 1.02);
}

#[test]
#[ignore = "a measurement"]
fn time_until_a_stall_is_detected() {
    for (case, size, bytes) in [
        ("half way", 8 * MIB, PART / 2),
        ("before the response", 1, WHOLE_BODY),
    ] {
        let mut setup = Setup::new().with_short_stall_limit();
        let began = Instant::now();
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::put().nth(1), Fault::StallAfter { bytes });
        });
        let puts: Vec<_> = run.traffic.by_method("PUT").map(|put| put.began).collect();
        let gap = puts
            .windows(2)
            .map(|two| two[1] - two[0])
            .max()
            .unwrap_or_default();
        println!(
            "{case}: tried again {gap:?} later (limit 2 s), {:?} in all",
            began.elapsed()
        );
    }
}
