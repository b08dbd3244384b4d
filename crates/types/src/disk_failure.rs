//! The report that a disk of this process cannot be written: it is full, or read-only.
//!
//! A store and a ledger in the process of a client report such a failure like any other, by HTTP.
//! The client learns here that it is local, and that waiting does not help.

use std::sync::{Arc, OnceLock};

/// The first failure of a disk. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct DiskFailure(Arc<OnceLock<String>>);

impl DiskFailure {
    /// Records the first failure; later ones are ignored. `what` names the file or the directory,
    /// and the cause.
    pub fn report(&self, what: impl FnOnce() -> String) {
        self.0.get_or_init(what);
    }

    #[must_use]
    pub fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}
