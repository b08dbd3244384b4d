//! The flags of a transfer: the same for `put` and `resume`.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which are not Markdown"
)]

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use crate::cli::parse::{self, DurationOrNever, Jobs, LimitRate};

#[derive(Clone, Args)]
pub struct TransferArgs {
    /// Parts in flight of all files together, 1 to 256, or auto [default: auto]
    ///
    /// auto starts with 4 and goes up to 64 as long as the throughput grows. While a store asks to
    /// slow down, fewer parts are in flight, even fewer than the given number.
    #[arg(long, value_name = "N|auto", value_parser = parse::jobs)]
    pub jobs: Option<Jobs>,
    /// Limit the rate of all parts together: 10MiB/s, 500KB/s, or none [env: UPLOAD_LIMIT_RATE]
    /// [default: none]
    ///
    /// At least 1KiB/s. During a run, SIGUSR1 halves the limit (without one, it sets half of the
    /// current rate), and SIGUSR2 doubles it until it is removed. Under a limit, fewer parts are in
    /// flight: as many as take 16 seconds together, and at least one.
    #[arg(long, value_name = "RATE", value_parser = parse::limit_rate)]
    pub limit_rate: Option<LimitRate>,
    /// Write the receipts of completed uploads to this file, as JSON lines
    ///
    /// The first receipt replaces the content of an existing file. Without a receipt, no file is
    /// created or changed. With -r, --files-from or --map, a last line sums up the set, if every
    /// file was found, none failed, and this run wrote a receipt.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub receipt: Option<PathBuf>,
    /// As --receipt, but append to an existing file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "receipt")]
    pub receipt_append: Option<PathBuf>,
    /// Compute the SHA-256 of each whole file, for its receipt
    ///
    /// A file of one part has it in any case. A larger one is read once more when all of its parts
    /// are stored, and each part is compared with what was sent: exit code 65 if they differ. `put`
    /// also reads a file that is uploaded already, and uploads it again if its content differs,
    /// although its size and its times are those of the upload.
    #[arg(long)]
    pub sha256: bool,
    /// Give up after this long without any confirmed byte [default: never at a terminal, otherwise
    /// 15m]
    ///
    /// A duration such as 90s, 15m or 2h 30m, or never. Without any response from the backend
    /// the limit is 2m at most, unless the value is never. It also limits the wait for another
    /// process that uploads the same file, or that has the embedded store open.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration_or_never)]
    pub give_up_after: Option<DurationOrNever>,
    /// What to wait for after the backend has verified the object
    #[arg(long, value_name = "STATE", default_value = "auto")]
    pub wait: WaitState,
    /// How long --wait waits before it ends with exit code 75; a duration, or never
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse::duration_or_never)]
    pub wait_timeout: DurationOrNever,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WaitState {
    /// As ready if the backend has hooks, else as none
    #[default]
    Auto,
    /// Do not wait: a hook may still reject the object
    None,
    /// Wait for the checks (hooks) of the backend; exit code 77 if they reject the object
    Ready,
}
