//! The S3 client (`crates/s3`) against a real S3 server of another project: the store enforces the
//! headers bound into a URL, and reports stored objects correctly.
//!
//! Not here: the server. A script of `scripts/stores` starts it and prints its address as
//! environment variables; without them these tests fail.

#![cfg(feature = "gateway")]

mod bucket;
mod conditions;
mod faults;
mod multipart;
mod probe;
mod single_put;
