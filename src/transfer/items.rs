//! The items of a run: known from the start, or found while others are uploaded.
//!
//! Not here: how sources are found (`selection`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::options::Item;
use crate::event::{Event, OtherSources};
use crate::journal::SetProgress;
use upload_types::error::Error;

/// The items of a run.
pub enum Items {
    Known(Vec<Item>),
    Set(ItemSet),
}

impl From<Vec<Item>> for Items {
    fn from(items: Vec<Item>) -> Self {
        Self::Known(items)
    }
}

/// Items that are found while others are uploaded.
pub struct ItemSet {
    /// The directories and lists of the command, for messages.
    pub name: String,
    /// Its row in the journal, and its progress before this run.
    pub recorded: Option<(i64, SetProgress)>,
    pub incoming: mpsc::Receiver<Incoming>,
    pub count: Arc<SetCount>,
}

/// The next result of the search.
pub enum Incoming {
    Item(Item),
    /// A source that cannot be uploaded.
    Failed {
        path: String,
        error: Error,
    },
    /// Something to report.
    Event(Event),
}

/// The number of files found so far, those that cannot be uploaded included, and their bytes. The
/// search runs ahead of the uploads.
#[derive(Debug, Default)]
pub struct SetCount {
    files: AtomicU64,
    bytes: AtomicU64,
    is_complete: AtomicBool,
}

impl SetCount {
    /// Counts a file, or an entry that cannot be uploaded, which has no bytes.
    pub fn add(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Nothing else will be found.
    pub fn complete(&self) {
        self.is_complete.store(true, Ordering::Release);
    }

    /// The numbers so far.
    #[must_use]
    pub fn so_far(&self) -> Selected {
        let is_complete = self.is_complete.load(Ordering::Acquire);
        Selected {
            files: self.files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            is_complete,
        }
    }
}

/// How much was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    pub files: u64,
    pub bytes: u64,
    /// Nothing else will be found.
    pub is_complete: bool,
}

impl From<Selected> for Event {
    fn from(selected: Selected) -> Self {
        Self::Selected {
            files: selected.files,
            bytes: selected.bytes,
            is_complete: selected.is_complete,
            set: None,
            destination: None,
            others: OtherSources::default(),
        }
    }
}
