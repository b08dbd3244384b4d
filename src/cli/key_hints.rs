//! The keys of sources for the commands in hints: a command that repeats the upload of one source
//! must choose the same key.
//!
//! Not here: the rest of a command (`hint_commands`), and the choice of keys (`keys`).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::keys::key_flags;
use super::settings::Target;
use crate::event::Event;
use crate::transfer::{Item, Items};
use upload_types::sync::lock;

/// The flags of `put` that choose the key of an item again.
pub struct KeyFlags {
    /// Of the items of a `put`.
    shared: Vec<String>,
    /// Of uploads of the journal, unless `put` chooses their keys without flags.
    of_uploads: BTreeMap<usize, Vec<String>>,
    of_set: KeysByPath,
}

impl KeyFlags {
    pub fn of(
        items: &Items,
        first_item: usize,
        target: &Target,
        shared: &[String],
        of_set: KeysByPath,
    ) -> Self {
        let backend = target.name();
        let items = match items {
            Items::Known(items) => items.as_slice(),
            Items::Set(_) => &[],
        };
        let of_uploads = items.iter().enumerate().filter_map(|(index, item)| {
            let Item::Resume(upload) = item else {
                return None;
            };
            let intent = &upload.intent;
            let flags = key_flags(&backend, &intent.path, intent.key.as_deref());
            (!flags.is_empty()).then_some((first_item + index, flags))
        });
        Self {
            shared: shared.to_vec(),
            of_uploads: of_uploads.collect(),
            of_set,
        }
    }

    /// Removes the key of the file of a set that ends with this event, and returns it.
    pub fn end_in_set(&self, event: &Event) -> Option<String> {
        self.of_set.end(event)
    }

    pub fn of_item(&self, item: usize) -> &[String] {
        self.of_uploads.get(&item).unwrap_or(&self.shared)
    }
}

/// The keys of the files of a set that have not ended yet, by path. A file of a directory or a list
/// has another key if `put` names it alone. Clones share the keys.
#[derive(Debug, Clone, Default)]
pub struct KeysByPath(Arc<Mutex<HashMap<String, String>>>);

impl KeysByPath {
    pub fn add(&self, path: &Path, key: &str) {
        lock(&self.0).insert(path.display().to_string(), key.to_owned());
    }

    fn end(&self, event: &Event) -> Option<String> {
        match event {
            Event::Completed { path, .. }
            | Event::Kept { path, .. }
            | Event::Failed { path, .. }
            | Event::Plan {
                path,
                forecast: Some(_),
                ..
            } => lock(&self.0).remove(path),
            _ => None,
        }
    }
}
