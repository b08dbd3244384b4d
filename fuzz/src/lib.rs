//! One function for each thing that others send us; each takes any bytes and panics where what is promised does not hold.
//!
//! Border: called by the fuzzer (`fuzz_targets`, run by `scripts/fuzz`) and, over the corpus and over random bytes, by the quick
//! tests (`tests/fuzz.rs`). **Garbage never means success** is said here once for each kind of answer.

mod bodies;

pub use bodies::*;

/// The program of a target: for a fuzzer, or, built without one, for the files it is given.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::$name(bytes));

        #[cfg(not(fuzzing))]
        fn main() {
            for path in std::env::args_os().skip(1) {
                $crate::$name(&std::fs::read(path).expect("a file that can be read"));
            }
        }
    };
}
