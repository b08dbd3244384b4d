//! A resumable uploader that proves what it stored.

pub mod backend;
pub mod cli;
pub mod error;
pub mod event;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod journal;
pub mod names;
pub mod plan;
pub mod report;
pub mod source;
pub mod transfer;
pub mod wire;
