//! The fuzz targets over what the fuzzer found and what was written by hand (`fuzz/corpus`), and over bytes made here.
//!
//! Border: a quick look, the same each time, `UPLOAD_FUZZ_TIMES` as long; `scripts/fuzz` looks on for as long as one likes.
#![cfg(feature = "gateway")]

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[path = "../fuzz/src/bodies.rs"]
mod bodies;

/// Its name, what it does, and how many random cases it gets here.
type Target = (&'static str, fn(&[u8]), u32);

const TARGETS: &[Target] = &[
    ("gateway_json", bodies::gateway_json, 400),
    ("store_xml", bodies::store_xml, 400),
    ("part_answer", bodies::part_answer, 400),
    ("problem", bodies::problem, 400),
    ("headers", bodies::headers, 400),
    ("url", bodies::url, 400),
    ("journal", bodies::journal, 40),
    ("disposition", bodies::disposition, 400),
    ("terminal", bodies::terminal, 400),
    ("plan", bodies::plan, 400),
];

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root: PathBuf = std::env::var_os("CARGO_MANIFEST_DIR")
        .expect("run by cargo")
        .into();
    let dir = root.join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    files
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn what_was_found_before_does_no_harm() {
    for (name, target, _) in TARGETS {
        for (path, bytes) in corpus(name) {
            assert!(
                catch_unwind(|| target(&bytes)).is_ok(),
                "{name} by {}",
                path.display()
            );
        }
    }
}

/// Files of the corpus with some bytes changed, doubled or cut off; and mere noise.
#[test]
fn bytes_of_all_kinds_do_no_harm() {
    for (name, target, cases) in TARGETS {
        let seeds: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, bytes)| bytes).collect();
        let changes =
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..6);
        let spoilt = (prop::sample::select(seeds), changes).prop_map(|(mut bytes, changes)| {
            for (at, value, how) in changes
                .into_iter()
                .filter(|_| !bytes.is_empty())
                .collect::<Vec<_>>()
            {
                let Some(last) = bytes.len().checked_sub(1) else {
                    break;
                };
                let at = at.index(last + 1);
                match how {
                    0 => bytes[at] = value,
                    1 => bytes.insert(at, value),
                    2 => bytes.truncate(at),
                    _ => bytes.extend_from_within(at..),
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
            &prop_oneof![4 => spoilt, 1 => noise],
            |bytes| {
                target(&bytes);
                Ok(())
            },
        );
        run.unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

/// Each target of `fuzz/fuzz_targets` is run here too.
#[test]
fn no_target_is_forgotten() {
    let root: PathBuf = std::env::var_os("CARGO_MANIFEST_DIR")
        .expect("run by cargo")
        .into();
    let names = fs::read_dir(root.join("fuzz/fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = names
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut known: Vec<&str> = TARGETS.iter().map(|(name, ..)| *name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
}
