//! The command line as clap parses it: every verb and flag with its help.
//!
//! To add a flag: declare it in `verbs` (a flag that verbs share: `transfer`, `connection`,
//! `selection`); give its value a field in `settings/values.rs`, and resolve it in
//! `settings/resolve.rs`; add it to `config_file.rs` if it may be a key there, to
//! `hint_commands.rs` if hints must repeat it, and to `set_definition.rs` if `resume` needs it.
//! Then run `UPLOAD_REGENERATE=1 cargo test --test docs`.
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
