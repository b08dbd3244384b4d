//! The one harness: a temporary directory, the true binary in an environment of its own, a gateway, and a proxy that fails
//! on purpose.
//!
//! Border: it starts things, breaks them and reads what is left; what must be true of that is said in the tests alone.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod command;
pub mod companion;
pub mod events;
pub mod files;
pub mod gateway;
pub mod interceptor;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod raw_http;
pub mod s3;
pub mod sandbox;
pub mod terminal;
pub mod wait;
pub mod world;

pub const MIB: u64 = 1 << 20;
/// The smallest part S3 takes, and so the quickest to test with.
pub const PART: u64 = 5 * MIB;
