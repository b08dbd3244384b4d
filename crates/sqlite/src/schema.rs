//! The description of one kind of SQLite file.

use std::path::Path;

use upload_types::error::{Error, Kind};

/// One kind of file: its name, its application id, and its tables.
#[derive(Debug)]
pub struct Schema {
    /// The word for such a file in messages: "journal", "ledger".
    pub name: &'static str,
    /// Written to the file's header. A file with another id is not of this kind.
    pub application_id: i32,
    /// SQL. Migration n takes a file from version n to n + 1. A released migration is never edited.
    pub migrations: &'static [&'static str],
    /// How many versions only builds before the first release have written. Their files are
    /// rejected. The header has the sum of this and the version (`user_version`).
    pub unreleased_versions: usize,
    /// Whether free pages can be released in steps (`PRAGMA incremental_vacuum`). It applies to
    /// files that are created from now on.
    pub incremental_vacuum: bool,
    /// The hint for a user if such a file cannot be opened, in the imperative.
    pub hint: &'static str,
}

impl Schema {
    pub(crate) fn cannot_open(&self, path: &Path) -> Error {
        let text = format!("could not open the {} {}", self.name, path.display());
        Error::new(Kind::DatabaseUnusable, text).with_hint(self.hint)
    }
}
