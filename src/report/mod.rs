//! Reports a run to people and programs: three reporters of one stream of events (bars, plain
//! lines, JSON lines).
//!
//! Reporters consume events and write to the standard streams; they never influence a run. Standard
//! output holds data only (one location per finished upload, or JSON lines), standard error the
//! rest.

mod bars;
mod json;
mod options;
mod output;
mod plain;
mod reporter;
mod sources;
#[cfg(test)]
mod tests;
pub mod text;
mod wording;

pub use bars::LogWriter;
pub use options::{Color, Options, Progress, Screen};
pub use reporter::{Reporter, start};
pub use text::{escape, safe};
