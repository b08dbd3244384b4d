//! `upload serve`: runs a gateway, sweeps once, removes uploads, prunes the ledger, tests a store,
//! lists owners and uploads, and manages API tokens.
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
mod limit_rules;
mod owners;
mod probe;
mod prune;
mod reload;
mod remove;
mod run;
mod sweep;
mod token;
mod uploads;
mod value_origins;
mod variables;

pub use run::run;
