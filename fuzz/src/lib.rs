//! Fuzz targets: one function for each kind of input from outside. It accepts any bytes and panics
//! if a property does not hold. For responses, one property is that **garbage is never success**.
//!
//! The fuzzer (`fuzz_targets`, run by `scripts/fuzz`) calls them, and so do the tests
//! (`tests/fuzz.rs`), with the corpus and with random bytes.

mod targets;

pub use targets::*;

/// The program of a target: for the fuzzer or, without it, for the files that its arguments name.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::$name(bytes));

        #[cfg(not(fuzzing))]
        fn main() {
            for path in std::env::args_os().skip(1) {
                $crate::$name(&std::fs::read(path).expect("a readable file"));
            }
        }
    };
}
