//! Which stores a backend's parts go to: learnt when the first part is there, held to from then on.
//!
//! Border: what the journal remembers of it; whether a URL may be used is `backend`'s to say.

use super::Engine;
use crate::journal::Record;
use upload_types::error::Result;

impl Engine<'_> {
    /// Holds the backend to the stores that were learnt in earlier runs.
    pub(super) fn recall_stores(&mut self) -> Result<()> {
        self.stores = self.journal.stores(&self.info.instance_id)?;
        self.backend.restrict_stores(self.stores.clone());
        Ok(())
    }

    /// A part has arrived: where it went to is a store of this backend.
    pub(super) fn learn_stores(&mut self) {
        let stores = self.backend.stores();
        if stores == self.stores {
            return;
        }
        let new: Vec<String> = stores
            .iter()
            .filter(|place| !self.stores.contains(place))
            .cloned()
            .collect();
        for place in new {
            tracing::info!(%place, "a store of this backend");
            self.note(Record::StoreLearned {
                instance_id: self.info.instance_id.clone(),
                authority: place,
            });
        }
        self.stores = stores;
    }
}
