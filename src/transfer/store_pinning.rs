//! Store pinning: parts of a backend's uploads go only to stores that earlier parts went to. The
//! first stored part pins its store.
//!
//! Not here: whether a URL may be used (`backend`).

use crate::backend::Backend;
use crate::journal::Record;

/// The stores of the backend, as `HOST:PORT`.
#[derive(Debug, Default)]
pub struct StorePinning {
    stores: Vec<String>,
}

impl StorePinning {
    /// Restricts the backend to the stores that the journal has.
    pub fn new(stores: Vec<String>, backend: &Backend) -> Self {
        backend.restrict_stores(stores.clone());
        Self { stores }
    }

    /// A part was stored. Returns the records for stores that are new.
    pub fn on_stored(&mut self, backend: &Backend, instance_id: &str) -> Vec<Record> {
        let stores = backend.stores();
        if stores == self.stores {
            return Vec::new();
        }
        let new = stores.iter().filter(|store| !self.stores.contains(store));
        let records = new.map(|authority| {
            tracing::info!(%authority, "the backend has a new store");
            Record::StoreLearned {
                instance_id: instance_id.to_owned(),
                authority: authority.clone(),
            }
        });
        let records = records.collect();
        self.stores = stores;
        records
    }
}
