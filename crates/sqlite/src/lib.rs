//! SQLite files: created whole, recognized by their application id, migrated, and durable.
//!
//! Not here: tables and rows. They belong to the modules and crates that open the files: journal,
//! ledger, and the embedded store's manifest.
//!
//! ```no_run
//! use std::path::Path;
//! use upload_sqlite::{Schema, open};
//!
//! const SCHEMA: Schema = Schema {
//!     name: "journal",
//!     application_id: 0x7570_6c64,
//!     migrations: &["CREATE TABLE upload (id TEXT) STRICT"],
//!     unreleased_versions: 0,
//!     incremental_vacuum: false,
//!     hint: "name another file with --journal FILE",
//! };
//! let connection = open(Path::new("state/journal.db"), &SCHEMA)?;
//! # Ok::<(), upload_types::error::Error>(())
//! ```
//!
//! # Invariants
//!
//! - A file at its path is complete: it is filled under a temporary name and then linked.
//! - A commit is on disk before it returns, unless the caller lowers `synchronous`.
//! - A file of another kind, an empty file, a file of a newer version, and a file of a build before
//!   the first release are rejected unchanged.
//! - A released migration is never edited.
//! - On a network file system, one process at a time has the file open: processes on different
//!   machines cannot share the memory of a write-ahead log.
//! - A [`Writer`] sends the result of a job after the commit that contains it.
//!
//! # Files
//!
//! The lowest layer is first: each file imports only those above it in the table.
//!
//! | file | |
//! |---|---|
//! | `schema`, `file_id`, `journal_mode` | [`Schema`]; [`FileId`]; the journal mode |
//! | `atomic_create` | temporary files and their links |
//! | `migrate`, `create`, `open`, `restore` | the operations on a file |
//! | `writer` | [`Writer`]: a thread that owns a connection |
//! | `directory_check` | the owner and the mode of the directory of a file |
//! | `disk_failure` | recognizes a disk that is full or read-only |
//! | `sorted_lines` | [`SortedLines`]: sorts lines in a temporary file |

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod atomic_create;
mod create;
mod directory_check;
mod disk_failure;
mod file_id;
mod journal_mode;
mod migrate;
mod open;
mod restore;
mod schema;
mod sorted_lines;
mod writer;

pub use directory_check::{check_directory, directory_of};
pub use disk_failure::is_disk_failure;
pub use file_id::FileId;
pub use open::{open, prepare_path};
pub use restore::restore;
pub use schema::Schema;
pub use sorted_lines::SortedLines;
pub use writer::{TransactionEnd, Writer, WriterError};

#[cfg(test)]
mod tests;
