//! Runs the fuzz targets with the corpus (`fuzz/corpus`, found by the fuzzer or written by hand)
//! and with random bytes. The bytes are the same in each run; `UPLOAD_FUZZ_TIMES` multiplies the
//! cases.
//!
//! Not here: the fuzzer (`scripts/fuzz`).
#![cfg(feature = "gateway")]

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

/// The name of a target, its function, and the number of random cases.
type Target = (&'static str, fn(&[u8]), u32);

const TARGETS: &[Target] = &[
    ("gateway_json", targets::gateway_json, 400),
    ("store_xml", targets::store_xml, 400),
    ("part_response", targets::part_response, 400),
    ("problem", targets::problem, 400),
    ("headers", targets::headers, 400),
    ("presigned_url", targets::presigned_url, 400),
    ("journal", targets::journal, 40),
    ("content_disposition", targets::content_disposition, 400),
    ("terminal_text", targets::terminal_text, 400),
    ("plan", targets::plan, 400),
];

/// The files of a folder of the repository, sorted.
fn files_in(folder: &str) -> Vec<PathBuf> {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    let entries = fs::read_dir(PathBuf::from(root).join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    files_in(&format!("fuzz/corpus/{name}"))
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn targets_accept_the_corpus() {
    for (name, target, _) in TARGETS {
        for (path, bytes) in corpus(name) {
            assert!(
                catch_unwind(|| target(&bytes)).is_ok(),
                "{name} with {}",
                path.display()
            );
        }
    }
}

/// The bytes are files of the corpus with changed, inserted, removed or doubled bytes, or noise.
#[test]
fn targets_accept_random_bytes() {
    for (name, target, cases) in TARGETS {
        let seeds: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, bytes)| bytes).collect();
        let changes =
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..6);
        let mutated = (prop::sample::select(seeds), changes).prop_map(|(mut bytes, changes)| {
            for (index, value, change) in changes {
                if bytes.is_empty() {
                    break;
                }
                let index = index.index(bytes.len());
                match change {
                    0 => bytes[index] = value,
                    1 => bytes.insert(index, value),
                    2 => bytes.truncate(index),
                    _ => bytes.extend_from_within(index..),
                }
            }
            bytes
        });
        let noise = prop::collection::vec(any::<u8>(), 0..200);
        let times = std::env::var("UPLOAD_FUZZ_TIMES")
            .ok()
            .and_then(|times| times.parse::<u32>().ok())
            .unwrap_or(1);
        let config = Config {
            cases: cases * times,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let run = TestRunner::new_with_rng(config, rng).run(
            &prop_oneof![4 => mutated, 1 => noise],
            |bytes| {
                target(&bytes);
                Ok(())
            },
        );
        run.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn every_fuzz_target_is_tested() {
    let targets: Vec<String> = files_in("fuzz/fuzz_targets")
        .into_iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut tested: Vec<&str> = TARGETS.iter().map(|(name, ..)| *name).collect();
    tested.sort_unstable();
    assert_eq!(targets, tested);
}
