//! What was typed about how to send, and what to wait for then: the same for `put` and `resume`.
//!
//! Border: as `args`.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which no Markdown reader sees"
)]

use std::path::PathBuf;

use clap::{ValueEnum, ValueHint};

use crate::cli::parse::{self, Jobs, LimitRate, Wait};

/// How to send.
#[derive(Clone, clap::Args)]
pub struct Transfer {
    /// Parts in flight over all files, 1 to 256, or auto [default: auto]
    ///
    /// auto begins with 4 and goes up to 64 while more of them bring more. While a store asks for less, fewer are in flight,
    /// also than the number that was asked for.
    #[arg(long, value_name = "N|auto", value_parser = parse::jobs)]
    pub jobs: Option<Jobs>,
    /// Send no faster than this, over all parts: 10MiB/s, 500KB/s, or none [env: UPLOAD_LIMIT_RATE] [default: none]
    ///
    /// At least 1KiB/s. While it runs, SIGUSR1 halves the limit (without one, to half of what is sent), and
    /// SIGUSR2 doubles it, until nothing limits any more.
    #[arg(long, value_name = "RATE", value_parser = parse::limit_rate)]
    pub limit_rate: Option<LimitRate>,
    /// Write the receipts of completed uploads to this file, as JSON lines [default: not written]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub receipt: Option<PathBuf>,
    /// Give up after this long without any confirmed byte
    ///
    /// A duration such as 90s, 15m or 2h 30m, or never. By default never at a terminal and 15m without one; in any case
    /// after 2m if the backend has not answered even once.
    #[arg(long, value_name = "DURATION", value_parser = parse::wait)]
    pub give_up_after: Option<Wait>,
    /// What to wait for once the backend has verified the object
    #[arg(long, value_name = "STATE", default_value = "none")]
    pub wait: WaitState,
    /// How long --wait waits, or never to give up; then the exit code is 75
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse::wait)]
    pub wait_timeout: Wait,
}

/// What is waited for, once the backend has verified the object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WaitState {
    /// Nothing more
    #[default]
    None,
    /// The backend's checks (hooks): what they reject is exit code 77
    Ready,
}
