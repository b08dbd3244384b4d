//! Models: plain data that says what must be true, beside the true gateway and the true client, after every step of many
//! random runs.
//!
//! Border: whatever may happen in whatever order; single behaviours are told elsewhere. `UPLOAD_MODEL_CASES` takes more
//! cases, `UPLOAD_TEST_SEED` others; without them each run is the same.
#![cfg(feature = "gateway")]

#[path = "../support/mod.rs"]
mod support;

mod bucket;
mod client;
mod contract;
mod disk;
mod faults;
mod front;
mod gate;
mod ops;
mod reference;

use std::env;
use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Whether a run was as it must be; if not, why.
pub type Seen = Result<(), String>;

/// Runs so many cases, and tells the smallest that fails.
///
/// # Panics
/// When one fails.
#[track_caller]
pub fn explore<T: Debug>(
    cases: u32,
    strategy: &impl Strategy<Value = T>,
    run: impl Fn(&T) -> Seen,
) {
    let number = |name: &str| {
        env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let cases = number("UPLOAD_MODEL_CASES")
        .map_or(cases, |cases| u32::try_from(cases).unwrap_or(u32::MAX));
    let seed = number("UPLOAD_TEST_SEED").unwrap_or(1);
    println!("UPLOAD_MODEL_CASES={cases} UPLOAD_TEST_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let max_shrink_iters =
        number("UPLOAD_MODEL_SHRINK").map_or(500, |n| u32::try_from(n).unwrap_or(0));
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng);
    match runner.run(strategy, |case| run(&case).map_err(TestCaseError::fail)) {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}\nin this run: {case:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
