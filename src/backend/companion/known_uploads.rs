//! The uploads of a Companion that this process has begun or has restored from the journal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::saved_upload::SavedUpload;
use upload_types::error::{Error, Kind, Result};
use upload_types::sync::lock;
use upload_types::wire::StoredPart;
use upload_types::{PartNumber, UploadId};

/// An upload, and the results of the requests of this process about it.
#[derive(Debug, Clone)]
pub struct KnownUpload {
    pub saved: Arc<SavedUpload>,
    pub is_finished: bool,
    /// The parts of the last list, except those that were signed since.
    pub listed: HashMap<PartNumber, StoredPart>,
    /// Requests for the list that failed in a row without a reason.
    pub failed_lists: u32,
    /// Requests to complete that failed in a row without a reason.
    pub failed_completes: u32,
    /// Companion cannot list the parts, although the upload may exist.
    pub is_unlistable: bool,
}

#[derive(Debug, Default)]
pub struct KnownUploads(Mutex<HashMap<UploadId, KnownUpload>>);

impl KnownUpload {
    fn unfinished(saved: SavedUpload) -> Self {
        Self {
            saved: Arc::new(saved),
            is_finished: false,
            listed: HashMap::new(),
            failed_lists: 0,
            failed_completes: 0,
            is_unlistable: false,
        }
    }
}

impl KnownUploads {
    /// Adds an upload that has begun. Replaces an earlier upload with the same id, whose response
    /// was lost.
    pub fn add_begun(&self, id: &UploadId, saved: SavedUpload) {
        lock(&self.0).insert(id.clone(), KnownUpload::unfinished(saved));
    }

    /// Adds an upload from the journal, unless it is known.
    pub fn restore(&self, id: &UploadId, saved: SavedUpload, is_finished: bool) {
        lock(&self.0)
            .entry(id.clone())
            .or_insert_with(|| KnownUpload {
                is_finished,
                ..KnownUpload::unfinished(saved)
            });
    }

    /// # Errors
    /// [`Kind::Other`] if the upload is unknown: the journal holds no readable state of it.
    pub fn get(&self, id: &UploadId) -> Result<KnownUpload> {
        lock(&self.0).get(id).cloned().ok_or_else(|| {
            let what = format!("the journal holds no readable state of the upload {id}");
            Error::new(Kind::Other, what)
                .with_hint("put the file again with another journal: --journal FILE")
        })
    }

    pub fn update(&self, id: &UploadId, update: impl FnOnce(&mut KnownUpload)) {
        if let Some(upload) = lock(&self.0).get_mut(id) {
            update(upload);
        }
    }
}
