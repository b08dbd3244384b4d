//! `upload serve`: runs a gateway, sweeps once, removes uploads, tests a store, and manages API
//! tokens.
//!
//! With `local_gateway`, the only part of the client that uses the gateway.

mod access;
mod config;
pub mod config_file;
#[cfg(test)]
mod every_key_tests;
mod hooks;
mod ledger_location;
mod probe;
mod remove;
mod run;
mod sweep;
mod token;

pub use run::run;
