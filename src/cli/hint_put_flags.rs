//! The flags of `put` for the commands in hints: a command that repeats the upload of one source
//! must choose the same key, and ask for the same object.
//!
//! Not here: the rest of a command (`hint_commands`), and the choice of keys (`keys`).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::keys::{flags_of_key, key_flags};
use super::object_flags::{flags_of_intent, rule_flags};
use super::settings::Target;
use crate::event::Event;
use crate::transfer::{Item, Items};
use upload_types::sync::lock;

/// The flags of `put` that repeat the upload of an item.
#[derive(Debug, Clone, Default)]
pub struct PutFlags {
    /// Those that choose its key, unless `put` chooses it without flags.
    pub key: Vec<String>,
    /// Those for the properties of its object.
    pub object: Vec<String>,
    /// Those about an object that is at its key already.
    pub rule: Vec<String>,
}

/// The flags of `put` that repeat the upload of each item.
pub struct ItemFlags {
    /// The flags of the items of a `put`.
    shared: PutFlags,
    /// The flags of uploads of the journal, by item.
    of_uploads: BTreeMap<usize, PutFlags>,
    by_path: KeysByPath,
}

impl ItemFlags {
    pub fn of(
        items: &Items,
        first_item: usize,
        target: &Target,
        shared: &PutFlags,
        by_path: KeysByPath,
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
            let flags = PutFlags {
                key: key_flags(&backend, &intent.path, intent.key.as_deref()),
                object: flags_of_intent(intent),
                rule: rule_flags(intent.if_exists.unwrap_or_default(), false),
            };
            Some((first_item + index, flags))
        });
        Self {
            shared: shared.clone(),
            of_uploads: of_uploads.collect(),
            by_path,
        }
    }

    /// Removes the key of the file of a set that ends with this event, and returns it.
    pub fn end_in_set(&self, event: &Event) -> Option<String> {
        self.by_path.end(event)
    }

    /// The flags of an item. `key` is that of a file of a set.
    pub fn of_item(&self, item: usize, key: Option<String>) -> PutFlags {
        let mut flags = self.of_uploads.get(&item).unwrap_or(&self.shared).clone();
        if let Some(key) = key {
            flags.key = flags_of_key(&key);
        }
        flags
    }
}

/// The keys of the files that have not ended yet, by path, as far as `put FILE` alone would choose
/// others: those of a set, and those below `-C`. Clones share the keys.
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
