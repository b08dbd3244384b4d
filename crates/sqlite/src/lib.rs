//! SQLite files: created whole, recognized by their application id, migrated, and durable.
//!
//! Not here: tables and rows. They belong to the crates that open the files: journal, ledger, and
//! the embedded store's manifest.

mod atomic_create;
mod create;
mod file_id;
mod journal_mode;
mod migrate;
mod open;
mod restore;
mod schema;
pub mod writer;

pub use file_id::FileId;
pub use open::{open, prepare_path};
pub use restore::restore;
pub use schema::Schema;

#[cfg(test)]
mod tests;
