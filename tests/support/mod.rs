//! The harness of the tests: a temporary directory, the real binary in an environment of its own, a
//! gateway, and a proxy that injects faults.
//!
//! Not here: assertions about the program, except those that several tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod aws;
pub mod bucket;
pub mod command;
pub mod commit_proxy;
pub mod companion;
pub mod emulator;
pub mod events;
pub mod files;
pub mod gateway;
pub mod interceptor;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod raw_http;
pub mod requirements;
pub mod reserved_port;
pub mod s3;
pub mod sandbox;
pub mod terminal;
pub mod wait;
pub mod world;

pub const MIB: u64 = 1 << 20;
/// The smallest part size that S3 accepts; tests use it because it is the fastest.
pub const PART: u64 = 5 * MIB;
