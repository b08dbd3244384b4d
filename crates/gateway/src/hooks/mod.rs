//! Hooks: programs and webhooks that accept or reject a verified upload.
//!
//! Not here: the schedule of hooks, and the effect of a verdict (`service`). This module
//! changes no upload.

mod command;
mod disposal;
mod document;
mod hook;
mod runner;
mod turns;
mod verdict;
mod webhook;

pub use disposal::{Disposal, OnReject};
pub use document::{Document, UploadDescription};
pub use hook::{Hook, HookKind};
pub use runner::{Hooks, retry_delay};
pub use turns::{RunningByOwner, Turns};
pub use verdict::{Reason, Verdict};
