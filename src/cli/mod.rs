//! The command line: one file for each verb, and the parts that verbs share.
//!
//! - arguments and settings: `args`, `parse`, `backend_spec`, `config_file`, `toml_keys`,
//!   `secret_file`, `permissions`, `secret_redaction`, `settings`
//! - streams and signals: `output`, `log_queue`, `notices`, `signals`, `rate_signals`, `run_state`,
//!   `receipt_file`, `receipt_target`, `resource_limits`
//! - hints, which name a command that the user can run: `hints`, `hint_commands`, `hint_put_flags`,
//!   `object_flags`
//! - backends and uploads: `backend_handle`, `local_gateway`, `query_limit`, `session`,
//!   `session_events`, `set_totals`, `lookup`, `orphans`, `upload_line`, `set_line`,
//!   `upload_table`, `status_text`, `object_verifier`
//! - verbs: `put` (`put_stream`, `destination`, `directory_flag`, `content_types`, `keys`,
//!   `selection`, `filter_flags`, `set_definition`), `resume`, `list`, `status`, `abort` (also
//!   `rm`), `prune`, `cat`, `url`, `config`, `serve`, `completions`, `man`
//! - `dispatch` runs the verb
//!
//! The only module that combines source, journal, backend, transfer and report. `serve` and
//! `local_gateway` are the only modules that use the gateway.

mod abort;
pub mod args;
mod backend_handle;
mod backend_spec;
mod cat;
pub mod completions;
mod config;
mod config_file;
mod content_types;
mod destination;
mod directory_flag;
mod dispatch;
mod filter_flags;
mod hint_commands;
mod hint_put_flags;
mod hints;
mod keys;
mod list;
#[cfg(feature = "gateway")]
mod local_gateway;
mod log_queue;
mod lookup;
pub mod man;
mod notices;
mod object_flags;
mod object_verifier;
mod orphans;
mod output;
mod parse;
mod permissions;
mod prune;
mod put;
mod put_stream;
mod query_limit;
mod rate_signals;
mod receipt_file;
mod receipt_target;
mod resource_limits;
mod resume;
mod run_state;
mod secret_file;
mod secret_redaction;
mod selection;
#[cfg(feature = "gateway")]
mod serve;
mod session;
mod session_events;
mod set_definition;
mod set_line;
mod set_totals;
mod settings;
mod signals;
mod status;
mod status_text;
mod toml_keys;
mod upload_line;
mod upload_table;
mod url;

pub use dispatch::run;
pub use output::{eprint_line, exit_code};
