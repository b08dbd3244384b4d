//! Reports a run to people and programs: three reporters of one stream of events (bars, plain
//! lines, JSON lines).
//!
//! Reporters consume events and write to the standard streams; they never influence a run. Standard
//! output holds data only (one location per finished upload, or JSON lines), standard error the
//! rest.

mod bars;
mod connection;
mod errors;
mod failures;
mod fitting;
mod json;
mod live_rows;
mod options;
mod output;
mod pace;
mod plain;
mod reporter;
mod source_state;
mod sources;
pub mod stderr;
mod summary;
#[cfg(test)]
mod tests;
pub mod text;
mod wording;

pub use fitting::{shorten, width, wrap};
pub use live_rows::{LogWriter, stderr_columns};
pub use options::{Color, Locations, Options, Progress, Screen};
pub use reporter::{Reported, Reporter, start};
pub use text::{escape, safe};
