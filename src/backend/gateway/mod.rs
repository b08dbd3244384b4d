//! A gateway as a backend: its HTTP API, version 1.

mod client;
mod response;
#[cfg(test)]
mod response_tests;

pub use client::{Gateway, SignReason};
pub use response::{EXISTS_HINT, gateway_error, problem_error};
