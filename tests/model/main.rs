//! Random runs of the gateway and the client. After every step their state is compared with a
//! model: plain data with the expected state.
//!
//! `UPLOAD_MODEL_CASES` sets the number of cases and `UPLOAD_TEST_SEED` the seed; without them each
//! run is the same.
#![cfg(feature = "gateway")]

#[path = "../support/mod.rs"]
mod support;

mod bucket;
mod client;
mod contract;
mod expectations;
mod faults;
mod gateway;
mod keys;
mod lossy_proxy;
mod operations;
mod process;
mod source;
mod upload_model;

use std::env;
use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// The result of a check; the error is the reason for the failure.
pub type CheckResult = Result<(), String>;

/// Runs random cases.
///
/// # Panics
/// If a case fails, with the smallest case that fails.
#[track_caller]
pub fn run_cases<T: Debug>(
    cases: u32,
    strategy: &impl Strategy<Value = T>,
    run: impl Fn(&T) -> CheckResult,
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
        Err(TestError::Fail(reason, case)) => panic!("{reason}\nin this run: {case:#?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}
