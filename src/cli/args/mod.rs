//! The command line as clap parses it: every verb and flag with its help.
//!
//! The only folder that uses clap's derive; help, man pages and completions all come from here. Not
//! here: environment, configuration file and defaults (`settings`).

mod command;
mod connection;
mod exit_codes;
mod global;
mod selection;
mod stream;
mod tips;
mod transfer;
mod verbs;

#[cfg(feature = "gateway")]
pub mod access;
pub mod attributes;
#[cfg(feature = "gateway")]
pub mod from_file;
#[cfg(feature = "gateway")]
pub mod serve;

pub use command::{CommandLine, Verb, command};
pub use connection::{ConnectionArgs, NetworkArgs, QueryArgs, S3Args, is_shared_heading};
pub use exit_codes::{AFTER_TEMPORARY_FAILURE, EXIT_CODES, SEVERAL_SOURCES};
pub use global::{ColorWhen, GlobalArgs, ProgressStyle};
pub use selection::SelectionArgs;
pub use transfer::{TransferArgs, WaitState};
pub use verbs::{
    AbortArgs, CatArgs, CompletionsArgs, ConfigArgs, IfChanged, IfExists, KeyStyle, ListArgs,
    ManArgs, PruneArgs, PutArgs, ResumeArgs, Shell, StatusArgs, UrlArgs,
};
