//! The journal: a SQLite file with every upload that this user has begun, its parts, and its receipt. It is written before an
//! effect that must not be forgotten, and after one that can be asked for again. It never holds a URL or a token.
//!
//! Not here: decisions; `transfer` makes them.

mod columns;
mod database;
mod dir_check;
mod process_lock;
mod record;
mod schema;
mod state;
mod uploads;

#[cfg(test)]
mod tests;

pub use database::Journal;
pub use record::Record;
pub use state::State;
pub use uploads::{Intent, Part, Upload};
