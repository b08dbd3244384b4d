//! `upload serve`: runs a gateway, sweeps once, removes uploads, prunes the ledger, tests a store,
//! and manages API tokens.
//!
//! With `local_gateway`, the only part of the client that uses the gateway.

mod access;
mod config;
pub mod config_file;
#[cfg(test)]
mod every_key_tests;
mod hooks;
mod issuers;
mod ledger_location;
mod probe;
mod prune;
mod remove;
mod run;
mod sweep;
mod token;

pub use run::run;
