//! Where bytes come from.
//!
//! Border: reads and identifies, never writes, locks or judges; what a changed identity means is decided in `transfer`.

mod file;

pub use file::{File, Hashed};
