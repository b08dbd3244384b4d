//! The command line: what was typed, what it means, and one file for each verb.
//!
//! Border: the one place where source, journal, backend, transfer and report meet.

pub mod args;
mod backend_spec;
pub mod completions;
pub mod config;
mod config_file;
pub mod man;
pub mod parse;
#[cfg(feature = "gateway")]
pub mod serve;
pub mod settings;

pub use backend_spec::BackendSpec;
